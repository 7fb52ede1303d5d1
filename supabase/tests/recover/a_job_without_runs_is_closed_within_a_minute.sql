begin;
\ir ../support/setup.psql
select plan(13);

select tests.workspace('acme');
select tests.workspace('zen');
prepare jobs as select job_name, status, total_accounts_synced, workspaces_processed,
  chunks_completed from polling_job_status order by job_name;

insert into polling_job_status (job_name) values ('by hand'), ('scheduled sync'), ('at work');
select start_sync_job('runs deleted', null, '{acme}');
select start_sync_job('workspace deleted', null, '{zen}');
delete from workspace_sync_runs where workspace_id = (select id from sync_workspaces
  where workspace_name = 'acme');
delete from sync_workspaces where workspace_name = 'zen';
select cleanup_stuck_chunks();
select results_eq($$select distinct status from polling_job_status$$, $$values ('running')$$,
  'a row that was just written may be somebody''s who is at work');
select is(start_sync_job('by hand', null, '{acme}') ->> 'status', 'already_running',
  'it holds its name');

select tests.advance('1 minute');
update polling_job_status set workspaces_processed = 3 where job_name = 'at work';
select cleanup_stuck_chunks();
select results_eq('jobs', $$values ('at work', 'running', 0::bigint, 3, 0::bigint),
  ('by hand', 'failed', 0, 0, 0), ('runs deleted', 'failed', 0, 0, 0),
  ('scheduled sync', 'failed', 0, 0, 0), ('workspace deleted', 'failed', 0, 0, 0)$$,
  'a minute later all are closed but the one that is kept up to date');
select results_eq($$select bool_and(error_message is not null), bool_and(completed_at is not null)
  from polling_job_status where status <> 'running'$$, $$values (true, true)$$, 'and say why');
select is(start_sync_job('by hand', null, '{acme}') ->> 'status', 'accepted', 'the name is free');
select tests.advance('30 minutes');
select is(sync.start_scheduled_sync() ->> 'status', 'already_running',
  'the schedule''s too: only the runs are taken');
select cancel_sync_job(id) from polling_job_status where job_name = 'by hand'
  and status = 'running';

update polling_job_status set status = 'completed' where job_name = 'at work';
select results_eq($$select status from polling_job_status where job_name = 'at work'$$,
  $$values ('completed')$$, 'somebody''s own job ends as they say');

insert into polling_job_status (job_name) values ('mine');
select is(cancel_sync_job(id) ->> 'status', 'cancelled', 'a job without runs is cancelled at once')
  from polling_job_status where job_name = 'mine';
select results_eq($$select status, cancel_requested_at from polling_job_status
  where job_name = 'mine'$$, $$values ('cancelled', sync.now())$$, 'and stays so');

-- What the alerts say of such jobs.
insert into polling_job_status (job_name) values ('kept up');
select sync.watch_jobs();
select tests.advance('1 hour');
update polling_job_status set workspaces_processed = 1 where job_name = 'kept up';
select is_empty($$select * from sync.job_causes() where kind = 'job_stalled'$$,
  'a job without runs has no chunks that could stall');
select throws_ok(format('select retry_failed_chunks(%L)', id), 'SY008', null,
  'a retry does not help a job without runs')
  from polling_job_status where job_name = 'runs deleted';
select results_eq($$select c.subject, c.message ~ 'retry_failed_chunks',
  c.message ~ 'start_sync_job'
  from sync.job_causes() as c where c.kind = 'job_not_completed' order by 1$$,
  $$values ('by hand', false, true), ('runs deleted', false, true), ('scheduled sync', false,
    true), ('workspace deleted', false, true)$$, 'nor does its alert name one');
select start_sync_job('runs deleted', null, '{acme}');
select tests.work();
select is_empty($$select 1 from sync.job_causes() as c where c.subject = 'runs deleted'$$,
  'what it names helps');

select * from finish();
rollback;
