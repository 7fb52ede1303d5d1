-- Sweep: expired leases come back, lost slots are filled, what nobody closed is closed.
-- Stands on: keys, budgets, column_fills, runs, statistics, alone, credentials, close, settle,
--   token_answers, try_leases, steer, hints, alert_delivery, health.

create function sync.reclaim_chunks() returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_most numeric := sync.setting('max_lease_losses');
  v_lost bigint[];
  v_alone bigint[];
  v_expired sync.page_in_hand[];
begin
  v_lost := array(
    select q.id from public.workspace_sync_runs as r
    cross join lateral (
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.lease_expires_at <= v_now for no key update skip locked
    ) as q
    where r.status = 'running' order by q.id);
  if v_lost = '{}' then
    return 0;
  end if;
  v_alone := sync.lost_alone(v_lost);
  select array_agg(jsonb_populate_record(null::sync.page_in_hand, jsonb_build_object(
    'queue_id', x.id, 'run_id', x.run_id, 'workspace_id', x.workspace_id, 'slot', x.slot,
    'lease_token', x.lease_token,
    'worker_id', x.worker_id, 'kind', 'page', 'http_status', null,
    'verdict', jsonb_build_object('is_repeat', false, 'is_permanent', false,
      'outcome', case when x.ending is not null then 'cancelled'
        when x.losses_alone >= v_most then 'failed' end,
      'message', case when x.ending is null and x.losses_alone >= v_most
        then format('its worker died %s while it held nothing else: a poison page',
          sync.counted(x.losses_alone, 'time')) end))))
  into v_expired
  from (
    select q.id, q.run_id, q.slot, q.lease_token, q.worker_id, r.workspace_id, r.ending,
      q.losses_alone + case when q.id = any (v_alone) then 1 else 0 end as losses_alone
    from public.chunk_processing_queue as q
    join public.workspace_sync_runs as r on r.id = q.run_id
    where q.id = any (v_lost)
  ) as x;
  insert into public.chunk_events (chunk_id, run_id, event, lease_token, worker_id)
  select e.queue_id, e.run_id, 'lease_lost', e.lease_token, e.worker_id from unnest(v_expired) as e;
  update public.chunk_processing_queue as q set
    status = case when (e.verdict).outcome is null then 'pending' else q.status end,
    ready_seq = case when (e.verdict).outcome is null then nextval('sync.ready_seq') end,
    turn = case when (e.verdict).outcome is not null then q.turn end,
    lease_expires_at = case when (e.verdict).outcome is not null then q.lease_expires_at end,
    lease_losses = q.lease_losses + 1,
    losses_alone = q.losses_alone + case when q.id = any (v_alone) then 1 else 0 end
  from unnest(v_expired) as e where q.id = e.queue_id;
  perform sync.end_or_delay(array(select e from unnest(v_expired) as e
    where (e.verdict).outcome is not null));
  return cardinality(v_lost);
end; $$;
comment on function sync.reclaim_chunks() is
$$Chunks whose lease ran out are ready again in their slot; of an ending run they are cancelled.
After max_lease_losses losses of workers that held nothing else they fail as poison. Returns: how
many. Locks: queue rows and workers by SKIP LOCKED.$$;

