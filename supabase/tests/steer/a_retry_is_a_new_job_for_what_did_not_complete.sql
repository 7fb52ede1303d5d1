begin;
\ir ../support/setup.psql
select plan(12);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.serve('acme', 1, 2, 3);
select tests.serve('zen', 101);
create temp table job as select tests.start('acme', 'zen') as id;
select throws_ok($$select retry_failed_chunks(id) from job$$, 'SY008', null,
  'a running job retries by itself');
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select tests.work();
select results_eq($$select status from public.polling_job_status$$, $$values ('partial')$$,
  'one workspace failed');

create temp table answer as select retry_failed_chunks(id) as answer from job;
select is((select answer ->> 'status' from answer), 'accepted', 'the retry is accepted');
select results_eq($$
  select j.job_name, j.retry_of_job_id = job.id, w.workspace_name, c.page
  from answer, job, public.polling_job_status as j
  join public.workspace_sync_runs as r on r.job_id = j.id
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.chunked_sync_jobs as c on c.run_id = r.id
  where j.id = (answer ->> 'job_id')::uuid
$$, $$values ('test', true, 'acme', 1)$$, 'a job of its own, for that workspace, from page 1');
select results_eq($$select j.status, r.status from job
  join public.polling_job_status as j using (id)
  join public.workspace_sync_runs as r on r.job_id = j.id order by 2$$,
  $$values ('partial', 'completed'), ('partial', 'failed')$$, 'the ended job stays as it was');
select throws_ok($$select retry_failed_chunks(id) from job$$, 'SY008', null,
  'again: a newer run exists');
select tests.work();
select results_eq($$select status from public.polling_job_status
  where id = (select (answer ->> 'job_id')::uuid from answer)$$, $$values ('completed')$$,
  'the retry completes');
select throws_ok($$select retry_failed_chunks(id) from job$$, 'SY008', null,
  'then there is nothing to retry');
select throws_ok($$select retry_failed_chunks((answer ->> 'job_id')::uuid) from answer$$, 'SY008',
  null, 'nor of a completed job');
select throws_ok($$select retry_failed_chunks(gen_random_uuid())$$, 'SY007', null,
  'nor of an unknown one');

create temp table failed as select tests.start('acme') as id;
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select deactivate_workspace('acme');
select throws_ok($$select retry_failed_chunks(id) from failed$$, 'SY004', null,
  'of an inactive workspace it is refused');
select register_workspace('acme', 'https://bison.example', 'k');
select is(retry_failed_chunks(id) ->> 'status', 'accepted', 'active again, it is accepted')
  from failed;

select * from finish();
rollback;
