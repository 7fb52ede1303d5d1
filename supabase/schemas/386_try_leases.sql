-- Leases of tries: their requests are handed out by the verbs of chunks, in budget, kept alive, and
-- taken back; they belong to no run.
-- Stands on: addresses, grants, queue, slots, requests, classes, admission, credentials,
--   lease_documents, token_requests.

create function sync.end_try(p_id bigint, p_status text, p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.stream_tries set status = p_status, ended_at = sync.now(), error_message = p_message,
    due_at = null, lease_expires_at = null, shown = null, request = null
  where id = p_id;
end; $$;
comment on function sync.end_try(bigint, text, text) is
$$A try is done or has failed. The caller holds its row.$$;

create function sync.delay_try(p_id bigint, p_wait interval, p_is_failure boolean,
  p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.stream_tries set lease_expires_at = null, due_at = sync.now() + p_wait,
    attempts = attempts + p_is_failure::int, error_message = coalesce(p_message, error_message)
  where id = p_id;
end; $$;
comment on function sync.delay_try(bigint, interval, boolean, text) is
$$A try's request is handed out again later. The caller holds its row.$$;

create function sync.wait_of_try(p_id bigint) returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select greatest(due_at - sync.now(), interval '0') from sync.stream_tries where id = p_id);
end; $$;
comment on function sync.wait_of_try(bigint) is
$$Returns: after how long a try's request is handed out; null: it is leased, or over.$$;

create function sync.lease_try(p_try sync.stream_tries, p_worker_id text) returns sync.leased
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_workspace public.sync_workspaces;
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_chunk public.chunked_sync_jobs;
  v_token sync.workspace_tokens;
  v_access sync.access;
  v_made sync.made_request;
  v_held record;
  v_leased sync.leased;
begin
  select * into strict v_workspace from public.sync_workspaces where id = p_try.workspace_id;
  select * into v_token from sync.workspace_tokens where workspace_id = v_workspace.id;
  v_access := sync.access_of(v_workspace, v_source, v_token);
  if v_workspace.removed_at is not null or v_workspace.source_id <> v_source.id then
    perform sync.end_try(p_try.id, 'failed', 'its workspace was removed, or has another source now');
    return null;
  end if;
  v_chunk.id := p_try.request_id;
  v_chunk.kind := p_try.kind;
  v_chunk.page := p_try.page;
  v_chunk.record_id := p_try.record_id;
  v_chunk.reading := p_try.reading;
  if v_access.obstacle = 'token' and v_token.refused_until > v_now then
    perform sync.end_try(p_try.id, 'failed', format('its grant is refused: %s. '
      'rotate_workspace_key() sets another', v_token.refusal));
    return null;
  elsif v_access.obstacle = 'token' then
    perform sync.ask_for_tokens(array[v_workspace.id]);
    perform sync.delay_try(p_try.id, sync.token_wait(v_workspace.id), false, concat_ws(': ',
      'it waits for an access token', (
        select error_message from sync.token_requests where workspace_id = v_workspace.id
        order by id desc limit 1)));
    return null;
  elsif v_access.credentials is null then
    perform sync.end_try(p_try.id, 'failed', 'the workspace''s key cannot be read: '
      'rotate_workspace_key() sets another');
    return null;
  elsif sync.is_paused(v_workspace.id) then
    perform sync.delay_try(p_try.id, interval '5 seconds', false,
      'its workspace is paused: resume_sync() goes on');
    return null;
  elsif v_workspace.rate_limited_until > v_now then
    perform sync.delay_try(p_try.id, v_workspace.rate_limited_until - v_now, false,
      'its workspace met a rate limit and waits');
    return null;
  end if;
  v_made := sync.make_request(v_chunk, v_stream, v_source, v_workspace.base_url);
  if v_made.code is not null then
    perform sync.end_try(p_try.id, 'failed', v_made.message);
    return null;
  end if;
  v_held := sync.reserve_send_time(p_try.budget_id);
  if v_held.o_send_after is null then
    perform sync.delay_try(p_try.id, v_held.o_look_after, false, 'it waits for its budget');
    return null;
  end if;
  v_leased.lease_token := sync.new_token();
  update sync.stream_tries set lease_token = v_leased.lease_token, due_at = null, started_at = v_now,
    lease_expires_at = v_now + sync.setting_seconds('lease_seconds'), worker_id = p_worker_id,
    requested_at = v_now + v_held.o_send_after, token_generation = v_access.token_generation,
    request = v_made.request
  where id = p_try.id;
  v_leased.queue_id := p_try.request_id;
  v_leased.send_after := v_held.o_send_after;
  v_leased.budget_id := p_try.budget_id;
  v_leased.workspace := v_workspace.workspace_name;
  v_leased.workspace_id := v_workspace.id;
  v_leased.stream := v_stream.stream_name;
  v_leased.attempt := p_try.attempts + 1;
  v_leased.timeout_ms := v_stream.timeout_ms;
  v_leased.max_body_bytes := v_stream.max_body_bytes;
  v_leased.request := v_made.request || jsonb_build_object('reach',
    sync.reach_below(v_workspace.base_url, sync.is_switched_on('allow_private_addresses')));
  v_leased.origin := v_access.origin;
  v_leased.credentials := v_access.credentials;
  v_leased.status_classes := sync.status_classes(v_stream, v_source, p_try.kind, p_try.page,
    p_try.reading, false);
  v_leased.answer_headers := sync.answer_headers(v_stream, v_source);
  return v_leased;
end; $$;
comment on function sync.lease_try(sync.stream_tries, text) is
$$Hand out a try's request, as a sync would send it, or say when to look again: while its workspace
is paused, waits for an access token or after a 429, or its budget has no room. The caller holds its
row. Returns: the lease, or null. Locks: the budget, by SKIP LOCKED.$$;

create function sync.lease_tries(p_worker_id text, p_room int) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_try sync.stream_tries;
  v_lease sync.leased;
  v_leased sync.leased[] := array[]::sync.leased[];
begin
  for v_try in
    select * from sync.stream_tries where due_at <= v_now
    order by due_at, id limit greatest(p_room, 0) for no key update skip locked
  loop
    v_lease := sync.lease_try(v_try, p_worker_id);
    if v_lease.lease_token is not null then
      v_leased := v_leased || v_lease;
    end if;
  end loop;
  return sync.lease_documents(v_leased, sync.setting('lease_seconds'));
end; $$;
comment on function sync.lease_tries(text, int) is
$$Returns: leases of what tries ask for now, p_room at most. Locks: their rows, by SKIP LOCKED, then
budgets.$$;

create function sync.claim_try(p_request_id bigint, p_worker_id text, out o_leases jsonb,
  out o_reason text, out o_look_again_ms bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_try sync.stream_tries;
  v_lease sync.leased;
  v_wait interval;
begin
  o_leases := '[]'::jsonb;
  o_reason := 'not_pending';
  select * into v_try from sync.stream_tries
  where request_id = p_request_id for no key update skip locked;
  if v_try.due_at is null then
    return;
  elsif v_try.due_at <= sync.now() then
    v_lease := sync.lease_try(v_try, p_worker_id);
    -- What it needs first may be leased in its place.
    o_leases := case when v_lease.lease_token is not null
      then sync.lease_documents(array[v_lease], sync.setting('lease_seconds'))
      else sync.lease_token_requests(p_worker_id, 1, array[v_try.workspace_id]) end;
    if o_leases <> '[]' then
      o_reason := null;
      return;
    end if;
  end if;
  v_wait := sync.wait_of_try(v_try.id);
  if v_wait is not null then
    o_reason := 'not_due';
    o_look_again_ms := ceil(extract(epoch from v_wait) * 1000);
  end if;
end; $$;
comment on function sync.claim_try(bigint, text) is
$$Take exactly the request of a try that has this id. Returns: the leases, that one or the request
for the access token that it needs first; without one the reason, as claim_chunk_job_safe() has it.
Locks: as lease_tries().$$;

create function sync.extend_requests_of_no_run(p_leases jsonb, p_now timestamptz)
  returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_longest interval := sync.setting_seconds('max_lease_seconds');
  v_until timestamptz := p_now + sync.setting_seconds('lease_seconds');
  v_kept bigint[];
begin
  with given as (
    select distinct (l ->> 'queue_id')::bigint as id, (l ->> 'lease_token')::bigint as lease_token
    from jsonb_array_elements(p_leases) as l
  ), free_tries as (
    select t.id from sync.stream_tries as t
    join given on given.id = t.request_id and given.lease_token = t.lease_token
    where t.lease_expires_at > p_now and t.started_at + v_longest > p_now
    order by t.id for no key update of t skip locked
  ), free_tokens as (
    select r.id from sync.token_requests as r join given using (id, lease_token)
    where r.status = 'processing' and r.lease_expires_at > p_now
      and r.started_at + v_longest > p_now
    order by r.id for no key update of r skip locked
  ), tries as (
    update sync.stream_tries as t
    set lease_expires_at = least(v_until, t.started_at + v_longest)
    from free_tries as f where t.id = f.id returning t.request_id as id
  ), tokens as (
    update sync.token_requests as r
    set lease_expires_at = least(v_until, r.started_at + v_longest)
    from free_tokens as f where r.id = f.id returning r.id
  )
  select coalesce(array_agg(id), '{}') into v_kept
  from (select id from tries union all select id from tokens) as extended;
  -- What another call has locked is its own business: as a rule it ends the request.
  return v_kept || array(
    select t.request_id from jsonb_array_elements(p_leases) as l
    join sync.stream_tries as t on t.request_id = (l ->> 'queue_id')::bigint
      and t.lease_token = (l ->> 'lease_token')::bigint
    where t.lease_expires_at > p_now and t.request_id <> all (v_kept)
    union all
    select r.id from jsonb_array_elements(p_leases) as l
    join sync.token_requests as r on r.id = (l ->> 'queue_id')::bigint
      and r.lease_token = (l ->> 'lease_token')::bigint
    where r.status = 'processing' and r.lease_expires_at > p_now and r.id <> all (v_kept));
end; $$;
comment on function sync.extend_requests_of_no_run(jsonb, timestamptz) is
$$The heartbeat's part for tries and requests for tokens. Returns: those that are still held. Locks:
their rows by SKIP LOCKED: what another call holds is being ended.$$;

create function sync.reclaim_tries() returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_try sync.stream_tries;
  v_taken_back int := 0;
begin
  for v_try in
    select * from sync.stream_tries
    where status = 'waiting' and (lease_expires_at <= v_now
      or created_at < v_now - interval '10 minutes')
    order by id for no key update skip locked
  loop
    if v_try.created_at < v_now - interval '10 minutes' then
      perform sync.end_try(v_try.id, 'failed', concat_ws(': ', 'nothing came of it in ten minutes',
        coalesce(v_try.error_message, 'is a worker running?')));
    elsif v_try.attempts >= 2 then
      perform sync.end_try(v_try.id, 'failed', 'three workers fell silent over its request');
    else
      perform sync.delay_try(v_try.id, interval '0', true, 'its worker fell silent');
    end if;
    v_taken_back := v_taken_back + (v_try.lease_expires_at is not null)::int;
  end loop;
  delete from sync.stream_tries where id in (
    select id from sync.stream_tries where ended_at < v_now - interval '1 hour'
    order by id limit 100 for update skip locked);
  return v_taken_back;
end; $$;
comment on function sync.reclaim_tries() is
$$Requests of tries whose lease ran out are sent again; a try that is not over after ten minutes has
failed; one is kept for an hour. Returns: how many leases. Locks: their rows by SKIP LOCKED.$$;

revoke all on function
  sync.end_try, sync.delay_try, sync.wait_of_try, sync.lease_try, sync.lease_tries, sync.claim_try,
  sync.extend_requests_of_no_run, sync.reclaim_tries
from public, anon, authenticated, service_role;