create function sync.repair_runs(p_is_in_claim boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run_ids bigint[];
begin
  select array_agg(id) into v_run_ids from (
    select r.id from public.workspace_sync_runs as r
    join public.polling_job_status as j on j.id = r.job_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_streams as st on st.id = r.stream_id
    where r.status = 'running' and not (r.is_slow_to_close and p_is_in_claim) and (
      r.ending is not null
      or sync.is_outdated(r, w, st)
      or not sync.has_live_chunks(r.id)
      or (select count(*) from public.chunk_processing_queue as q
      where q.run_id = r.id and q.slot is not null) < r.max_concurrency
        and (r.phase = 'scan' and r.planned_pages < r.known_pages
          or r.phase = 'parts' and r.window_turn is not null
          or exists (select 1 from public.chunk_processing_queue as q
          where q.run_id = r.id and q.status = 'pending' and q.slot is null)))
    order by r.id for no key update of r, j skip locked
  ) as needy;
  perform sync.advance_runs(v_run_ids, case when p_is_in_claim then 2 else 40 end)
  where v_run_ids is not null;
end; $$;
comment on function sync.repair_runs(boolean) is
$$Settle live runs that are ending or outdated, have nothing live, or have free slots and waiting
chunks or pages that are not planned yet. A claim has no time for those that are slow to close.
Whoever ends a job's last run must hold the job, or two that end its last runs at once leave it
live; a job that another holds is left to the next sweep. Locks: runs, their jobs and queue rows by
SKIP LOCKED.$$;

create function sync.end_overdue_runs() returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update public.workspace_sync_runs set ending = 'timeout'
  where id = any (array(
    select r.id from public.polling_job_status as j
    join public.workspace_sync_runs as r on r.job_id = j.id and r.status = 'running'
    where j.status = 'running' and r.ending is null and j.started_at
      < (select sync.now() - sync.setting_seconds('max_job_duration_seconds'))
    order by r.id for no key update of r skip locked));
$$;
comment on function sync.end_overdue_runs() is
$$Runs of jobs older than their longest duration are ending. Locks: runs by SKIP LOCKED.$$;

create function sync.reread_keys() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_workspaces as w set key_status = 'unchecked', key_checked_at = sync.now()
  from (
    select id from public.sync_workspaces
    where key_status = 'unreadable' order by random() limit 100 for no key update skip locked
  ) as asked
  where w.id = asked.id and exists (
    select 1 from unnest(sync.access_of_workspaces(array[w.id])) as a
    where a.obstacle is distinct from 'keyless');
  -- A job that waited on would hold its name, and with it the next sync of everybody else.
  update public.workspace_sync_runs as r set ending = 'failed',
    error_message = 'its key cannot be read from Vault, or is not of the form that the auth of its '
      'source takes: rotate_workspace_key() sets it again'
  where r.id = any (array(
    select live.id from public.workspace_sync_runs as live
    cross join lateral (
      select x.key_checked_at from public.sync_workspaces as x
      where x.id = live.workspace_id and x.key_status = 'unreadable' offset 0
    ) as w
    where live.status = 'running' and live.ending is null
      and greatest(live.started_at, w.key_checked_at) <= sync.now() - interval '10 minutes'
    order by live.id for no key update of live skip locked));
end; $$;
comment on function sync.reread_keys() is
$$Keys that could not be read are tried again, a hundred at a time; runs that have waited for one
for ten minutes are ending. Locks: workspaces and runs by SKIP LOCKED.$$;

create function sync.close_left_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.polling_job_status as j set status = 'partial', error_message = 'time ran out'
  from (
    select j.id from public.polling_job_status as j
    where j.status = 'running' and j.started_at < sync.now() -
      sync.setting_seconds('max_job_duration_seconds')
      and not exists (select 1 from public.workspace_sync_runs as r where r.job_id = j.id)
    order by j.id for no key update skip locked
  ) as overdue
  where j.id = overdue.id;
  -- A job that somebody's own code writes has no runs; one that is at work touches its row.
  perform sync.close_jobs(array(
    select j.id from public.polling_job_status as j
    where j.status = 'running' and case
      when exists (select 1 from public.workspace_sync_runs as r where r.job_id = j.id)
      then not exists (select 1 from public.workspace_sync_runs as r
        where r.job_id = j.id and r.status = 'running')
      else j.updated_at <= sync.now() - interval '1 minute' end
    order by j.id for no key update skip locked));
end; $$;
comment on function sync.close_left_jobs() is
$$Jobs whose runs have all ended and that nobody closed are closed; so are rows without runs that
nobody has touched for a minute (their runs or workspaces were deleted, or they were written by
hand), as failed, and overdue ones as partial. Locks: jobs by SKIP LOCKED.$$;

create function sync.bound_waits() returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_sort = off as $$
declare
  v_now timestamptz := sync.now();
  v_lease interval := sync.setting_seconds('lease_seconds');
  v_block interval := sync.setting_seconds('max_block_seconds');
  v_longest interval := greatest(sync.setting_seconds('retry_cap_seconds'), interval '15 seconds');
begin
  update public.sync_budgets as b set
    next_send_at = least(b.next_send_at, v_now + sync.setting_seconds('send_ahead_seconds')
      + make_interval(secs => coalesce(1 / sync.effective_rate(b), 0)::double precision)),
    reduced_at = least(b.reduced_at, v_now),
    line_due_at = case when b.line_due_at is not null then v_now end,
    probe_until = least(b.probe_until, v_now + v_lease),
    blocked_until = case when b.blocked_at > v_now then v_now + (b.blocked_until - b.blocked_at)
      else b.blocked_until end,
    blocked_at = least(b.blocked_at, v_now)
  -- An array is made once; what is joined may be looked through for each.
  where b.id = any (array(
    select x.id from public.sync_budgets as x
    where x.blocked_at > v_now or x.reduced_at > v_now or x.probe_until > v_now + v_lease
      or x.next_send_at > v_now + sync.setting_seconds('send_ahead_seconds')
        + make_interval(secs => coalesce(1 / sync.effective_rate(x), 0)::double precision)
    for no key update skip locked));
  update public.sync_workspaces as w set rate_limited_until = v_now + v_block
  where w.id = any (array(
    select id from public.sync_workspaces where rate_limited_until > v_now + v_block
    for no key update skip locked));
  -- What a refusal or a backoff asked for stands in the chunk's last event; a budget only asks to
  -- look again.
  update public.chunk_processing_queue as q set next_retry_at = v_now + ahead.longest
  from (
    select x.id, greatest(v_longest, case when x.turn is not null and x.line_budget_id is null
      then v_block end, (
      select make_interval(secs => (e.details ->> 'for_ms')::double precision / 1000)
      from public.chunk_events as e where e.chunk_id = x.id order by e.id desc limit 1
    )) as longest
    from public.chunk_processing_queue as x
    where x.status = 'pending' and x.slot is not null and x.ready_seq is null
      and x.next_retry_at > v_now + v_longest and x.next_retry_at < 'infinity'
    order by x.next_retry_at for no key update of x skip locked
  ) as ahead
  where q.id = ahead.id and q.next_retry_at > v_now + ahead.longest;
  update public.chunk_processing_queue as q set
    lease_expires_at = least(q.lease_expires_at, v_now + v_lease),
    started_at = least(q.started_at, v_now)
  where q.id = any (array(
    select x.id from public.workspace_sync_runs as r
    cross join lateral (
      select held.id from public.chunk_processing_queue as held
      where held.run_id = r.id and held.slot is not null and held.status = 'processing'
        and (held.started_at > v_now
          or held.lease_expires_at > v_now + greatest(v_lease, interval '1 minute'))
      for no key update skip locked
    ) as x
    where r.status = 'running'));
end; $$;
comment on function sync.bound_waits() is
$$Nothing waits longer than the settings, or what the API asked for, could have made it wait: where
something does, the clock was set back. Locks: budgets, workspaces and queue rows by SKIP LOCKED.$$;

create function sync.forget_future() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
begin
  if not exists (select 1 from sync.sweep_state where swept_at > v_now) then
    return;
  end if;
  update sync.workers as k set last_seen_at = v_now
  from (select worker_id from sync.workers where last_seen_at > v_now
    for no key update skip locked) as ahead where k.worker_id = ahead.worker_id;
  update sync.heartbeats as h set beat_at = v_now
  from (select name from sync.heartbeats where beat_at > v_now
    for no key update skip locked) as ahead where h.name = ahead.name;
  update sync.hint_state as s set last_broadcast_at = v_now
  from (select is_only_row from sync.hint_state where last_broadcast_at > v_now
    for no key update skip locked) as ahead where s.is_only_row = ahead.is_only_row;
  update sync.hints as h set sent_at = v_now
  from (select id from sync.hints where sent_at > v_now
    for no key update skip locked) as ahead where h.id = ahead.id;
  update sync.job_watch as w set since = v_now
  from (select job_id from sync.job_watch where since > v_now
    for no key update skip locked) as ahead where w.job_id = ahead.job_id;
  update public.worker_endpoints as e set
    resting_until = least(e.resting_until, v_now + interval '15 minutes'),
    last_answered_at = least(e.last_answered_at, v_now)
  from (select id from public.worker_endpoints
    where last_answered_at > v_now or resting_until > v_now + interval '15 minutes'
    for no key update skip locked) as ahead where e.id = ahead.id;
end; $$;
comment on function sync.forget_future() is
$$The last sweep was later than now: the clock was set back. What was last heard of later than now
was heard of now. Locks: rows by SKIP LOCKED.$$;

create function sync.refresh_live_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job_ids uuid[];
begin
  v_job_ids := array(
    select id from public.polling_job_status where status = 'running'
    order by id for no key update skip locked);
  if cardinality(v_job_ids) > 0 then
    perform sync.refresh_jobs(v_job_ids);
  end if;
  update sync.sweep_state as s set refreshed_at = sync.now()
  from (select is_only_row from sync.sweep_state for no key update skip locked) as free
  where s.is_only_row;
end; $$;
comment on function sync.refresh_live_jobs() is
$$Write how far live jobs are into their rows, also while no run of theirs ends. The caller holds
the lock of sweeps. Locks: the jobs by SKIP LOCKED; who closes one writes the same.$$;

create function sync.sweep(p_is_in_claim boolean) returns int
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '10ms' as $$
declare
  v_taken_back int;
begin
  begin
    -- Before anything of a run is locked. What another holds is for the next sweep.
    perform sync.fill_columns(case when p_is_in_claim then 500 else 5000 end);
  exception when lock_not_available then
    null;
  end;
  perform sync.learn_of_filled_tables();
  perform sync.forget_future();
  perform sync.bound_waits();
  v_taken_back := sync.reclaim_chunks() + sync.reclaim_tries() + sync.reclaim_token_requests();
  perform sync.end_overdue_runs();
  perform sync.reread_keys();
  perform sync.follow_grants();
  perform sync.follow_pause();
  perform sync.repair_runs(p_is_in_claim);
  perform sync.close_left_jobs();
  perform sync.refresh_live_jobs();
  perform sync.tend_hints();
  begin
    perform sync.check_health_if_late();
    perform sync.deliver_alerts() where exists (
      select 1 from public.sync_alerts
      where resolved_at is null or resolved_at > sync.now() - interval '1 day');
  exception when lock_not_available then
    -- Mostly a health check holds the alerts, and delivers them itself.
    null;
  end;
  update sync.sweep_state as s set swept_at = sync.now(), last_error = null,
    claim_floor = sync.lowest_turn()
  from (select is_only_row from sync.sweep_state for no key update skip locked) as free
  where s.is_only_row;
  return v_taken_back;
end; $$;
comment on function sync.sweep(boolean) is
$$One sweep. It may run inside a claim, so it waits for no lock longer than 10 ms: a run whose
closing needs what another holds is left to the next sweep, with a note in close_error. Returns:
chunks taken back. The caller holds the engine's lock sweep.$$;

create function sync.lowest_turn() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(least(
    (select min(ready_seq) from public.chunk_processing_queue where ready_seq is not null),
    (select min(q.turn) from public.workspace_sync_runs as r
      cross join lateral (
        select x.turn from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null offset 0
      ) as q
      where r.status = 'running')), s.last_value) - 1000
  from sync.ready_seq as s;
$$;
comment on function sync.lowest_turn() is
$$Returns: a turn below which nothing is ready, or comes back to its own turn. 1,000 turns of
margin cover transactions that drew a turn and have not committed; what is later still is found
after the next sweep.$$;

create function sync.sweep_if_due() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_state sync.sweep_state;
  v_is_due boolean;
begin
  select * into v_state from sync.sweep_state;
  v_is_due := v_state.swept_at < v_now - sync.setting_seconds('sweep_interval_seconds')
    or v_state.swept_at > v_now;
  if not (v_is_due or v_state.refreshed_at < v_now - interval '2 seconds'
      or v_state.refreshed_at > v_now)
    or not sync.lock_engine_if_free('sweep') then
    return;
  end if;
  begin
    if v_is_due then
      perform sync.sweep(true);
    else
      perform sync.refresh_live_jobs();
    end if;
  exception when query_canceled or assert_failure or others then
    if sqlstate = '57014' then
      perform sync.set_out_of_time();
    end if;
    update sync.sweep_state as s
    set swept_at = sync.now(), last_error = sync.mask_secrets(sqlerrm)
    from (select is_only_row from sync.sweep_state for no key update skip locked) as free
    where s.is_only_row;
  end;
end; $$;
comment on function sync.sweep_if_due() is
$$Sweep inside a claim when the last sweep is too old, or later than now because the clock was set
back, and nobody else sweeps; between two sweeps, every 2 seconds, only write how far live jobs are.
An error is noted in sync.sweep_state and never takes the claim with it; nor does the claim's time
limit, see is_out_of_time(). Locks: as sync.sweep().$$;

create function public.cleanup_stuck_chunks() returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '60s'
  set default_transaction_isolation = 'read committed' as $$
begin
  perform sync.require_service();
  perform sync.require_read_committed();
  perform sync.lock_engine('sweep');
  return sync.sweep(false);
end; $$;
comment on function public.cleanup_stuck_chunks() is
$$Take back what dead workers hold, fill lost slots, close what nobody closed, end overdue jobs.
Returns: chunks taken back. Raises: SY016 wrong isolation. Locks: another sweep; then everything by
SKIP LOCKED, or for 10 ms at most.$$;

revoke all on function
  sync.refresh_live_jobs, sync.bound_waits, sync.forget_future, sync.reclaim_chunks,
  sync.repair_runs,
  sync.end_overdue_runs, sync.reread_keys, sync.close_left_jobs, sync.sweep, sync.lowest_turn,
  sync.sweep_if_due, public.cleanup_stuck_chunks
from public, anon, authenticated, service_role;
grant execute on function public.cleanup_stuck_chunks to service_role;
