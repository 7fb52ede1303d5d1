begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(6);

select tests.crm('acme');
select tests.crm('zen');
select start_sync_job('test', '{people}', '{acme,zen}');
select tests.end_lease(l, 200, tests.token('planted-access-' || (l ->> 'workspace')))
from tests.leases(2) as l;
delete from vault.secrets where id = (select t.secret_id from sync.workspace_tokens as t
  join sync_workspaces as w on w.id = t.workspace_id where w.workspace_name = 'acme');
select results_eq($$select l ->> 'workspace' from tests.leases(10) as l$$, $$values ('zen')$$,
  'a token that is gone gives no lease, another one does');
select is((select key_status from sync_workspaces where workspace_name = 'acme'), 'unreadable',
  'it is as a key that cannot be read');
select is(tests.asked_for_tokens(), 'completed, completed',
  'none is asked for: the rotated refresh token was with it');
select sync.check_health();
select results_eq($$select subject from sync_alerts where kind = 'keys_unreadable'$$,
  $$values ('vault')$$, 'one alert names it');
select rotate_workspace_key('acme', tests.grant_of('acme', 'planted-refresh-2'));
select cleanup_stuck_chunks();
select ok(exists (select 1 from tests.leases(10) as l where tests.sent(l) like
  'POST https://acme.example/oauth/token %planted-refresh-2'), 'another grant is asked about');

delete from vault.secrets
where name = 'chunkwise/workspace/' || (
  select id from sync_workspaces where workspace_name = 'zen');
update sync.workspace_tokens set expires_at = sync.now();
select is((select count(*) from tests.leases(10) as l where l ->> 'workspace' = 'zen'), 0::bigint,
  'without the grant there is no token to ask for');

select * from finish();
rollback;
