-- Schedule: the sync of all accounts that pg_cron starts; its jobs are made.
-- Stands on: start, cron, sweep, health, prune.

create function sync.start_scheduled_sync() returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (
    select 1 from public.sync_workspaces as w
    join public.sync_streams as s on s.source_id = w.source_id
    where w.is_active and s.stream_name = 'sender_emails')
    or exists (select 1 from public.polling_job_status
    where job_name = 'scheduled accounts' and status = 'running') then
    return null;
  end if;
  return sync.start_job('scheduled accounts', sync.requested_runs('{sender_emails}', null), null);
end; $$;
comment on function sync.start_scheduled_sync() is
$$Sync the accounts of every active workspace. Returns: as start_sync_job(), or null while one runs
or no workspace that has accounts is active.$$;

revoke all on function sync.start_scheduled_sync from public, anon, authenticated, service_role;

-- A database's own defaults hold for pg_cron's sessions: each command says what it relies on first.
insert into sync.cron_jobs (job_name, schedule, command) values
('chunkwise sync accounts', '*/30 * * * *',
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
