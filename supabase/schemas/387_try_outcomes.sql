-- Outcomes of tries: what an answer or a failure means for a try, and what it asks for next.
-- Stands on: keys, classes, rate_limits, verdicts, token_verdicts, fence, try_answers, try_leases.

create function sync.lock_try(p_queue_id bigint, p_lease_token bigint) returns sync.stream_tries
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_try sync.stream_tries;
begin
  select * into v_try from sync.stream_tries where request_id = p_queue_id for no key update;
  return case when v_try.lease_token = p_lease_token and v_try.lease_expires_at > sync.now()
    then v_try end;
end; $$;
comment on function sync.lock_try(bigint, bigint) is
$$Returns: the try whose request is leased so; null if there is none. Locks: its row.$$;

create function sync.advance_try(p_try sync.stream_tries, p_page sync.page_in_hand,
  p_stream public.sync_streams) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_next record := sync.next_of_try(p_try, p_page, p_stream);
begin
  update sync.stream_tries set error_message = null, attempts = 0, has_renewed = false,
    lease_expires_at = null, due_at = sync.now(), kind = coalesce(v_next.o_kind, kind),
    page = v_next.o_page, record_id = v_next.o_record_id, reading = v_next.o_reading,
    request_id = nextval('public.chunked_sync_jobs_id_seq')
  where id = p_try.id and v_next.o_kind is not null;
  if not found then
    perform sync.end_try(p_try.id, 'done', null);
  end if;
end; $$;
comment on function sync.advance_try(sync.stream_tries, sync.page_in_hand,
  public.sync_streams) is
$$Ask for what comes after an answer; with nothing more to ask for the try is done. The caller holds
it.$$;

create function sync.page_of_try(p_try sync.stream_tries, p_given sync.page_in_hand)
  returns sync.page_in_hand
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_given;
begin
  v_page.verdict.outcome := null;
  v_page.verdict.code := null;
  v_page.verdict.message := null;
  v_page.workspace_id := p_try.workspace_id;
  v_page.stream_id := (p_try.stream ->> 'id')::bigint;
  v_page.kind := p_try.kind;
  v_page.page := p_try.page;
  v_page.record_id := p_try.record_id;
  v_page.reading := p_try.reading;
  v_page.scan := 1;
  v_page.is_full_scan := true;
  v_page.requested_at := p_try.requested_at;
  v_page.access.token_generation := p_try.token_generation;
  v_page.access.is_token_proven := false;
  v_page.verdict.is_repeat := false;
  return v_page;
end; $$;
comment on function sync.page_of_try(sync.stream_tries, sync.page_in_hand) is
$$Returns: an answer to a try as the fence gives one to a chunk: with what it was asked for.$$;

create function sync.fail_try_step(p_try sync.stream_tries, p_given sync.page_in_hand,
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
    v_stream, sync.shape_of(sync.json_or_null(p_given.body), 2), case when v_is_past_end then '[]'
    else jsonb_build_array(jsonb_build_object('what', case p_try.kind when 'page' then 'answer'
      else 'item' end, 'says', p_message)) end))
  where id = p_try.id;
  if p_try.shown is null then
    perform sync.end_try(p_try.id, 'failed', p_message);
  else
    perform sync.advance_try(p_try, v_page, v_stream);
  end if;
end; $$;
comment on function sync.fail_try_step(sync.stream_tries, sync.page_in_hand, text) is
$$A try's request failed for good: without page 1 the try has failed, otherwise it goes on. A page
that was only guessed and is refused lies past the end. The caller holds the try.$$;

