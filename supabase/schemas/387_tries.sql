-- Tries: their requests are leased, ended and extended by the verbs of chunks, in budget, and
-- belong to no run.
-- Stands on: addresses, keys, queue, slots, requests, classes, admission, rate_limits, credentials,
--   token_requests, try_answers.

create function sync.end_try(p_id bigint, p_status text, p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.stream_tries set status = p_status, ended_at = sync.now(), error_message = p_message,
    due_at = null, lease_expires_at = null, shown = null, request = null
  where id = p_id;
end; $$;
comment on function sync.end_try(bigint, text, text) is
$$A try is done or has failed. The caller holds its row.$$;

create function sync.put_off_try(p_id bigint, p_wait interval, p_is_failure boolean,
  p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.stream_tries set lease_expires_at = null, due_at = sync.now() + p_wait,
    attempts = attempts + p_is_failure::int, error_message = coalesce(p_message, error_message)
  where id = p_id;
end; $$;
comment on function sync.put_off_try(bigint, interval, boolean, text) is
$$A try's request is handed out again later. The caller holds its row.$$;

create function sync.lease_try(p_try sync.stream_tries, p_worker_id text) returns jsonb
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
  v_lease_token bigint;
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
  if v_access.obstacle = 'token' then
    perform sync.request_tokens(array[v_workspace.id]);
    perform sync.put_off_try(p_try.id, sync.token_wait(v_workspace.id), false,
      'it waits for an access token');
    return null;
  elsif v_access.credentials is null then
    perform sync.end_try(p_try.id, 'failed', 'the workspace''s key cannot be read: '
      'rotate_workspace_key() sets another');
    return null;
  elsif sync.is_paused(v_workspace.id) then
    perform sync.put_off_try(p_try.id, interval '5 seconds', false,
      'its workspace is paused: resume_sync() goes on');
    return null;
  end if;
  v_made := sync.make_request(v_chunk, v_stream, v_source, v_workspace.base_url);
  if v_made.code is not null then
    perform sync.end_try(p_try.id, 'failed', v_made.message);
    return null;
  end if;
  v_held := sync.hold_budget(p_try.budget_id);
  if v_held.o_send_after is null then
    perform sync.put_off_try(p_try.id, v_held.o_look_after, false, 'it waits for its budget');
    return null;
  end if;
  v_lease_token := sync.new_token();
  update sync.stream_tries set lease_token = v_lease_token, due_at = null, started_at = v_now,
    lease_expires_at = v_now + sync.setting_seconds('lease_seconds'), worker_id = p_worker_id,
    request = v_made.request
  where id = p_try.id;
  return jsonb_build_object(
    'queue_id', p_try.request_id, 'lease_token', v_lease_token,
    'lease_ms', sync.setting('lease_seconds') * 1000,
    'send_after_ms', ceil(extract(epoch from v_held.o_send_after) * 1000)::bigint,
    'budget_id', p_try.budget_id, 'workspace', v_workspace.workspace_name,
    'workspace_id', v_workspace.id, 'stream', v_stream.stream_name,
    'attempt', p_try.attempts + 1, 'timeout_ms', v_stream.timeout_ms,
    'max_body_bytes', v_stream.max_body_bytes,
    'request', v_made.request || jsonb_build_object('reach',
      sync.reach_below(v_workspace.base_url, sync.is_switched_on('allow_private_addresses'))),
    'origin', v_access.origin, 'credentials', v_access.credentials,
    'status_classes', sync.status_classes(v_stream, v_source, p_try.kind, p_try.page,
      p_try.reading, false),
    'answer_headers', sync.answer_headers(v_stream, v_source));
end; $$;
comment on function sync.lease_try(sync.stream_tries, text) is
$$Hand out a try's request, as a sync would send it, or say when to look again: while its workspace
is paused, waits for an access token, or its budget has no room. The caller holds its row. Returns:
the lease, or null. Locks: the budget, by SKIP LOCKED.$$;

create function sync.lease_tries(p_worker_id text, p_room int) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_try sync.stream_tries;
  v_lease jsonb;
  v_leases jsonb := '[]'::jsonb;
begin
  if coalesce(p_room, 0) <= 0 or not exists (select 1 from sync.stream_tries where due_at <= v_now) then
    return v_leases;
  end if;
  for v_try in
    select * from sync.stream_tries where due_at <= v_now
    order by due_at, id limit p_room for no key update skip locked
  loop
    v_lease := sync.lease_try(v_try, p_worker_id);
    if v_lease is not null then
      v_leases := v_leases || v_lease;
    end if;
  end loop;
  return v_leases;
end; $$;
comment on function sync.lease_tries(text, int) is
$$Returns: leases of what tries ask for now, p_room at most. Locks: their rows, by SKIP LOCKED, then
budgets.$$;

create function sync.tries_due() returns int
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (exists (select 1 from sync.stream_tries where due_at <= sync.now()))::int;
end; $$;
comment on function sync.tries_due() is
$$Returns: for how many requests of tries a claim keeps room, before it takes chunks: 1 if any is
due. Where there are always more chunks than room, none would be sent otherwise.$$;

create function sync.with_tries(p_answer jsonb, p_worker_id text, p_limit int) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return p_answer || jsonb_build_object('leases', (p_answer -> 'leases')
    || sync.lease_tries(p_worker_id, p_limit - jsonb_array_length(p_answer -> 'leases')));
end; $$;
comment on function sync.with_tries(jsonb, text, int) is
$$Returns: a claim's answer with what tries ask for, behind its chunks. Locks: as lease_tries().$$;

create function sync.try_of(p_queue_id bigint, p_lease_token bigint) returns sync.stream_tries
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_try sync.stream_tries;
begin
  select * into v_try from sync.stream_tries where request_id = p_queue_id for no key update;
  return case when v_try.lease_token = p_lease_token and v_try.lease_expires_at > sync.now()
    then v_try end;
end; $$;
comment on function sync.try_of(bigint, bigint) is
$$Returns: the try whose request is leased so; null if there is none. Locks: its row.$$;

create function sync.go_on_with_try(p_try sync.stream_tries, p_page sync.page_in_hand,
  p_stream public.sync_streams) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_next record := sync.next_of_try(p_try, p_page, p_stream);
begin
  update sync.stream_tries set error_message = null, attempts = 0, lease_expires_at = null,
    due_at = sync.now(), kind = coalesce(v_next.o_kind, kind), page = v_next.o_page,
    record_id = v_next.o_record_id, reading = v_next.o_reading,
    request_id = nextval('public.chunked_sync_jobs_id_seq')
  where id = p_try.id and v_next.o_kind is not null;
  if not found then
    perform sync.end_try(p_try.id, 'done', null);
  end if;
end; $$;
comment on function sync.go_on_with_try(sync.stream_tries, sync.page_in_hand,
  public.sync_streams) is
$$Ask for what comes after an answer; with nothing more to ask for the try is done. The caller holds
it.$$;

create function sync.note_try(p_try sync.stream_tries, p_given sync.page_in_hand) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_page sync.page_in_hand := p_given;
  v_read sync.tried_answer;
begin
  v_page.outcome := null;
  v_page.code := null;
  v_page.message := null;
  v_page.workspace_id := p_try.workspace_id;
  v_page.stream_id := v_stream.id;
  v_page.kind := p_try.kind;
  v_page.page := p_try.page;
  v_page.record_id := p_try.record_id;
  v_page.reading := p_try.reading;
  v_page.scan := 1;
  v_page.is_full_scan := true;
  v_read := sync.read_try(v_page, v_stream, v_source);
  v_page := v_read.page;
  if p_try.kind = 'page' then
    v_read.complaints := v_read.complaints
      || sync.complaints_of_page(v_page, v_stream, p_try.shown);
  elsif v_page.is_past_pages is not true and v_page.answer = '[]' and v_read.complaints = '[]' then
    v_read.complaints := jsonb_build_array(jsonb_build_object('what', 'item', 'says',
      format('the API says that record %s, which is on page 1, is not there', p_try.record_id)));
  end if;
  update sync.stream_tries set
    steps = steps || jsonb_build_array(
      sync.step_of(p_try, v_page, v_stream, v_read.shape, v_read.complaints)
      || case when jsonb_array_length(steps) = 0
        then jsonb_build_object('fields', sync.fields_of(v_page.answer)) else '{}' end),
    shown = coalesce(shown, jsonb_build_object('ids', sync.tried_ids(v_page.answer, v_stream),
      'records', v_page.records, 'first_key', v_page.first_key, 'first_text', v_page.first_text))
  where id = p_try.id;
  perform sync.go_on_with_try(p_try, v_page, v_stream);
end; $$;
comment on function sync.note_try(sync.stream_tries, sync.page_in_hand) is
$$Take up what an answer says, and what is asked for next. The caller holds the try. Raises: the
database's own trouble.$$;

create function sync.take_try_answers(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
  v_try sync.stream_tries;
  v_pages sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  for v_page in select * from unnest(p_pages) as p order by p.queue_id loop
    v_try := case when v_page.outcome = 'refused'
      then sync.try_of(v_page.queue_id, v_page.lease_token) end;
    if v_try.id is not null then
      perform sync.note_try(v_try, v_page);
      perform sync.let_probe(v_try.budget_id);
      v_page.outcome := 'completed';
      v_page.code := null;
      v_page.message := null;
      v_page.body := null;
    end if;
    v_pages := v_pages || v_page;
  end loop;
  return v_pages;
end; $$;
comment on function sync.take_try_answers(sync.page_in_hand[]) is
$$Of what the fence refused, answers to tries are taken: no record of theirs is stored. Returns: the
pages, those with outcome completed. Locks: the tries by request, budgets by SKIP LOCKED.$$;

create function sync.note_failed_try(p_try sync.stream_tries, p_given sync.page_in_hand,
  p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_page sync.page_in_hand := p_given;
  v_is_past_end boolean := p_try.page > 1 and p_try.reading ? 'guess'
    and p_given.http_status in (400, 404, 422);
begin
  v_page.answer := '[]';
  v_page.is_past_pages := v_is_past_end;
  v_page.ends := case when v_is_past_end then true end;
  update sync.stream_tries set steps = steps || jsonb_build_array(sync.step_of(p_try, v_page,
    v_stream, sync.shape_of(sync.try_json(p_given.body), 2), case when v_is_past_end then '[]'
    else jsonb_build_array(jsonb_build_object('what', case p_try.kind when 'page' then 'answer'
      else 'item' end, 'says', p_message)) end))
  where id = p_try.id;
  if p_try.shown is null then
    perform sync.end_try(p_try.id, 'failed', p_message);
  else
    perform sync.go_on_with_try(p_try, v_page, v_stream);
  end if;
end; $$;
comment on function sync.note_failed_try(sync.stream_tries, sync.page_in_hand, text) is
$$A try's request failed for good: without page 1 the try has failed, otherwise it goes on. A page
that was only guessed and is refused lies past the end. The caller holds the try.$$;

create function sync.fail_try(p_given sync.page_in_hand, p_error_class text, p_error_message text,
  p_retry_after numeric) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_try sync.stream_tries := sync.try_of(p_given.queue_id, p_given.lease_token);
  v_message text;
  v_outcome text;
begin
  if v_try.id is null then
    return null;
  end if;
  v_message := sync.failure_text(p_error_message, v_try.workspace_id);
  v_outcome := case
    when p_error_class = 'postponed' or p_error_class = 'released'
      and (p_error_message not like 'no answer%') is not false then 'released'
    when p_error_class = 'permanent' or v_try.attempts >= 2 then 'failed' else 'retry' end;
  if v_outcome = 'failed' then
    perform sync.note_failed_try(v_try, p_given, v_message);
  else
    perform sync.put_off_try(v_try.id, case v_outcome when 'released' then interval '0'
      else make_interval(secs => least(60, greatest(1, p_retry_after, sync.wait_asked_for(
        jsonb_populate_record(null::public.sync_sources, v_try.source), p_given.headers,
        sync.json_object(p_given.body), p_error_class = 'rate_limited')))::double precision) end,
      v_outcome = 'retry', v_message);
  end if;
  perform sync.let_probe(v_try.budget_id);
  return jsonb_build_object('queue_id', p_given.queue_id, 'outcome', v_outcome);
end; $$;
comment on function sync.fail_try(sync.page_in_hand, text, text, numeric) is
$$A try's request ended without a page: it is sent three times at most, and no earlier than its
answer asks for, up to a minute. Returns: the outcome, or
null if that is no such request, or another's lease. Locks: its row, its budget by SKIP LOCKED.$$;

create function sync.extend_tries(p_leases jsonb, p_now timestamptz) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_kept bigint[];
begin
  with given as (
    select distinct (l ->> 'queue_id')::bigint as id, (l ->> 'lease_token')::bigint as lease_token
    from jsonb_array_elements(p_leases) as l
  ), free as (
    select t.id from sync.stream_tries as t
    join given on given.id = t.request_id and given.lease_token = t.lease_token
    where t.lease_expires_at > p_now
      and t.started_at + sync.setting_seconds('max_lease_seconds') > p_now
    order by t.id for no key update of t skip locked
  ), extended as (
    update sync.stream_tries as t
    set lease_expires_at = least(p_now + sync.setting_seconds('lease_seconds'),
      t.started_at + sync.setting_seconds('max_lease_seconds'))
    from free where t.id = free.id returning t.request_id
  )
  select coalesce(array_agg(request_id), '{}') into v_kept from extended;
  return v_kept || array(
    select t.request_id from sync.stream_tries as t
    join jsonb_array_elements(p_leases) as l on (l ->> 'queue_id')::bigint = t.request_id
      and (l ->> 'lease_token')::bigint = t.lease_token
    where t.lease_expires_at > p_now and t.request_id <> all (v_kept));
end; $$;
comment on function sync.extend_tries(jsonb, timestamptz) is
$$The heartbeat's part for tries. Returns: requests that are still held. Locks: their rows by SKIP
LOCKED: what another call holds is being ended.$$;

create function sync.take_back_tries() returns int
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
      perform sync.put_off_try(v_try.id, interval '0', true, 'its worker fell silent');
    end if;
    v_taken_back := v_taken_back + (v_try.lease_expires_at is not null)::int;
  end loop;
  delete from sync.stream_tries where id in (
    select id from sync.stream_tries where ended_at < v_now - interval '1 hour'
    order by id limit 100 for update skip locked);
  return v_taken_back;
end; $$;
comment on function sync.take_back_tries() is
$$Requests of tries whose lease ran out are sent again; a try that is not over after ten minutes has
failed; one is kept for an hour. Returns: how many leases. Locks: their rows by SKIP LOCKED.$$;

revoke all on function
  sync.end_try, sync.put_off_try, sync.lease_try, sync.lease_tries, sync.tries_due,
  sync.with_tries, sync.try_of, sync.go_on_with_try, sync.note_try, sync.take_try_answers,
  sync.note_failed_try, sync.fail_try, sync.extend_tries, sync.take_back_tries
from public, anon, authenticated, service_role;
