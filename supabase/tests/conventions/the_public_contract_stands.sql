begin;
\ir ../support/setup.psql
select plan(46);

select has_function('public'::name, verb::name, arguments::name[], 'verb ' || verb)
from (values
  ('register_workspace', '{text,text,text,text,text,integer,boolean}'),
  ('compare_workspace_names', '{_text}'),
  ('rotate_workspace_key', '{text,text}'),
  ('deactivate_workspace', '{text}'),
  ('import_client_registry', '{regclass,text,boolean}'),
  ('declare_source', '{jsonb}'),
  ('declare_stream', '{jsonb}'),
  ('apply_declaration', '{jsonb,boolean}'), ('get_declarations', '{text}'),
  ('stream_sql', '{text,text}'),
  ('try_stream', '{jsonb,text,text}'), ('get_stream_try', '{bigint}'),
  ('set_budget', '{text,numeric,integer,text}'), ('unblock_budget', '{text,text}'),
  ('set_setting', '{text,jsonb}'),
  ('start_sync_job', '{text,text[],text[]}'),
  ('claim_next_chunk_job_safe', '{text,integer,jsonb,integer}'),
  ('claim_chunk_job_safe', '{bigint,text,integer}'),
  ('complete_chunk_job_safe', '{bigint,bigint,jsonb}'),
  ('complete_chunk_jobs_safe', '{jsonb}'),
  ('fail_chunk_job_safe', '{bigint,bigint,text,text,numeric,jsonb}'),
  ('extend_chunk_leases', '{jsonb}'),
  ('cancel_sync_job', '{uuid}'),
  ('pause_sync', '{text,text}'),
  ('resume_sync', '{text,text}'),
  ('retry_failed_chunks', '{uuid}'),
  ('approve_deletions', '{bigint}'),
  ('cleanup_stuck_chunks', '{}'),
  ('get_sync_job_progress', '{uuid}'),
  ('get_fleet', '{text,_text,integer,integer}'), ('get_held_deletions', '{bigint,text,integer}'),
  ('get_workspace_page', '{text}'), ('get_job_page', '{uuid,integer,integer}'),
  ('get_jobs_page', '{timestamptz,text,integer}'), ('get_alerts_page', '{bigint,integer}'),
  ('get_engine_page', '{}'), ('get_sources_page', '{}'),
  ('try_sync_lock', '{text,numeric}'),
  ('release_sync_lock', '{text,uuid}'),
  ('register_worker_endpoint', '{text,text,text[]}'),
  ('remove_worker_endpoint', '{text}'),
  ('trigger_next_chunk_processing', '{}'),
  ('chunkwise_version', '{}')
) as contract (verb, arguments);

select is_empty($$
  select oid::regprocedure from pg_proc
  where pronamespace = 'public'::regnamespace and prorettype <> 'trigger'::regtype
    and prorettype not in ('jsonb'::regtype, 'int'::regtype) and proname <> 'stream_sql'
$$, 'every verb gives jsonb or a count, but for one that gives SQL to read');

select is_empty($$
  select r.relation, column_name from (values
    ('polling_job_status', 'id, job_name, started_at, completed_at, status, total_workspaces,
      workspaces_processed, workspaces_skipped, total_accounts_synced, duration_ms, error_message,
      warnings, created_at, updated_at'),
    ('chunk_processing_queue', 'id, chunk_id, parent_sync_job_id, status, attempts, max_attempts,
      created_at, started_at, completed_at, error_message, worker_id, next_retry_at'),
    ('client_registry', 'workspace_name, bison_workspace_id, bison_instance, is_active,
      last_successful_sync_at, last_sync_duration_ms, estimated_account_count'),
    ('chunk_processing_status', 'parent_sync_job_id, pending_chunks, processing_chunks,
      completed_chunks, failed_chunks, overall_status, progress_percentage'),
    ('sync_progress', 'status, workspaces_completed, total_workspaces, updated_at'),
    ('sync_page_queue', 'id, status, attempts, next_retry_at, created_at, started_at'),
    ('sender_emails', 'workspace_name, id, email_address, name, status, type, emails_sent_count,
      daily_limit, warmup_enabled, tags, raw, created_at, updated_at, last_changed_at,
      last_synced_at, deleted_at'),
    ('synced_records', 'workspace_id, stream_id, id, raw'),
    ('stale_workspaces', 'time_since_sync'),
    ('worker_endpoints', 'id, url, streams, is_active, resting_until, last_answered_at'),
    ('hint_deliveries', 'direction, id, chunk_id, occurred_at, endpoint, worker_id, attempt,
      outcome, status_code, message, settled_at')
  ) as r (relation, columns) cross join regexp_split_to_table(r.columns, ',\s*') as column_name
  where not exists (
    select 1 from pg_attribute as a
    where a.attrelid = to_regclass('public.' || r.relation) and a.attname = column_name)
$$, 'tables and views have the columns that people type');

select is_empty($$
  select name from unnest('{sync_sources,sync_workspaces,sync_workspace_streams,sync_streams,
    sync_budgets,sync_settings,workspace_sync_runs,chunked_sync_jobs,chunk_events,
    workspace_statistics,missing_workspaces,workspace_health,failed_chunks,queue_health,
    worker_health}'::text[]) as name where to_regclass('public.' || name) is null
$$, 'and so are the others named');

select * from finish();
rollback;
