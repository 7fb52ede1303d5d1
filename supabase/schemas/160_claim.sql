-- Claim: hand out ready chunks as leases with ready-made requests, within the budgets.
-- Stands on: alone, shares, admission, requests, workspaces, keys.

create function sync.wake_due_chunks(p_limit int) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_sort = off as $$
begin
  if not exists (
    select 1 from public.chunk_processing_queue
    where status = 'pending' and slot is not null and ready_seq is null
      and line_budget_id is null and next_retry_at <= sync.now()
  ) then
    return;
  end if;
  update public.chunk_processing_queue as q
  set ready_seq = coalesce(q.turn, nextval('sync.ready_seq')), turn = null,
    next_retry_at = null
  from (
    select id from public.chunk_processing_queue
    where status = 'pending' and slot is not null and ready_seq is null
      and line_budget_id is null and next_retry_at <= sync.now()
    order by next_retry_at limit p_limit for no key update skip locked
  ) as due
  where q.id = due.id;
end; $$;
comment on function sync.wake_due_chunks(int) is
$$Delayed chunks that fell due become ready. Locks: queue rows, by SKIP LOCKED.$$;

create function sync.pick_ready_chunks(p_limit int) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_sort = off as $$
begin
  return (
    select array_agg(id) from (
      select id from public.chunk_processing_queue
      where ready_seq >= (select claim_floor from sync.sweep_state) and lease_losses < 2
      order by ready_seq limit p_limit for no key update skip locked
    ) as picked
  );
end; $$;
comment on function sync.pick_ready_chunks(int) is
$$Lock ready chunks in the order of their turns: one index scan from the floor of the last sweep,
whatever is waiting behind. What must be leased alone is passed over. Returns: their ids, null if none. Locks: queue rows, by SKIP LOCKED.$$;

create type sync.access as (workspace_id bigint, url text, credential jsonb);
comment on type sync.access is
'Where a workspace''s requests go, and what they carry; credential null: its key cannot be read.';

create function sync.read_access(p_queue_ids bigint[]) returns sync.access[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select row(w.id, w.base_url || so.base_path, case when w.secret is not null then
      jsonb_build_object('in', so.auth_in, 'name', so.auth_name, 'value',
      so.auth_prefix || w.secret) end)::sync.access
    from (
      select x.id, x.base_url, x.source_id, sync.read_secret(x.secret_id) as secret
      from public.sync_workspaces as x where x.id in (
        select r.workspace_id from unnest(p_queue_ids) as p (id)
        join public.chunk_processing_queue as q on q.id = p.id
        join public.workspace_sync_runs as r on r.id = q.run_id)
      offset 0
    ) as w join public.sync_sources as so on so.id = w.source_id);
end; $$;
comment on function sync.read_access(bigint[]) is
$$Key and URL of the chunks' workspaces, in one statement: a registration that commits meanwhile
gives both or neither. Returns: one each, for a claim's answer and nothing else.$$;

create function sync.withheld_chunks(p_queue_ids bigint[], p_access sync.access[])
  returns sync.admission[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select row(q.id, case when st.source_id <> w.source_id then 'moved' else 'keyless' end, null,
      w.budget_id)::sync.admission
    from unnest(p_queue_ids) as p (id)
    join public.chunk_processing_queue as q on q.id = p.id
    join public.workspace_sync_runs as r on r.id = q.run_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_streams as st on st.id = r.stream_id
    left join unnest(p_access) as a on a.workspace_id = w.id
    where a.credential is null or st.source_id <> w.source_id);
end; $$;
comment on function sync.withheld_chunks(bigint[], sync.access[]) is
$$Returns: chunks that are not handed out whatever the budgets allow, and why: no request goes out
without a key, nor to another source than its stream's.$$;

