-- Which wake-ups were lost or refused, and was their chunk done all the same?
select
  h.sent_at, e.url as endpoint, h.outcome, h.status_code, h.message, h.attempt, h.chunk_id,
  q.status as chunk_status, q.worker_id, q.completed_at - h.sent_at as done_after,
  e.resting_until as endpoint_rests_until
from sync.hints as h
left join public.worker_endpoints as e on e.id = h.endpoint_id
left join public.chunk_processing_queue as q on q.id = h.chunk_id
where h.outcome in ('lost', 'refused', 'timed_out', 'failed')
order by h.sent_at desc
limit 100;
