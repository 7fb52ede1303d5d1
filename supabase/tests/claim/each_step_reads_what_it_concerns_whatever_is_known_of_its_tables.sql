begin;
\ir ../support/setup.psql
select plan(6);
select tests.forget_statistics();

select set_setting('sweep_interval_seconds', '1000000');
create function tests.tables() returns regclass[] language sql immutable as $$
  select '{public.sync_workspaces,public.sync_budgets,public.sync_workspace_streams,
    public.polling_job_status,public.workspace_sync_runs,public.chunked_sync_jobs,
    public.chunk_processing_queue,sync.run_counters,sync.seen_pages,sync.missing_records,
    sync.staged_items,sync.sender_emails}'::regclass[];
$$;
create function tests.analyze() returns void language plpgsql as $$
begin
  execute 'analyze ' || array_to_string(tests.tables(), ', ');
end; $$;

-- Each workspace has two accounts and a budget of its own.
create function tests.fleet(p_names text[]) returns void language plpgsql as $$
begin
  perform public.register_workspace(name, format('https://%s.example', name), '7|keyof ' || name)
  from unnest(p_names) as name;
  perform tests.accept_key(name) from unnest(p_names) as name;
  perform tests.serve(name, 1, 2) from unnest(p_names) as name;
end; $$;

-- A long time ago: jobs whose chunks have all ended.
create function tests.ended_work() returns void language sql as $$
  with jobs as (
    insert into public.polling_job_status (job_name, status, completed_at)
    select 'old', 'completed', sync.now() from generate_series(1, 20) returning id
  ), runs as (
    insert into public.workspace_sync_runs (job_id, workspace_id, stream_id, status, completed_at,
      max_concurrency)
    select j.id, w.id, s.id, 'completed', sync.now(), 2 from jobs as j
    cross join public.sync_workspaces as w
    join public.sync_streams as s on s.stream_name = 'sender_emails' returning id, job_id
  ), chunks as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page)
    select r.job_id, r.id, 'page', 1, page from runs as r, generate_series(1, 2) as page
    returning id, run_id, parent_sync_job_id
  )
  insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id, status, completed_at)
  select id, parent_sync_job_id, run_id, 'completed', sync.now() from chunks;
$$;
create function tests.forget_all() returns void language sql as $$
  delete from public.polling_job_status where true;
  delete from public.sync_workspaces where true;
  delete from public.sync_budgets where true;
$$;

create table tests.cost (known text, step text, workspaces int, rows bigint);
create function tests.note_cost(p_known text, p_step text, p_workspaces int, p_call text)
  returns void language plpgsql as $$
declare
  v_before bigint := tests.rows_read(tests.tables());
begin
  execute p_call;
  insert into tests.cost
  values (p_known, p_step, p_workspaces, tests.rows_read(tests.tables()) - v_before);
end; $$;

create function tests.note_costs(p_known text, p_workspaces int) returns void language plpgsql as $$
declare
  v_names text[] := array(
    select format('%s-%s-%s', p_known, p_workspaces, n) from generate_series(1, p_workspaces) as n);
  v_job_id uuid;
  v_leases tests.lease[];
begin
  perform tests.fleet(v_names);
  -- As every minute.
  perform public.cleanup_stuck_chunks();
  perform tests.note_cost(p_known, 'start', p_workspaces,
    format('select public.start_sync_job(%L, %L, %L)', 'first', '{sender_emails}', v_names));
  perform tests.note_cost(p_known, 'hints', p_workspaces,
    'select public.trigger_next_chunk_processing()');
  create temp table held on commit drop as select null::tests.lease as lease limit 0;
  perform tests.note_cost(p_known, 'claim', p_workspaces,
    format('insert into held select l from tests.claim(%s) as l', p_workspaces));
  v_leases := array(select lease from held);
  drop table held;
  perform tests.note_cost(p_known, 'sweep', p_workspaces, 'select public.cleanup_stuck_chunks()');
  perform tests.note_cost(p_known, 'pause', p_workspaces, 'select public.pause_sync()');
  perform tests.note_cost(p_known, 'resume', p_workspaces, 'select public.resume_sync()');
  perform tests.note_cost(p_known, 'workers', p_workspaces, 'table public.worker_health');
  perform tests.note_cost(p_known, 'refused', p_workspaces,
    format('select tests.fail(%L::tests.lease, %L, null, 1)', v_leases[1], 'rate_limited'));
  perform tests.note_cost(p_known, 'complete', p_workspaces,
    format('select public.complete_chunk_jobs_safe(%L)', (
      select jsonb_agg(tests.answer(l)) from unnest(v_leases[2:]) as l)));
  perform tests.advance('1 minute');
  perform tests.note_cost(p_known, 'rest', p_workspaces, 'select tests.work()');
  perform tests.note_cost(p_known, 'health', p_workspaces, 'select sync.check_health()');
  v_job_id := public.start_sync_job('second', '{sender_emails}', v_names) ->> 'job_id';
  perform tests.note_cost(p_known, 'cancel', p_workspaces,
    format('select public.cancel_sync_job(%L)', v_job_id));
  perform tests.forget_all();
end; $$;

create function tests.grown() returns text[] language sql as $$
  select coalesce(array_agg(format('%s: %s rows, and %s', few.step, few.rows, many.rows)), '{}')
  from tests.cost as few
  join tests.cost as many on (many.known, many.step) = (few.known, few.step)
  where few.workspaces = 15 and many.workspaces = 60 and many.rows > 5 * few.rows + 60;
$$;

-- Autovacuum came when what had filled the tables was gone: whatever they hold later, the planner
-- expects one row.
select tests.fleet(array(select 'old-' || n from generate_series(1, 60) as n));
select tests.start(variadic array(select workspace_name from public.sync_workspaces));
select is((select count(*) from tests.claim(40)), 40::bigint, 'there was much');
select tests.ended_work();
select tests.forget_all();
select tests.analyze();
select is((select count(*) from unnest(tests.tables()) as t (id)
    join pg_class as c on c.oid = t.id and c.relpages > 0 and c.reltuples = 0
    where t.id::text ~ '(workspaces|_runs|_queue)$'),
  3::bigint, 'tables are known to be empty');
select tests.note_costs('empty', n) from unnest('{15,60}'::int[]) as n;
select is(tests.grown(), '{}',
  'when they are filled, each step with four times the workspaces reads four times the rows');

-- It came when all that was there had ended: the planner expects that nothing has a slot.
truncate tests.cost;
select tests.fleet(array(select 'old-' || n from generate_series(1, 60) as n));
select tests.ended_work();
select tests.analyze();
select is((select null_frac from pg_stats
  where tablename = 'chunk_processing_queue' and attname = 'slot'), 1::real,
  'chunks are known to have no slots');
select tests.forget_all();
select tests.note_costs('ended', n) from unnest('{15,60}'::int[]) as n;
select is(tests.grown(), '{}', 'when others come, it reads four times the rows then too');
select is((select count(*) from tests.cost), 24::bigint, 'of each step');

select * from finish();
rollback;
