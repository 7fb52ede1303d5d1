-- How full are the budgets: what is in flight, what is queued for later, which ones are blocked?
select
  o.source_name, b.scope_key, b.requests_per_second, b.max_in_flight,
  coalesce(f.in_flight, 0) as in_flight, coalesce(f.ready, 0) as ready,
  round(100.0 * f.in_flight / b.max_in_flight) as percent_in_flight,
  greatest(b.next_send_at - sync.now(), interval '0') as sends_reserved_for,
  greatest(b.blocked_until - sync.now(), interval '0') as blocked_for,
  b.block_level > 0 as probes_first, b.reduced_in_flight, round(b.learned_rate, 2) as learned_rate
from public.sync_budgets as b
join public.sync_sources as o on o.id = b.source_id
left join lateral (
  select sum(r.processing) as in_flight, sum(r.ready) as ready
  from public.sync_workspaces as w
  join sync.run_progress as r on r.workspace_id = w.id and r.status = 'running'
  where w.budget_id = b.id
) as f on true
order by blocked_for desc nulls last, in_flight desc, b.scope_key asc;
