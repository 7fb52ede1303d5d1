-- What is running, how far is it, and what does each part of it do right now?
select
  j.job_name, j.job_id, j.percentage as percent, w.workspace_name, s.stream_name as stream, r.phase,
  r.completed as chunks_done, r.planned as chunks_planned, r.processing as in_flight, r.ready,
  r.delayed, r.records, r.changed, h.why as held_up_by, h.message as what_helps
from sync.job_progress as j
join sync.run_progress as r on r.job_id = j.job_id and r.status = 'running'
join public.sync_workspaces as w on w.id = r.workspace_id
join public.sync_streams as s on s.id = r.stream_id
left join public.waiting_runs as h on h.run_id = r.run_id
where j.status = 'running'
order by j.job_name, r.planned - r.completed desc;
