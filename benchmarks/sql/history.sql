-- Finished work: :jobs closed jobs of 26 runs of 13 chunks each, a job every 14 minutes.
-- A superuser runs it: foreign keys hold by construction and are not checked row by row.
set session_replication_role = replica;

insert into public.polling_job_status (id, job_name, started_at, completed_at, status, total_workspaces, workspaces_processed,
  total_accounts_synced, duration_ms, created_at, updated_at, chunks_completed, chunks_failed)
select gen_random_uuid(), 'scheduled sync', t.started_at, t.started_at + interval '3 seconds',
  case when n % 50 = 0 then 'partial' else 'completed' end, 26, 26 - (n % 50 = 0)::int, 4839, 3000, t.started_at,
  t.started_at + interval '3 seconds', 338 - (n % 50 = 0)::int, (n % 50 = 0)::int
from generate_series(1, :jobs) as n
cross join lateral (select sync.now() - (:jobs - n + 1) * interval '14 minutes' as started_at) as t;

insert into public.workspace_sync_runs (job_id, workspace_id, stream_id, status, max_concurrency, planned_chunks, known_pages, planned_pages,
  progress_total, expected_total, distinct_ids, chunks_completed, chunks_failed, records_seen, started_at, completed_at)
select j.id, w.id, s.id, case when failed.n = 1 then 'failed' else 'completed' end, 8, 13, 13, 13, 13, 186, 186,
  13 - failed.n, failed.n, 186, j.started_at, j.completed_at
from public.polling_job_status as j
cross join public.sync_workspaces as w
join public.sync_streams as s on s.source_id = w.source_id and s.stream_name = 'sender_emails'
cross join lateral (select (j.status = 'partial' and w.workspace_name = 'fleet 1')::int as n) as failed
where j.status <> 'running'
order by j.started_at, w.id;

insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, created_at)
select r.job_id, r.id, 'page', 1, page, r.started_at
from public.workspace_sync_runs as r cross join generate_series(1, 13) as page
where r.status <> 'running' order by r.id, page;

-- As full as the verbs leave a page: rows grow into the room that the fill factor keeps. Inserted as they end, each page would
-- have room for one new chunk, and every chunk that is worked on would stand on a page of its own.
alter table public.chunk_processing_queue set (fillfactor = 94);
insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id, status, attempts, lease_token, worker_id, created_at,
  started_at, completed_at, error_message)
select c.id, c.parent_sync_job_id, c.run_id, how.status, how.attempts, nextval('sync.lease_tokens'), 'worker ' || c.id % 2, c.created_at,
  c.created_at + interval '1 second', c.created_at + interval '2 seconds', how.message
from public.chunked_sync_jobs as c
join public.workspace_sync_runs as r on r.id = c.run_id and r.status <> 'running'
cross join lateral (
  select case when c.page = 13 and r.status = 'failed' then 'failed' else 'completed' end as status,
    case when c.page = 13 and r.status = 'failed' then 3 else 0 end as attempts,
    case when c.page = 13 and r.status = 'failed' then 'HTTP 500' end as message
) as how
order by c.id;
alter table public.chunk_processing_queue set (fillfactor = 80);

insert into public.chunk_events (chunk_id, run_id, event, occurred_at, lease_token, worker_id, details)
select id, run_id, status, completed_at, lease_token, worker_id, '{"records": 15, "changed": 2, "total": 186, "duration_ms": 187}'
from public.chunk_processing_queue where status in ('completed', 'failed') order by id;

insert into public.sync_workspace_streams (workspace_id, stream_id, last_complete_sync_at, last_complete_run_id, last_sync_duration_ms, record_count)
select r.workspace_id, r.stream_id, max(r.completed_at), max(r.id), 3000, 186
from public.workspace_sync_runs as r where r.status = 'completed' group by 1, 2;

insert into sync.sender_emails (workspace_id, id, email, status, raw, created_at, updated_at)
select w.id, w.id * 1000 + n, format('%s@%s.example', n, w.id), 'Connected', jsonb_build_object('id', w.id * 1000 + n), sync.now(), sync.now()
from public.sync_workspaces as w cross join generate_series(1, 186) as n;

-- The last job fetched 1,000 conversations too.
with job as (
  update public.polling_job_status set chunks_completed = chunks_completed + 1000
  where started_at = (select max(started_at) from public.polling_job_status where status <> 'running')
  returning *
), run as (
  insert into public.workspace_sync_runs (job_id, workspace_id, stream_id, status, phase, max_concurrency, planned_chunks, progress_total,
    chunks_completed, records_seen, started_at, completed_at)
  select j.id, w.id, s.id, 'completed', 'items', 8, 1000, 1000, 1000, 1000, j.started_at, j.completed_at
  from job as j
  join public.sync_workspaces as w on w.workspace_name = 'fleet 1'
  join public.sync_streams as s on s.source_id = w.source_id and s.stream_name = 'conversation_threads'
  returning *
), chunk as (
  insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, record_id, created_at)
  select run.job_id, run.id, 'item', 1, n::text, run.started_at from run cross join generate_series(1, 1000) as n
  returning *
), queued as (
  insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id, status, lease_token, worker_id, created_at, started_at, completed_at)
  select id, parent_sync_job_id, run_id, 'completed', nextval('sync.lease_tokens'), 'worker 1', created_at, created_at, created_at + interval '1 second'
  from chunk
)
insert into sync.staged_items (workspace_id, stream_id, record_id, item_key, chunk_id, staged_at, processed_at)
select run.workspace_id, run.stream_id, c.record_id, c.record_id, c.id, c.created_at, c.created_at + interval '1 second'
from run join chunk as c on c.run_id = run.id;

-- Of the last week, which hints are kept for, every chunk was pushed to a receiver that claimed it.
insert into public.worker_endpoints (url, is_active, last_answered_at) values ('https://receiver.example/wake', false, sync.now());
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at, outcome, status_code, settled_at)
select q.id, e.id, q.id, 1, q.created_at, case when q.id % 1000 = 0 then 'timed_out' else 'answered' end, 200, q.completed_at
from public.chunk_processing_queue as q cross join public.worker_endpoints as e
where q.created_at > sync.now() - interval '7 days' order by q.id;
insert into sync.hinted_claims (chunk_id, worker_id, verdict, occurred_at)
select chunk_id, 'worker 1', 'claimed', sent_at from sync.hints order by id;

set session_replication_role = origin;
