-- Prune: what is old enough goes, in batches.

create function sync.prune_runs(p_rows int) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_until timestamptz := sync.now()
    - make_interval(days => sync.setting('chunks_kept_days')::int);
  v_chunks int;
begin
  -- An audit goes before the pages that it speaks of.
  delete from sync.audits where run_id in (
    select a.run_id from public.workspace_sync_runs as r
    join sync.audits as a on a.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  delete from sync.seen_pages where (run_id, scan, chunk_id) in (
    select s.run_id, s.scan, s.chunk_id from public.workspace_sync_runs as r
    join sync.seen_pages as s on s.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  delete from sync.staged_items where id in (
    select id from sync.staged_items where processed_at < v_until limit p_rows);
  delete from sync.run_parts where id in (
    select p.id from public.workspace_sync_runs as r
    join sync.run_parts as p on p.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  delete from public.chunked_sync_jobs where id in (
    select c.id from public.workspace_sync_runs as r
    join public.chunked_sync_jobs as c on c.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  get diagnostics v_chunks = row_count;
  return v_chunks;
end; $$;
comment on function sync.prune_runs(int) is
$$Delete at most so many chunks, pages seen and audits of runs closed 30 days ago, and staged
items processed 30 days ago. Returns: chunks deleted. Locks: those rows.$$;

create function sync.prune_log(p_rows int) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_until timestamptz := sync.now()
    - make_interval(days => sync.setting('events_kept_days')::int);
  v_week_ago timestamptz := sync.now() - interval '7 days';
  v_events int;
begin
  delete from public.sync_alerts where id in (
    select id from public.sync_alerts where resolved_at < v_until limit p_rows);
  -- Older than full_scan_days nobody asks for them, which is a week as a rule.
  delete from sync.page_etags where (workspace_id, stream_id, request_key) in (
    select e.workspace_id, e.stream_id, e.request_key from sync.page_etags as e
    where e.read_at < v_week_ago and not exists (
      select from public.sync_streams as st where st.id = e.stream_id
        and e.read_at > sync.now() - make_interval(days => st.full_scan_days)) limit p_rows);
  delete from sync.hints where id in (
    select id from sync.hints where sent_at < v_week_ago limit p_rows);
  delete from sync.hinted_claims where id in (
    select id from sync.hinted_claims where occurred_at < v_week_ago limit p_rows);
  delete from sync.workers where worker_id in (
    select worker_id from sync.workers where last_seen_at < v_week_ago limit p_rows);
  delete from sync.named_locks where lock_name in (
    select lock_name from sync.named_locks where expires_at < v_week_ago limit p_rows)
    and expires_at < v_week_ago;
  delete from cron.job_run_details where runid in (
    select d.runid from cron.job_run_details as d join cron.job as j on j.jobid = d.jobid
    where j.jobname like 'chunkwise %' and d.end_time < v_week_ago limit p_rows);
  delete from public.chunk_events where (chunk_id, id) in (
    select chunk_id, id from public.chunk_events where occurred_at < v_until limit p_rows);
  get diagnostics v_events = row_count;
  return v_events;
end; $$;
comment on function sync.prune_log(int) is
$$Delete at most so many events and resolved alerts 90 days old, and hints, workers, locks and
pg_cron's own notes 7 days old. Returns: events deleted. Locks: those rows.$$;

create function sync.prune(p_rows int) returns int
language sql set search_path = pg_catalog, pg_temp as $$
  select sync.prune_runs(p_rows) + sync.prune_log(p_rows);
$$;
comment on function sync.prune(int) is
$$Delete one batch, at most so many rows of each table, of what is old enough. Jobs, runs and their
totals stay. Returns: chunks and events deleted. Locks: those rows.$$;

revoke all on function
  sync.prune_runs, sync.prune_log, sync.prune
from public, anon, authenticated, service_role;
