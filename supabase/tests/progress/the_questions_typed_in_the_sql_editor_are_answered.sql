begin;
\ir ../support/setup.psql
select plan(19);

select tests.workspace('zen');
select tests.serve('zen', 1, 2, 3);
create temp table done as select (start_sync_job('done', null, '{zen}') ->> 'job_id')::uuid as id;
select tests.work();
select tests.advance('1 minute');
select tests.workspace('oak');
create temp table broken as select (start_sync_job('broken', null, '{oak}') ->> 'job_id')::uuid
  as id;
select tests.fail(l, 'permanent', 'the body is not UTF-8') from tests.claim() as l;
select tests.advance('1 minute');
select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
create temp table going as select (start_sync_job('going', null, '{acme}') ->> 'job_id')::uuid
  as id;
select tests.work(2);
select tests.claim();

create temp table status as select * from chunk_processing_status;
select results_eq($$select * from status order by overall_status$$, $$
  select id, 0::bigint, 0::bigint, 2::bigint, 0::bigint, 'completed', 100.0::numeric from done
  union all select id, 0, 0, 0, 1, 'partial_failure', 0.0 from broken
  union all select id, 1, 1, 2, 0, 'processing', 50.0 from going
$$, 'select * from chunk_processing_status');
select results_eq(format('select * from chunk_processing_status where parent_sync_job_id = %L', id),
  $$
  select id, 1::bigint, 1::bigint, 2::bigint, 0::bigint, 'processing', 50.0::numeric from going
$$, 'of a running job') from going;
select results_eq(
  format('select overall_status from chunk_processing_status where parent_sync_job_id = %L', id),
  $$values ('completed')$$,
  'of a finished one') from done;
select results_eq(
  format('select overall_status from chunk_processing_status where parent_sync_job_id = %L', id),
  $$values ('partial_failure')$$,
  'of a failed one') from broken;

create function tests.told(p_job_id uuid) returns jsonb language sql as $$
  select p - '{job_id,started_at,completed_at,warnings}'::text[] || jsonb_build_object('runs', (
    select jsonb_agg(r - '{run_id,warnings,next_retry_ms,expected_total,deleted,duration_ms,phase,
      delayed}'::text[]) from jsonb_array_elements(p -> 'runs') as r))
  from get_sync_job_progress(p_job_id) as p;
$$;
select is(tests.told(id), '{
  "job_name": "done", "kind": "sync", "status": "completed", "duration_ms": 0, "percentage": 100.0,
  "total_workspaces": 1, "workspaces_processed": 1,
  "workspaces_skipped": 0, "total_accounts_synced": 3, "error_message": null,
  "chunks": {"planned": 2, "pending": 0, "processing": 0, "completed": 2, "failed": 0,
  "cancelled": 0},
  "runs": [{"workspace": "zen", "stream": "sender_emails", "status": "completed", "scan": 1,
  "percentage": 100.0, "planned": 2, "completed": 2, "pages": {"planned": 2, "completed": 2},
    "failed": 0, "processing": 0, "records": 3, "changed": 3, "error_message": null}]}',
    'get_sync_job_progress of a finished job') from done;
select is(tests.told(id), '{
  "job_name": "broken", "kind": "sync", "status": "failed", "duration_ms": 0, "percentage": 0.0,
  "total_workspaces": 1, "workspaces_processed": 0,
  "workspaces_skipped": 0, "total_accounts_synced": 0,
  "error_message": "oak: the body is not UTF-8",
  "chunks": {"planned": 1, "pending": 0, "processing": 0, "completed": 0, "failed": 1,
  "cancelled": 0},
  "runs": [{"workspace": "oak", "stream": "sender_emails", "status": "failed", "scan": 1,
  "percentage": 0.0, "planned": 1, "completed": 0, "pages": {"planned": 1, "completed": 0},
    "failed": 1, "processing": 0, "records": 0, "changed": 0,
    "error_message": "the body is not UTF-8"}]}', 'of a failed one') from broken;
select is(tests.told(id), '{
  "job_name": "going", "kind": "sync", "status": "running", "duration_ms": 0, "percentage": 50.0,
  "total_workspaces": 1, "workspaces_processed": 0,
  "workspaces_skipped": 0, "total_accounts_synced": 0, "error_message": null,
  "chunks": {"planned": 4, "pending": 1, "processing": 1, "completed": 2, "failed": 0,
  "cancelled": 0},
  "runs": [{"workspace": "acme", "stream": "sender_emails", "status": "running", "scan": 1,
  "percentage": 50.0, "planned": 4, "completed": 2, "pages": {"planned": 4, "completed": 2},
    "failed": 0, "processing": 1, "records": 4, "changed": 4, "error_message": null}]}',
    'of a running one') from going;
