-- Views of the workspaces: which are stale, how each of their streams is.

create view public.workspace_health with (security_invoker = true) as
select
  w.workspace_name, st.stream_name as stream, w.is_active, s.last_complete_sync_at,
  sync.now() - s.last_complete_sync_at as time_since_sync, s.last_sync_duration_ms, s.record_count,
  w.key_status, w.key_checked_at, w.paused_at, greatest(b.blocked_until, case
    when w.rate_limited_until > sync.now() then w.rate_limited_until end) as rate_limited_until,
  s.last_complete_run_id, r.job_id as last_job_id, r.id as last_run_id, r.status as last_run_status,
  r.error_message as last_error, r.warnings as last_warnings,
  coalesce(held.deletions_waiting, 0) as deletions_waiting,
  ended.status as last_ended_status, ended.error_message as last_ended_error,
  ended.warnings as last_ended_warnings
from public.sync_workspaces as w
join public.sync_streams as st on st.source_id = w.source_id
left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
left join public.sync_budgets as b on b.id = w.budget_id and b.blocked_until > sync.now()
left join lateral (
  select x.* from public.workspace_sync_runs as x
  where x.workspace_id = w.id and x.stream_id = st.id
  order by x.started_at desc, x.id desc limit 1
) as r on true
left join lateral (
  select x.status, x.error_message, x.warnings from public.workspace_sync_runs as x
  where x.workspace_id = w.id and x.stream_id = st.id and x.status <> 'running'
  order by x.started_at desc, x.id desc limit 1
) as ended on true
left join public.workspace_sync_runs as held on held.id = s.last_complete_run_id
where w.removed_at is null;
comment on view public.workspace_health is
'Each workspace and stream: last complete sync, key, last run, what waits.';
comment on column public.workspace_health.workspace_name is
'The workspace; a row for each of its streams.';
comment on column public.workspace_health.stream is 'The kind of record.';
comment on column public.workspace_health.is_active is 'Whether syncs take it.';
comment on column public.workspace_health.last_complete_sync_at is
'When its last run that completed ended; null: never.';
comment on column public.workspace_health.time_since_sync is 'Since then.';
comment on column public.workspace_health.last_sync_duration_ms is 'How long that run took.';
comment on column public.workspace_health.record_count is
'Distinct ids that the API showed in that run.';
comment on column public.workspace_health.key_status is
'What the API said of the key last: unchecked, accepted, refused or other_workspace.';
comment on column public.workspace_health.key_checked_at is
'When it said something else than before.';
comment on column public.workspace_health.paused_at is
'Since when pause_sync() holds this workspace; its source or everything may be paused too.';
comment on column public.workspace_health.rate_limited_until is
'Until when nothing of it is sent, after a 429 of its own or several of its instance.';
comment on column public.workspace_health.last_complete_run_id is
'That run; what approve_deletions() takes.';
comment on column public.workspace_health.last_job_id is 'The job of its newest run.';
comment on column public.workspace_health.last_run_id is 'Its newest run, complete or not.';
comment on column public.workspace_health.last_run_status is
'running, completed, partial, failed or cancelled; null: none yet.';
comment on column public.workspace_health.last_error is 'Why that run failed.';
comment on column public.workspace_health.last_warnings is 'What that run found, with numbers.';
comment on column public.workspace_health.last_ended_status is
'How its newest run that has ended ended: the same run, unless that one is running.';
comment on column public.workspace_health.last_ended_error is 'Why that one failed.';
comment on column public.workspace_health.last_ended_warnings is
'What that one found, with numbers.';
comment on column public.workspace_health.deletions_waiting is
'Rows that wait for approve_deletions().';

create view public.stale_workspaces with (security_invoker = true) as
select w.workspace_name, st.stream_name as stream, s.last_complete_sync_at,
  sync.now() - s.last_complete_sync_at as time_since_sync, w.key_status
from public.sync_workspaces as w
join public.sync_streams as st on st.source_id = w.source_id and st.is_default
left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
where w.is_active
  and coalesce(s.last_complete_sync_at, '-infinity')
  < (select sync.now() - make_interval(hours => sync.setting('stale_after_hours')::int))
order by s.last_complete_sync_at nulls first, w.workspace_name;
comment on view public.stale_workspaces is
'Active workspaces without a complete sync in 24 hours, never-synced ones first.';
comment on column public.stale_workspaces.workspace_name is
'The workspace; a row for each stream that syncs take by default.';
comment on column public.stale_workspaces.stream is 'The kind of record.';
comment on column public.stale_workspaces.last_complete_sync_at is
'When it was last synced completely; null: never.';
comment on column public.stale_workspaces.time_since_sync is 'Since then; null: never.';
comment on column public.stale_workspaces.key_status is
'What the API said of the key last: unchecked, accepted, refused or other_workspace.';

revoke all on table
  public.workspace_health, public.stale_workspaces
from public, anon, authenticated, service_role;
grant select on table
  public.workspace_health, public.stale_workspaces
to authenticated, service_role;
