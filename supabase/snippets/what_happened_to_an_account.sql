-- Which job and page last saw, last changed and deleted account 1 of acme? (Put in yours.)
with asked (workspace_name, account_id) as (
  values ('acme', 1)
),

account as (
  select e.*, w.id as the_workspace_id, s.id as stream_id
  from asked as a
  join public.sync_workspaces as w on w.workspace_name = a.workspace_name
  join public.sync_streams as s on s.source_id = w.source_id and s.stream_name = 'sender_emails'
  join sync.sender_emails as e on e.workspace_id = w.id and e.id = a.account_id
),

seen as (
  select r.job_id, r.id as run_id, p.scan, p.page, p.chunk_id, x.occurred_at, x.worker_id
  from account as a
  join public.workspace_sync_runs as r
    on r.workspace_id = a.the_workspace_id and r.stream_id = a.stream_id
  join sync.seen_pages as p on p.run_id = r.id and p.record_ids @> array[a.id::text]
  join public.chunk_events as x on x.chunk_id = p.chunk_id and x.event = 'completed'
),

deleting as (
  select r.job_id, r.id as run_id, c.scan, c.page, c.id as chunk_id, a.deleted_at, q.worker_id
  from account as a
  join public.workspace_sync_runs as r
    on r.workspace_id = a.the_workspace_id and r.stream_id = a.stream_id and r.records_deleted > 0
  left join public.chunked_sync_jobs as c
    on c.run_id = r.id and c.kind = 'confirmation' and c.record_id = a.id::text
  left join public.chunk_processing_queue as q on q.id = c.id
  where r.started_at <= a.deleted_at
  order by r.id desc limit 1
)

-- A page's event is written right after its records, in the same transaction.
select 'changed' as what, c.job_id, c.run_id, c.scan, c.page, c.chunk_id, c.occurred_at, c.worker_id
from (
  select s.* from seen as s cross join account as a where s.occurred_at >= a.last_changed_at
  order by s.occurred_at asc, s.page asc limit 1
) as c
union all
select 'seen', s.job_id, s.run_id, s.scan, s.page, s.chunk_id, s.occurred_at, s.worker_id
from (select x.* from seen as x order by x.occurred_at desc, x.page asc limit 1) as s
union all
select 'deleted', d.job_id, d.run_id, d.scan, d.page, d.chunk_id, d.deleted_at, d.worker_id
from deleting as d;
