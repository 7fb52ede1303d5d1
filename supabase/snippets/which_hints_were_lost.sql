-- Which wake-ups were lost or refused, and was their chunk done all the same?
select
  h.occurred_at as sent_at, h.endpoint, h.outcome, h.status_code, h.message, h.attempt, h.chunk_id,
  q.status as chunk_status, q.worker_id, q.completed_at - h.occurred_at as done_after,
  e.resting_until as endpoint_rests_until
from public.hint_deliveries as h
left join public.chunk_processing_queue as q on q.id = h.chunk_id
left join public.worker_endpoints as e on e.url = h.endpoint
where h.direction = 'push' and h.outcome in ('lost', 'refused', 'timed_out', 'failed')
order by h.occurred_at desc
limit 100;
