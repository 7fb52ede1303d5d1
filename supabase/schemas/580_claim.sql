-- Claim: the verbs by which a worker gets chunks and keeps them; each sweeps if that is due.
-- Stands on: budgets, budget_lines, admission, alone, shares, echo, credentials, token_requests,
--   leases, try_leases, fail, sweep.

create function sync.claim_chunks(p_queue_ids bigint[], p_worker_id text, p_room int,
  out o_admissions sync.admission[], out o_answer jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_queue_ids bigint[] := p_queue_ids;
  v_access sync.access[] := sync.access_of_workspaces(array(
    select distinct r.workspace_id from unnest(p_queue_ids) as p (id)
    join public.chunk_processing_queue as q on q.id = p.id
    join public.workspace_sync_runs as r on r.id = q.run_id));
  v_made sync.made_request[] := sync.made_requests(p_queue_ids, v_access);
  v_unmade sync.made_request[] := array[]::sync.made_request[];
  v_keyless bigint[];
  v_tokenless bigint[];
  v_has_tokens boolean;
  v_is_locked boolean;
  v_is_withheld boolean;
  v_leases jsonb := '[]'::jsonb;
  v_token_due_at timestamptz;
begin
  -- What a crash takes back of a claim is fetched again.
  perform set_config('synchronous_commit', 'off', true);
  if cardinality(v_made) > 0 then
    v_unmade := array(select m from unnest(v_made) as m where m.code is not null);
  end if;
  if cardinality(v_unmade) > 0 then
    perform sync.fail_unmade(v_unmade, p_worker_id);
    -- With them others of their runs may have ended.
    v_queue_ids := array(
      select q.id from unnest(p_queue_ids) with ordinality as p (id, turn)
      join public.chunk_processing_queue as q on q.id = p.id
      where q.status = 'pending' and q.slot is not null
        and q.id <> all (array(select m.queue_id from unnest(v_unmade) as m)) order by p.turn);
  end if;
  select coalesce(array_agg(a.workspace_id) filter (where a.obstacle = 'keyless'), '{}'),
    coalesce(array_agg(a.workspace_id order by a.workspace_id)
      filter (where a.obstacle = 'token'), '{}'),
    coalesce(bool_or(a.token_generation is not null), false)
  into v_keyless, v_tokenless, v_has_tokens from unnest(v_access) as a;
  if cardinality(v_keyless) > 0 then
    perform sync.hold_unreadable(v_keyless);
  end if;
  if cardinality(v_tokenless) > 0 then
    perform sync.ask_for_tokens(v_tokenless);
  end if;
  o_admissions := array[]::sync.admission[];
  if cardinality(v_queue_ids) > 0 then
    o_admissions := sync.admit_chunks(v_queue_ids, p_worker_id, v_keyless, v_tokenless);
    v_leases := sync.lease_chunks(o_admissions, p_worker_id, v_access, v_made);
  end if;
  select coalesce(bool_or(a.verdict = 'locked'), false),
    coalesce(bool_or(a.verdict in ('moved', 'keyless', 'token')), false)
  into v_is_locked, v_is_withheld from unnest(o_admissions) as a;
  if v_is_locked then
    perform sync.hurry_worker(p_worker_id);
  end if;
  if v_has_tokens then
    perform sync.write_token_generations(array(
      select a.queue_id from unnest(o_admissions) as a where a.verdict = 'admitted'), v_access);
  end if;
  v_token_due_at := (
    select min(due_at) from sync.token_requests where status = 'pending');
  -- One that was just requested is due later than the claim began.
  if v_token_due_at <= sync.now() and coalesce(p_room, cardinality(v_tokenless)) > 0 then
    v_leases := v_leases || sync.lease_token_requests(p_worker_id, case when p_room is null
      then cardinality(v_tokenless) else p_room - jsonb_array_length(v_leases) end,
      case when p_room is null then v_tokenless end);
    v_token_due_at := (
      select min(due_at) from sync.token_requests where status = 'pending');
  end if;
  if p_room > jsonb_array_length(v_leases)
    and exists (select 1 from sync.stream_tries where due_at <= v_now) then
    v_leases := v_leases
      || sync.lease_tries(p_worker_id, p_room - jsonb_array_length(v_leases));
  end if;
  if cardinality(v_unmade) > 0 then
    o_admissions := o_admissions || array(
      select row(m.queue_id, 'unmade', null, null)::sync.admission from unnest(v_unmade) as m);
  end if;
  o_answer := jsonb_build_object('leases', v_leases,
    'blocked_budgets', sync.blocked_budgets(),
    -- Behind chunks that were withheld there may be others.
    'next_look_ms', case when v_is_withheld or cardinality(v_unmade) > 0 then 0 else least((
      select greatest(0, ceil(extract(epoch from d.due_at - v_now) * 1000))::bigint
      from (select sync.next_due_at() as due_at) as d where d.due_at is not null), (
      select greatest(100, ceil(extract(epoch from min(b.line_due_at) - v_now) * 1000))::bigint
      from public.sync_budgets as b
      where b.line_due_at is not null and exists (
        select 1 from public.chunk_processing_queue as q where q.line_budget_id = b.id)
      having count(*) > 0),
      case when v_token_due_at is not null
        then greatest(0, ceil(extract(epoch from v_token_due_at - v_now) * 1000))::bigint end) end,
    'versions', public.chunkwise_version());
end; $$;
comment on function sync.claim_chunks(bigint[], text, int) is
$$The common part of both claims. A chunk whose request cannot be made fails, and holds up no other.
Where workspaces have no access token that serves, their chunks wait and one request for it is made.
Behind the chunks, such requests and what tries ask for are leased, up to p_room in all, or, where
that is null, only the tokens that these chunks wait for. Returns: the verdicts, and the claim's
answer. The caller holds the rows. The transaction is not durable when it has committed: see
docs/decisions/0013.$$;

create function sync.outdated_protocol(p_protocol int) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_versions jsonb := public.chunkwise_version();
begin
  if p_protocol = (v_versions ->> 'protocol_version')::int then
    return null;
  end if;
  -- No error: a worker from before an upgrade would repeat the call, and not read the versions.
  return jsonb_build_object('leases', '[]'::jsonb, 'blocked_budgets', '[]'::jsonb,
    'next_look_ms', null, 'reason', 'protocol', 'versions', v_versions,
    'error', jsonb_build_object('code', 'SY023', 'message', format('the worker speaks protocol %s, '
      'the database %s', coalesce(p_protocol::text, 'null'), v_versions ->> 'protocol_version'),
      'hint', 'Update the worker; one that speaks this protocol says so in p_protocol.'));
end; $$;
comment on function sync.outdated_protocol(int) is
$$Returns: what a claim answers to a worker that speaks another protocol: no lease, the error SY023
and the versions, by which also a worker of protocol 1 knows that it has to stop; null if it speaks
this one.$$;

create function public.claim_next_chunk_job_safe(p_worker_id text, p_limit int default 1,
  p_listening jsonb default null, p_protocol int default 1) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_alone record;
  v_claim record;
  v_now timestamptz;
  v_is_delayed_due boolean;
  v_has_lines boolean;
  v_of_no_run int;
  v_most int;
  v_refusal jsonb;
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
  v_refusal := sync.outdated_protocol(p_protocol);
  if v_refusal is not null then
    return v_refusal;
  end if;
  v_echo := case when p_listening is null then '{}'::jsonb
    else jsonb_build_object('echo_age_ms', sync.send_echo()) end;
  perform sync.sweep_if_due();
  if sync.is_out_of_time() then
    return (sync.claim_chunks('{}', p_worker_id, 0)).o_answer || v_echo;
  end if;
  v_now := sync.now();
  -- What most claims find nothing of. For what belongs to no run a claim keeps room, a place for one
  -- try: where there are always more chunks than room, none of it would be sent otherwise.
  select sync.next_due_at() <= sync.now(),
    exists (select 1 from public.sync_budgets where line_due_at is not null),
    (select count(*) from (
        select 1 from sync.token_requests where status = 'pending' and due_at <= v_now
        limit p_limit) as due)
      + (exists (select 1 from sync.stream_tries where due_at <= v_now))::int
  into v_is_delayed_due, v_has_lines, v_of_no_run;
  if v_is_delayed_due then
    perform sync.wake_due_chunks(p_limit);
  end if;
  if v_has_lines then
    perform sync.wake_lines(p_limit);
  end if;
  v_alone := sync.hold_alone(p_worker_id);
  if v_alone.o_is_alone then
    v_claim := sync.claim_chunks(array_remove(array[v_alone.o_queue_id], null), p_worker_id, null);
    -- Turned away, it leaves the worker to others at once.
    return v_claim.o_answer || v_echo || jsonb_build_object('next_look_ms',
      case when v_alone.o_queue_id is not null and v_claim.o_answer -> 'leases' = '[]' then 0 end);
  end if;
  v_most := p_limit - v_of_no_run;
  v_claim := sync.claim_chunks(case when v_most > 0
    then sync.pick_ready_chunks(v_most, sync.fair_shares(v_most, p_worker_id))
    else array[]::bigint[] end, p_worker_id, p_limit);
  return v_claim.o_answer || v_echo;
end; $$;
comment on function public.claim_next_chunk_job_safe(text, int, jsonb, int) is
$$Take up to p_limit (1 to 100: what the worker has room for) chunks that are ready, oldest turn
first; none is no error. Where more is ready, workspaces of which the worker holds fewer come first.
A chunk that lost two leases is given alone, and nothing while the worker empties itself for it or
holds it. A worker that listens to Realtime says so in p_listening ({"idle_finds": how often in a
row an idle look found work of which it had heard nothing}) and is told of the last echo. A worker
that does not say by p_protocol that it speaks this protocol gets no lease, and the error SY023 in
the answer. Returns: {"leases", "blocked_budgets", "next_look_ms", "versions", "echo_age_ms"}, see
docs/worker-protocol.md. Raises: SY006 bad argument, SY016 wrong isolation. Locks: the worker's row
and queue rows by SKIP LOCKED, then budgets.$$;

create function public.claim_chunk_job_safe(p_queue_id bigint, p_worker_id text,
  p_protocol int default 1) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_chunk public.chunk_processing_queue;
  v_alone record;
  v_claim record;
  v_try record;
  v_look_again_ms bigint;
  v_refusal jsonb;
  v_reason text;
begin
  perform sync.require_service();
  perform sync.require_read_committed();
  if p_queue_id is null then
    raise exception using errcode = 'SY006', message = 'p_queue_id is null',
      hint = 'claim_next_chunk_job_safe() takes whatever is ready.';
  end if;
  perform sync.note_worker(p_worker_id, null);
  v_refusal := sync.outdated_protocol(p_protocol);
  if v_refusal is not null then
    return v_refusal;
  end if;
  perform sync.sweep_if_due();
  if sync.is_out_of_time() then
    return (sync.claim_chunks('{}', p_worker_id, null)).o_answer
      || '{"reason": "not_due", "look_again_ms": 1000}'::jsonb;
  end if;
  select * into v_chunk from public.chunk_processing_queue
  where id = p_queue_id for no key update skip locked;
  v_reason := case
    when v_chunk.id is null and exists (select 1 from public.chunk_processing_queue
    where id = p_queue_id) then 'not_pending'
    when v_chunk.id is null and exists (select 1 from sync.stream_tries
    where request_id = p_queue_id) then 'try'
    when v_chunk.id is null then 'not_found'
    when v_chunk.status <> 'pending' then 'not_pending'
    when v_chunk.next_retry_at = 'infinity' then 'paused'
    when v_chunk.slot is null or v_chunk.next_retry_at > sync.now() then 'not_due' end;
  if v_reason is null or v_reason = 'try' then
    v_alone := sync.hold_alone(p_worker_id, p_queue_id);
    v_reason := case when v_alone.o_is_alone and v_alone.o_queue_id is distinct from p_queue_id
      then 'alone' else v_reason end;
  end if;
  if v_reason = 'try' then
    v_claim := sync.claim_chunks('{}', p_worker_id, null);
    v_try := sync.claim_try(p_queue_id, p_worker_id);
    v_claim.o_answer := v_claim.o_answer || jsonb_build_object('leases', v_try.o_leases);
    v_reason := v_try.o_reason;
    v_look_again_ms := v_try.o_look_again_ms;
  elsif v_reason is null then
    v_claim := sync.claim_chunks(array[p_queue_id], p_worker_id, null);
    v_reason := case (v_claim.o_admissions)[1].verdict
      when 'budget' then 'budget' when 'workspace' then 'budget' when 'locked' then 'budget'
      when 'paused' then 'paused' when 'keyless' then 'paused'
      when 'ending' then 'not_pending' when 'moved' then 'not_pending'
      when 'unmade' then 'not_pending'
      -- What it needs first may have been leased in its place.
      when 'token' then case when v_claim.o_answer -> 'leases' = '[]' then 'not_due' end end;
  else
    v_claim := sync.claim_chunks('{}', p_worker_id, null);
  end if;
  insert into sync.hinted_claims as h (chunk_id, worker_id, verdict)
  values (p_queue_id, p_worker_id, coalesce(v_reason, 'claimed'))
  on conflict ((case when verdict = 'not_found' then chunk_id % 1000 else chunk_id end), verdict)
    where verdict <> 'claimed' do update set
    times = case when h.chunk_id = excluded.chunk_id then h.times + 1 else 1 end,
    chunk_id = excluded.chunk_id, worker_id = excluded.worker_id,
    occurred_at = excluded.occurred_at;
  return v_claim.o_answer || case when v_reason is null then '{}'::jsonb else jsonb_build_object(
    'reason', v_reason, 'look_again_ms', case
      when v_look_again_ms is not null then v_look_again_ms
      when v_reason in ('budget', 'not_due') then (
        select greatest(0, ceil(extract(epoch from next_retry_at - sync.now()) * 1000))::bigint
        from public.chunk_processing_queue where id = p_queue_id and next_retry_at < 'infinity')
      when v_reason = 'alone' then 1000 end) end;
end; $$;
comment on function public.claim_chunk_job_safe(bigint, text, int) is
$$Take exactly this chunk, or this request of a try. Returns: as claim_next_chunk_job_safe();
without a lease also "reason": not_found, not_pending, not_due, paused, budget, protocol or alone
(the worker holds, or empties itself for, a chunk that must be alone), and "look_again_ms" when it
pays to ask for it again. Raises: SY006 bad worker id, SY016 wrong isolation. Locks: the worker's
row and the queue row by SKIP LOCKED, then its budget.$$;

create function public.extend_chunk_leases(p_leases jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' set lock_timeout = '250ms' as $$
declare
  v_now timestamptz;
  v_longest interval;
  v_ids bigint[];
  v_free bigint[];
  v_doubtful bigint[];
  v_lost jsonb;
  v_others bigint[];
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
  if v_lost <> '[]' then
    -- Apart: in a condition they would be extended once for each that is lost.
    v_others := sync.extend_requests_of_no_run(p_leases, v_now);
    v_lost := (
      select coalesce(jsonb_agg(l.id), '[]') from jsonb_array_elements(v_lost) as l (id)
      where l.id::text::bigint <> all (v_others));
  end if;
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
  sync.claim_chunks, sync.outdated_protocol,
  public.claim_next_chunk_job_safe, public.claim_chunk_job_safe, public.extend_chunk_leases
from public, anon, authenticated, service_role;
grant execute on function
  public.claim_next_chunk_job_safe, public.claim_chunk_job_safe, public.extend_chunk_leases
to service_role;
