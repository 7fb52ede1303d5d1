begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme', 4);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
select tests.start('acme');
select tests.work(1);
update public.chunk_processing_queue set slot = null, ready_seq = null where slot in (2, 3);
select is((select count(*) from public.chunk_processing_queue where slot is not null), 2::bigint,
  'two slots are lost');
select cleanup_stuck_chunks();
select is((select count(*) from public.chunk_processing_queue where slot is not null), 4::bigint,
  'the sweep fills them');
select tests.work();
update public.workspace_sync_runs set status = 'running', completed_at = null;
delete from public.polling_job_status where false;
select results_eq($$select status from public.workspace_sync_runs$$, $$values ('running')$$,
  'a run that nobody closed');
select cleanup_stuck_chunks();
select results_eq($$select status from public.workspace_sync_runs$$, $$values ('completed')$$,
  'is closed');

select * from finish();
rollback;
