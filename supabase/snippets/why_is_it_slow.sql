-- Why is it slow: how did requests end in the last 10 minutes, and what do runs wait for?
with recent as (
  select
    x.run_id, count(*) filter (where x.event = 'completed') as pages,
    percentile_cont(0.5) within group (order by (x.details ->> 'duration_ms')::numeric)
      filter (where x.event = 'completed') as median_ms,
    max((x.details ->> 'duration_ms')::numeric) as slowest_ms,
    count(*) filter (where x.event = 'retry') as retries,
    count(*) filter (where x.event = 'delayed') as rate_limits,
    count(*) filter (where x.event = 'lease_lost') as leases_lost
  from public.chunk_events as x
  where x.occurred_at > (select sync.now() - interval '10 minutes')
  group by x.run_id
)

select
  w.workspace_name, s.stream_name as stream, r.max_concurrency as slots,
  coalesce(e.pages, 0) as pages, e.median_ms, e.slowest_ms, coalesce(e.retries, 0) as retries,
  coalesce(e.rate_limits, 0) as rate_limits, coalesce(e.leases_lost, 0) as leases_lost,
  round(e.pages / least(greatest(extract(epoch from sync.now() - r.started_at), 1), 600), 2)
    as pages_per_second,
  b.requests_per_second as budget_per_second, b.max_in_flight as budget_in_flight,
  h.why as held_up_by, h.waits_until, h.message as what_helps
from public.workspace_sync_runs as r
join public.sync_workspaces as w on w.id = r.workspace_id
join public.sync_streams as s on s.id = r.stream_id
left join public.sync_budgets as b on b.id = w.budget_id
left join public.waiting_runs as h on h.run_id = r.id
left join recent as e on e.run_id = r.id
where r.status = 'running'
order by pages desc;
