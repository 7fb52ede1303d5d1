-- Which alerts are open, since when, and was somebody told?
select
  a.opened_at, sync.now() - a.opened_at as open_for, a.kind, a.subject, a.message, a.repeats,
  d.delivered_at as told_at, d.attempts, d.last_error
from public.sync_alerts as a
left join sync.alert_deliveries as d on d.alert_id = a.id and d.event = 'opened'
where a.resolved_at is null
order by a.opened_at;
