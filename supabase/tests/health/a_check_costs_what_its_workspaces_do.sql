begin;
\ir ../support/setup.psql
select plan(3);
select tests.forget_statistics();

-- Never synced, registered long ago, and in tables that nobody has analyzed.
create function tests.rows_of_a_check(p_workspaces int) returns bigint language plpgsql as $$
declare
  v_tables regclass[] := '{public.sync_workspaces,public.sync_streams,public.sync_workspace_streams,
    public.workspace_sync_runs,public.sync_settings,public.sync_alerts}';
  v_before bigint;
begin
  perform public.register_workspace('w' || n, 'https://bison.example', '7|key' || n, 'email_bison')
  from generate_series(1, p_workspaces) as n
  where not exists (select 1 from public.sync_workspaces where workspace_name = 'w' || n);
  update public.sync_workspaces set created_at = sync.now() - interval '2 days';
  v_before := tests.rows_read(v_tables);
  perform sync.check_health();
  return tests.rows_read(v_tables) - v_before;
end; $$;
create temp table costs as select tests.rows_of_a_check(30) as of_few;
alter table costs add column of_many bigint;
update costs set of_many = tests.rows_of_a_check(120);

select is((select count(*) from public.stale_workspaces), 120::bigint, 'all are stale');
select is((select count(*) from public.sync_alerts
  where kind = 'stale_workspace' and resolved_at is null), 120::bigint, 'each is an alert');
select cmp_ok(of_many, '<', 5 * of_few,
  format('four times the workspaces cost four times the rows: %s and %s', of_few, of_many))
from costs;

select * from finish();
rollback;
