-- Room in budgets: how many more requests may be in flight, how far ahead they are sent, and whose
-- share of the places it is.

create function sync.in_flight_of(p_budget_id bigint) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_sort = off as $$
declare
  v_chunks bigint;
begin
  v_chunks := (
    -- From its workspaces on, and by the index that has this order: without statistics the planner
    -- may look through all live runs, for each. Of one workspace, said plainly, the index of streams
    -- has it too.
    select count(*) from public.sync_workspaces as w
    cross join lateral (
      select x.id from public.workspace_sync_runs as x
      where x.workspace_id between w.id and w.id and x.status = 'running'
      order by x.workspace_id, x.stream_id offset 0
    ) as r
    cross join lateral (
      select 1 from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing' offset 0
    ) as q
    where w.budget_id = p_budget_id);
  return v_chunks + (
    select count(*) from sync.stream_tries as t
    where t.budget_id = p_budget_id and t.lease_expires_at is not null) + (
    select count(*) from sync.token_requests as t
    where t.budget_id = p_budget_id and t.status = 'processing');
end; $$;
comment on function sync.in_flight_of(bigint) is
$$Returns: leases that draw on a budget, with those of tries and of requests for access tokens.$$;

create function sync.budget_room(p_budget public.sync_budgets, p_now timestamptz) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_most int := least(p_budget.max_in_flight, p_budget.reduced_in_flight);
begin
  return case
    when p_budget.blocked_until > p_now
    or (p_budget.block_level > 0 and p_budget.probe_until > p_now) then 0
    else least(
      case when p_budget.block_level > 0 then 1 else 2147483647 end,
      case when v_most is not null
      then greatest(0, v_most - sync.in_flight_of(p_budget.id)) end) end;
end; $$;
comment on function sync.budget_room(public.sync_budgets, timestamptz) is
$$Returns: how many more requests may be in flight on a budget; one probe after a block. The caller
holds the budget's lock, or only estimates.$$;

create function sync.shares_of(p_budget public.sync_budgets)
  returns table (workspace_id bigint, run_ids bigint[], leases bigint, share int, half int,
    others_wait boolean, demand bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_sort = off as $$
declare
  v_most int := least(p_budget.max_in_flight, p_budget.reduced_in_flight);
begin
  if v_most is null then
    return;
  end if;
  return query
  with live as (
    select w.id, r.id as run_id, w.rate_limited_until is null and r.ending is null
      and not r.is_paused as may_go, q.leases, q.waiting
    from public.sync_workspaces as w
    cross join lateral (
      select x.id, x.ending, x.is_paused from public.workspace_sync_runs as x
      where x.workspace_id between w.id and w.id and x.status = 'running'
      order by x.workspace_id, x.stream_id offset 0
    ) as r
    cross join lateral (
      select count(*) filter (where x.status = 'processing') as leases,
        count(*) filter (where x.status = 'pending' and x.lease_losses < 2
          and (x.ready_seq is not null or x.line_budget_id is not null)) as waiting
      from public.chunk_processing_queue as x where x.run_id = r.id and x.slot is not null
    ) as q
    where w.budget_id = p_budget.id
  ), held as (
    select l.id, array_agg(l.run_id) as run_ids, sum(l.leases)::bigint as leases,
      coalesce(sum(l.waiting) filter (where l.may_go), 0)::bigint as waiting
    from live as l group by l.id
  ), shared as (
    select h.*, greatest(1, v_most / count(*) over ())::int as share,
      sum(h.waiting) over () - h.waiting > 0 as others_wait
    from held as h where h.leases + h.waiting > 0
  )
  select s.id, s.run_ids, s.leases, s.share, greatest(1, v_most / 2), s.others_wait,
    sum(least(s.waiting, greatest(0, s.share - s.leases))) over ()::bigint
  from shared as s;
end; $$;
comment on function sync.shares_of(public.sync_budgets) is
$$Who holds the places that a budget has in flight. Returns: of each workspace with leases or ready
chunks its live runs, its leases, its share and half of the places, and whether others have ready
chunks; demand: how many chunks of all workspaces are ready within their shares. None where what is
in flight has no limit.$$;

create function sync.send_ahead(p_budget public.sync_budgets) returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- What is reserved far ahead cannot be slowed down any more; and where each key has a budget, what
  -- waits for one takes the room that a worker has for the others.
  return case when p_budget.reduced_in_flight is null and p_budget.learned_rate is null
    and not starts_with(p_budget.scope_key, 'workspace:')
    then sync.setting_seconds('send_ahead_seconds')
    else least(sync.setting_seconds('send_ahead_seconds'), interval '500 ms') end;
end; $$;
comment on function sync.send_ahead(public.sync_budgets) is
$$Returns: how far ahead a claim may reserve send times; less while 429s reduce the budget, and for
a key's own.$$;

create function sync.has_others_asking(p_workspace_id bigint, p_budget_id bigint) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_sort = off as $$
begin
  return exists (
    select 1 from public.sync_workspaces as w
    cross join lateral (
      select x.id from public.workspace_sync_runs as x
      where x.workspace_id between w.id and w.id and x.status = 'running' and x.ending is null
        and not x.is_paused
      order by x.workspace_id, x.stream_id offset 0
    ) as r
    cross join lateral (
      select 1 from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.lease_losses < 2
        and (x.status = 'processing' or x.ready_seq is not null or x.line_budget_id is not null)
      limit 1
    ) as q
    where w.budget_id = p_budget_id and w.id <> p_workspace_id and w.rate_limited_until is null);
end; $$;
comment on function sync.has_others_asking(bigint, bigint) is
$$Returns: whether another workspace than this one, and none that a 429 holds, has requests in
flight on a budget, or ready for it.$$;

revoke all on function
  sync.in_flight_of, sync.budget_room, sync.shares_of, sync.send_ahead, sync.has_others_asking
from public, anon, authenticated, service_role;
