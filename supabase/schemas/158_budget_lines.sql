-- Lines of budgets: what waits for a budget, or for its workspace after a 429, is ready again when
-- there is room.
-- Stands on: budgets, budget_room.

create function sync.wake_lines(p_limit int) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_sort = off as $$
declare
  v_budget public.sync_budgets;
  v_now timestamptz := sync.now();
  v_pace interval;
  v_room bigint;
  v_full bigint[];
  v_below_half bigint[];
  v_left bigint;
begin
  for v_budget in
    select * from public.sync_budgets
    where line_due_at is not null and (blocked_until <= v_now) is not false
    order by random() limit 32
  loop
    v_pace := make_interval(secs =>
      coalesce(1 / sync.effective_rate(v_budget), 0)::double precision);
    v_room := case
      when v_budget.next_send_at - v_now > sync.send_ahead(v_budget) then 0
      when v_pace > interval '0' then 1 + floor(extract(epoch from sync.send_ahead(v_budget)
        - (greatest(v_budget.next_send_at, v_now) - v_now)) / extract(epoch from v_pace))
      else p_limit end;
    v_room := least(v_room, p_limit);
    if v_room > 0 then
      v_room := least(v_room, sync.budget_room(v_budget, v_now));
    end if;
    if v_room > 0 then
      select coalesce(array_agg(s.run_id) filter (where s.leases >= s.share), '{}'),
        coalesce(array_agg(s.run_id) filter (
          where s.leases >= s.share and not (s.leases >= s.half and s.others_wait)), '{}'),
        v_room - coalesce(max(s.demand), 0)
      into v_full, v_below_half, v_left
      from (
        select x.*, unnest(x.run_ids) as run_id from sync.shares_of(v_budget) as x
      ) as s;
      update public.chunk_processing_queue as q
      set ready_seq = q.turn, turn = null, line_budget_id = null, next_retry_at = null
      from (
        select * from (
          select id from public.chunk_processing_queue
          where line_budget_id = v_budget.id and run_id <> all (v_full)
          order by line_budget_id, turn limit v_room for no key update skip locked
        ) as others
        union all
        select * from (
          select id from public.chunk_processing_queue
          where line_budget_id = v_budget.id and run_id = any (v_below_half)
          order by line_budget_id, turn limit greatest(v_left, 0) for no key update skip locked
        ) as beyond
      ) as next
      where q.id = next.id;
    end if;
  end loop;
end; $$;
comment on function sync.wake_lines(int) is
$$Where budgets have room, those that wait in their lines become ready with the turn they had, the
lowest first: a newcomer goes behind them. Whose workspace has its share goes after the others, and
not at all where it has half of the places. Of more than 32 lines, some. Locks: queue rows, by SKIP
LOCKED.$$;

create function sync.wake_lines_of(p_budget_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.chunk_processing_queue as q set next_retry_at = sync.now()
  from (
    select id from public.chunk_processing_queue where line_budget_id = any (p_budget_ids)
    order by id for no key update skip locked
  ) as waiting
  where q.id = waiting.id;
  perform sync.wake_lines(1000);
end; $$;
comment on function sync.wake_lines_of(bigint[]) is
$$After budgets were changed: what waits for them may go as soon as they have room. Locks: queue
rows, by SKIP LOCKED.$$;

create function sync.wake_workspaces(p_workspace_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.chunk_processing_queue as q
  set ready_seq = q.turn, turn = null, next_retry_at = null
  from (
    select s.id from public.workspace_sync_runs as r
    cross join lateral (
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'pending'
        and x.turn is not null and x.line_budget_id is null for no key update skip locked
    ) as s
    where r.workspace_id = any (p_workspace_ids) and r.status = 'running' and not r.is_paused
    order by s.id
  ) as held
  where q.id = held.id;
end; $$;
comment on function sync.wake_workspaces(bigint[]) is
$$What a 429 held of workspaces is ready again, with the turn it had. Locks: queue rows, by SKIP
LOCKED.$$;

revoke all on function sync.wake_lines, sync.wake_lines_of, sync.wake_workspaces
from public, anon, authenticated, service_role;
