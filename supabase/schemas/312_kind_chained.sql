-- Chained lists: contiguous, in order, to a proven end.
-- Stands on: marks, close, deletions, begin, list_scans, kind_counted.

create function sync.begin_listed(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.set_since(p_run_ids);
  perform sync.begin_phase(p_run_ids, 'scan');
end; $$;
comment on function sync.begin_listed(bigint[]) is
$$Page 1 of runs, of everything or of what changed since the last one. The caller holds their locks,
or made them.$$;

create function sync.close_confirmed(p_run public.workspace_sync_runs, p_scans int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_finding text := sync.judge_confirmations(p_run);
begin
  if v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding, p_scans);
  else
    perform sync.close_run(p_run.id, 'completed', sync.delete_confirmed(p_run.id));
  end if;
end; $$;
comment on function sync.close_confirmed(public.workspace_sync_runs, int) is
$$Each record that a scan missed was asked for: close, or scan again, at most so many times in all.
The caller holds the run's lock.$$;

create function sync.advance_chained(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_scans int := sync.setting('max_scans');
  v_stream public.sync_streams;
  v_walk sync.walk;
begin
  if p_run.phase = 'confirm' then
    perform sync.close_confirmed(p_run, v_scans);
    return;
  end if;
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  v_walk := sync.walk_list(p_run.id, p_run.scan, v_stream);
  case
    when v_walk.is_final then
      perform sync.close_run(p_run.id, 'partial', v_walk.flaw);
    when v_walk.flaw is not null then
      perform sync.reject_scan(p_run.id, v_walk.flaw, v_scans);
    when v_walk.is_ended then
      perform sync.accept_list(p_run.id, v_walk.pages);
    else
      perform sync.plan_rest(p_run, v_walk);
  end case;
end; $$;
comment on function sync.advance_chained(public.workspace_sync_runs) is
$$The next step of a chained run of which nothing is live: read on where its pages in a row end,
scan again where they do not join, close. A list that is not in the order that was declared is
partial at once. The caller holds its lock.$$;

revoke all on function
  sync.begin_listed, sync.close_confirmed, sync.advance_chained
from public, anon, authenticated, service_role;
