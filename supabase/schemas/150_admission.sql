-- Admission: which picked chunks may be sent now, and when, so that all workers together keep
-- within the budgets.
-- Stands on: queue, budgets.

create type sync.admission as (queue_id bigint, verdict text, send_after interval,
  budget_id bigint);
comment on type sync.admission is
'verdict: admitted (send_after: wait before sending), budget (send_after: when to look again),
paused, ending, keyless (its workspace''s key cannot be read) or moved (its workspace has another
source now).';

create function sync.budget_room(p_budget public.sync_budgets, p_now timestamptz) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return case
    when p_budget.blocked_until > p_now
    or (p_budget.block_level > 0 and p_budget.probe_until > p_now) then 0
    else least(
      case when p_budget.block_level > 0 then 1 else 2147483647 end,
      case when p_budget.max_in_flight is not null then greatest(0, p_budget.max_in_flight - (
        select count(*) from public.sync_workspaces as w
        join public.workspace_sync_runs as r on r.workspace_id = w.id and r.status = 'running'
        join public.chunk_processing_queue as q on q.run_id = r.id and q.slot is not null
          and q.status = 'processing'
        where w.budget_id = p_budget.id)) end)
  end;
end; $$;
comment on function sync.budget_room(public.sync_budgets, timestamptz) is
$$Returns: how many more requests may be in flight on a budget; one probe after a block. The caller
holds the budget's lock.$$;

create function sync.admit_chunks(p_queue_ids bigint[]) returns sync.admission[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz;
  v_ahead interval;
  v_budget_ids bigint[];
  v_admissions sync.admission[];
begin
  select
    coalesce(array_agg(row(q.id, case when r.ending is not null then 'ending'
      when r.is_paused then 'paused' else 'admitted' end, interval '0',
      w.budget_id)::sync.admission order by p.turn), '{}'),
    array_agg(b.id) filter (where b.requests_per_second is not null
      or b.max_in_flight is not null or b.block_level > 0)
  into v_admissions, v_budget_ids
  from unnest(p_queue_ids) with ordinality as p (id, turn)
  join public.chunk_processing_queue as q on q.id = p.id
  join public.workspace_sync_runs as r on r.id = q.run_id
  join public.sync_workspaces as w on w.id = r.workspace_id
  left join public.sync_budgets as b on b.id = w.budget_id;
  if v_budget_ids is null then
    return v_admissions;
  end if;
  perform 1 from public.sync_budgets where id = any (v_budget_ids) order by id for no key update;
  v_now := sync.now();
  v_ahead := sync.setting_seconds('send_ahead_seconds');
  with picked as (
    select q.id, w.budget_id, r.ending, r.is_paused, p.turn,
      row_number() over (partition by w.budget_id order by r.ending is not null, p.turn) as n
    from unnest(p_queue_ids) with ordinality as p (id, turn)
    join public.chunk_processing_queue as q on q.id = p.id
    join public.workspace_sync_runs as r on r.id = q.run_id
    join public.sync_workspaces as w on w.id = r.workspace_id
  ), budget as (
    select b.id, sync.budget_room(b, v_now) as room,
      greatest(b.next_send_at, v_now) - v_now as first_send,
      coalesce(make_interval(secs => (1 / b.requests_per_second)::double precision), interval '0')
      as pace,
      greatest(b.blocked_until - v_now, interval '0') as blocked_for
    from public.sync_budgets as b where b.id in (select budget_id from picked)
  ), judged as (
    select picked.*, budget.pace, budget.blocked_for, budget.room,
      budget.first_send + (n - 1) * budget.pace as send_after
    from picked join budget on budget.id = picked.budget_id
  ), verdicts as (
    select id, budget_id, turn, send_after,
      case
        when ending is not null then 'ending'
        when is_paused then 'paused'
        when n > room or send_after > v_ahead then 'budget'
        else 'admitted' end as verdict,
      case
        when n <= room then send_after - v_ahead / 2
        else coalesce(blocked_for, interval '0') + greatest((n - room) * pace,
        (1 + (n - room) / greatest(room, 4)) * interval '100 ms')
      end as look_after
    from judged
  ), reserved as (
    update public.sync_budgets as b set
      next_send_at = v_now + sent.last_send + budget.pace,
      probe_until = case when b.block_level > 0 then v_now + sync.setting_seconds('lease_seconds')
      end
    from (select budget_id, max(v.send_after) as last_send from verdicts as v
    where v.verdict = 'admitted' group by 1) as sent
    join budget on budget.id = sent.budget_id
    where b.id = sent.budget_id and (b.requests_per_second is not null or b.block_level > 0)
  )
  select array_agg(row(v.id, v.verdict,
    case v.verdict when 'budget' then v.look_after else v.send_after end,
    v.budget_id)::sync.admission order by v.turn) into v_admissions
  from verdicts as v;
  return v_admissions;
end; $$;
comment on function sync.admit_chunks(bigint[]) is
$$Reserve send times for picked chunks, oldest turn first. Returns: which may be sent and which must
wait. Locks: the budgets that have a limit, last of all.$$;

revoke all on function
  sync.budget_room, sync.admit_chunks
from public, anon, authenticated, service_role;