create function sync.note_unreadable(p_queue_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_workspaces as w
  set key_status = 'unreadable', key_checked_at = sync.now()
  from (
    select id from public.sync_workspaces
    where key_status <> 'unreadable' and removed_at is null and id in (
      select r.workspace_id from public.chunk_processing_queue as q
      join public.workspace_sync_runs as r on r.id = q.run_id where q.id = any (p_queue_ids))
    order by id for no key update skip locked
  ) as found
  where w.id = found.id;
end; $$;
comment on function sync.note_unreadable(bigint[]) is
$$The keys of these chunks' workspaces cannot be read: until they can, their runs are held as if
paused. Locks: the workspaces by SKIP LOCKED.$$;

create function sync.lease_chunks(p_admissions sync.admission[], p_worker_id text,
  p_access sync.access[]) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_now timestamptz := sync.now();
  v_lease_seconds numeric := sync.setting('lease_seconds');
  v_is_anywhere_allowed boolean := sync.is_switched_on('allow_private_addresses');
  v_leases jsonb;
  v_credentials jsonb;
begin
  if cardinality(p_admissions) = 0 then
    return '{"leases": [], "credentials": {}}'::jsonb;
  end if;
  with leased as (
    update public.chunk_processing_queue as q set
      status = case a.verdict when 'admitted' then 'processing' else 'pending' end,
      lease_token = case a.verdict when 'admitted' then sync.new_token()
      else q.lease_token end,
      lease_expires_at = case a.verdict
        when 'admitted' then v_now + make_interval(secs => v_lease_seconds::double precision)
        else q.lease_expires_at end,
      started_at = case a.verdict when 'admitted' then v_now else q.started_at end,
      requested_at = case a.verdict when 'admitted' then v_now + a.send_after
        else q.requested_at end,
      worker_id = case a.verdict when 'admitted' then p_worker_id else q.worker_id end,
      ready_seq = null,
      turn = case when a.verdict in ('admitted', 'budget', 'workspace', 'locked')
        then coalesce(q.ready_seq, q.turn, nextval('sync.ready_seq')) end,
      line_budget_id = case a.verdict when 'budget' then a.budget_id end,
      next_retry_at = case a.verdict
        when 'budget' then v_now + a.send_after
        when 'workspace' then v_now + a.send_after
        when 'locked' then v_now + a.send_after
        when 'paused' then 'infinity'
        when 'keyless' then 'infinity'
        when 'ending' then v_now + interval '1 second'
        when 'moved' then v_now + interval '1 second' end
    from unnest(p_admissions) as a
    where q.id = a.queue_id
    returning q.id, q.run_id, q.status, q.lease_token, q.attempts, a.budget_id, a.send_after
  )
  select
    jsonb_agg(jsonb_build_object(
      'queue_id', l.id, 'lease_token', l.lease_token, 'lease_ms', v_lease_seconds * 1000,
      'send_after_ms', ceil(extract(epoch from l.send_after) * 1000)::bigint,
      'budget_id', l.budget_id, 'workspace', w.workspace_name, 'workspace_id', w.id,
      'stream', st.stream_name, 'attempt', l.attempts + 1, 'timeout_ms', st.timeout_ms,
      'max_body_bytes', st.max_body_bytes,
      'request', jsonb_build_object(
        'method', 'GET',
        'url', access.url || case
          when c.kind = 'connection' then sync.connection_path(so.id)
          when c.kind in ('page', 'cursor') then st.path
          else replace(st.item_path, '{id}', sync.url_encode(c.record_id)) end,
        'params', case c.kind
          when 'page' then st.params || jsonb_build_object(st.page_param, c.page::text)
          when 'cursor' then st.params || st.cursor_params
            || case when c.reading ->> 'cursor' is null then '{}'::jsonb
            else jsonb_build_object(st.cursor_param, c.reading ->> 'cursor') end
          else '{}'::jsonb end,
        'headers', '{"Accept": "application/json"}'::jsonb,
        'reach', case when v_is_anywhere_allowed then 'any'
          when w.base_url ~ '^https?://(localhost|127\.[0-9.]+|\[::1\])([:/]|$)' then 'loopback'
          else 'public' end),
      'status_classes', so.status_classes || st.status_classes || case
        when c.kind in ('confirmation', 'item') then '{"404": "page", "410": "page"}'::jsonb
        when c.kind = 'page' and c.page > 1 and st.cursor_params is not null
        then '{"422": "page"}'::jsonb else '{}'::jsonb end
    ) order by l.send_after, l.id),
    jsonb_object_agg(w.id, access.credential)
  into v_leases, v_credentials
  from leased as l
  join public.chunked_sync_jobs as c on c.id = l.id
  join public.workspace_sync_runs as r on r.id = l.run_id
  join public.sync_workspaces as w on w.id = r.workspace_id
  join unnest(p_access) as access on access.workspace_id = w.id
  join public.sync_streams as st on st.id = r.stream_id
  join public.sync_sources as so on so.id = st.source_id
  where l.status = 'processing';
  return jsonb_build_object('leases', coalesce(v_leases, '[]'),
    'credentials', coalesce(v_credentials, '{}'));
end; $$;
comment on function sync.lease_chunks(sync.admission[], text, sync.access[]) is
$$Admitted chunks are in flight; the others leave the claim's index and fall due later. The caller
holds the rows. Returns: {"leases", "credentials"} as docs/worker-protocol.md has it.$$;

create function sync.note_haste(p_worker_id text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.workers as k set in_haste_until = sync.now() + interval '5 seconds'
  from (
    select worker_id from sync.workers
    where worker_id = p_worker_id and (in_haste_until > sync.now()) is not true
    for no key update skip locked
  ) as held_up
  where k.worker_id = held_up.worker_id;
end; $$;
comment on function sync.note_haste(text) is
$$A claim met a budget that another session has locked: the worker's next ones wait for none, or
they would wait again and again while others' chunks are ready. Locks: the worker's row, by SKIP
LOCKED.$$;

create function sync.claim_chunks(p_queue_ids bigint[], p_worker_id text,
  out o_admissions sync.admission[], out o_answer jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_access sync.access[] := sync.read_access(p_queue_ids);
  v_withheld sync.admission[] := sync.withheld_chunks(p_queue_ids, v_access);
begin
  -- What a crash takes back of a claim is fetched again.
  perform set_config('synchronous_commit', 'off', true);
  perform sync.note_unreadable(array_agg(a.queue_id)) from unnest(v_withheld) as a
  where a.verdict = 'keyless' having count(*) > 0;
  o_admissions := sync.admit_chunks(array(
    select id from unnest(p_queue_ids) with ordinality as p (id, turn)
    where id <> all (array(select a.queue_id from unnest(v_withheld) as a)) order by turn), not exists (
      select 1 from sync.workers where worker_id = p_worker_id and in_haste_until > sync.now()));
  perform sync.note_haste(p_worker_id) where exists (
    select 1 from unnest(o_admissions) as a where a.verdict = 'locked');
  o_admissions := o_admissions || v_withheld;
  o_answer := sync.lease_chunks(o_admissions, p_worker_id, v_access);
  o_answer := o_answer || jsonb_build_object(
    'blocked_budgets', sync.blocked_budgets(),
    -- Behind chunks that were withheld there may be others.
    'next_look_ms', case when cardinality(v_withheld) > 0 then 0 else least((
      select greatest(0, ceil(extract(epoch from next_retry_at - sync.now()) * 1000))::bigint
      from public.chunk_processing_queue
      where status = 'pending' and slot is not null and ready_seq is null
        and line_budget_id is null and next_retry_at < 'infinity'
      order by next_retry_at limit 1), (
      select greatest(100, ceil(extract(epoch from min(b.line_due_at) - sync.now()) * 1000))::bigint
      from public.sync_budgets as b
      where b.line_due_at is not null and exists (
        select 1 from public.chunk_processing_queue as q where q.line_budget_id = b.id)
      having count(*) > 0)) end,
    'versions', public.chunkwise_version());
end; $$;
comment on function sync.claim_chunks(bigint[], text) is
$$The common part of both claims. Returns: the verdicts, and the claim's answer. The caller holds
the rows. The transaction is not durable when it has committed: see docs/decisions/0013.$$;

create function sync.note_worker(p_worker_id text, p_listening jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_known record;
  v_is_listening boolean := p_listening is not null;
  v_idle_finds int := 0;
begin
  if v_is_listening and (jsonb_typeof(p_listening) = 'object'
    and coalesce(p_listening ->> 'idle_finds', '0') ~ '^[0-9]{1,9}$') is not true then
    raise exception using errcode = 'SY006',
      message = 'p_listening is not what a worker says that listens to Realtime',
      hint = '{"idle_finds": 0}, or null while it does not.';
  end if;
  v_idle_finds := coalesce((p_listening ->> 'idle_finds')::int, 0);
  if coalesce(btrim(p_worker_id), '') = '' or length(p_worker_id) > 200 then
    raise exception using errcode = 'SY006',
      message = 'a worker needs an id of 1 to 200 characters',
      hint = 'Host name and process id will do.';
  end if;
  select last_seen_at, is_listening, idle_finds into v_known
  from sync.workers where worker_id = p_worker_id;
  if not found then
    insert into sync.workers (worker_id, is_listening, idle_finds)
    values (p_worker_id, v_is_listening, v_idle_finds) on conflict (worker_id) do nothing;
  elsif v_known.last_seen_at < sync.now() - interval '5 seconds'
    or (v_known.is_listening, v_known.idle_finds) <> (v_is_listening, v_idle_finds) then
    update sync.workers as k
    set last_seen_at = sync.now(), is_listening = v_is_listening, idle_finds = v_idle_finds
    from (
      select worker_id from sync.workers where worker_id = p_worker_id
      for no key update skip locked
    ) as seen
    where k.worker_id = seen.worker_id;
  end if;
end; $$;
comment on function sync.note_worker(text, jsonb) is
$$Notes that a worker lives, at most every 5 s, and what it says of listening when that changes.
Raises: SY006 no id, or it says something else. Locks: the worker's row, by SKIP LOCKED.$$;

create function public.claim_next_chunk_job_safe(p_worker_id text, p_limit int default 1,
  p_listening jsonb default null) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed'
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
  set enable_hashjoin = off
set enable_mergejoin = off set jit = off as $$
declare
  v_alone record;
  v_claim record;
  v_ids bigint[];
  v_echo jsonb;
begin
  perform sync.require_service();
  perform sync.require_read_committed();
  if p_limit is null or p_limit not between 1 and 100 then
    raise exception using errcode = 'SY006', message = format('p_limit is '
      '%s', coalesce(p_limit::text, 'null')),
      hint = 'A claim takes 1 to 100 chunks.';
  end if;
  perform sync.note_worker(p_worker_id, p_listening);
  v_echo := case when p_listening is null then '{}'::jsonb
    else jsonb_build_object('echo_age_ms', sync.echo_age_ms()) end;
  perform sync.sweep_if_due();
  if sync.is_out_of_time() then
    return (sync.claim_chunks('{}', p_worker_id)).o_answer || v_echo;
  end if;
  perform sync.wake_due_chunks(p_limit);
  perform sync.wake_lines(p_limit);
  v_alone := sync.hold_alone(p_worker_id);
  if v_alone.o_is_alone then
    v_claim := sync.claim_chunks(array_remove(array[v_alone.o_queue_id], null), p_worker_id);
    -- Turned away, it leaves the worker to others at once.
    return v_claim.o_answer || v_echo || jsonb_build_object('next_look_ms',
      case when v_alone.o_queue_id is not null and v_claim.o_answer -> 'leases' = '[]' then 0 end);
  end if;
  v_ids := sync.pick_fair_shares(p_limit, p_worker_id);
  if cardinality(v_ids) < p_limit then
    v_ids := (v_ids || array(
      select id from unnest(sync.pick_ready_chunks(p_limit)) as id where id <> all (v_ids)
    ))[1:p_limit];
  end if;
  return (sync.claim_chunks(v_ids, p_worker_id)).o_answer || v_echo;
end; $$;
comment on function public.claim_next_chunk_job_safe(text, int, jsonb) is
$$Take up to p_limit (1 to 100: what the worker has room for) chunks that are ready, oldest turn
first; none is no error. Where more is ready, workspaces of which the worker holds fewer come first.
A chunk that lost two leases is given alone, and nothing while the worker empties itself for it or
holds it. A worker that listens to Realtime says so in p_listening ({"idle_finds": how often in a row
an idle look found work of which it had heard nothing}) and is told of the last echo. Returns:
{"leases", "credentials", "blocked_budgets", "next_look_ms", "versions", "echo_age_ms"}, see
docs/worker-protocol.md. Raises: SY006 bad argument, SY016 wrong isolation. Locks: the worker's
row and queue rows by SKIP LOCKED, then budgets.$$;

create function public.claim_chunk_job_safe(p_queue_id bigint, p_worker_id text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed'
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
  set enable_hashjoin = off
set enable_mergejoin = off set jit = off as $$
declare
  v_chunk public.chunk_processing_queue;
  v_alone record;
  v_claim record;
  v_reason text;
begin
  perform sync.require_service();
  perform sync.require_read_committed();
  if p_queue_id is null then
    raise exception using errcode = 'SY006', message = 'p_queue_id is null',
      hint = 'claim_next_chunk_job_safe() takes whatever is ready.';
  end if;
  perform sync.note_worker(p_worker_id, null);
  perform sync.sweep_if_due();
  if sync.is_out_of_time() then
    return (sync.claim_chunks('{}', p_worker_id)).o_answer
      || '{"reason": "not_due", "look_again_ms": 1000}'::jsonb;
  end if;
  select * into v_chunk from public.chunk_processing_queue
  where id = p_queue_id for no key update skip locked;
  v_reason := case
    when v_chunk.id is null and exists (select 1 from public.chunk_processing_queue
    where id = p_queue_id) then 'not_pending'
    when v_chunk.id is null then 'not_found'
    when v_chunk.status <> 'pending' then 'not_pending'
    when v_chunk.next_retry_at = 'infinity' then 'paused'
    when v_chunk.slot is null or v_chunk.next_retry_at > sync.now() then 'not_due' end;
  if v_reason is null then
    v_alone := sync.hold_alone(p_worker_id, p_queue_id);
    v_reason := case when v_alone.o_is_alone and v_alone.o_queue_id is distinct from p_queue_id
      then 'alone' end;
  end if;
  if v_reason is null then
    v_claim := sync.claim_chunks(array[p_queue_id], p_worker_id);
    v_reason := case (v_claim.o_admissions)[1].verdict
      when 'budget' then 'budget' when 'workspace' then 'budget' when 'locked' then 'budget'
      when 'paused' then 'paused' when 'keyless' then 'paused'
      when 'ending' then 'not_pending' when 'moved' then 'not_pending' end;
  else
    v_claim := sync.claim_chunks('{}', p_worker_id);
  end if;
  insert into sync.hinted_claims as h (chunk_id, worker_id, verdict)
  values (p_queue_id, p_worker_id, coalesce(v_reason, 'claimed'))
  on conflict ((case when verdict = 'not_found' then chunk_id % 1000 else chunk_id end), verdict)
    where verdict <> 'claimed' do update set
    times = case when h.chunk_id = excluded.chunk_id then h.times + 1 else 1 end,
    chunk_id = excluded.chunk_id, worker_id = excluded.worker_id,
    occurred_at = excluded.occurred_at;
  return v_claim.o_answer || case when v_reason is null then '{}'::jsonb else jsonb_build_object(
    'reason', v_reason, 'look_again_ms', case when v_reason in ('budget', 'not_due') then (
      select greatest(0, ceil(extract(epoch from next_retry_at - sync.now()) * 1000))::bigint
      from public.chunk_processing_queue where id = p_queue_id and next_retry_at < 'infinity')
      when v_reason = 'alone' then 1000 end) end;
end; $$;
comment on function public.claim_chunk_job_safe(bigint, text) is
$$Take exactly this chunk. Returns: as claim_next_chunk_job_safe(); without a lease also "reason":
not_found, not_pending, not_due, paused, budget or alone (the worker holds, or empties itself for, a
chunk that must be alone), and "look_again_ms" when it pays to ask for it again. Raises: SY006 bad
worker id, SY016 wrong isolation. Locks: the worker's row and the queue row by SKIP LOCKED, then its
budget.$$;

create function public.extend_chunk_leases(p_leases jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' set lock_timeout = '250ms'
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
  set enable_hashjoin = off
set enable_mergejoin = off set jit = off as $$
declare
  v_now timestamptz;
  v_longest interval;
  v_ids bigint[];
  v_free bigint[];
  v_doubtful bigint[];
  v_lost jsonb;
  v_cancelled jsonb;
  v_worker_ids text[];
begin
  perform sync.require_service();
  if coalesce(jsonb_typeof(p_leases), 'null') <> 'array' or jsonb_array_length(p_leases) > 1000
    or exists (select 1 from jsonb_array_elements(p_leases) as l
      where (l ->> 'queue_id' ~ '^[0-9]{1,18}$'
        and l ->> 'lease_token' ~ '^[0-9]{1,18}$') is not true) then
    raise exception using errcode = 'SY006', message = 'p_leases is not a list of at most 1,000 '
      'leases',
      hint = '[{"queue_id": 1, "lease_token": 2}]';
  end if;
  v_longest := sync.setting_seconds('max_lease_seconds');
  v_ids := array(select (l ->> 'queue_id')::bigint from jsonb_array_elements(p_leases) as l);
  v_free := array(
    select id from public.chunk_processing_queue
    where id = any (v_ids) order by id for no key update skip locked);
  v_now := sync.now();
  v_doubtful := array(
    select id from public.chunk_processing_queue
    where id = any (v_ids) and id <> all (v_free) and status = 'processing'
      and lease_expires_at <= v_now);
  if cardinality(v_doubtful) > 0 then
    begin
      perform 1 from public.chunk_processing_queue
      where id = any (v_doubtful) order by id for no key update;
      v_free := v_free || v_doubtful;
    exception when lock_not_available then
      null;
    end;
  end if;
  with given as (
    select distinct (l ->> 'queue_id')::bigint as id, (l ->> 'lease_token')::bigint as lease_token
    from jsonb_array_elements(p_leases) as l
  ), extended as (
    update public.chunk_processing_queue as q
    set lease_expires_at = least(v_now + sync.setting_seconds('lease_seconds'),
    q.started_at + v_longest)
    from given
    where q.id = given.id and q.id = any (v_free) and q.lease_token = given.lease_token
      and q.status = 'processing' and q.lease_expires_at > v_now
      and q.started_at + v_longest > v_now
    returning q.id, q.run_id, q.worker_id
  ), held as (
    select * from extended
    union all
    -- What a call that ends it has locked is its own business: it was told to be in time.
    select q.id, q.run_id, q.worker_id from public.chunk_processing_queue as q
    join given on given.id = q.id and given.lease_token = q.lease_token
    where q.id <> all (v_free) and q.status = 'processing'
  )
  select
    coalesce(jsonb_agg(given.id order by given.id) filter (where held.id is null), '[]'),
    coalesce(jsonb_agg(given.id order by given.id) filter (where r.ending is not null), '[]'),
    coalesce(array_agg(distinct held.worker_id) filter (where held.id is not null), '{}')
  into v_lost, v_cancelled, v_worker_ids
  from given left join held using (id)
  left join public.workspace_sync_runs as r on r.id = held.run_id;
  update sync.workers as k set last_seen_at = v_now
  from (
    select worker_id from sync.workers
    where worker_id = any (v_worker_ids) and last_seen_at < v_now - interval '5 seconds'
    order by worker_id for no key update skip locked
  ) as silent
  where k.worker_id = silent.worker_id;
  return jsonb_build_object('lease_ms', sync.setting('lease_seconds') * 1000, 'lost', v_lost,
    'cancelled', v_cancelled,
    'blocked_budgets', sync.blocked_budgets());
end; $$;
comment on function public.extend_chunk_leases(jsonb) is
$$Heartbeat for [{"queue_id", "lease_token"}], sent or not. It waits for nobody: a lease whose row
another call has locked, as a rule to end it, is neither extended nor lost; only of one that has run
out does it wait 250 ms to learn whether a sweep takes it back. Returns: {"lease_ms", "lost": [ids],
"cancelled": [ids], "blocked_budgets"}. No lease lives longer than 10 minutes in total. Raises:
SY006 not such a list. Locks: the queue rows and the workers, by SKIP LOCKED.$$;

revoke all on function
  sync.wake_due_chunks, sync.pick_ready_chunks, sync.read_access, sync.withheld_chunks,
  sync.note_unreadable, sync.lease_chunks, sync.note_haste, sync.claim_chunks,
  sync.note_worker, public.claim_next_chunk_job_safe, public.claim_chunk_job_safe,
  public.extend_chunk_leases
from public, anon, authenticated, service_role;
grant execute on function
  public.claim_next_chunk_job_safe, public.claim_chunk_job_safe, public.extend_chunk_leases
to service_role;
