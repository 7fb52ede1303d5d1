begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(10);

select tests.declare_leads();
select tests.campaign(n, n * 10) from generate_series(1, 60) as n;
-- One long list among many short ones.
insert into tests.leads (campaign, id) select 7, 10000 + n from generate_series(1, 60) as n;
select tests.sync_children('campaigns');
select start_sync_job('leads', '{leads}');
create function tests.planned() returns bigint language sql as $$
  select planned_chunks from public.workspace_sync_runs order by id desc limit 1;
$$;
select is(tests.planned(), 32::bigint, 'so many chunks as a window has, not one per parent');
select tests.serve_children(20);
select ok(tests.planned() < 70, 'and no more than a window ahead of what is done');
select is(tests.serve_children(), 70, 'all are read');
select results_eq($$select status, parts_total, distinct_ids, chunks_completed, planned_chunks
  from public.workspace_sync_runs order by id desc limit 1$$,
  $$values ('completed', 60::bigint, 120::bigint, 90::bigint, 90::bigint)$$,
  'each page of each list once');

-- Cancelled, paused, begun again.
select start_sync_job('leads', '{leads}');
select tests.serve_children(10);
select pause_sync(p_workspace => 'acme');
select is(tests.serve_children(), 0, 'a pause holds it');
select resume_sync(p_workspace => 'acme');
select tests.serve_children(10);
select tests.declare_leads('{"params": {"sort": "id"}}');
select is(tests.serve_children() >= 90, true, 'by another declaration it begins again');
select results_eq($$select status, parts_total, distinct_ids from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('completed', 60::bigint, 120::bigint)$$,
  'and reads all');
select start_sync_job('leads', '{leads}');
select tests.serve_children(10);
select cancel_sync_job((select id from public.polling_job_status where status = 'running'));
select is(tests.serve_children(), 0, 'a cancelled one asks nothing');
select results_eq($$select status, (select count(*) from public.chunk_processing_queue
    where status in ('pending', 'processing'))
  from public.workspace_sync_runs order by id desc limit 1$$, $$values ('cancelled', 0::bigint)$$,
  'and has ended');
select is((select count(*) from sync.record_parents where missed_scans > 0), 0::bigint,
  'and has missed nothing');

select * from finish();
rollback;
