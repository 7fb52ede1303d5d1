begin;
\ir ../support/setup.psql
select plan(6);
select tests.forget_statistics();

select set_setting('sweep_interval_seconds', '3600');
create function tests.fleet(p_first int, p_last int) returns void language plpgsql as $$
declare
  v_names text[] := array(select 'w' || n from generate_series(p_first, p_last) as n);
begin
  perform register_workspace(name, format('https://%s.example', name), '7|keyof ' || name)
  from unnest(v_names) as name;
  update public.sync_workspaces set key_status = 'accepted' where key_status = 'unchecked';
  perform start_sync_job('fleet' || p_first, '{sender_emails}', v_names);
end; $$;
create function tests.read_by_claim(p_limit int) returns bigint language plpgsql as $$
declare
  v_tables regclass[] := '{public.chunk_processing_queue,public.workspace_sync_runs,
    public.sync_workspaces,public.sync_budgets}'::regclass[];
  v_before bigint;
  v_ids bigint[] := sync.next_ready(p_limit);
begin
  perform set_config(split_part(s, '=', 1), split_part(s, '=', 2), true)
  from pg_proc, unnest(proconfig) as s
  where pronamespace = 'public'::regnamespace and proname = 'claim_next_chunk_job_safe'
    and (s like 'enable_%' or s like 'plan_%' or s like 'jit%');
  v_before := tests.rows_read(v_tables);
  perform sync.admit_chunks(v_ids, 'w');
  return tests.rows_read(v_tables) - v_before;
end; $$;

-- The tables were never analyzed, and are as large again in dead rows.
select tests.fleet(1, 100);
create temp table cost as select 100 as workspaces, 50 as picked, tests.read_by_claim(50) as rows;
select cmp_ok((select max(rows) from cost), '<', 50::bigint * 40,
  'with 100 workspaces, 50 chunks are admitted by so many lookups each');
select tests.fleet(101, 400);
update public.workspace_sync_runs set warnings = warnings;
update public.sync_workspaces set key_checked_at = key_checked_at;
insert into cost select 400, 50, tests.read_by_claim(50);
insert into cost select 400, 100, tests.read_by_claim(100);
select cmp_ok((select rows from cost where workspaces = 400 and picked = 50), '<',
  2 * (select rows from cost where workspaces = 100), 'with 400 by as many');
select cmp_ok((select rows from cost where picked = 100), '<',
  3 * (select rows from cost where workspaces = 400 and picked = 50), 'and 100 by twice as many');
analyze public.workspace_sync_runs, public.sync_workspaces, public.chunk_processing_queue;
select cmp_ok(tests.read_by_claim(100), '<',
  2 * (select rows from cost where picked = 100), 'as many with statistics');
select is((select count(*) from public.sync_budgets), 400::bigint, 'each of a budget of its own');

-- Analyzed when all was gone: whatever comes then, the planner expects one row of each table.
delete from public.polling_job_status where true;
delete from public.sync_workspaces where true;
delete from public.sync_budgets where true;
analyze public.workspace_sync_runs, public.sync_workspaces, public.chunk_processing_queue,
  public.sync_budgets;
truncate cost;
select tests.fleet(1001, 1050);
insert into cost select 50, 50, tests.read_by_claim(50);
select tests.fleet(1051, 1200);
insert into cost select 200, 50, tests.read_by_claim(50);
select cmp_ok((select rows from cost where workspaces = 200), '<',
  2 * (select rows from cost where workspaces = 50),
  'known to be empty, 200 workspaces cost hardly more than 50');

select * from finish();
rollback;
