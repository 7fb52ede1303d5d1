-- Statistics: what the planner believes of tables that were empty when they were analyzed.

create function sync.learn_of_filled_tables() returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '10ms' as $$
declare
  v_table regclass;
  v_has_rows boolean;
begin
  for v_table in
    select c.oid from pg_class as c
    where c.oid = any ('{public.sync_workspaces,public.sync_budgets,public.sync_workspace_streams,
      public.polling_job_status,public.workspace_sync_runs,public.chunked_sync_jobs,
      public.chunk_processing_queue,sync.run_counters,sync.run_parts,sync.seen_pages,
      sync.missing_records,sync.record_parents,sync.staged_items,sync.page_etags
      }'::regclass[] || array(select t.target from sync.target_tables as t))
      and c.reltuples = 0 and c.relpages between 1 and 30000
  loop
    execute format('select exists (select from %s)', v_table) into v_has_rows;
    if v_has_rows then
      execute format('analyze %s', v_table);
    end if;
  end loop;
exception when lock_not_available then
  -- Who else analyzes it, or vacuums it, tells the planner what is in there.
  null;
end; $$;
comment on function sync.learn_of_filled_tables() is
$$Where all that filled a table was gone when autovacuum came, the planner expects one row in it
until it comes again, which may be a minute after thousands are in there, and joins in any order.
Such tables of live work are analyzed as soon as they hold something. Locks: tables against being
analyzed or altered, for 10 ms at most.$$;

revoke all on function sync.learn_of_filled_tables from public, anon, authenticated, service_role;
