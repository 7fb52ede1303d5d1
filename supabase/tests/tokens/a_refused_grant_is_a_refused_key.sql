begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(12);

select tests.crm('acme');
select start_sync_job('test', '{people}', '{acme}');
create temporary table given as select l from tests.leases(1) as l;
select is((select tests.end_lease(l, 400, '{"error": "invalid_grant", "error_description":
  "planted-refresh-acme was revoked"}') from given), 'failed', 'invalid_grant ends the request');
select is((select tests.end_lease(l, 400, '{}') from given), 'failed', 'repeated it says the same');
select is((select count(*) from tests.leases(10)), 0::bigint, 'nothing is asked for at once');
select cleanup_stuck_chunks();
select is(tests.status_of('acme'), 'failed', 'the run fails');
select is((select key_status from sync_workspaces where workspace_name = 'acme'), 'refused',
  'the key is refused');
select sync.check_health();
select results_eq($$select kind, subject from sync_alerts where kind = 'key_refused'$$,
  $$values ('key_refused', 'acme')$$, 'an alert says so');
select isnt_empty($$select 1 from sync_alerts where message like '%invalid_grant%'$$,
  'and why');
select is_empty($$
  select 1 from sync_alerts where message like '%planted%'
  union all select 1 from public.workspace_sync_runs where error_message like '%planted%'
  union all select 1 from sync.workspace_tokens where refusal like '%planted%'
$$, 'without what the endpoint repeated of it');

select start_sync_job('test 2', '{people}', '{acme}');
select is((select count(*) from tests.leases(10)), 0::bigint, 'the next job asks for nothing yet');
select cleanup_stuck_chunks();
select is(tests.status_of('acme'), 'failed', 'and fails as well');

select rotate_workspace_key('acme', tests.grant_of('acme', 'planted-refresh-7'));
select start_sync_job('test 3', '{people}', '{acme}');
select is(tests.step(), 'POST https://acme.example/oauth/token grant_type=refresh_token '
  'form:client_id=client-of-acme form:client_secret=planted-secret-acme '
  'form:refresh_token=planted-refresh-7 -> completed', 'another grant is tried at once');
select tests.step() from generate_series(1, 2);
select is(tests.status_of('acme'), 'completed', 'and serves');

select * from finish();
rollback;
