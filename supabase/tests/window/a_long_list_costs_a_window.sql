begin;
\ir ../support/setup.psql
select plan(8);

-- A list of 100,000 pages, whose second page answers 401.
select tests.workspace('acme', 2);
create temp table job as select tests.start('acme') as id;
create temp table page_one as select l as lease from tests.claim() as l;
select tests.complete(lease, tests.body(array[1, 2], 200000, 100000)) from page_one;
create view tests.chunks as
select q.status, count(*)::int as chunks from public.chunk_processing_queue as q group by 1;

select results_eq($$select status, chunks from tests.chunks order by 1$$,
  $$values ('completed', 1), ('pending', 16)$$, 'page 1 plans a window, not the list');
select results_eq($$select known_pages, planned_pages, planned_chunks, progress_total
  from public.workspace_sync_runs$$,
  $$values (100000, 17, 17::bigint, 100000::bigint)$$, 'the run knows of the rest');
select results_eq($$select pending_chunks, processing_chunks, completed_chunks, progress_percentage
  from public.chunk_processing_status$$,
  $$values (99999::bigint, 0::bigint, 1::bigint, 0.0)$$, 'progress counts pages without a chunk');
select results_eq($$select p -> 'chunks' -> 'planned', p -> 'chunks' -> 'pending',
  p -> 'runs' -> 0 -> 'planned' from job, get_sync_job_progress(id) as p$$,
  $$values ('100000'::jsonb, '99999'::jsonb, '100000'::jsonb)$$, 'so does the progress of the job');
select results_eq($$select waiting_chunks from public.queue_health$$, $$values (99997::numeric)$$,
  'and what waits');

select tests.fail(l, 'permanent', 'HTTP 401: no') from tests.claim() as l;
select results_eq($$select status, chunks from tests.chunks order by 1$$,
  $$values ('cancelled', 15), ('completed', 1), ('failed', 1)$$,
  'a refusal cancels no more than the window');
select results_eq($$select status, chunks_completed, chunks_failed, chunks_cancelled
  from public.workspace_sync_runs$$, $$values ('failed', 1::bigint, 1::bigint, 15::bigint)$$,
  'the run ends with what it had');
select results_eq($$select s.pending_chunks, s.completed_chunks, s.failed_chunks
  from public.chunk_processing_status as s$$, $$values (0::bigint, 1::bigint, 1::bigint)$$,
  'of an ended job nothing is pending');

select * from finish();
rollback;
