-- What failed in the last week, why, and what helps?
with ended_badly as (
  select r.* from public.workspace_sync_runs as r
  where r.status in ('failed', 'partial') and r.completed_at > sync.now() - interval '7 days'
  order by r.completed_at desc
  limit 100
)

select
  r.completed_at as failed_at, j.job_name, w.workspace_name, s.stream_name as stream, r.status,
  coalesce(r.error_message, array_to_string(r.warnings, '; ')) as why, f.failed_chunks,
  f.first_failed_page,
  case
    when w.key_status in ('refused', 'other_workspace')
      then format('select rotate_workspace_key(%L, ''the new key'')', w.workspace_name)
    when newer.id is not null then format('nothing: run %s came after it', newer.id)
    when sync.is_retryable(r.job_id) then format('select retry_failed_chunks(%L)', r.job_id)
    else format('select start_sync_job(p_streams => array[%L], p_workspaces => array[%L])',
      s.stream_name, w.workspace_name) end as what_helps
from ended_badly as r
join public.polling_job_status as j on j.id = r.job_id
join public.sync_workspaces as w on w.id = r.workspace_id
join public.sync_streams as s on s.id = r.stream_id
left join lateral (
  select count(*) as failed_chunks, min(c.page) as first_failed_page
  from public.chunk_processing_queue as q
  join public.chunked_sync_jobs as c on c.id = q.id
  where q.run_id = r.id and q.status = 'failed'
) as f on true
left join lateral (
  select x.id from public.workspace_sync_runs as x
  where x.workspace_id = r.workspace_id and x.stream_id = r.stream_id and x.id > r.id
  order by x.started_at desc, x.id desc limit 1
) as newer on true
order by r.completed_at desc;
