begin;
\ir ../support/setup.psql
select plan(1);

-- The planner takes a queue for empty that was so when it was analyzed, though it had pages.
select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
select tests.sync('acme');
delete from chunked_sync_jobs where true;
analyze chunk_processing_queue, chunked_sync_jobs, workspace_sync_runs;
select tests.advance('1 minute');
select tests.sync('acme');
select is(array(select status from workspace_sync_runs order by id), '{completed,completed}',
  'a scan completes');

select * from finish();
rollback;
