begin;
\ir ../support/setup.psql
select plan(12);

select tests.workspace('acme', 2);
select tests.workspace('zen');
select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select register_workspace('elsewhere', 'https://crm.example', 'k', 'crm');
create function tests.claimable() returns text[] language plpgsql as $$
declare
  v_leases tests.lease[] := array(select l from tests.claim(100) as l);
begin
  perform tests.fail(l, 'released') from unnest(v_leases) as l;
  return array(select l.workspace from unnest(v_leases) as l order by 1);
end; $$;
select start_sync_job();
select is(tests.claimable(), '{acme,elsewhere,zen}', 'all are handed out');

select is(pause_sync(p_workspace => 'acme'), '{"paused": true, "live_runs": 1}', 'a workspace');
select is(tests.claimable(), '{elsewhere,zen}', 'is held');
select is(pause_sync('email_bison'), '{"paused": true, "live_runs": 1}',
  'a source, of which one run was not held yet,');
select is(tests.claimable(), '{elsewhere}', 'is held');
select pause_sync();
select is(tests.claimable(), '{}', 'everything is held');
select resume_sync();
select resume_sync('email_bison');
select is(tests.claimable(), '{elsewhere,zen}', 'another pause that still holds stays');
select resume_sync(p_workspace => 'acme');
select is(tests.claimable(), '{acme,elsewhere,zen}', 'the last one lifted, all go on');

select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
create temp table held as select l as lease from tests.claim(100) as l;
select pause_sync(p_workspace => 'acme');
select is(tests.complete(lease), 'completed', 'what is in flight ends') from held
  where (lease).workspace = 'acme';
select is(tests.claimable(), '{}', 'what it reveals waits');
select resume_sync(p_workspace => 'acme');
select is(tests.claimable(), '{acme,acme}', 'and goes on');
select throws_ok($$select pause_sync('email_bison', 'acme')$$, 'SY006', null,
  'a source and a workspace are two pauses');

select * from finish();
rollback;
