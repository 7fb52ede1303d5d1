-- Moves an old poller out of the way, to the schema legacy: tables with their indices, triggers,
-- policies and rows, the views that read them, and functions. Its scheduled jobs are unscheduled.
-- Nothing is deleted.

do $legacy$
declare
  v_names constant text[] := '{chunk_events, chunk_processing_queue, chunk_processing_status, chunked_sync_jobs,
      client_registry, column_fills, email_messages, email_replies, email_threads,
      failed_chunks, hint_deliveries, missing_workspaces, polling_job_status, queue_health,
      sender_emails, stale_workspaces, stream_fields, sync_alerts, sync_budgets,
      sync_page_queue, sync_progress, sync_settings, sync_sources, sync_streams,
      sync_workspace_streams, sync_workspaces, synced_records, thread_processing_queue,
      thread_stage, waiting_runs, worker_endpoints, worker_health, workspace_health,
      workspace_statistics, workspace_sync_runs}';
  v_functions constant text[] := '{apply_declaration, approve_deletions, cancel_sync_job, chunkwise_version,
      claim_chunk_job_safe, claim_next_chunk_job_safe, cleanup_stuck_chunks,
      compare_workspace_names, complete_chunk_job_safe, complete_chunk_jobs_safe,
      deactivate_workspace, declare_source, declare_stream, extend_chunk_leases,
      fail_chunk_job_safe, get_alerts_page, get_audit, get_declarations, get_engine_page,
      get_fleet, get_held_deletions, get_job_page, get_jobs_page, get_key_check,
      get_retryable_jobs, get_sources_page, get_stream_try, get_sync_job_progress,
      get_workspace_page, import_client_registry, pause_sync, register_worker_endpoint,
      register_workspace, release_sync_lock, remove_worker_endpoint, remove_workspace,
      request_full_scan, resume_sync, retry_failed_chunks, rotate_workspace_key, schedule_jobs,
      set_alert_url, set_budget, set_setting, start_audit, start_sync_job, stream_sql,
      trigger_next_chunk_processing, try_stream, try_sync_lock, unblock_budget}';
  v_edge_functions constant text := 'functions/v1/'
    '(poll-sender-emails|background-sync-processor|sync-threads-page-worker|sync-threads-processor)';
  v_taken text;
  v_one record;
begin
  create schema if not exists legacy;
  grant usage on schema legacy to service_role;

  select string_agg(a.name, ', ' order by a.name) into v_taken from (
    select c.relname as name from pg_catalog.pg_class as c
    where c.relnamespace = 'legacy'::regnamespace and c.relname = any (v_names)
    union all
    select p.proname from pg_catalog.pg_proc as p
    where p.pronamespace = 'legacy'::regnamespace and p.proname = any (v_functions)
  ) as a;
  if v_taken is not null then
    raise exception using errcode = '55000', message = format('the schema legacy has %s already. '
      'Rename it (alter schema legacy rename to older;), then push again.', v_taken);
  end if;

  for v_one in
    with recursive moved as (
      select c.oid from pg_catalog.pg_class as c
      where c.relnamespace = 'public'::regnamespace and c.relname = any (v_names)
        and c.relkind in ('r', 'p', 'f', 'v', 'm')
      union
      select c.oid from moved as m
      join pg_catalog.pg_depend as d on d.refclassid = 'pg_class'::regclass
        and d.refobjid = m.oid and d.classid = 'pg_rewrite'::regclass
      join pg_catalog.pg_rewrite as w on w.oid = d.objid
      join pg_catalog.pg_class as c on c.oid = w.ev_class
      where c.relnamespace = 'public'::regnamespace
    )
    select c.oid::regclass as what, case c.relkind when 'v' then 'view'
      when 'm' then 'materialized view' when 'f' then 'foreign table' else 'table' end as kind
    from moved as m join pg_catalog.pg_class as c on c.oid = m.oid order by c.oid
  loop
    execute format('alter %s %s set schema legacy', v_one.kind, v_one.what);
  end loop;

  for v_one in
    select p.oid::regprocedure as what from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.proname = any (v_functions)
    order by p.oid
  loop
    execute format('alter routine %s set schema legacy', v_one.what);
  end loop;

  if to_regclass('cron.job') is not null then
    create table if not exists legacy.cron_jobs (
      jobname text, schedule text, command text, active boolean
    );
    alter table legacy.cron_jobs enable row level security;
    for v_one in
      select j.jobid, j.jobname, j.schedule, j.command, j.active from cron.job as j
      where j.username = current_user and (j.command ~ v_edge_functions
        or j.command ~ format('\m(%s)\M', array_to_string(v_names || v_functions, '|')))
    loop
      insert into legacy.cron_jobs values (v_one.jobname, v_one.schedule, v_one.command,
        v_one.active);
      perform cron.unschedule(v_one.jobid);
    end loop;
  end if;
end; $legacy$;
