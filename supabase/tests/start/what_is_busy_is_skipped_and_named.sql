begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.workspace('zen');
create temp table first as select start_sync_job('first', null, '{acme}') as answer;

select is(start_sync_job('first') - 'message',
  (select answer - 'message' || '{"status": "already_running"}' from first),
  'a job of that name that runs is named');
select is(start_sync_job('second', null, '{acme}') - 'message',
  (select answer - 'message' || '{"status": "already_running"}' from first),
  'so is the one that has all that was asked for');
select results_eq($$select job_name from public.polling_job_status$$, $$values ('first')$$,
  'and no job was made');

create temp table third as select start_sync_job('third') as answer;
select is((select answer - 'job_id' - 'message' from third),
  '{"success": true, "status": "accepted", "workspaces_skipped": ["acme"]}',
  'what is free starts');
select results_eq($$
  select total_workspaces, workspaces_skipped, cardinality(warnings), warnings[1] ~ 'acme'
  from public.polling_job_status where job_name = 'third'
$$, $$values (2, 1, 1, true)$$, 'what is busy is counted and named in the warnings');
select results_eq($$
  select w.workspace_name, count(*) from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  where r.status = 'running' group by 1 order by 1
$$, $$values ('acme', 1::bigint), ('zen', 1)$$, 'there is one live run per workspace and stream');

select tests.serve('zen', 1);
select tests.serve('acme', 2);
select tests.work();
select results_eq($$
  select job_name, status, total_workspaces, workspaces_processed, workspaces_skipped
  from public.polling_job_status order by 1
$$, $$values ('first', 'completed', 1, 1, 0), ('third', 'completed', 2, 1, 1)$$,
  'a skipped workspace is not processed');
select is(start_sync_job('first') ->> 'status', 'accepted', 'an ended job''s name is free again');

select * from finish();
rollback;
