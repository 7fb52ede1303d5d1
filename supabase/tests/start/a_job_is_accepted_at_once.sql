begin;
\ir ../support/setup.psql
select plan(7);

select tests.workspace('acme');
select tests.workspace('zen', 3);
select tests.workspace('asleep');
select deactivate_workspace('asleep');

create temp table answer as select start_sync_job('nightly') as answer;
select is((select answer - 'job_id' - 'message' from answer),
  '{"success": true, "status": "accepted", "workspaces_skipped": []}', 'the answer says accepted');
select is(current_setting('response.status'), '202', 'over HTTP it is a 202');
select results_eq($$
  select id, job_name, status, total_workspaces, workspaces_processed, workspaces_skipped, warnings,
    completed_at from public.polling_job_status
$$, $$
  select (answer ->> 'job_id')::uuid, 'nightly', 'running', 2, 0, 0, '{}'::text[], null::timestamptz
  from answer
$$, 'the job is running');
select results_eq($$
  select w.workspace_name, s.stream_name, r.status, r.phase, r.scan, r.max_concurrency,
    r.planned_chunks
  from public.workspace_sync_runs as r join public.sync_workspaces as w on w.id = r.workspace_id
  join public.sync_streams as s on s.id = r.stream_id
  order by 1
$$, $$
  values ('acme', 'sender_emails', 'running', 'scan', 1, 8, 1::bigint),
    ('zen', 'sender_emails', 'running', 'scan', 1, 3, 1)
$$, 'every active workspace has a run of every default stream');
select results_eq($$
  select c.kind, c.scan, c.page, q.status, q.slot::int, q.ready_seq is not null, q.attempts,
    q.max_attempts
  from public.chunked_sync_jobs as c join public.chunk_processing_queue as q on q.chunk_id = c.id
  order by c.id
$$, $$
  values ('page', 1, 1, 'pending', 1, true, 0, 3), ('page', 1, 1, 'pending', 1, true, 0, 3)
$$, 'page 1 of each is ready in slot 1');
select ok((select min(ready_seq) < max(ready_seq) from public.chunk_processing_queue),
  'each has a turn of its own');

select is(start_sync_job('again', null, '{ACME}') ->> 'status', 'already_running',
  'a workspace may be named in any case');

select * from finish();
rollback;
