-- Which workspaces have had no complete sync for too long, and what did their last run say?
select
  s.workspace_name, s.stream, s.last_complete_sync_at, s.time_since_sync, s.key_status,
  h.paused_at, h.record_count as rows_then, h.last_run_status,
  h.last_ended_status, h.last_ended_error, h.last_ended_warnings, h.last_job_id
from public.stale_workspaces as s
join public.workspace_health as h
  on h.workspace_name = s.workspace_name and h.stream = s.stream
order by s.last_complete_sync_at nulls first, s.workspace_name;
