begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
select tests.start('acme');
select tests.work(1);
select tests.advance('6 hours');
create temp table held as select l as lease from tests.claim() as l;
select tests.advance('1 second');
select cleanup_stuck_chunks();
select results_eq($$select status, ending from public.workspace_sync_runs$$,
  $$values ('running', 'timeout')$$, 'after 6 hours its runs are ending');
select is_empty($$select * from tests.claim(100)$$, 'nothing more is handed out');
select is(tests.complete(lease), 'cancelled', 'what is in flight is not applied') from held;
select results_eq($$select r.status, r.warnings, j.status from public.workspace_sync_runs as r
  join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('partial', '{"time ran out"}'::text[], 'partial')$$, 'run and job are partial');
select is(tests.live_ids('acme'), '{1,2}', 'what was read is kept');
insert into public.polling_job_status (job_name, started_at)
  values ('by hand', sync.now() - interval '7 hours');
select cleanup_stuck_chunks();
select results_eq($$select status from public.polling_job_status where job_name = 'by hand'$$,
  $$values ('partial')$$, 'a row without runs ends too');

select * from finish();
rollback;
