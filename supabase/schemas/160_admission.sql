-- Admission: which picked chunks may be sent now, and when, so that all workers together keep
-- within the budgets, each in its turn.
-- Stands on: budgets, grants, budget_room.

create type sync.admission as (queue_id bigint, verdict text, send_after interval,
  budget_id bigint);
comment on type sync.admission is
'verdict: admitted (send_after: wait before sending), budget and workspace (send_after: when to look
again), token (its workspace waits for an access token; send_after likewise), locked (another
session holds its budget''s row), paused, ending, keyless (its workspace''s key cannot be read) or
moved (its workspace has another source now).';

create function sync.admit_chunks(p_queue_ids bigint[], p_worker_id text,
  p_keyless bigint[] default array[]::bigint[], p_tokenless bigint[] default array[]::bigint[])
  returns sync.admission[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz;
  v_budget_ids bigint[];
  v_locked_ids bigint[];
  v_admissions sync.admission[];
begin
  select
    coalesce(array_agg(row(q.id, coalesce(w.obstacle, case when r.ending is not null then 'ending'
      when r.is_paused then 'paused' else 'admitted' end),
      case w.obstacle when 'token' then sync.token_wait(r.workspace_id) else interval '0' end,
      w.budget_id)::sync.admission order by p.turn), '{}'),
    array_agg(b.id) filter (where w.obstacle is null and (b.requests_per_second is not null
      or b.max_in_flight is not null or b.block_level > 0 or b.reduced_in_flight is not null
      or b.learned_rate is not null or b.line_due_at is not null
      or w.rate_limited_until is not null))
  into v_admissions, v_budget_ids
  -- One row after the other by its key: without statistics the planner may begin at the other end.
  from unnest(p_queue_ids) with ordinality as p (id, turn)
  cross join lateral (
    select x.id, x.run_id from public.chunk_processing_queue as x where x.id = p.id offset 0
  ) as q
  cross join lateral (
    select x.workspace_id, x.stream_id, x.ending, x.is_paused from public.workspace_sync_runs as x
    where x.id = q.run_id offset 0
  ) as r
  cross join lateral (
    select st.source_id from public.sync_streams as st where st.id = r.stream_id offset 0
  ) as st
  cross join lateral (
    -- No request goes out without a key or before its access token is there, nor to another source
    -- than its stream's.
    select x.budget_id, x.rate_limited_until, case when x.source_id <> st.source_id then 'moved'
      when x.id = any (p_keyless) then 'keyless'
      when x.id = any (p_tokenless) then 'token' end as obstacle
    from public.sync_workspaces as x where x.id = r.workspace_id offset 0
  ) as w
  left join lateral (
    select x.* from public.sync_budgets as x where x.id = w.budget_id offset 0
  ) as b on true;
  if v_budget_ids is null then
    return v_admissions;
  end if;
  -- Who holds tokens waits for no budget.
  v_locked_ids := sync.lock_budgets(v_budget_ids, cardinality(p_tokenless) = 0 and not exists (
    select 1 from sync.workers where worker_id = p_worker_id and in_haste_until > sync.now()));
  v_now := sync.now();
  with picked as (
    select q.id, w.id as workspace_id, w.budget_id, p.turn, coalesce(q.ready_seq, q.turn) as place,
      w.rate_limited_until, p.send_after as look_after, case
        when p.verdict in ('moved', 'keyless', 'token') then p.verdict
        when r.ending is not null then 'ending'
        when r.is_paused then 'paused'
        when w.budget_id = any (v_budget_ids) and w.budget_id <> all (v_locked_ids) then 'locked'
        when w.rate_limited_until > v_now then 'workspace'
        when w.rate_limited_until is not null and (
          row_number() over (partition by w.id, p.verdict in ('moved', 'keyless', 'token'),
            r.ending is null and not r.is_paused order by p.turn) > 1
          or exists (
            select 1 from public.workspace_sync_runs as own
            cross join lateral (
              select 1 from public.chunk_processing_queue as x
              where x.run_id = own.id and x.slot is not null and x.status = 'processing' offset 0
            ) as held
            where own.workspace_id = w.id and own.status = 'running')
          -- Of a budget that stopped for all whoever was not refused asks first, if it does soon:
          -- it may be far behind in the line, or get no answer.
          or (exists (select 1 from public.sync_budgets as b
              where b.id = w.budget_id and b.block_level > 0
                and b.blocked_until > v_now - interval '2 seconds')
            and sync.has_others_asking(w.id, w.budget_id)))
        then 'workspace' end as verdict
    from unnest(v_admissions) with ordinality as p (queue_id, verdict, send_after, budget_id, turn)
    cross join lateral (
      select x.id, x.run_id, x.ready_seq, x.turn from public.chunk_processing_queue as x
      where x.id = p.queue_id offset 0
    ) as q
    cross join lateral (
      select x.workspace_id, x.ending, x.is_paused from public.workspace_sync_runs as x
      where x.id = q.run_id offset 0
    ) as r
    cross join lateral (
      select x.id, x.budget_id, x.rate_limited_until from public.sync_workspaces as x
      where x.id = r.workspace_id offset 0
    ) as w
  ), budget as materialized (
    select b.id, b.found, sync.budget_room(b.found, v_now) as room, sync.send_ahead(b.found) as ahead,
      greatest(b.next_send_at, v_now) - v_now as first_send,
      coalesce(make_interval(secs => (1 / sync.effective_rate(b.found))::double precision),
      interval '0') as pace,
      greatest(b.blocked_until - v_now, interval '0') as blocked_for,
      b.line_due_at is not null as has_line
    from (select distinct p.budget_id from picked as p) as drawn_on
    cross join lateral (
      select x as found, x.id, x.next_send_at, x.blocked_until, x.line_due_at
      from public.sync_budgets as x where x.id = drawn_on.budget_id offset 0
    ) as b
  ), shares as materialized (
    -- Where there is room for all that is picked and nothing waits, nobody is kept from it.
    select budget.id as budget_id, h.* from budget
    cross join lateral sync.shares_of(budget.found) as h
    where budget.has_line or budget.room < (
      select count(*) from picked where picked.budget_id = budget.id and picked.verdict is null)
  ), full_ones as materialized (
    select s.budget_id, array_agg(r.id) as run_ids from shares as s
    cross join unnest(s.run_ids) as r (id) where s.leases >= s.share group by s.budget_id
  ), leveled as (
    select p.*, case
        when p.level > p.half and p.others_wait then 'half'
        when p.level > p.share then 'beyond' else 'within' end as part
    from (
      select picked.*, s.share, s.half, s.others_wait, s.demand, coalesce(s.leases, 0)
        + row_number() over (partition by picked.workspace_id, picked.verdict is null
          order by picked.turn) as level
      from picked left join shares as s
        on s.budget_id = picked.budget_id and s.workspace_id = picked.workspace_id
    ) as p
  ), judged as (
    select l.*, budget.pace, budget.ahead, budget.blocked_for, budget.room, o.n,
      case l.part when 'within' then o.n + o.before
      when 'beyond' then greatest(o.n, l.demand + o.beyond) + o.before
      else budget.room + 1 end as place_in_line,
      budget.first_send + (o.n - 1) * budget.pace as send_after,
      budget.first_send + (o.n + o.before - 1) * budget.pace as line_after
    from leveled as l join budget on budget.id = l.budget_id
    left join full_ones on full_ones.budget_id = l.budget_id
    cross join lateral (
      select 1 + count(*) filter (where x.part = l.part and x.turn < l.turn
          or x.part = 'within' and l.part <> 'within') as n,
        1 + count(*) filter (where x.part = 'beyond' and x.turn < l.turn) as beyond,
        case when budget.has_line then (
          select count(*) from (
            select 1 from public.chunk_processing_queue as q
            where q.line_budget_id = l.budget_id and q.turn < l.place
              and (q.run_id = any (coalesce(full_ones.run_ids, '{}'))) = (l.part <> 'within')
            limit 64) as y)
        else 0 end as before
      from leveled as x
      where x.budget_id = l.budget_id and x.verdict is null
    ) as o
  ), verdicts as (
    select id, budget_id, turn, send_after, room, ahead,
      coalesce(verdict, case when place_in_line > room or line_after > ahead then 'budget'
      else 'admitted' end) as verdict,
      case
        when verdict = 'token' then look_after
        when verdict = 'locked' then interval '1 second'
        when verdict = 'workspace'
        then greatest(rate_limited_until - v_now, interval '250 ms')
        when place_in_line <= room then line_after - ahead / 2
        else coalesce(blocked_for, interval '0') + greatest((place_in_line - room) * pace,
        (1 + (place_in_line - room) / greatest(room, 4)) * interval '100 ms')
      end as look_after
    from judged
  ), reserved as (
    update public.sync_budgets as b set
      next_send_at = case when sent.last_send is null or budget.pace = interval '0'
        then b.next_send_at else v_now + sent.last_send + budget.pace end,
      probe_until = case when b.block_level > 0 and sent.last_send is not null
        then v_now + sync.setting_seconds('lease_seconds') else b.probe_until end,
      line_due_at = case
        when sent.has_waiting or exists (select 1 from public.chunk_processing_queue as q
          where q.line_budget_id = b.id)
        then greatest(b.blocked_until,
          case when sent.is_full then v_now + interval '100 ms' end,
          v_now + budget.first_send + coalesce(sent.last_send - budget.first_send + budget.pace,
          interval '0') - budget.ahead / 2, v_now) end
    from (
      select budget_id, max(v.send_after) filter (where v.verdict = 'admitted') as last_send,
        bool_or(v.verdict = 'budget') as has_waiting,
        count(*) filter (where v.verdict = 'admitted') >= max(v.room) as is_full
      from verdicts as v where v.budget_id = any (v_locked_ids) group by 1
    ) as sent
    join budget on budget.id = sent.budget_id
    where b.id = sent.budget_id
  )
  select array_agg(row(v.id, v.verdict,
    case when v.verdict in ('budget', 'workspace', 'locked', 'token') then v.look_after
      else v.send_after end,
    v.budget_id)::sync.admission order by v.turn) into v_admissions
  from verdicts as v;
  return v_admissions;
end; $$;
comment on function sync.admit_chunks(bigint[], text, bigint[], bigint[]) is
$$Reserve send times for picked chunks, oldest turn first and behind those that wait in a budget's
line. Where places in flight are short, what is within its workspace's share goes before the rest,
and no workspace gets more than half while others wait, however long its requests take. Of a
workspace that a 429 held, one request asks first, and of a stopped budget none for 2 s in which
others may. Nothing is sent on a budget that another session has locked, nor of workspaces that are
p_keyless or p_tokenless. Returns: which may be sent and which must wait. Locks: the budgets that
have a limit, last of all, as lock_budgets().$$;

create function sync.reserve_send_time(p_budget_id bigint, out o_send_after interval,
  out o_look_after interval)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz;
  v_budget public.sync_budgets;
begin
  if sync.lock_budgets(array[p_budget_id], false) = array[]::bigint[] then
    o_look_after := interval '1 second';
    return;
  end if;
  select * into strict v_budget from public.sync_budgets where id = p_budget_id;
  v_now := sync.now();
  o_send_after := greatest(v_budget.next_send_at, v_now) - v_now;
  if sync.budget_room(v_budget, v_now) <= 0 or o_send_after > sync.send_ahead(v_budget) then
    o_look_after := greatest(v_budget.blocked_until - v_now,
      o_send_after - sync.send_ahead(v_budget) / 2, interval '250 ms');
    o_send_after := null;
    return;
  end if;
  update public.sync_budgets set
    next_send_at = v_now + o_send_after
      + make_interval(secs => (1 / sync.effective_rate(v_budget))::double precision),
    probe_until = case when block_level > 0 then v_now + sync.setting_seconds('lease_seconds')
      else probe_until end
  where id = p_budget_id;
end; $$;
comment on function sync.reserve_send_time(bigint, out interval, out interval) is
$$Reserve a send time for one request of no run, a try's or one for an access token. Returns: when
it is sent, or after how long to look again. Locks: the budget, by SKIP LOCKED.$$;

revoke all on function sync.admit_chunks, sync.reserve_send_time
from public, anon, authenticated, service_role;
