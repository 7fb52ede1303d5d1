-- Schedule: the sync that starts by itself, and every job that pg_cron is given.
-- Stands on: start.

create function sync.start_scheduled_sync() returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_interval interval := make_interval(mins => sync.setting('sync_interval_minutes')::int);
begin
  -- By the minute, as pg_cron counts: a start some milliseconds late moves the next one by nothing.
  if v_interval = interval '0' or not exists (
    select 1 from public.sync_workspaces as w
    join public.sync_streams as s on s.source_id = w.source_id
    where w.is_active and s.is_default)
    or exists (
      select 1 from public.polling_job_status
      where job_name = 'scheduled sync' and (status = 'running'
        or date_trunc('minute', started_at) > date_trunc('minute', sync.now()) - v_interval)) then
    return null;
  end if;
  return sync.start_job('scheduled sync', sync.requested_runs(null, null), null);
end; $$;
comment on function sync.start_scheduled_sync() is
$$Sync the default streams of every active workspace, if sync_interval_minutes have passed since
that was last begun. Returns: as start_sync_job(), or null while one runs, none is due, or no active
workspace has a default stream.$$;

revoke all on function sync.start_scheduled_sync from public, anon, authenticated, service_role;

-- A database's own defaults hold for pg_cron's sessions: each command says what it relies on first.
insert into sync.cron_jobs (job_name, schedule, command) values
('chunkwise sync', '* * * * *',
  'set statement_timeout = ''60s''; set transaction isolation level read committed; '
  'select sync.start_scheduled_sync(); select sync.check_health_if_late()'),
('chunkwise prune', '* 3 * * *',
  'set statement_timeout = ''55s''; set transaction isolation level read committed; '
  'select sync.prune(20000)'),
('chunkwise health', '*/5 * * * *',
  'set statement_timeout = ''55s''; set transaction isolation level read committed; '
  'select sync.beat(''cron''); select sync.check_health()'),
('chunkwise sweep', '* * * * *',
  'set statement_timeout = ''55s''; set transaction isolation level read committed; '
  'select sync.beat(''cron''); select public.cleanup_stuck_chunks()');
select public.schedule_jobs();
