begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(8);

select tests.crm('acme');
select start_sync_job('test', '{people}', '{acme}');
create temporary table given as select l from tests.leases(1) as l;
select rotate_workspace_key('acme', tests.grant_of('acme'));
select is(tests.asked_for_tokens(), 'processing', 'the same grant again changes nothing');
select rotate_workspace_key('acme', tests.grant_of('acme', 'planted-refresh-other'));
select is(tests.asked_for_tokens(), 'cancelled', 'with another one the request is over');
select is((select tests.end_lease(l, 200, tests.token('planted-access-1', 'planted-refresh-2'))
  from given), 'cancelled', 'its answer is not taken');
select is_empty($$select 1 from vault.secrets where name like 'chunkwise/token/%'$$,
  'nor kept in Vault');
select is(tests.step('planted-access-3'), 'POST https://acme.example/oauth/token '
  'grant_type=refresh_token form:client_id=client-of-acme form:client_secret=planted-secret-acme '
  'form:refresh_token=planted-refresh-other -> completed', 'the new grant is asked about');

select rotate_workspace_key('acme', tests.grant_of('acme', 'planted-refresh-other'));
select is(tests.step(), 'GET https://acme.example/people page=1 '
  'header:Authorization=Bearer planted-access-3 -> completed',
  'handed over again it keeps its token');
update sync_workspaces set base_url = 'https://acme.example/eu' where workspace_name = 'acme';
select tests.advance('6 seconds');
select cleanup_stuck_chunks();
select ok(tests.step() like 'POST https://acme.example/eu/oauth/token %',
  'at another base URL another token is asked for');
select remove_workspace('acme');
select is_empty($$
  select name from vault.secrets where name like 'chunkwise/%'
  union all select fingerprint from sync.workspace_tokens
$$, 'a removed workspace leaves no token behind');

select * from finish();
rollback;
