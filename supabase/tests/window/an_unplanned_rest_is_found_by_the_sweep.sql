begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme', 2);
select tests.serve('acme', variadic array(select generate_series(1, 80)));
select tests.start('acme');
select tests.work(1);

-- As if a refill had been lost: what waited was done, and nobody planned on.
create function tests.lose_what_waits(p_slots int) returns void language sql as $$
  with gone as (
    delete from public.chunked_sync_jobs where id in (
      select id from public.chunk_processing_queue where status = 'pending'
        and coalesce(slot, 100) > p_slots)
    returning run_id, page
  )
  update public.workspace_sync_runs as r set planned_pages = planned_pages - n,
    planned_chunks = planned_chunks - n
  from (select run_id, count(*) as n from gone group by 1) as g where r.id = g.run_id;
$$;
select tests.lose_what_waits(1);
select public.cleanup_stuck_chunks();
select results_eq($$select planned_pages, (select count(*) from public.chunk_processing_queue
  where status = 'pending' and slot is null), (select count(*)
  from public.chunk_processing_queue where slot is not null) from public.workspace_sync_runs$$,
  'values (18, 15::bigint, 2::bigint)', 'with a free slot the next pages are planned');
select tests.lose_what_waits(0);
select public.cleanup_stuck_chunks();
select results_eq($$select status, planned_pages, (select count(*)
  from public.chunk_processing_queue where slot is not null) from public.workspace_sync_runs$$,
  $$values ('running', 17, 2::bigint)$$, 'a run with nothing live and pages to plan is not closed');
select is(tests.work(), 39, 'it goes on');
select results_eq('select status, chunks_completed from public.workspace_sync_runs',
  $$values ('completed', 40::bigint)$$, 'to its end');

select * from finish();
rollback;
