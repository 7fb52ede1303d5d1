begin;
\ir ../support/setup.psql
select plan(9);

select declare_source('{"source_name": "other"}');
select declare_stream('{"source_name": "other", "stream_name": "sender_emails", "path": "/accounts",
  "page_size": 2}');
create function tests.move(p_workspace text) returns void language sql as $$
  update public.sync_workspaces
  set source_id = (select id from public.sync_sources where source_name = 'other')
  where workspace_name = p_workspace;
$$;
create function tests.failed_job(variadic p_workspaces text[]) returns uuid language plpgsql as $$
declare
  v_job_id uuid;
begin
  v_job_id := public.start_sync_job('nightly', '{sender_emails}', p_workspaces) ->> 'job_id';
  perform tests.fail(l, 'permanent', 'HTTP 403') from tests.claim(100) as l;
  return v_job_id;
end; $$;

select tests.workspace('acme');
select tests.workspace('zen');
create temp table job as select tests.failed_job('acme') as id;
select tests.move('acme');
select throws_ok($$select retry_failed_chunks(id) from job$$, 'SY008', null,
  'a workspace that moved to a source with a stream of the same name is not retried');
select is(get_retryable_jobs(array[id]), '{"job_ids": []}', 'nor called retryable') from job;
select is_empty($$select 1 from polling_job_status where status = 'running'$$, 'no job is left');

select tests.workspace('north');
create temp table two as select tests.failed_job('zen', 'north') as id;
select tests.move('zen');
select is(get_retryable_jobs(array[id]), jsonb_build_object('job_ids', array[id]),
  'beside another workspace') from two;
create temp table retried as select (retry_failed_chunks(id) ->> 'job_id')::uuid as id from two;
select results_eq($$select w.workspace_name, j.total_workspaces, j.workspaces_skipped
  from retried join workspace_sync_runs as r on r.job_id = retried.id
  join sync_workspaces as w on w.id = r.workspace_id
  join polling_job_status as j on j.id = r.job_id$$,
  $$values ('north', 1, 0)$$, 'it is left out');
select cancel_sync_job(id) from retried;

-- What was found requested and is gone when its run is to be made.
select throws_ok($$select sync.start_job('gone', array[row(w.id, st.id)::sync.requested_run], null)
  from sync_workspaces as w, sync_streams as st
  where w.workspace_name = 'acme' and st.stream_name = 'replies'$$, 'SY005', null,
  'a run of a stream that its workspace does not serve is not started');

create temp table audit as select (start_audit('{north}') ->> 'job_id')::uuid as id;
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim(100) as l;
create temp table again as select (retry_failed_chunks(id) ->> 'job_id')::uuid as id from audit;
select tests.serve('north', 1);
select tests.work();
select is((select status from polling_job_status where id = again.id), 'completed',
  'an audit is tried again') from again;
select results_eq($$select run ->> 'status', run -> 'missing' from again
  cross join jsonb_array_elements(get_audit(id) -> 'runs') as run$$,
  $$values ('completed', '["1"]'::jsonb)$$, 'and is an audit again');
select is((select count(*) from sync.audits), 2::bigint, 'with what was here before it began');

select * from finish();
rollback;
