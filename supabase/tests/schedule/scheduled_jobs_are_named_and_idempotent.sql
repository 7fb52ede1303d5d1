begin;
\ir ../support/setup.psql
select plan(4);

create temp table scheduled as
select jobname, schedule, command from cron.job
  where jobname in ('chunkwise sync', 'chunkwise sweep', 'chunkwise prune');
select results_eq($$select jobname::text collate "default", schedule collate "default"
  from scheduled order by 1$$, $$
  values ('chunkwise prune', '* 3 * * *'), ('chunkwise sweep', '* * * * *'),
    ('chunkwise sync', '* * * * *')
$$, 'pruning at night, the sweep and the look whether a sync is due every minute');
select is_empty($$select jobname from cron.job where jobname like 'chunkwise %' group by 1
  having count(*) > 1$$, 'each once');
select is_empty($$select jobname from cron.job
  where jobname like 'chunkwise %' and command !~ '^set statement_timeout = ''[0-9]+s''; '$$,
  'each first says how long it may take');

create function tests.run_all() returns void language plpgsql as $$
declare
  v_command text;
begin
  for v_command in select command from cron.job where jobname like 'chunkwise %' loop
    execute v_command;
  end loop;
end; $$;
select lives_ok($$select tests.run_all()$$, 'and each does what it says, on an empty database');

select * from finish();
rollback;