select throws_ok($$select get_sync_job_progress('00000000-0000-0000-0000-000000000000')$$, 'SY007',
  null, 'an unknown job is an error');

create temp table newest as select * from chunk_processing_queue order by created_at desc limit 10;
select results_eq($$select parent_sync_job_id, count(*) from newest group by 1, created_at
  order by created_at desc$$, $$
  select id, 4::bigint from going union all select id, 1 from broken union all select id, 2
  from done
$$, 'select * from chunk_processing_queue order by created_at desc limit 10');
select is_empty($$
  select unnest('{id,chunk_id,parent_sync_job_id,status,attempts,max_attempts,created_at,started_at,
    completed_at,error_message,worker_id,next_retry_at}'::text[])
  except select attname from pg_attribute
    where attrelid = 'newest'::regclass
$$, 'with the columns that people know');

create temp table last_jobs as select * from polling_job_status order by started_at desc limit 5;
select results_eq($$select job_name, status from last_jobs order by started_at desc$$,
  $$values ('going', 'running'), ('broken', 'failed'), ('done', 'completed')$$,
  'select * from polling_job_status order by started_at desc limit 5');
select results_eq($$select job_name from polling_job_status where status = 'running'$$,
  $$values ('going')$$, 'by status: running');
select results_eq($$select job_name from polling_job_status where status = 'completed'$$,
  $$values ('done')$$, 'completed');
select results_eq($$select job_name from polling_job_status where status = 'failed'$$,
  $$values ('broken')$$, 'failed');

create temp table progress as select * from sync_progress order by updated_at desc limit 3;
select results_eq($$
  select job_name, status, workspaces_completed, total_workspaces, progress_percentage, updated_at,
    happening_now from progress order by updated_at desc
$$, $$
  values ('going', 'running', 0::bigint, 1, 50.0::numeric, sync.now(),
    '1 chunk in flight, 1 ready, 0 delayed, 0 waiting'),
    ('broken', 'failed', 0, 1, 0.0, sync.now() - interval '1 minute',
    'oak: the body is not UTF-8'),
    ('done', 'completed', 1, 1, 100.0, sync.now() - interval '2 minutes', null)
$$, 'select * from sync_progress order by updated_at desc limit 3');
select is(cleanup_stuck_chunks(), 0, 'select cleanup_stuck_chunks()');
select results_eq($$
  select workspace_name, last_successful_sync_at,
    sync.now() - last_successful_sync_at as time_since_sync, estimated_account_count
  from client_registry where is_active order by last_successful_sync_at nulls first, workspace_name
$$, $$
  values ('acme', null, null, null), ('oak', null, null, null),
    ('zen', sync.now() - interval '2 minutes', interval '2 minutes', 3::bigint)
$$, 'client_registry where is_active');
select results_eq($$select page, status, attempts, next_retry_at, created_at, started_at
  from sync_page_queue where parent_sync_job_id = (select id from broken)$$,
  $$select 1, 'failed', 1, null::timestamptz, sync.now() - interval '1 minute',
  sync.now() - interval '1 minute'$$, 'select * from sync_page_queue');
select results_eq($$select workspace_name, stream, page, attempts, error_message
  from failed_chunks$$,
  $$values ('oak', 'sender_emails', 1, 1, 'the body is not UTF-8')$$,
  'select * from failed_chunks');

select * from finish();
rollback;
