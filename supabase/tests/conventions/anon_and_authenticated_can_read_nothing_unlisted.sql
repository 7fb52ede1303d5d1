begin;
\ir ../support/setup.psql
select plan(7);

create function tests.readable_columns(p_role text) returns table (relation text, columns text[])
  language sql as $$
  select a.attrelid::regclass::text, array_agg(a.attname::text order by a.attnum)
  from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
    and not a.attisdropped
  where c.relnamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and has_column_privilege(p_role, c.oid, a.attnum, 'select')
  group by a.attrelid order by 1;
$$;

create function tests.writable_columns(p_role text) returns table (relation text, columns text[])
  language sql as $$
  select a.attrelid::regclass::text, array_agg(a.attname::text order by a.attnum)
  from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
    and not a.attisdropped
  where c.relnamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and (has_column_privilege(p_role, c.oid, a.attnum, 'insert, update, references')
      or has_table_privilege(p_role, c.oid,
        'insert, update, delete, truncate, references, trigger'))
  group by a.attrelid order by 1;
$$;

select results_eq($$select * from tests.readable_columns('anon')$$, $$
  values ('polling_job_status', '{
    id, job_name, started_at, completed_at, status, total_workspaces, workspaces_processed,
    workspaces_skipped, total_accounts_synced, duration_ms, created_at, updated_at}'::text[])
$$, 'anon may read the named columns of polling_job_status, under a policy, and nothing else');

select is_empty($$
  select relation from tests.readable_columns('authenticated')
  where relation <> all ('{
    chunk_events, chunk_processing_queue, chunk_processing_status, chunked_sync_jobs,
    client_registry, column_fills, email_messages, email_replies, email_threads, failed_chunks, hint_deliveries,
    missing_workspaces, polling_job_status, queue_health, sender_emails, stale_workspaces,
    sync_alerts, sync_budgets, sync_page_queue, sync_progress, sync_settings, sync_sources,
    stream_fields, sync_streams, sync_workspace_streams, sync_workspaces, synced_records,
    thread_processing_queue, thread_stage, waiting_runs, worker_endpoints, worker_health,
    workspace_health, workspace_statistics, workspace_sync_runs, sync.alert_deliveries,
    sync.audits, sync.column_fills, sync.heartbeats, sync.hint_state, sync.hinted_claims, sync.hints, sync.job_progress, sync.job_watch,
    sync.emptied_lists, sync.live_runs, sync.missing_records, sync.record_parents, sync.run_counters, sync.run_parts, sync.run_progress, sync.seen_fields, sync.seen_pages,
    sync.sender_emails, sync.staged_items, sync.sweep_state, sync.token_requests, sync.workers
  }'::text[])
$$, 'authenticated may read the listed relations, under policies for operators, and nothing else');

select is_empty($$select * from tests.writable_columns('anon')$$, 'anon may write nothing');
select is_empty($$select * from tests.writable_columns('authenticated')$$,
  'authenticated may write nothing');

select is_empty($$
  select c.oid::regclass, r.role from pg_class as c
  cross join unnest('{anon,authenticated}'::text[]) as r (role)
  where c.relnamespace in ('public'::regnamespace, 'sync'::regnamespace) and c.relkind = 'S'
    and has_sequence_privilege(r.role, c.oid, 'usage, select, update')
$$, 'neither may touch a sequence');

select results_eq($$
  select r.role, has_schema_privilege(r.role, 'sync', 'usage'),
    has_schema_privilege(r.role, 'sync', 'create'),
    has_schema_privilege(r.role, 'vault', 'usage')
  from unnest('{anon,authenticated}'::text[]) as r (role)
$$, $$
  values ('anon', false, false, false), ('authenticated', true, false, false)
$$, 'schema sync is closed to anon, and Vault to both');

select is_empty($$
  select relation from tests.writable_columns('service_role')
  where relation not in ('client_registry', 'polling_job_status', 'sync_page_queue',
    'thread_processing_queue', 'sync_workspaces')
$$, 'service_role writes through the verbs; directly only job status and registry');

select * from finish();
rollback;
