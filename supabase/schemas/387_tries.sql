-- Tries: their requests are leased, ended and extended by the verbs of chunks, in budget, and
-- belong to no run.
-- Stands on: addresses, keys, grants, queue, slots, requests, classes, admission, rate_limits,
--   credentials, lease_documents, token_requests, verdicts, token_verdicts, fence, try_answers.

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
    perform sync.request_tokens(array[v_workspace.id]);
    perform sync.put_off_try(p_try.id, sync.token_wait(v_workspace.id), false, concat_ws(': ',
      'it waits for an access token', (
        select error_message from sync.token_requests where workspace_id = v_workspace.id
        order by id desc limit 1)));
    return null;
  elsif v_access.credentials is null then
    perform sync.end_try(p_try.id, 'failed', 'the workspace''s key cannot be read: '
      'rotate_workspace_key() sets another');
    return null;
  elsif sync.is_paused(v_workspace.id) then
    perform sync.put_off_try(p_try.id, interval '5 seconds', false,
      'its workspace is paused: resume_sync() goes on');
    return null;
  elsif v_workspace.rate_limited_until > v_now then
    perform sync.put_off_try(p_try.id, v_workspace.rate_limited_until - v_now, false,
      'its workspace met a rate limit and waits');
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
  update sync.stream_tries set error_message = null, attempts = 0, has_renewed = false,
    lease_expires_at = null, due_at = sync.now(), kind = coalesce(v_next.o_kind, kind), page = v_next.o_page,
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

create function sync.page_of_try(p_try sync.stream_tries, p_given sync.page_in_hand)
  returns sync.page_in_hand
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_given;
begin
  v_page.outcome := null;
  v_page.code := null;
  v_page.message := null;
  v_page.workspace_id := p_try.workspace_id;
  v_page.stream_id := (p_try.stream ->> 'id')::bigint;
  v_page.kind := p_try.kind;
  v_page.page := p_try.page;
  v_page.record_id := p_try.record_id;
  v_page.reading := p_try.reading;
  v_page.scan := 1;
  v_page.is_full_scan := true;
  v_page.requested_at := p_try.requested_at;
  v_page.token_generation := p_try.token_generation;
  v_page.is_token_proven := false;
  v_page.is_repeat := false;
  return v_page;
end; $$;
comment on function sync.page_of_try(sync.stream_tries, sync.page_in_hand) is
$$Returns: an answer to a try as the fence gives one to a chunk: with what it was asked for.$$;

create function sync.wait_of_try(p_id bigint) returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select greatest(due_at - sync.now(), interval '0') from sync.stream_tries where id = p_id);
end; $$;
comment on function sync.wait_of_try(bigint) is
$$Returns: after how long a try's request is handed out; null: it is leased, or over.$$;

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

