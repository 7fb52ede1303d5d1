begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(6);

select tests.workspace('acme', 3);
select tests.have_replies(30);
select tests.sync_replies('{replies}');
select public.start_sync_job('test', '{conversation_threads}');
select is((select count(*) from public.thread_processing_queue), 10::bigint,
  'few are queued at once');
select public.cancel_sync_job(id) from public.polling_job_status where status = 'running';
insert into public.workspace_sync_runs (job_id, workspace_id, stream_id, max_concurrency, phase,
  progress_total)
select (array_agg(j.id))[1], w.id as workspace_id, s.id as stream_id, 3, 'items', 30
from public.polling_job_status as j, public.sync_workspaces as w, public.sync_streams as s
where s.stream_name = 'conversation_threads' group by w.id, s.id;
select ok(sync.queue_items(r.id, 4), 'a part of four replies') from public.workspace_sync_runs as r
  where status = 'running';
select results_eq($$
  select count(*), r.mark = max(s.id), r.planned_chunks = count(distinct s.thread_key),
    r.progress_total
  from public.workspace_sync_runs as r
  join public.chunked_sync_jobs as c on c.run_id = r.id
  join public.thread_stage as s on s.chunk_id = c.id
  where r.status = 'running' group by r.id
$$, $$values (4::bigint, true, true, 30::bigint)$$, 'are as many chunks as conversations');
select is((select count(*) filter (where is_part) from (
    select sync.queue_items(r.id, 4) as is_part
    from generate_series(1, 9), public.workspace_sync_runs as r where status = 'running') as parts),
  7::bigint, 'seven parts more');
select results_eq($$select planned_chunks, progress_total from public.workspace_sync_runs
  where status = 'running'$$, $$values (10::bigint, 10::bigint)$$,
  'then the number of conversations is known');
select is((select count(*) from public.thread_stage as s join public.chunked_sync_jobs as c
  on c.id = s.chunk_id and c.record_id = s.thread_key), 30::bigint, 'every reply has its chunk');

select * from finish();
rollback;
