begin;
\ir ../support/setup.psql
select plan(14);
select set_setting('expect_realtime', 'false');

create function tests.told() returns setof text language sql as $$
  select subject from public.sync_alerts
  where kind = 'cron_job_missing' and resolved_at is null order by 1;
$$;
create function tests.jobs() returns table (
  name text, schedule text, command text, database text, active boolean
) language sql as $$
  select jobname, schedule, command, database, active from cron.job
  where jobname like 'chunkwise %' order by jobname;
$$;
create temp table wanted as select * from tests.jobs();

select is(schedule_jobs(), '{"scheduled": [], "faults": []}', 'all are there');
select sync.check_health();
select is_empty('select * from tests.told()', 'and nothing is told');

-- The one that would tell is gone; pg_cron lives, and the sweep goes on.
select cron.unschedule('chunkwise health');
select tests.advance('10 minutes');
select sync.beat('cron');
select cleanup_stuck_chunks();
select is_empty('select * from tests.told()', 'one check may be late');
select tests.advance('1 minute 1 second');
select sync.beat('cron');
select cleanup_stuck_chunks();
select results_eq('select * from tests.told()', $$values ('chunkwise health')$$,
  'after two that did not come the sweep checks');
select cron.unschedule('chunkwise sweep');
select tests.advance('1 hour');
select sync.beat('cron');
do $$ begin
  execute (select command from cron.job where jobname = 'chunkwise sync');
end; $$;
select results_eq('select * from tests.told()',
  $$values ('chunkwise health'), ('chunkwise sweep')$$, 'and without a sweep the scheduled sync');
select cron.unschedule('chunkwise prune');
select tests.advance('6 minutes');
select claim_next_chunk_job_safe('worker-1', 1, p_protocol => 2);
select results_eq('select * from tests.told()', $$values
  ('chunkwise health'), ('chunkwise prune'), ('chunkwise sweep')$$, 'and a claim');
select is(schedule_jobs() -> 'scheduled',
  '["chunkwise health", "chunkwise prune", "chunkwise sweep"]', 'one verb makes them again');
select results_eq('select * from tests.jobs()', 'select * from wanted', 'as they were');
select sync.check_health();
select is_empty('select * from tests.told()', 'and the alerts are resolved');

-- Something else under their names.
select cron.schedule('chunkwise sweep', '* * * * *', 'select 1');
select cron.alter_job(jobid, active => false) from cron.job where jobname = 'chunkwise prune';
select cron.alter_job(jobid, database => 'template1') from cron.job
where jobname = 'chunkwise health';
select sync.check_health();
select results_eq('select * from tests.told()', $$values
  ('chunkwise health'), ('chunkwise prune'), ('chunkwise sweep')$$,
  'another database, switched off, another command');
select schedule_jobs();
select results_eq('select * from tests.jobs()', 'select * from wanted', 'all are as they were');

-- When they run is the operator's choice.
select cron.alter_job(jobid, schedule => '*/10 * * * *') from cron.job
where jobname = 'chunkwise sync';
select is(schedule_jobs(), '{"scheduled": [], "faults": []}', 'other times are no fault');
select is((select schedule from tests.jobs() where name = 'chunkwise sync'),
  '*/10 * * * *', 'and are kept');

select tests.act_as('authenticated', true);
select throws_ok('select public.schedule_jobs()', '42501', null, 'it is for services');

select * from finish();
rollback;
