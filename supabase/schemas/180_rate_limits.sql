-- Rate limits: what 429s and answers teach of a budget. docs/decisions/0023 has the figures.
-- Stands on: budgets, budget_room, budget_lines.

create function sync.refusal_wait(p_retry_after numeric, p_level int) returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  -- Whoever waited as it was told, three times in a row, and is refused again is not told enough.
  v_level int := case when p_retry_after > 0 then p_level - 3 else p_level end;
begin
  return make_interval(secs => least(sync.setting('max_block_seconds'), greatest(
    case when p_retry_after > 0 then p_retry_after end,
    case when v_level >= 0 then least(sync.setting('retry_cap_seconds'),
      sync.setting('retry_base_seconds') * 2 ^ least(v_level, 10)) end))::double precision);
end; $$;
comment on function sync.refusal_wait(numeric, int) is
$$Returns: how long whoever met a 429 waits: for as long as the API asks (at most
max_block_seconds); for a backoff where it named nothing above 0, or where that was too short three
times in a row.$$;

create function sync.slow_down(p_budget_id bigint, p_send_at timestamptz, p_until timestamptz,
  p_may_wait boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz;
  v_send_at constant timestamptz := p_send_at;
  v_until constant timestamptz := p_until;
  v_budget public.sync_budgets;
  v_seconds double precision;
  v_seen int;
  v_rate numeric;
  v_is_first boolean;
  v_is_clear boolean;
begin
  if sync.lock_budgets(array[p_budget_id], p_may_wait) = array[]::bigint[] then
    return;
  end if;
  select * into strict v_budget from public.sync_budgets where id = p_budget_id;
  v_now := sync.now();
  v_is_first := v_budget.reduced_in_flight is null and v_budget.learned_rate is null
    and v_budget.block_level = 0;
  if starts_with(v_budget.scope_key, 'workspace:') then
    -- What is leased on it and not sent comes back, from every worker.
    update public.sync_budgets set blocked_until = greatest(blocked_until, v_until),
      blocked_at = v_now where id = v_budget.id;
  end if;
  if not v_is_first and v_send_at <= v_budget.reduced_at
    or v_budget.block_level > 0 and v_budget.blocked_until > v_now then
    return;
  end if;
  if v_is_first then
    v_budget.answers := 0;
    v_budget.refusals := 0;
  end if;
  v_budget.refusals := v_budget.refusals + 1;
  v_seen := v_budget.answers + v_budget.refusals;
  -- More of what was sent since is refused than chance would have it.
  v_is_clear := not v_is_first and (v_budget.answers = 0
    or v_budget.refusals >= 2 and v_budget.refusals >= 0.2 * v_seen
    or v_budget.refusals >= 3 and v_budget.refusals >= 0.12 * v_seen);
  -- Of one key's own, whose pace was the limit, one more is enough to measure what passes, once.
  if not (v_is_first or v_is_clear or v_budget.answers >= 50
    or starts_with(v_budget.scope_key, 'workspace:') and not v_budget.is_rate_measured
      and v_seen >= 5 and v_budget.next_send_at > v_now) then
    update public.sync_budgets set refusals = v_budget.refusals where id = v_budget.id;
    return;
  end if;
  v_seconds := greatest(0.05, extract(epoch from v_send_at - v_budget.reduced_at));
  v_rate := sync.effective_rate(v_budget);
  if v_is_first then
    -- Only where the pace holds sends back is the rate that is set the one that was refused.
    if v_budget.requests_per_second is not null and v_budget.next_send_at > v_now then
      v_budget.learned_rate := 0.8 * v_rate;
    end if;
    v_budget.is_rate_measured := false;
  elsif v_rate is null then
    v_budget.learned_rate := case when v_is_clear and v_seen >= 5
      then (0.8 * v_seen / v_seconds)::numeric end;
    v_budget.is_rate_measured := false;
  elsif not v_is_clear and v_budget.is_rate_measured and v_budget.refusals > 0.03 * v_seen then
    -- Below what passes, and refused as before: the rate is not the reason.
    v_budget.learned_rate := 1.3 * v_rate;
    v_budget.is_rate_measured := false;
  elsif v_budget.next_send_at > v_now and v_seen >= 5 then
    v_budget.learned_rate := greatest(0.5 * v_rate,
      least(0.97 * v_rate, (0.93 * v_budget.answers / v_seconds)::numeric));
    v_budget.is_rate_measured := true;
  else
    v_budget.learned_rate := 0.8 * v_rate;
    v_budget.is_rate_measured := false;
  end if;
  v_budget.learned_rate := round(greatest(v_budget.learned_rate,
    case when v_budget.learned_rate is not null
    then least(0.5, v_budget.requests_per_second) end), 4);
  update public.sync_budgets as b set
    reduced_at = v_now, answers = 0, refusals = 0,
    reduced_in_flight = greatest(1,
      least(v_budget.reduced_in_flight, sync.in_flight_of(b.id)::int) / 2),
    learned_rate = v_budget.learned_rate, is_rate_measured = v_budget.is_rate_measured,
    next_send_at = least(b.next_send_at, v_now + make_interval(
      secs => coalesce(1 / least(b.requests_per_second, v_budget.learned_rate), 0)
      ::double precision)),
    blocked_until = case when v_is_clear and v_budget.answers < v_budget.refusals then v_until
      else b.blocked_until end,
    block_level = b.block_level + (v_is_clear and v_budget.answers < v_budget.refusals)::int,
    blocked_at = case when v_is_clear and v_budget.answers < v_budget.refusals then v_now
      else b.blocked_at end,
    probe_until = null
  where b.id = v_budget.id;
end; $$;
comment on function sync.slow_down(bigint, timestamptz, timestamptz, boolean) is
$$A 429 to a request that was sent at a moment on a budget, whatever it asked for: the budget goes
down to half of what is in flight and to a lower rate, once for what was sent since it last did; it
stops for all, until p_until, where nothing sent since is answered, and in any case if it is one
key's own. A budget that another session has locked learns nothing of it. Locks: the budget, last of
all, as lock_budgets().$$;

create function sync.learn_of_refusal(p_workspace_id bigint, p_send_at timestamptz,
  p_retry_after numeric, p_may_wait boolean default true) returns interval
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_asked_at timestamptz := sync.now();
  v_workspace public.sync_workspaces;
  v_is_repeated boolean;
begin
  if p_may_wait then
    select * into strict v_workspace from public.sync_workspaces where id = p_workspace_id
    for no key update;
  else
    select * into v_workspace from public.sync_workspaces where id = p_workspace_id
    for no key update skip locked;
    if not found then
      return sync.refusal_wait(p_retry_after, 0);
    end if;
  end if;
  -- Its one request after a wait was refused as the one before.
  v_is_repeated := coalesce(v_workspace.rate_limit_level > 0
    and p_send_at >= v_workspace.rate_limited_until, false);
  update public.sync_workspaces as w set
    rate_limited_until = greatest(w.rate_limited_until,
      v_asked_at + sync.refusal_wait(p_retry_after, w.rate_limit_level)),
    rate_limit_level = w.rate_limit_level + case when w.rate_limited_until > v_asked_at then 0
      else 1 end
  where id = p_workspace_id returning * into strict v_workspace;
  -- Out of the budget's line, where they would take the places of those that may be sent.
  update public.chunk_processing_queue as q
  set line_budget_id = null, next_retry_at = v_workspace.rate_limited_until
  from (
    select s.id from public.workspace_sync_runs as r
    cross join lateral (
      -- A plain comparison would offer the planner to look through all that waits in lines.
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and (x.line_budget_id is not null) is true
      for no key update skip locked
    ) as s
    where r.workspace_id = p_workspace_id and r.status = 'running' order by s.id
  ) as held
  where q.id = held.id;
  if v_is_repeated then
    -- Who is refused time and again goes behind those who are not.
    update public.chunk_processing_queue as q set turn = nextval('sync.ready_seq')
    from (
      select s.id from public.workspace_sync_runs as r
      cross join lateral (
        select x.id from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null and x.turn is not null
        for no key update skip locked
      ) as s
      where r.workspace_id = p_workspace_id and r.status = 'running' order by s.id
    ) as held
    where q.id = held.id;
    -- Others tell what their budget lets through; of one that stopped for all each refusal counts.
    if exists (select 1 from public.sync_budgets
      where id = v_workspace.budget_id and block_level = 0)
      and sync.has_others_asking(v_workspace.id, v_workspace.budget_id)
    then
      return v_workspace.rate_limited_until - v_asked_at;
    end if;
  end if;
  perform sync.slow_down(v_workspace.budget_id, p_send_at, v_workspace.rate_limited_until,
    p_may_wait);
  return v_workspace.rate_limited_until - v_asked_at;
end; $$;
comment on function sync.learn_of_refusal(bigint, timestamptz, numeric, boolean) is
$$A 429 to a request of a workspace, sent at a moment: the workspace waits, and its budget slows
down. One that is refused again after its wait goes to the end of the line, and says nothing of a
budget that others draw on. Of a workspace or budget that another session has locked, a call that
may not wait notes nothing. Returns: how long the request waits. Locks: the workspace, its waiting
chunks by SKIP LOCKED, then its budget, last of all, as lock_budgets().$$;

create function sync.give_back(p_budget_ids bigint[], p_sent_at timestamptz[], p_may_wait boolean)
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_locked_ids bigint[] := sync.lock_budgets(array(
    select b.id from public.sync_budgets as b
    where b.id = any (p_budget_ids)
      and (b.block_level > 0 or b.reduced_in_flight is not null or b.learned_rate is not null)),
    p_may_wait);
begin
  with locked as (
    select * from public.sync_budgets
    where id = any (v_locked_ids)
      and (block_level > 0 or reduced_in_flight is not null or learned_rate is not null)
  ), counted as (
    select l.id, count(*) filter (where a.sent_at > l.reduced_at) as answers,
      bool_or(a.sent_at >= l.blocked_until) as is_probed
    from unnest(p_budget_ids, p_sent_at) as a (budget_id, sent_at)
    join locked as l on l.id = a.budget_id
    group by l.id
  ), next as (
    select l.id, c.answers, c.is_probed and l.blocked_until <= v_now as is_probed,
      l.reduced_in_flight + c.answers as in_flight,
      -- Rounded, or each answer would add three digits to it.
      round(l.learned_rate + c.answers * greatest(0.01, 0.002 * l.learned_rate), 4) as rate
    from locked as l join counted as c using (id)
  )
  update public.sync_budgets as b set
    answers = b.answers + n.answers,
    block_level = case when n.is_probed then 0 else b.block_level end,
    blocked_until = case when n.is_probed then null else b.blocked_until end,
    probe_until = case when n.is_probed then null else b.probe_until end,
    reduced_in_flight = case when n.in_flight < coalesce(b.max_in_flight, 128) then n.in_flight end,
    learned_rate = case when n.rate < b.requests_per_second
      or b.requests_per_second is null and b.answers < 1000 then n.rate end
  from next as n where b.id = n.id;
end; $$;
comment on function sync.give_back(bigint[], timestamptz[], boolean) is
$$Requests on budgets were answered, each sent at its moment: the budgets get back a place and a
little rate for each that was sent after the last 429; a probe lifts the block. An answer to a
request sent before says nothing, nor does any to a budget that another session has locked. Locks:
budgets by id as lock_budgets(), last of all.$$;

create function sync.learn_of_answers(p_queue_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_freed bigint[];
  v_budget_ids bigint[];
  v_sent_at timestamptz[];
begin
  with answered as (
    select r.workspace_id, max(q.requested_at) as requested_at from public.chunk_processing_queue as q
    join public.workspace_sync_runs as r on r.id = q.run_id
    where q.id = any (p_queue_ids) group by 1
  ), held as (
    select w.id from public.sync_workspaces as w join answered as a on a.workspace_id = w.id
    where a.requested_at >= w.rate_limited_until order by w.id for no key update of w
  ), freed as (
    update public.sync_workspaces as w set rate_limited_until = null, rate_limit_level = 0
    from held where w.id = held.id returning w.id
  )
  select coalesce(array_agg(id), '{}') into v_freed from freed;
  select array_agg(w.budget_id), array_agg(q.requested_at) into v_budget_ids, v_sent_at
  from unnest(p_queue_ids) as p (id)
  cross join lateral (
    select x.run_id, x.requested_at from public.chunk_processing_queue as x
    where x.id = p.id offset 0
  ) as q
  cross join lateral (
    select x.workspace_id from public.workspace_sync_runs as x where x.id = q.run_id offset 0
  ) as r
  cross join lateral (
    select x.budget_id from public.sync_workspaces as x where x.id = r.workspace_id offset 0
  ) as w;
  perform sync.give_back(v_budget_ids, v_sent_at, true);
  perform sync.wake_workspaces(v_freed) where cardinality(v_freed) > 0;
end; $$;
comment on function sync.learn_of_answers(bigint[]) is
$$Requests of chunks were answered: their workspaces wait no longer, their budgets get back what
give_back() says. An answer to a request sent before the last 429 says nothing. Locks: workspaces by
id, budgets by id as lock_budgets(), last of all; then what was held, by SKIP LOCKED.$$;

create function sync.learn_of_lone_answer(p_workspace_id bigint, p_budget_id bigint,
  p_sent_at timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_freed bigint[];
begin
  with freed as (
    update public.sync_workspaces as w set rate_limited_until = null, rate_limit_level = 0
    from (
      select id from public.sync_workspaces
      where id = p_workspace_id and p_sent_at >= rate_limited_until
      for no key update skip locked
    ) as held
    where w.id = held.id returning w.id
  )
  select coalesce(array_agg(id), '{}') into v_freed from freed;
  perform sync.give_back(array[p_budget_id], array[p_sent_at], false);
  perform sync.wake_workspaces(v_freed) where cardinality(v_freed) > 0;
end; $$;
comment on function sync.learn_of_lone_answer(bigint, bigint, timestamptz) is
$$As learn_of_answers(), for one request of no run; without a workspace it says something of its
budget alone. The caller may hold budgets, so it waits for nobody. Locks: the workspace, the budget
and queue rows by SKIP LOCKED.$$;

create function sync.let_next_probe(p_queue_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_locked_ids bigint[] := sync.lock_budgets(array(
    select s.id from public.chunk_processing_queue as q
    join public.workspace_sync_runs as r on r.id = q.run_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_budgets as s on s.id = w.budget_id
    where q.id = any (p_queue_ids) and s.block_level > 0 and s.blocked_until <= q.started_at),
    true);
begin
  update public.sync_budgets as b set probe_until = null
  where b.id = any (v_locked_ids) and b.block_level > 0;
end; $$;
comment on function sync.let_next_probe(bigint[]) is
$$A probe (a chunk claimed after the block had passed) ended without saying whether the budget
answers again: another may go. Locks: the budgets, last of all, as lock_budgets().$$;

create function sync.let_probe(p_budget_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_budgets as b set probe_until = null
  from (
    select id from public.sync_budgets where id = p_budget_id and block_level > 0
    for no key update skip locked
  ) as free
  where b.id = free.id;
end; $$;
comment on function sync.let_probe(bigint) is
$$A request of no run, as reserve_send_time() lets go, was the probe of a blocked budget: a page's
may be next. Locks: the budget, by SKIP LOCKED.$$;

revoke all on function
  sync.refusal_wait, sync.slow_down, sync.learn_of_refusal, sync.give_back, sync.learn_of_answers,
  sync.learn_of_lone_answer, sync.let_next_probe, sync.let_probe
from public, anon, authenticated, service_role;
