-- Shares: where more is ready than a worker has room for, it gets first what is of the workspaces
-- it holds the fewest leases of.

create function sync.leases_held(p_worker_id text, p_workspace_ids bigint[])
  returns table (workspace_id bigint, leases bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_worker_id is null then
    return query select w.id, 0::bigint from unnest(p_workspace_ids) as w (id);
    return;
  end if;
  return query
  select r.workspace_id, count(q.id) from public.workspace_sync_runs as r
  left join lateral (
    select x.id from public.chunk_processing_queue as x
    where x.run_id = r.id and x.slot between 1 and r.max_concurrency
      and x.status = 'processing' and x.worker_id = p_worker_id offset 0
  ) as q on true
  where r.workspace_id = any (p_workspace_ids) and r.status = 'running'
  group by r.workspace_id;
end; $$;
comment on function sync.leases_held(text, bigint[]) is
$$Returns: how many leases of each workspace a worker holds; of no worker, none. Reads the slots of
their live runs.$$;

create function sync.who_has_much(p_picked bigint[], p_worker_id text) returns bigint[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    with picked as (
      select r.workspace_id, count(*) as leases from public.chunk_processing_queue as q
      join public.workspace_sync_runs as r on r.id = q.run_id
      where q.id = any (p_picked) group by r.workspace_id
    ), levels as (
      select p.workspace_id, p.leases + h.leases as level from picked as p
      join sync.leases_held(p_worker_id, array(select workspace_id from picked)) as h
        on h.workspace_id = p.workspace_id
    ), all_of_them as (
      select max(level) as most, sum(level) as total, avg(level) as mean from levels
    )
    select array_agg(l.workspace_id) from levels as l, all_of_them as a
    where a.most > 1 and case when 2 * a.most > a.total then l.level = a.most
      else l.level >= a.mean end);
end; $$;
comment on function sync.who_has_much(bigint[], text) is
$$Returns: the workspace that would have more than half of what a worker holds of these, with these
chunks, or else those that would have the mean or more; null if each would have one.$$;

create function sync.next_ready(p_limit int) returns bigint[]
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_sort = off as $$
begin
  return array(
    select id from public.chunk_processing_queue
    where ready_seq >= (select claim_floor from sync.sweep_state) and lease_losses < 2
    order by ready_seq limit p_limit);
end; $$;
comment on function sync.next_ready(int) is
$$Returns: what a claim would pick if nobody else claimed now, oldest turn first.$$;

create function sync.ready_of_others(p_after bigint, p_workspace_ids bigint[], p_limit int)
  returns bigint[]
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_sort = off as $$
declare
  v_run_ids bigint[] := array(
    select id from public.workspace_sync_runs
    where workspace_id = any (p_workspace_ids) and status = 'running');
begin
  return array(
    select n.id from (
      select id, run_id from public.chunk_processing_queue
      where ready_seq > (select ready_seq from public.chunk_processing_queue where id = p_after)
        and lease_losses < 2
      order by ready_seq limit 500
    ) as n
    where n.run_id <> all (v_run_ids) limit p_limit);
end; $$;
comment on function sync.ready_of_others(bigint, bigint[], int) is
$$Returns: ready chunks with later turns than one of them and of other workspaces than these, oldest
turn first, among the next 500: more than two workspaces have slots.$$;

create function sync.fair_shares(p_limit int, p_worker_id text) returns bigint[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  -- Whoever asks for many has room for many: what it holds already matters less than its reading
  -- costs.
  v_worker_id text := case when p_limit <= 16 then p_worker_id end;
  v_next bigint[] := sync.next_ready(p_limit);
  v_much bigint[];
  v_others bigint[];
begin
  if cardinality(v_next) < p_limit then
    return array[]::bigint[];
  end if;
  v_much := sync.who_has_much(v_next, v_worker_id);
  v_others := case when v_much is not null
    then sync.ready_of_others(v_next[p_limit], v_much, p_limit) end;
  if v_others is null or v_others = array[]::bigint[] then
    return array[]::bigint[];
  end if;
  return array(
    with offered as materialized (
      select q.id, q.ready_seq, r.workspace_id from public.chunk_processing_queue as q
      join public.workspace_sync_runs as r on r.id = q.run_id
      where q.id = any (v_next || v_others)
    ), leveled as (
      select o.id, o.ready_seq,
        h.leases + row_number() over (partition by o.workspace_id order by o.ready_seq) as level
      from sync.leases_held(v_worker_id, array(select distinct workspace_id from offered)) as h
      join offered as o on o.workspace_id = h.workspace_id
    )
    select l.id from leveled as l order by l.level, l.ready_seq limit p_limit);
end; $$;
comment on function sync.fair_shares(int, text) is
$$Where more is ready than a worker has room for, and one workspace has much of what comes next:
chunks of others with later turns come first as far as the worker holds fewer of theirs. Decided
before anything is locked, so that no claim keeps from others what it does not take. Returns: their
ids; none where turns alone decide.$$;

revoke all on function
  sync.leases_held, sync.who_has_much, sync.next_ready, sync.ready_of_others,
  sync.fair_shares
from public, anon, authenticated, service_role;
