begin;
\ir ../support/setup.psql
select plan(2);

-- A month of jobs, of which the last two failed.
select tests.workspace('acme');
insert into polling_job_status (job_name, started_at, completed_at, status)
select 'old', at, at + interval '3 seconds', case when n < 3 then 'failed' else 'completed' end
from generate_series(1, 1400) as n
cross join lateral (select sync.now() - n * interval '30 minutes' as at) as t;
insert into workspace_sync_runs (job_id, workspace_id, stream_id, status, max_concurrency,
  started_at, completed_at)
select j.id as job_id, w.id as workspace_id, s.id as stream_id, j.status, 1, j.started_at,
  j.completed_at
from polling_job_status as j cross join sync_workspaces as w
join sync_streams as s on s.source_id = w.source_id;
analyze polling_job_status, workspace_sync_runs;

create function tests.runs_read() returns bigint language plpgsql as $$
declare
  v_before bigint := tests.rows_read('{public.workspace_sync_runs}');
begin
  perform sync.check_health();
  return tests.rows_read('{public.workspace_sync_runs}') - v_before;
end; $$;

select cmp_ok((select count(*) from workspace_sync_runs), '>', 4000::bigint, 'among many runs');
select cmp_ok(tests.runs_read(), '<', 100::bigint, 'a health check reads those that ended badly');

select * from finish();
rollback;
