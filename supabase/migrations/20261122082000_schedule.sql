-- Schedule: what pg_cron runs. Jobs are named, so that running this again changes nothing; minutes
-- are the finest step.
-- Stands on: start, recover.

create extension if not exists pg_cron with schema pg_catalog;

create function sync.start_scheduled_sync() returns jsonb
language plpgsql set search_path = '' as $$
begin
  if not exists (
    select 1 from public.sync_workspaces as w
    join public.sync_streams as s on s.source_id = w.source_id
    where w.is_active and s.stream_name = 'sender_emails')
    or exists (select 1 from public.polling_job_status
    where job_name = 'scheduled accounts' and status = 'running') then
    return null;
  end if;
  return sync.start_job('scheduled accounts', '{sender_emails}', null, null);
end; $$;
comment on function sync.start_scheduled_sync() is
$$Sync the accounts of every active workspace. Returns: as start_sync_job(), or null while one runs
or no workspace that has accounts is active.$$;

create function sync.prune(p_rows int) returns int
language plpgsql set search_path = '' as $$
declare
  v_chunks int;
  v_events int;
begin
  delete from public.chunked_sync_jobs where id in (
    select c.id from public.workspace_sync_runs as r
    join public.chunked_sync_jobs as c on c.run_id = r.id
    where r.completed_at < sync.now() - make_interval(days => sync.setting('chunks_kept_days')::int)
      limit p_rows);
  get diagnostics v_chunks = row_count;
  delete from sync.seen_pages as s using public.workspace_sync_runs as r
  where r.id = s.run_id and r.completed_at < sync.now() -
    make_interval(days => sync.setting('chunks_kept_days')::int);
  delete from public.chunk_events where (chunk_id, id) in (
    select chunk_id, id from public.chunk_events
    where occurred_at < sync.now() - make_interval(days => sync.setting('events_kept_days')::int)
      limit p_rows);
  get diagnostics v_events = row_count;
  delete from public.thread_stage where id in (
    select id from public.thread_stage
    where processed_at < sync.now() - make_interval(days => sync.setting('chunks_kept_days')::int)
      limit p_rows);
  delete from public.sync_alerts
  where resolved_at < sync.now() - make_interval(days => sync.setting('events_kept_days')::int);
  delete from sync.hints where sent_at < sync.now() - interval '7 days';
  delete from sync.hinted_claims where occurred_at < sync.now() - interval '7 days';
  delete from sync.workers where last_seen_at < sync.now() - interval '7 days';
  delete from cron.job_run_details as d using cron.job as j
  where j.jobid = d.jobid and j.jobname like 'chunkwise %'
    and d.end_time < sync.now() - interval '7 days';
  return v_chunks + v_events;
end; $$;
comment on function sync.prune(int) is
$$Delete one batch of chunks of runs closed 30 days ago and of events 90 days old, and of staged
replies processed 30 days ago. Returns: chunks and events deleted. Locks: those rows.$$;

select cron.schedule('chunkwise sync accounts', '*/30 * * * *',
  'set statement_timeout = ''60s''; select sync.start_scheduled_sync()');
select cron.schedule('chunkwise sweep', '* * * * *',
  'set statement_timeout = ''55s''; select public.cleanup_stuck_chunks()');
select cron.schedule('chunkwise prune', '* 3 * * *',
  'set statement_timeout = ''55s''; select sync.prune(20000)');

revoke all on function sync.start_scheduled_sync, sync.prune from public, anon, authenticated,
  service_role;
