begin;
\ir ../support/setup.psql
select plan(11);

select tests.workspace('acme', 3);
select tests.serve('acme', variadic array(select generate_series(1, 20)::bigint));
create temp table job as select tests.start('acme') as id;
select tests.work(1);
create temp table held as select l as lease from tests.claim(2) as l;

select is(cancel_sync_job(id) - 'job_id', '{"status": "running", "chunks_in_flight": 2}',
  'two are still in flight') from job;
select results_eq($$select status, count(*) from public.chunk_processing_queue group by 1
  order by 1$$,
  $$values ('cancelled', 7::bigint), ('completed', 1), ('processing', 2)$$,
  'all that is pending is cancelled');
select is(cancel_sync_job(id) - 'job_id', '{"status": "running", "chunks_in_flight": 2}',
  'again: the same') from job;
select is(tests.complete(lease), 'cancelled', 'a holder''s next call is answered cancelled')
  from held where (lease).page = 2;
select is(tests.live_ids('acme'), '{1,2}', 'and nothing of it is applied');
select tests.advance('21 seconds');
select cleanup_stuck_chunks();
select results_eq($$select r.status, j.status from public.workspace_sync_runs as r
  join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('cancelled', 'cancelled')$$, 'the other ends by expiry, and closes run and job');
select results_eq($$select completed_chunks, failed_chunks, pending_chunks, processing_chunks,
  overall_status from chunk_processing_status$$,
  $$values (1::bigint, 0::bigint, 0::bigint, 0::bigint, 'cancelled')$$, 'the totals say so');
select throws_ok($$select cancel_sync_job(id) from job$$, 'SY008', null,
  'an ended job cannot be cancelled');
select throws_ok($$select cancel_sync_job('00000000-0000-0000-0000-000000000000')$$, 'SY007', null,
  'nor an unknown one');

-- What has ended stands in no index by which live chunks are found.
select tests.workspace('zen', 2);
select tests.serve('zen', variadic array(select generate_series(1, 8)::bigint));
update job set id = tests.start('zen');
select tests.work(1);
with ended as (
  insert into chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page)
  select r.job_id, r.id, 'page', 2, page from job join workspace_sync_runs as r on r.job_id = job.id
  cross join generate_series(1, 20000) as page returning id, parent_sync_job_id, run_id
)

insert into chunk_processing_queue (id, parent_sync_job_id, run_id, status, completed_at)
select id, parent_sync_job_id, run_id, 'completed', sync.now() from ended;
create temp table before as select tests.rows_read('{public.chunk_processing_queue}') as rows_read;
select is(cancel_sync_job(id) ->> 'status', 'cancelled',
  'with 20,000 ended chunks a run is cancelled') from job;
select cmp_ok(tests.rows_read('{public.chunk_processing_queue}') - rows_read, '<', 200::bigint,
  'and only what is live is read for it') from before;

select * from finish();
rollback;
