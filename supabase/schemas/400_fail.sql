-- Fail: a lease ends without a page, by one of four classes.
-- Stands on: keys, budgets, queue, classes, rate_limits, verdicts, token_verdicts, fence, settle,
--   token_answers, try_outcomes, complete.

create function sync.judge_release(p_queue_id bigint, p_error_message text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_unanswered int;
begin
  if sync.is_unsent(p_error_message) then
    return true;
  end if;
  update public.chunk_processing_queue set unanswered = unanswered + 1
  where id = p_queue_id returning unanswered into v_unanswered;
  return v_unanswered <= sync.setting('max_unanswered');
end; $$;
comment on function sync.judge_release(bigint, text) is
$$Whether a released chunk costs no attempt. What was not sent never does; a request that met a
closed connection does after so many of them. The caller holds the row. Returns: false if it is a
transient failure.$$;

create function sync.judge_failure(
  p_page sync.page_in_hand, p_error_class text, p_error_message text, p_retry_after numeric
) returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_page sync.page_in_hand := p_page;
  v_class text := p_error_class;
  v_stream public.sync_streams;
  v_source public.sync_sources;
  v_found record;
  v_retry_after numeric := p_retry_after;
begin
  if (v_page.verdict).outcome is not null then
    return v_page;
  end if;
  if p_error_class = 'postponed' then
    return sync.postpone(v_page, coalesce(substring(p_error_message from '^([0-9A-Z]{5}): '),
      '57014'), regexp_replace(p_error_message, '^[0-9A-Z]{5}: ', ''));
  end if;
  v_page.verdict.message := sync.failure_text(p_error_message, v_page.workspace_id);
  if v_page.body is null then
    v_page.body := p_error_message;
  end if;
  v_page.http_status := coalesce(v_page.http_status,
    (regexp_match(p_error_message, '^HTTP ([0-9]{3})\M'))[1]::int);
  if v_page.http_status is not null and v_class in ('transient', 'rate_limited', 'permanent') then
    select * into strict v_stream from public.sync_streams where id = v_page.stream_id;
    select * into strict v_source from public.sync_sources where id = v_stream.source_id;
    v_found := sync.class_of_failure(v_page, p_page.http_status is not null, v_class, v_stream,
      v_source);
    v_class := v_found.o_class;
    v_retry_after := coalesce(v_found.o_retry_after, p_retry_after);
  end if;
  v_page.body := null;
  v_page.verdict.message := concat_ws('. ', rtrim((v_page.verdict).message, '.'),
    case when v_class <> 'rate_limited'
    then sync.way_out(v_page.http_status, p_error_message) end);
  v_page.verdict.is_permanent := v_class = 'permanent';
  if v_class = 'permanent' and v_page.http_status = 401
    and (v_page.access).token_generation is not null then
    return sync.judge_unauthorized(v_page, exists (
      select 1 from public.chunk_events as e
      where e.chunk_id = v_page.queue_id and e.event = 'delayed'
        and e.details ->> 'http_status' = '401'));
  end if;
  v_page.verdict.outcome := case v_class when 'rate_limited' then 'delayed' when 'released'
    then case when sync.judge_release(v_page.queue_id, p_error_message) then 'released'
    else 'retry' end
    else 'retry' end;
  v_page.verdict.wait := case v_class
    when 'rate_limited' then sync.learn_of_refusal(v_page.workspace_id,
      v_page.requested_at, v_retry_after)
    when 'transient' then case when v_retry_after > 0
    then make_interval(secs => least(v_retry_after,
      sync.setting('max_block_seconds'))::double precision) end end;
  return v_page;
end; $$;
comment on function sync.judge_failure(sync.page_in_hand, text, text, numeric) is
$$What a failed fetch means for its chunk: of an answer that came, what the class_rules and status
classes say, else what its worker says. Returns: the page with outcome retry, delayed, postponed or
released. Locks: for rate_limited, the workspace and its budget.$$;

create function sync.fail_chunk(
  p_page sync.page_in_hand, p_error_class text, p_error_message text, p_retry_after numeric
) returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
  v_page sync.page_in_hand;
  v_message text;
begin
  v_page := (sync.settle_chunks(array[sync.judge_failure(p_page, p_error_class, p_error_message,
    p_retry_after)]))[1];
  perform sync.renew_token(v_page) where (v_page.access).token_generation is not null;
  return v_page;
exception when others then
  if (p_page.verdict).outcome is not null or not sync.is_own_trouble(sqlstate) then
    raise;
  end if;
  get stacked diagnostics v_message = message_text;
  return (sync.settle_chunks(array[sync.postpone(p_page, sqlstate, v_message)]))[1];
end; $$;
comment on function sync.fail_chunk(sync.page_in_hand, text, text, numeric) is
$$Judge a failure and settle its chunk. What meets trouble of the database's own, such as a row of
its workspace that another session has locked, is postponed. Returns: the page with its final
outcome. Locks: as settle_chunks(), then the workspace's token; for a lock that others hold it waits
500 ms.$$;

create function sync.given_failure(p_queue_id bigint, p_lease_token bigint, p_answer jsonb)
  returns sync.page_in_hand
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_page sync.page_in_hand;
begin
  v_page.turn := 1;
  v_page.queue_id := p_queue_id;
  v_page.lease_token := p_lease_token;
  v_page.verdict.is_repeat := false;
  v_page.verdict.is_permanent := false;
  if coalesce(jsonb_typeof(p_answer), 'null') = 'null' then
    return v_page;
  end if;
  if (jsonb_typeof(p_answer) = 'object' and p_answer ->> 'status' ~ '^[1-9][0-9]{2}$'
    and sync.are_headers(p_answer -> 'headers')
    and coalesce(jsonb_typeof(p_answer -> 'body'), 'null') in ('null', 'string')) is not true then
    raise exception using errcode = 'SY006', message = 'p_answer is not what came of a request',
      hint = '{"status": 403, "headers": {"retry-after": "30"}, "body": "…"}, or null.';
  end if;
  v_page.http_status := (p_answer ->> 'status')::int;
  v_page.headers := p_answer -> 'headers';
  v_page.body := left(p_answer ->> 'body', 16384);
  return v_page;
end; $$;
comment on function sync.given_failure(bigint, bigint, jsonb) is
$$Returns: the arguments of fail_chunk_job_safe() about a chunk and its answer, checked. Raises:
SY006.$$;

create function sync.is_page_all_the_same(p_page sync.page_in_hand, p_error_class text)
  returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_source public.sync_sources;
begin
  if (p_page.verdict).outcome is not null or p_page.body is null then
    return false;
  end if;
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  select * into strict v_source from public.sync_sources where id = v_stream.source_id;
  return sync.is_page_by_rules(p_page, p_error_class, v_stream, v_source);
end; $$;
comment on function sync.is_page_all_the_same(sync.page_in_hand, text) is
$$Returns: whether a chunk's answer whose status is a failure is a page by class_rules.$$;

create function sync.fail_unmade(p_made sync.made_request[], p_worker_id text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
  v_now timestamptz := sync.now();
  v_pages sync.page_in_hand[];
  v_made sync.made_request;
begin
  with leased as (
    update public.chunk_processing_queue as q set status = 'processing',
      lease_token = sync.new_token(), lease_expires_at = v_now + interval '1 minute',
      started_at = v_now, worker_id = p_worker_id, ready_seq = null,
      turn = coalesce(q.ready_seq, q.turn), line_budget_id = null, next_retry_at = null
    from unnest(p_made) as m where q.id = m.queue_id
    returning q.id, q.lease_token
  )
  select array_agg(sync.given_failure(l.id, l.lease_token, null)) into v_pages from leased as l;
  v_pages := sync.fence(v_pages);
  for v_turn in 1 .. cardinality(v_pages) loop
    if (v_pages[v_turn].verdict).outcome is null then
      v_pages[v_turn].verdict.outcome := 'retry';
      v_pages[v_turn].verdict.is_permanent := true;
      select m.* into strict v_made from unnest(p_made) as m
      where m.queue_id = v_pages[v_turn].queue_id;
      v_pages[v_turn].verdict.code := v_made.code;
      v_pages[v_turn].verdict.message := sync.mask_workspace_key(v_made.message,
        v_pages[v_turn].workspace_id);
    end if;
  end loop;
  perform sync.settle_chunks(v_pages);
exception when others then
  if not sync.is_own_trouble(sqlstate) then
    raise;
  end if;
end; $$;
comment on function sync.fail_unmade(sync.made_request[], text) is
$$Chunks whose requests cannot be made fail for good, as if a worker had them and said so. What the
database's own trouble keeps from it stays as it was, for the next claim. The caller holds the queue
rows, and no budget. Locks: as settle_chunks(); for a lock that others hold it waits 500 ms.$$;

create function public.fail_chunk_job_safe(
  p_queue_id bigint, p_lease_token bigint, p_error_class text, p_error_message text default null,
  p_retry_after numeric default null, p_answer jsonb default null
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_pages sync.page_in_hand[];
  v_other jsonb;
  v_began_at timestamptz;
begin
  perform sync.require_service();
  v_began_at := sync.now();
  if p_error_class is null or p_error_class not in ('transient', 'rate_limited', 'permanent',
    'postponed', 'released') then
    raise exception using errcode = 'SY006',
      message = format('%L is no error class', p_error_class),
      hint = 'transient, rate_limited, permanent, postponed or released';
  end if;
  v_pages := sync.fence(array[sync.given_failure(p_queue_id, p_lease_token, p_answer)]);
  if (v_pages[1].verdict).outcome = 'refused' then
    v_other := coalesce(
      sync.fail_token(v_pages[1], p_error_class, p_error_message, p_retry_after),
      sync.fail_try(v_pages[1], p_error_class, p_error_message, p_retry_after));
    if v_other is not null then
      return v_other || jsonb_build_object('blocked_budgets', sync.blocked_budgets());
    end if;
    raise exception using errcode = 'SY001', message = (v_pages[1].verdict).message,
      hint = 'Stop: another worker owns it.';
  end if;
  v_pages := case when sync.is_page_all_the_same(v_pages[1], p_error_class)
    then sync.prove_tokens(sync.complete_pages(v_pages))
    else array[sync.fail_chunk(v_pages[1], p_error_class, p_error_message, p_retry_after)] end;
  return sync.outcome_of(v_pages[1]) || jsonb_build_object('blocked_budgets',
    sync.blocked_budgets(case when (v_pages[1].verdict).outcome = 'delayed' then v_began_at end));
end; $$;
comment on function public.fail_chunk_job_safe(bigint, bigint, text, text, numeric, jsonb) is
$$End a lease without a page. p_answer, where one came: {"status", "headers": those asked for,
"body": at most 16 KB of its text}; its class is found here, and p_error_class counts where none
came, or where it is a page that could not be handed over. transient: tried again after a backoff
(or p_retry_after seconds) until max_attempts, then failed; 0 seconds say no more than none.
rate_limited: the workspace waits, its budget is reduced, no attempt burnt. permanent: the run fails
and its other chunks are cancelled; of a confirmation only that. postponed: the database did not
take the answer (the message begins with the SQLSTATE), no attempt burnt unless it recurs for this
one only. released: handed back, nothing burnt; with a message that begins with "no answer" only
max_unanswered times, then as transient. Returns: the outcome (retry, delayed, postponed, failed,
released, cancelled) and "blocked_budgets"; repeated with the same token, the first outcome. Raises:
SY001 lease lost, SY006 unknown class or bad answer, SY016 wrong isolation. Locks: the queue row,
then run, job, workspace, budget.$$;

revoke all on function
  sync.judge_release, sync.judge_failure, sync.fail_chunk, sync.given_failure,
  sync.is_page_all_the_same, sync.fail_unmade,
  public.fail_chunk_job_safe
from public, anon, authenticated, service_role;
grant execute on function public.fail_chunk_job_safe to service_role;
