-- Settle: a chunk's end gives its slot to the run's next chunk; what was revealed is planned;
-- failures end or delay.
-- Stands on: keys, slots, rate_limits, close, kind_items, kind_children,
--   kind_connection, stream_kinds, begin_again.

create function sync.decide_failures(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
  v_decided sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  foreach v_page in array p_pages loop
    if not (v_page.verdict).is_repeat and (v_page.verdict).outcome = 'retry' then
      if not sync.is_own_trouble(coalesce((v_page.verdict).code, '')) then
        v_page.postponements := 0;
        v_page.postponed_since := null;
      end if;
      if (v_page.verdict).is_permanent or v_page.attempts + 1 >= v_page.max_attempts then
        v_page.verdict.outcome := 'failed';
      else
        v_page.verdict.wait := coalesce((v_page.verdict).wait, random() * make_interval(
          secs => least(sync.setting('retry_cap_seconds'),
          sync.setting('retry_base_seconds') * 2 ^ least(v_page.attempts, 20))::double precision));
      end if;
    end if;
    v_decided := v_decided || v_page;
  end loop;
  return v_decided;
end; $$;
comment on function sync.decide_failures(sync.page_in_hand[]) is
$$A failure is tried again after a backoff with full jitter, or after the wait the API asked for,
until its attempts are used up. Returns: the pages with outcome retry (and wait) or failed.$$;

create function sync.end_or_delay(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
begin
  with written as (
    update public.chunk_processing_queue as q set
      status = case when (p.verdict).outcome in ('completed', 'failed', 'cancelled')
        then (p.verdict).outcome else 'pending' end,
      slot = case when (p.verdict).outcome in ('completed', 'failed', 'cancelled') then null
      else q.slot end,
      completed_at = case when (p.verdict).outcome in ('completed', 'failed', 'cancelled')
        then v_now end,
      attempts = case when (p.verdict).outcome in ('retry', 'failed')
        then coalesce(p.attempts + 1, q.attempts) else q.attempts end,
      postponements = coalesce(p.postponements, 0), postponed_since = p.postponed_since,
      ready_seq = case when (p.verdict).outcome = 'released'
        then coalesce(q.turn, nextval('sync.ready_seq')) end,
      turn = case when (p.verdict).outcome = 'delayed' then q.turn end,
      next_retry_at = case when (p.verdict).outcome in ('retry', 'delayed', 'postponed')
        then v_now + (p.verdict).wait end,
      lease_expires_at = null,
      error_message = coalesce((p.verdict).message,
      case when (p.verdict).outcome = 'completed' then null else q.error_message end)
    from unnest(p_pages) as p
    where q.id = p.queue_id
  ), events as (
    insert into public.chunk_events (chunk_id, run_id, event, occurred_at, lease_token, worker_id,
      details)
    select p.queue_id, p.run_id, (p.verdict).outcome, v_now, p.lease_token, p.worker_id,
      jsonb_strip_nulls(jsonb_build_object(
      'records', p.records, 'changed', p.changed, 'total', p.total, 'duration_ms', p.duration_ms,
      'http_status', p.http_status,
      'code', (p.verdict).code, 'message', (p.verdict).message, 'attempt',
      case when (p.verdict).outcome in ('retry', 'failed') then p.attempts + 1 end,
      'for_ms', ceil(extract(epoch from (p.verdict).wait) * 1000)))
    from unnest(p_pages) as p
  )
  insert into sync.run_counters as c (run_id, slot, completed, failed, cancelled, records, changed,
    pages)
  select p.run_id, p.slot, count(*) filter (where (p.verdict).outcome = 'completed'),
    count(*) filter (where (p.verdict).outcome = 'failed'),
    count(*) filter (where (p.verdict).outcome = 'cancelled'), coalesce(sum(p.records), 0),
    coalesce(sum(p.changed), 0),
    count(*) filter (where (p.verdict).outcome = 'completed' and p.kind in ('page', 'cursor'))
  from unnest(p_pages) as p where (p.verdict).outcome in ('completed', 'failed', 'cancelled')
  group by p.run_id, p.slot order by p.run_id, p.slot
  on conflict (run_id, slot) do update set
    completed = c.completed + excluded.completed, failed = c.failed + excluded.failed,
    cancelled = c.cancelled + excluded.cancelled,
    records = c.records + excluded.records, changed = c.changed + excluded.changed,
    pages = c.pages + excluded.pages;
end; $$;
comment on function sync.end_or_delay(sync.page_in_hand[]) is
$$Write what became of leased chunks: queue row, event, the slot's counters. The caller holds the
queue rows.$$;

create function sync.pass_slots(p_pages sync.page_in_hand[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_short bigint[];
begin
  with freed as (
    select p.run_id, array_agg(p.slot) as slots, min(p.queue_id) as floor
    from unnest(p_pages) as p where (p.verdict).outcome in ('completed', 'failed', 'cancelled')
    group by p.run_id
  ), picked as materialized (
    -- On its own: a plan that looked once per updated row would give each of them the first slot.
    select w.id, f.slots[w.turn] as slot, r.is_paused from freed as f
    join public.workspace_sync_runs as r on r.id = f.run_id and r.ending is null
    cross join lateral (
      select next.id, row_number() over () as turn from (
        select x.id from public.chunk_processing_queue as x
        where x.run_id = f.run_id and (x.run_id, x.id) > (f.run_id, f.floor)
          and x.status = 'pending' and x.slot is null
        order by x.run_id, x.id limit cardinality(f.slots) for no key update skip locked
      ) as next
    ) as w
  ), promoted as (
    update public.chunk_processing_queue as q set
      slot = w.slot,
      ready_seq = case when w.is_paused then null else nextval('sync.ready_seq') end,
      next_retry_at = case when w.is_paused then 'infinity'::timestamptz end
    from picked as w
    where q.id = w.id
    returning q.run_id
  )
  select coalesce(array_agg(f.run_id), '{}') into v_short from freed as f
  where cardinality(f.slots) > (select count(*) from promoted as p where p.run_id = f.run_id);
  return v_short;
end; $$;
comment on function sync.pass_slots(sync.page_in_hand[]) is
$$Give freed slots to the next waiting chunks of the same runs. The bound by id skips dead index
entries; the look under the run's lock has none. Returns: runs that did not get one chunk per slot,
which must be refilled or closed under their lock. Locks: queue rows by SKIP LOCKED.$$;

create function sync.warn_of_unfit(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r set warnings = r.warnings || said.warnings
  from (
    select run.id, array_agg(found.about || found.record_id order by found.about) as warnings
    from (
      select distinct on (p.run_id, about) p.run_id, about, u.value as record_id
      from unnest(p_pages) as p
      cross join jsonb_each_text(p.unfit) as u
      cross join lateral (select case u.key
        when '' then 'characters that Postgres cannot store became U+FFFD, first in record '
        else format('values that do not fit column %s became null there, first of record ', u.key)
        end) as x (about)
      order by p.run_id, about, p.turn
    ) as found
    join public.workspace_sync_runs as run on run.id = found.run_id
    where not exists (
      select 1 from unnest(run.warnings) as w (text) where starts_with(w.text, found.about))
    group by run.id
  ) as said
  where r.id = said.id;
end; $$;
comment on function sync.warn_of_unfit(sync.page_in_hand[]) is
$$Warn of values that did not fit their columns, once per run and column, with the first record. The
caller holds the runs' locks.$$;

create function sync.advance_runs(p_run_ids bigint[], p_seconds int default 5) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_run_id bigint;
  v_until timestamptz := sync.now() + make_interval(secs => p_seconds);
  v_is_in_time boolean;
begin
  foreach v_run_id in array array(select distinct id from unnest(p_run_ids) as id order by id) loop
    v_is_in_time := sync.now() < v_until
      and not sync.is_out_of_time();
    begin
      if not v_is_in_time then
        raise exception using errcode = 'query_canceled', message = 'the next sweep closes it: '
          'the call that ended its last chunk had no time left';
      end if;
      perform sync.begin_again_if_outdated(v_run_id);
      select * into strict v_run from public.workspace_sync_runs where id = v_run_id;
      if v_run.status = 'running' and v_run.ending is null then
        perform sync.plan_window(v_run_id);
        perform sync.plan_parts(v_run_id) where v_run.phase = 'parts';
        perform sync.refill_slots(v_run_id);
      elsif v_run.status = 'running' then
        perform sync.cancel_pending(v_run_id,
          coalesce(v_run.error_message, 'the run was ' || v_run.ending));
      end if;
      if v_run.status = 'running' and not sync.has_live_chunks(v_run_id) then
        perform sync.advance_run(v_run_id);
      end if;
      if v_run.status = 'running' and v_run.close_error is not null then
        update public.workspace_sync_runs set close_error = null, is_slow_to_close = false
        where id = v_run_id;
      end if;
    exception when query_canceled or assert_failure or others then
      if sqlstate = '57014' then
        perform sync.set_out_of_time();
      end if;
      -- A time limit goes off once: what waits after it would wait without an end.
      perform set_config('lock_timeout', '1s', true) where current_setting('lock_timeout') = '0';
      update public.workspace_sync_runs set close_error = sync.mask_secrets(sqlerrm),
        is_slow_to_close = is_slow_to_close or (sqlstate = '57014' and v_is_in_time)
      where id = v_run_id;
    end;
  end loop;
end; $$;
comment on function sync.advance_runs(bigint[], int) is
$$Let outdated runs begin again, plan the next pages of live ones and refill their slots, cancel
what is pending of ending ones, close those without live chunks. A failure in closing is noted on
the run and left to the next sweep; it never takes a page with it, and neither does the call's time
limit: nothing is begun when it has gone off, or p_seconds have passed. The caller holds the runs'
locks, taken in order of id. Locks: queue rows by SKIP LOCKED.$$;

create function sync.advance_runs_and_jobs(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.advance_runs(p_run_ids);
  perform sync.close_jobs(array(
    select distinct job_id from public.workspace_sync_runs
    where id = any (p_run_ids) and status <> 'running' order by job_id));
end; $$;
comment on function sync.advance_runs_and_jobs(bigint[]) is
$$Refill, cancel or close runs, and then close their jobs. The caller holds the runs' locks, taken
in order of id. Locks: queue rows by SKIP LOCKED, then jobs by id, workspaces.$$;

create function sync.settle_chunks(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_pages sync.page_in_hand[] := sync.decide_failures(p_pages);
  v_ended sync.page_in_hand[] := array(select p from unnest(v_pages) as p
    where not (p.verdict).is_repeat and (p.verdict).outcome <> 'refused');
  v_item_ids bigint[];
  v_is_unfit boolean;
  v_is_connection boolean;
  v_is_about_keys boolean;
  v_run_ids bigint[];
begin
  if cardinality(v_ended) = 0 then
    return v_pages;
  end if;
  select coalesce(array_agg(p.queue_id)
      filter (where p.kind = 'item' and (p.verdict).outcome = 'completed'), '{}'),
    bool_or(p.unfit is not null), bool_or(p.kind = 'connection'),
    bool_or((p.access).is_rate_limited or (p.verdict).code = 'SY021' or p.http_status = 401
      or ((p.verdict).outcome = 'completed' and not (p.access).is_key_accepted))
  into v_item_ids, v_is_unfit, v_is_connection, v_is_about_keys
  from unnest(v_ended) as p;
  perform sync.end_or_delay(v_ended);
  v_run_ids := sync.pass_slots(v_ended) || array(
    select p.run_id from unnest(v_ended) as p
    where (p.verdict).outcome = 'cancelled'
      or ((p.verdict).outcome = 'failed' and (p.verdict).is_permanent
        and p.kind in ('connection', 'page', 'cursor'))
      or ((p.verdict).outcome in ('completed', 'failed') and p.uses_up_window)
      or ((p.verdict).outcome = 'completed' and (
        p.reveals_pages or p.kind = 'cursor' or p.unfit is not null)));
  if cardinality(v_item_ids) > 0 then
    v_run_ids := v_run_ids || array(
      select p.run_id from unnest(v_ended) as p
      join sync.joined_items(v_item_ids) as j on j.queue_id = p.queue_id);
  end if;
  if cardinality(v_run_ids) > 0 then
    -- With those that wait for them: whoever ends a run opens them, and another may hold them. By
    -- the index of parents: a plain comparison would offer to look through all that is live.
    perform 1 from public.workspace_sync_runs
      where id = any (v_run_ids || array(
        select c.id from public.workspace_sync_runs as c
        where c.parent_run_id = any (v_run_ids) and (c.status = 'running') is true))
      order by id for no key update;
    perform sync.end_run_early(f.run_id, 'failed', f.message) from (
      select p.run_id, (array_agg((p.verdict).message order by p.turn))[1] as message
      from unnest(v_ended) as p
      where (p.verdict).outcome = 'failed' and (p.verdict).is_permanent
        and p.kind in ('connection', 'page', 'cursor')
        and (p.part_id is null or p.http_status = 401)
      group by p.run_id
    ) as f;
    perform sync.plan_revealed(array(
      select p from unnest(v_ended) as p
      join public.workspace_sync_runs as r on r.id = p.run_id
        and (r.scan = p.scan or p.part_id is not null)
      where (p.verdict).outcome = 'completed' and p.run_id = any (v_run_ids)));
    if v_is_unfit then
      perform sync.warn_of_unfit(v_ended);
    end if;
    if v_is_connection then
      -- Jobs come before workspaces, and runs that end with what is found close theirs.
      perform 1 from public.polling_job_status where id in (
        select job_id from public.workspace_sync_runs where id = any (v_run_ids))
        order by id for no key update;
      perform sync.note_key_owners(v_ended);
    end if;
    perform sync.advance_runs_and_jobs(v_run_ids);
  end if;
  if v_is_about_keys then
    perform sync.learn_of_keys(v_ended);
  end if;
  return v_pages;
end; $$;
comment on function sync.settle_chunks(sync.page_in_hand[]) is
$$The end of completing and failing verbs. A transaction that promoted one waiting chunk for every
chunk it finished needs no lock on the run; otherwise, or where half of the planned window is used
up, it locks the run and, in a new statement, plans the next window, refills the slots or closes.
The caller holds the queue rows. Returns: the pages with their final outcomes. Locks: promotions by
SKIP LOCKED, runs by id, jobs, workspaces, budgets.$$;

create function sync.learn_of_keys(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- A rate limit says nothing of a key, and its budget is held already: budgets come last.
  v_workspace_ids bigint[] := array(
    select p.workspace_id from unnest(p_pages) as p
    where ((p.verdict).outcome = 'completed' and not (p.access).is_key_accepted)
      or (p.http_status = 401 and (p.verdict).outcome <> 'delayed'));
begin
  if cardinality(v_workspace_ids) > 0 then
    perform 1 from public.sync_workspaces where id = any (v_workspace_ids)
      order by id for no key update;
    update public.sync_workspaces as w
    set key_status = said.key_status, key_checked_at = sync.now()
    from (
      select p.workspace_id, r.access_revision, case when bool_or((p.verdict).outcome = 'completed')
        then 'accepted' else 'refused' end as key_status
      from unnest(p_pages) as p join public.workspace_sync_runs as r on r.id = p.run_id
      where p.workspace_id = any (v_workspace_ids)
        and ((p.verdict).outcome = 'completed'
          or (p.http_status = 401 and (p.verdict).outcome <> 'delayed'))
      group by p.workspace_id, r.access_revision order by p.workspace_id, r.access_revision
    ) as said
    where w.id = said.workspace_id and w.access_revision = said.access_revision
      and w.key_status is distinct from said.key_status
      and (said.key_status = 'refused' or (w.key_status not in ('other_workspace', 'unreadable')
        and not sync.is_key_unproven(w)));
  end if;
  v_workspace_ids := array(
    select p.workspace_id from unnest(p_pages) as p where (p.verdict).code = 'SY021');
  if cardinality(v_workspace_ids) > 0 then
    perform 1 from public.sync_workspaces where id = any (v_workspace_ids)
      order by id for no key update;
    perform sync.learn_of_refusal(p.workspace_id, p.requested_at, (p.verdict).retry_after) from (
      select x.* from unnest(p_pages) as x
      join public.sync_workspaces as w on w.id = x.workspace_id
      where (x.verdict).code = 'SY021' and not (x.verdict).is_repeat
      order by w.budget_id, w.id, x.turn
    ) as p;
  end if;
  if exists (select 1 from unnest(p_pages) as p where (p.access).is_rate_limited) then
    perform sync.learn_of_answers(array_agg(p.queue_id)) from unnest(p_pages) as p
    where (p.verdict).outcome = 'completed' and not (p.verdict).is_repeat having count(*) > 0;
    perform sync.let_next_probe(array_agg(p.queue_id)) from unnest(p_pages) as p
    where (p.verdict).outcome not in ('completed', 'delayed') having count(*) > 0;
  end if;
end; $$;
comment on function sync.learn_of_keys(sync.page_in_hand[]) is
$$What answers say of the workspaces' keys, if these are still the same, and that a rate limit lets
requests through again, or was met in a body. That a key is accepted whose owner can be compared is
for note_key_owners() to find. Locks: workspaces by id, only where that changes, then budgets.$$;

revoke all on function
  sync.decide_failures, sync.end_or_delay, sync.pass_slots, sync.warn_of_unfit, sync.settle_chunks,
  sync.learn_of_keys, sync.advance_runs, sync.advance_runs_and_jobs
from public, anon, authenticated, service_role;
