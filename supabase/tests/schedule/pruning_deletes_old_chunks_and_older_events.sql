begin;
\ir ../support/setup.psql
select plan(7);

select tests.workspace('acme', 1);
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.advance('29 days');
select tests.workspace('zen');
select tests.start('zen');
select is(sync.prune(100), 0, 'at 29 days all stays');
select tests.advance('2 days');
select is(sync.prune(1), 1, 'one batch at a time');
select is(sync.prune(100), 1, 'after 30 days the chunks of closed runs go');
select results_eq($$
  select (select count(*) from public.chunk_processing_queue),
    (select count(*) from sync.seen_pages), (select count(*) from public.chunk_events),
    (select count(*) from public.workspace_sync_runs), (select count(*) from sender_emails)
$$, $$values (1::bigint, 0::bigint, 2::bigint, 2::bigint, 3::bigint)$$,
  'a live run''s chunk, events, runs and accounts stay');
select results_eq($$select chunks_completed, status from public.workspace_sync_runs
  order by id limit 1$$, $$values (2::bigint, 'completed')$$,
  'a pruned run keeps its totals');
select tests.advance('60 days');
select is(sync.prune(100), 2, 'after 90 days the events go');
select tests.sync('acme');
delete from public.polling_job_status where status <> 'running';
select is((select count(*) from sync.seen_pages), 0::bigint,
  'what runs saw goes with them when somebody deletes their job');

select * from finish();
rollback;
