-- Which deletions wait for approval, and which records would go?
select
  w.workspace_name, s.stream_name as stream, r.id as run_id, r.completed_at as waiting_since,
  r.deletions_waiting, h.record_count as rows_the_api_has,
  array(
    select m.record_id from sync.missing_records as m where m.held_by_run_id = r.id
    order by m.record_id limit 20
  ) as first_20_records,
  format('select approve_deletions(%s)', r.id) as lets_them_go
from public.workspace_sync_runs as r
join public.sync_workspaces as w on w.id = r.workspace_id
join public.sync_streams as s on s.id = r.stream_id
join public.sync_workspace_streams as h
  on h.workspace_id = r.workspace_id and h.stream_id = r.stream_id and h.last_complete_run_id = r.id
where r.deletions_waiting > 0
order by r.completed_at;
