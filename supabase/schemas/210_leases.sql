-- Leases: which ready chunks a claim gets, and how each becomes a request with its credential.
-- Stands on: addresses, queue, requests, classes, lease_documents.

create function sync.next_due_at() returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_sort = off as $$
begin
  return (
    select next_retry_at from public.chunk_processing_queue
    where status = 'pending' and slot is not null and ready_seq is null
      and line_budget_id is null and next_retry_at < 'infinity'
    order by next_retry_at limit 1);
end; $$;
comment on function sync.next_due_at() is
$$Returns: when the next delayed chunk falls due, of those that are in no budget's line; null: there
is none.$$;

create function sync.wake_due_chunks(p_limit int) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_sort = off as $$
begin
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

create function sync.pick_ready_chunks(p_limit int, p_first bigint[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_sort = off as $$
declare
  v_ids bigint[] := array[]::bigint[];
begin
  if cardinality(p_first) > 0 then
    v_ids := array(
      select q.id from unnest(p_first) with ordinality as f (id, n)
      join public.chunk_processing_queue as q on q.id = f.id
      where q.ready_seq is not null for no key update of q skip locked);
  end if;
  if cardinality(v_ids) < p_limit then
    v_ids := (v_ids || array(
      select picked.id from (
        select id from public.chunk_processing_queue
        where ready_seq >= (select claim_floor from sync.sweep_state) and lease_losses < 2
        order by ready_seq limit p_limit for no key update skip locked
      ) as picked
      where picked.id <> all (v_ids)))[1:p_limit];
  end if;
  return v_ids;
end; $$;
comment on function sync.pick_ready_chunks(int, bigint[]) is
$$Lock ready chunks: those that come first, and then others in the order of their turns, by one
index scan from the floor of the last sweep, whatever is waiting behind. Of those that come first
some may be claimed by others now. What must be leased alone is passed over. Returns: their ids.
Locks: queue rows, by SKIP LOCKED.$$;

create function sync.made_requests(p_queue_ids bigint[], p_access sync.access[])
  returns sync.made_request[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_stream_ids bigint[];
begin
  select coalesce(array_agg(st.id), '{}') into v_stream_ids from public.sync_streams as st
  where st.id in (
    select r.stream_id from unnest(p_queue_ids) as p (id)
    join public.chunk_processing_queue as q on q.id = p.id
    join public.workspace_sync_runs as r on r.id = q.run_id) and not sync.is_plain(st);
  if v_stream_ids = array[]::bigint[] and not exists (
    select 1 from public.chunked_sync_jobs
    where id = any (p_queue_ids) and record_id !~ '^[A-Za-z0-9_~-]+$') then
    return array[]::sync.made_request[];
  end if;
  return array(
    select sync.make_request(c, st, so, a.base_url)
    from unnest(p_queue_ids) as p (id)
    join public.chunked_sync_jobs as c on c.id = p.id
    join public.workspace_sync_runs as r on r.id = c.run_id
    join public.sync_streams as st on st.id = r.stream_id
    join public.sync_sources as so on so.id = st.source_id
    join unnest(p_access) as a on a.workspace_id = r.workspace_id and a.source_id = so.id
    where c.kind <> 'connection'
      and (st.id = any (v_stream_ids) or c.record_id !~ '^[A-Za-z0-9_~-]+$'));
end; $$;
comment on function sync.made_requests(bigint[], sync.access[]) is
$$Returns: of the chunks whose requests have templates, what filling them gave.$$;

create function sync.hold_unreadable(p_workspace_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_workspaces as w
  set key_status = 'unreadable', key_checked_at = sync.now()
  from (
    select id from public.sync_workspaces
    where key_status <> 'unreadable' and removed_at is null and id = any (p_workspace_ids)
    order by id for no key update skip locked
  ) as found
  where w.id = found.id;
end; $$;
comment on function sync.hold_unreadable(bigint[]) is
$$The keys of these workspaces cannot be read: until they can, their runs are held as if
paused. Locks: the workspaces by SKIP LOCKED.$$;

create function sync.lease_chunks(p_admissions sync.admission[], p_worker_id text,
  p_access sync.access[], p_made sync.made_request[]) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_lease_seconds numeric := sync.setting('lease_seconds');
  v_is_anywhere_allowed boolean := sync.is_switched_on('allow_private_addresses');
  v_leased sync.leased[];
begin
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
      turn = case when a.verdict in ('admitted', 'budget', 'workspace', 'locked', 'token')
        then coalesce(q.ready_seq, q.turn, nextval('sync.ready_seq')) end,
      line_budget_id = case a.verdict when 'budget' then a.budget_id end,
      next_retry_at = case a.verdict
        when 'budget' then v_now + a.send_after
        when 'workspace' then v_now + a.send_after
        when 'locked' then v_now + a.send_after
        when 'token' then v_now + a.send_after
        when 'paused' then 'infinity'
        when 'keyless' then 'infinity'
        when 'ending' then v_now + interval '1 second'
        when 'moved' then v_now + interval '1 second' end
    from unnest(p_admissions) as a
    where q.id = a.queue_id
    returning q.id, q.run_id, q.status, q.lease_token, q.attempts, a.budget_id, a.send_after
  )
  select array_agg(row(l.id, l.lease_token, l.send_after, l.budget_id, w.workspace_name, w.id,
    st.stream_name, l.attempts + 1, st.timeout_ms, st.max_body_bytes,
    coalesce(made.request, sync.plain_request(c, st, access.base_url || so.base_path))
      || jsonb_build_object('reach', sync.reach_below(w.base_url, v_is_anywhere_allowed)),
    access.origin, access.credentials,
    sync.status_classes(st, so, c.kind, c.page, c.reading,
      made.request -> 'headers' ?| '{If-None-Match,If-Modified-Since}' is true),
    sync.answer_headers(st, so))::sync.leased)
  into v_leased
  from leased as l
  join public.chunked_sync_jobs as c on c.id = l.id
  join public.workspace_sync_runs as r on r.id = l.run_id
  join public.sync_workspaces as w on w.id = r.workspace_id
  join unnest(p_access) as access on access.workspace_id = w.id
  join public.sync_streams as st on st.id = r.stream_id
  join public.sync_sources as so on so.id = st.source_id
  left join unnest(p_made) as made on made.queue_id = l.id
  where l.status = 'processing';
  return sync.lease_documents(v_leased, v_lease_seconds);
end; $$;
comment on function sync.lease_chunks(sync.admission[], text, sync.access[], sync.made_request[]) is
$$Admitted chunks are in flight; the others leave the claim's index and fall due later. The caller
holds the rows. Returns: the leases, as lease_documents() has them.$$;

create function sync.hurry_worker(p_worker_id text) returns void
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
comment on function sync.hurry_worker(text) is
$$A claim met a budget that another session has locked: the worker's next ones wait for none, or
they would wait again and again while others' chunks are ready. Locks: the worker's row, by SKIP
LOCKED.$$;

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

revoke all on function
  sync.next_due_at, sync.wake_due_chunks, sync.pick_ready_chunks,
  sync.made_requests, sync.hold_unreadable, sync.lease_chunks, sync.hurry_worker, sync.note_worker
from public, anon, authenticated, service_role;