create function sync.hold_back_try(p_try sync.stream_tries, p_retry_after numeric,
  p_message text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.delay_try(p_try.id, sync.learn_of_refusal(p_try.workspace_id, p_try.requested_at,
    p_retry_after, false), false, p_message);
  return 'delayed';
end; $$;
comment on function sync.hold_back_try(sync.stream_tries, numeric, text) is
$$A try met a rate limit, which is one for its workspace and budget as any request's. The caller
holds it. Returns: the outcome. Locks: the workspace, its waiting chunks and its budget by SKIP
LOCKED.$$;

create function sync.complete_try_step(p_try sync.stream_tries, p_page sync.page_in_hand)
  returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_page sync.page_in_hand;
  v_read sync.tried_answer;
begin
  v_read := sync.read_try(p_page, v_stream, v_source);
  v_page := v_read.page;
  if (v_page.verdict).code = 'SY021' then
    return sync.hold_back_try(p_try, sync.wait_asked_for(v_source, p_page.headers,
      sync.json_or_null(p_page.body), true), v_read.complaints #>> '{0,says}');
  elsif (v_page.verdict).code = 'SY013' and p_try.attempts < 2 then
    perform sync.delay_try(p_try.id, interval '1 second', true,
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
  perform sync.advance_try(p_try, v_page, v_stream);
  perform sync.learn_of_lone_answer(p_try.workspace_id, p_try.budget_id, p_try.requested_at);
  return 'completed';
end; $$;
comment on function sync.complete_try_step(sync.stream_tries, sync.page_in_hand) is
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
    v_page.verdict.outcome := sync.complete_try_step(p_try, v_page);
  exception when others then
    get stacked diagnostics v_message = message_text;
    v_page.verdict.code := sqlstate;
    v_page.verdict.message := sync.mask_workspace_key(v_message, p_try.workspace_id);
    if sync.is_own_trouble(sqlstate) then
      perform sync.delay_try(p_try.id, interval '1 second', false, (v_page.verdict).message);
      v_page.verdict.outcome := 'postponed';
    else
      perform sync.end_try(p_try.id, 'failed', (v_page.verdict).message);
      v_page.verdict.outcome := 'failed';
    end if;
  end;
  perform sync.let_probe(p_try.budget_id) where (v_page.verdict).outcome <> 'delayed';
  v_page.verdict.wait := case
    when (v_page.verdict).outcome <> 'completed' then sync.wait_of_try(p_try.id) end;
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
    v_try := case when (v_page.verdict).outcome = 'refused'
      then sync.lock_try(v_page.queue_id, v_page.lease_token) end;
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
  v_try sync.stream_tries := sync.lock_try(p_given.queue_id, p_given.lease_token);
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
  v_page.verdict.message := sync.failure_text(p_error_message, v_try.workspace_id);
  v_page.body := coalesce(v_page.body, p_error_message);
  v_page.http_status := coalesce(v_page.http_status,
    (regexp_match(p_error_message, '^HTTP ([0-9]{3})\M'))[1]::int);
  v_found := sync.class_of_failure(v_page, p_given.http_status is not null, p_error_class, v_stream,
    v_source);
  if v_found.o_class = 'permanent' and v_page.http_status = 401
    and (v_page.access).token_generation is not null then
    v_page := sync.judge_unauthorized(v_page, v_try.has_renewed);
  else
    v_page.verdict.outcome := case
      when p_error_class = 'postponed'
        or (p_error_class = 'released' and sync.is_unsent(p_error_message)) then 'released'
      when v_found.o_class = 'rate_limited' then 'delayed' else 'retry' end;
    v_page.verdict.is_permanent := v_found.o_class = 'permanent';
  end if;
  if (v_page.verdict).outcome = 'released' then
    perform sync.delay_try(v_try.id, interval '0', false, (v_page.verdict).message);
  elsif (v_page.verdict).outcome = 'delayed' and v_found.o_class = 'rate_limited' then
    perform sync.hold_back_try(v_try, coalesce(v_found.o_retry_after, p_retry_after),
      (v_page.verdict).message);
  elsif (v_page.verdict).outcome = 'delayed' then
    perform sync.renew_token(v_page);
    update sync.stream_tries set has_renewed = true where id = v_try.id;
    perform sync.delay_try(v_try.id, interval '0', false, (v_page.verdict).message);
  elsif (v_page.verdict).is_permanent or v_try.attempts >= 2 then
    v_page.verdict.outcome := 'failed';
    perform sync.fail_try_step(v_try, v_page, (v_page.verdict).message);
  else
    perform sync.delay_try(v_try.id, make_interval(secs => least(60, greatest(1, p_retry_after,
      v_found.o_retry_after))::double precision), true, (v_page.verdict).message);
  end if;
  perform sync.let_probe(v_try.budget_id) where v_found.o_class <> 'rate_limited';
  v_page.verdict.wait := sync.wait_of_try(v_try.id);
  return sync.outcome_of(v_page);
end; $$;
comment on function sync.fail_try(sync.page_in_hand, text, text, numeric) is
$$A try's request ended without a page, and that means what it means for a sync: a rate limit is its
workspace's and its budget's, a 401 may have the access token renewed; what fails is sent three
times at most, and no earlier than its answer asks for, up to a minute. Returns: the outcome, or
null if that is no such request, or another's lease. Locks: its row; workspace, waiting chunks and
budget by SKIP LOCKED; then the workspace's token.$$;

revoke all on function
  sync.lock_try, sync.advance_try, sync.page_of_try, sync.fail_try_step, sync.hold_back_try,
  sync.complete_try_step, sync.take_try_answer, sync.take_try_answers, sync.fail_try
from public, anon, authenticated, service_role;
