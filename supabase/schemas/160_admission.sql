-- Admission: which picked chunks may be sent now, and when, so that all workers together keep
-- within the budgets, each in its turn.
-- Stands on: budgets, grants.

create type sync.admission as (queue_id bigint, verdict text, send_after interval,
  budget_id bigint);
comment on type sync.admission is
'verdict: admitted (send_after: wait before sending), budget and workspace (send_after: when to look
again), token (its workspace waits for an access token; send_after likewise), locked (another
session holds its budget''s row), paused, ending, keyless (its workspace''s key cannot be read) or
moved (its workspace has another source now).';

create function sync.in_flight_of(p_budget_id bigint) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_sort = off as $$
declare
  v_chunks bigint;
begin
  v_chunks := (
    -- From its workspaces on, and by the index that has this order: without statistics the planner
    -- may look through all live runs, for each.
    select count(*) from public.sync_workspaces as w
    cross join lateral (
      select x.id from public.workspace_sync_runs as x
      where x.workspace_id = w.id and x.status = 'running'
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
      where x.workspace_id = w.id and x.status = 'running'
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
    select x.id from public.workspace_sync_runs as r
    join public.chunk_processing_queue as x on x.run_id = r.id and x.slot is not null
    where r.workspace_id = any (p_workspace_ids) and r.status = 'running' and not r.is_paused
      and x.status = 'pending' and x.turn is not null and x.line_budget_id is null
    order by x.id for no key update of x skip locked
  ) as held
  where q.id = held.id;
end; $$;
comment on function sync.wake_workspaces(bigint[]) is
$$What a 429 held of workspaces is ready again, with the turn it had. Locks: queue rows, by SKIP
LOCKED.$$;

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
            join public.chunk_processing_queue as held on held.run_id = own.id
              and held.slot is not null and held.status = 'processing'
            where own.workspace_id = w.id and own.status = 'running'))
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
    select b.id, sync.budget_room(b, v_now) as room, sync.send_ahead(b) as ahead,
      greatest(b.next_send_at, v_now) - v_now as first_send,
      coalesce(make_interval(secs => (1 / sync.effective_rate(b))::double precision),
      interval '0') as pace,
      greatest(b.blocked_until - v_now, interval '0') as blocked_for,
      b.line_due_at is not null as has_line
    from public.sync_budgets as b where b.id in (select budget_id from picked)
  ), shares as materialized (
    -- Where there is room for all that is picked and nothing waits, nobody is kept from it.
    select budget.id as budget_id, h.* from budget
    join public.sync_budgets as b on b.id = budget.id
    cross join lateral sync.shares_of(b) as h
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
      from verdicts as v group by 1
    ) as sent
    join budget on budget.id = sent.budget_id
    where b.id = sent.budget_id and b.id = any (v_locked_ids)
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
workspace that a 429 held, one request asks first. Nothing is sent on a budget that another session
has locked, nor of workspaces that are p_keyless or p_tokenless. Returns: which may be sent and
which must wait. Locks: the budgets that have a limit, last of all, as lock_budgets().$$;

create function sync.hold_budget(p_budget_id bigint, out o_send_after interval,
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
comment on function sync.hold_budget(bigint, out interval, out interval) is
$$Reserve a send time for one request of no run, a try's or one for an access token. Returns: when
it is sent, or after how long to look again. Locks: the budget, by SKIP LOCKED.$$;

revoke all on function
  sync.in_flight_of, sync.budget_room, sync.shares_of, sync.send_ahead, sync.wake_lines,
  sync.wake_lines_of, sync.wake_workspaces, sync.admit_chunks, sync.hold_budget
from public, anon, authenticated, service_role;