create function sync.hold_back_try(p_try sync.stream_tries, p_retry_after numeric,
  p_message text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.put_off_try(p_try.id, sync.note_refusal(p_try.workspace_id, p_try.requested_at,
    p_retry_after, false), false, p_message);
  return 'delayed';
end; $$;
comment on function sync.hold_back_try(sync.stream_tries, numeric, text) is
$$A try met a rate limit, which is one for its workspace and budget as any request's. The caller
holds it. Returns: the outcome. Locks: the workspace, its waiting chunks and its budget by SKIP
LOCKED.$$;

create function sync.note_try(p_try sync.stream_tries, p_page sync.page_in_hand) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_page sync.page_in_hand;
  v_read sync.tried_answer;
begin
  v_read := sync.read_try(p_page, v_stream, v_source);
  v_page := v_read.page;
  if v_page.code = 'SY021' then
    return sync.hold_back_try(p_try, sync.wait_asked_for(v_source, p_page.headers,
      sync.try_json(p_page.body), true), v_read.complaints #>> '{0,says}');
  elsif v_page.code = 'SY013' and p_try.attempts < 2 then
    perform sync.put_off_try(p_try.id, interval '1 second', true,
      v_read.complaints #>> '{0,says}');
    return 'retry';
  elsif p_try.kind = 'page' then
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
  perform sync.note_lone_answer(p_try.workspace_id, p_try.budget_id, p_try.requested_at);
  return 'completed';
end; $$;
comment on function sync.note_try(sync.stream_tries, sync.page_in_hand) is
$$Take up what an answer says, and what is asked for next; an answer that class_rules call no page
is a rate limit, or asked for again, as for a sync. The caller holds the try. Returns: the outcome,
completed, delayed or retry. Raises: the database's own trouble. Locks: the workspace, its waiting
chunks and its budget by SKIP LOCKED.$$;

create function sync.take_try_answer(p_try sync.stream_tries, p_page sync.page_in_hand)
  returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := sync.page_of_try(p_try, p_page);
  v_message text;
begin
  begin
    v_page.outcome := sync.note_try(p_try, v_page);
  exception when others then
    get stacked diagnostics v_message = message_text;
    v_page.code := sqlstate;
    v_page.message := sync.mask_workspace_key(v_message, p_try.workspace_id);
    if sync.is_own_trouble(sqlstate) then
      perform sync.put_off_try(p_try.id, interval '1 second', false, v_page.message);
      v_page.outcome := 'postponed';
    else
      perform sync.end_try(p_try.id, 'failed', v_page.message);
      v_page.outcome := 'failed';
    end if;
  end;
  perform sync.let_probe(p_try.budget_id) where v_page.outcome <> 'delayed';
  v_page.wait := case when v_page.outcome <> 'completed' then sync.wait_of_try(p_try.id) end;
  v_page.body := null;
  return v_page;
end; $$;
comment on function sync.take_try_answer(sync.stream_tries, sync.page_in_hand) is
$$Take one answer to a try, which the caller holds. What fails takes nothing with it: after trouble
of the database's own the request is sent again, otherwise the try has failed. Returns: the page
with its outcome. Locks: the workspace, its waiting chunks and its budget by SKIP LOCKED.$$;

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
    v_pages := v_pages || case when v_try.id is null then v_page
      else sync.take_try_answer(v_try, v_page) end;
  end loop;
  return v_pages;
end; $$;
comment on function sync.take_try_answers(sync.page_in_hand[]) is
$$Of what the fence refused, answers to tries are taken: no record of theirs is stored. Returns: the
pages, those with their outcomes. Locks: the tries by request; workspaces, waiting chunks and
budgets by SKIP LOCKED.$$;

create function sync.fail_try(p_given sync.page_in_hand, p_error_class text, p_error_message text,
  p_retry_after numeric) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_try sync.stream_tries := sync.try_of(p_given.queue_id, p_given.lease_token);
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, v_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, v_try.stream);
  v_page sync.page_in_hand := sync.page_of_try(v_try, p_given);
  v_found record;
begin
  if v_try.id is null then
    return null;
  elsif sync.is_page_by_rules(v_page, p_error_class, v_stream, v_source) then
    v_page := sync.take_try_answer(v_try, v_page);
    perform sync.prove_tokens(array[v_page]);
    return sync.outcome_of(v_page);
  end if;
  v_page.message := sync.failure_text(p_error_message, v_try.workspace_id);
  v_page.body := coalesce(v_page.body, p_error_message);
  v_page.http_status := coalesce(v_page.http_status,
    (regexp_match(p_error_message, '^HTTP ([0-9]{3})\M'))[1]::int);
  v_found := sync.class_of_failure(v_page, p_given.http_status is not null, p_error_class, v_stream,
    v_source);
  if v_found.o_class = 'permanent' and v_page.http_status = 401
    and v_page.token_generation is not null then
    v_page := sync.judge_unauthorized(v_page, v_try.has_renewed);
  else
    v_page.outcome := case
      when p_error_class = 'postponed'
        or (p_error_class = 'released' and sync.is_unsent(p_error_message)) then 'released'
      when v_found.o_class = 'rate_limited' then 'delayed' else 'retry' end;
    v_page.is_permanent := v_found.o_class = 'permanent';
  end if;
  if v_page.outcome = 'released' then
    perform sync.put_off_try(v_try.id, interval '0', false, v_page.message);
  elsif v_page.outcome = 'delayed' and v_found.o_class = 'rate_limited' then
    perform sync.hold_back_try(v_try, coalesce(v_found.o_retry_after, p_retry_after),
      v_page.message);
  elsif v_page.outcome = 'delayed' then
    perform sync.renew_token(v_page);
    update sync.stream_tries set has_renewed = true where id = v_try.id;
    perform sync.put_off_try(v_try.id, interval '0', false, v_page.message);
  elsif v_page.is_permanent or v_try.attempts >= 2 then
    v_page.outcome := 'failed';
    perform sync.note_failed_try(v_try, v_page, v_page.message);
  else
    perform sync.put_off_try(v_try.id, make_interval(secs => least(60, greatest(1, p_retry_after,
      v_found.o_retry_after))::double precision), true, v_page.message);
  end if;
  perform sync.let_probe(v_try.budget_id) where v_found.o_class <> 'rate_limited';
  v_page.wait := sync.wait_of_try(v_try.id);
  return sync.outcome_of(v_page);
end; $$;
comment on function sync.fail_try(sync.page_in_hand, text, text, numeric) is
$$A try's request ended without a page, and that means what it means for a sync: a rate limit is its
workspace's and its budget's, a 401 may have the access token renewed; what fails is sent three
times at most, and no earlier than its answer asks for, up to a minute. Returns: the outcome, or
null if that is no such request, or another's lease. Locks: its row; workspace, waiting chunks and
budget by SKIP LOCKED; then the workspace's token.$$;

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
  sync.end_try, sync.put_off_try, sync.lease_try, sync.lease_tries, sync.claim_try, sync.try_of,
  sync.go_on_with_try, sync.page_of_try, sync.wait_of_try, sync.hold_back_try, sync.note_try,
  sync.take_try_answer, sync.take_try_answers, sync.note_failed_try, sync.fail_try,
  sync.extend_requests_of_no_run, sync.take_back_tries
from public, anon, authenticated, service_role;
