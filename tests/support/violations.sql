-- What no committed state may show: one sentence per violation. One statement, so one snapshot.
with chunks as (
  select q.*, r.status as run_status, r.max_concurrency
  from public.chunk_processing_queue as q join public.workspace_sync_runs as r on r.id = q.run_id
), ended as (
  select q.id, q.run_id, q.status, count(e.id) as events
  from public.chunk_processing_queue as q
  left join public.chunk_events as e on e.chunk_id = q.id and e.event in ('completed', 'failed', 'cancelled', 'covered')
  group by q.id
), events as (
  select run_id, count(*) filter (where event in ('completed', 'covered')) as completed,
    count(*) filter (where event = 'failed') as failed, count(*) filter (where event = 'cancelled') as cancelled,
    coalesce(sum((details ->> 'records')::bigint) filter (where event = 'completed'), 0) as records,
    coalesce(sum((details ->> 'changed')::bigint) filter (where event = 'completed'), 0) as changed
  from public.chunk_events group by run_id
), counters as (
  select run_id, sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
    sum(records) as records, sum(changed) as changed
  from sync.run_counters group by run_id
)
select 'terminal job ' || j.id || ' has live run ' || r.id
from public.polling_job_status as j join public.workspace_sync_runs as r on r.job_id = j.id
where j.status <> 'running' and r.status = 'running'
union all
select 'live job ' || j.id || ' has no live run and no run marked for closing'
from public.polling_job_status as j
where j.status = 'running'
  and not exists (select 1 from public.workspace_sync_runs as r
    where r.job_id = j.id and (r.status = 'running' or r.close_error is not null))
union all
select 'terminal run ' || run_id || ' has live chunk ' || id from chunks
where run_status <> 'running' and status in ('pending', 'processing')
union all
select 'live run ' || r.id || ' has nothing live'
from public.workspace_sync_runs as r
where r.status = 'running' and r.ending is null and r.close_error is null
  and not exists (select 1 from chunks as c where c.run_id = r.id and c.slot is not null)
  and not exists (select 1 from chunks as c where c.run_id = r.id and c.status = 'failed' and c.lease_losses > 0)
  and not exists (select 1 from public.workspace_sync_runs as p where p.id = r.parent_run_id and p.status = 'running')
union all
select 'run ' || run_id || ' fills ' || count(*) || ' slots of ' || max_concurrency from chunks
where slot is not null group by run_id, max_concurrency
having count(*) > max_concurrency or max(slot) > max_concurrency or min(slot) < 1 or count(distinct slot) < count(*)
union all
select 'chunk ' || id || ' is ' || status || ' and has ' || events || ' ends in its events' from ended
where events <> case when status in ('pending', 'processing') then 0 else 1 end
union all
select 'chunk ' || e.chunk_id || ': ' || e.event || ', but its row says ' || q.status
from public.chunk_events as e join public.chunk_processing_queue as q on q.id = e.chunk_id
where e.event in ('completed', 'failed', 'cancelled') and e.event <> q.status
union all
select 'lease ' || lease_token || ' of chunk ' || chunk_id || ' ended ' || count(*) || ' times' from public.chunk_events
where event <> 'lease_lost' and lease_token is not null group by chunk_id, lease_token having count(*) > 1
union all
select 'two chunks have lease token ' || lease_token from public.chunk_processing_queue
where lease_token is not null group by lease_token having count(*) > 1
union all
select 'counters of run ' || r.id || ' differ from its events'
from public.workspace_sync_runs as r left join counters as c on c.run_id = r.id left join events as e on e.run_id = r.id
where (r.chunks_completed + coalesce(c.completed, 0), r.chunks_failed + coalesce(c.failed, 0),
    r.chunks_cancelled + coalesce(c.cancelled, 0), r.records_seen + coalesce(c.records, 0), r.records_changed + coalesce(c.changed, 0))
  is distinct from (coalesce(e.completed, 0), coalesce(e.failed, 0), coalesce(e.cancelled, 0), coalesce(e.records, 0), coalesce(e.changed, 0))
union all
select 'run ' || r.id || ' planned ' || r.planned_chunks || ' chunks and has ' || count(c.id)
from public.workspace_sync_runs as r left join chunks as c on c.run_id = r.id
group by r.id having r.planned_chunks <> count(c.id)
union all
select 'run ' || r.id || ' has planned its scan up to page ' || r.planned_pages || ' and has ' || count(distinct w.page) || ' of its pages'
from public.workspace_sync_runs as r
left join public.chunked_sync_jobs as w on w.run_id = r.id and w.scan = r.scan and w.kind = 'page' and w.page <= r.planned_pages
group by r.id having r.planned_pages <> count(distinct w.page)
union all
select 'live run ' || r.id || ' has pages to plan and is not in its scan'
from public.workspace_sync_runs as r
where r.status = 'running' and r.planned_pages < r.known_pages and r.phase <> 'scan'
union all
select 'job ' || j.id || ' closed with other totals than its runs'' '
from public.polling_job_status as j join public.workspace_sync_runs as r on r.job_id = j.id
where j.status <> 'running'
group by j.id having (j.chunks_completed, j.chunks_failed, j.chunks_cancelled)
  is distinct from (sum(r.chunks_completed)::bigint, sum(r.chunks_failed)::bigint, sum(r.chunks_cancelled)::bigint)
union all
select 'page chunk ' || c.id || ' is ' || c.status || ' and was applied ' || count(s.chunk_id) || ' times'
from chunks as c join public.chunked_sync_jobs as w on w.id = c.id and w.kind = 'page'
left join sync.seen_pages as s on s.chunk_id = c.id
group by c.id, c.status having count(s.chunk_id) <> case when c.status = 'completed' then 1 else 0 end
union all
select 'budget ' || b.id || ' has ' || count(*) || ' requests in flight, its limit is ' || b.max_in_flight
from public.sync_budgets as b join public.sync_workspaces as w on w.budget_id = b.id
join public.workspace_sync_runs as r on r.workspace_id = w.id
join public.chunk_processing_queue as q on q.run_id = r.id and q.status = 'processing'
group by b.id having count(*) > b.max_in_flight
union all
select 'ready chunk ' || q.id || ' stands below the claim''s floor'
from public.chunk_processing_queue as q cross join sync.sweep_state as s where q.ready_seq < s.claim_floor
