-- Token answers: access tokens come in, or do not; nothing of their answers is kept but the tokens,
-- which go to Vault.
-- Stands on: keys, classes, budget_lines, rate_limits, token_requests.

create type sync.token_answer as (access_token text, refresh_token text, lifetime interval,
  is_refusal boolean, finding text, said text);
comment on type sync.token_answer is
'What a token endpoint said: an access token, or why not, in a finding of ours and in its own words;
is_refusal: the grant is no good.';

create function sync.read_token_answer(p_status int, p_body text) returns sync.token_answer
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_answer sync.token_answer;
  v_body jsonb := sync.json_object(p_body);
  v_seconds text := v_body ->> 'expires_in';
  v_code text;
begin
  v_answer.is_refusal := false;
  if p_status between 300 and 399 then
    v_answer.finding := format('HTTP %s, the token endpoint redirects', p_status);
    return v_answer;
  elsif v_body is null then
    v_answer.finding := format('HTTP %s, the token endpoint''s answer is no JSON object', p_status);
    return v_answer;
  end if;
  if p_status between 200 and 299 and jsonb_typeof(v_body -> 'access_token') = 'string'
    and v_body ->> 'access_token' ~ '^[\u0021-\u007e]+$' then
    v_answer.access_token := v_body ->> 'access_token';
    v_answer.refresh_token := case when jsonb_typeof(v_body -> 'refresh_token') = 'string'
      then nullif(v_body ->> 'refresh_token', '') end;
    v_answer.lifetime := case when v_seconds ~ '^[0-9]{1,9}(\.[0-9]{1,9})?$'
      and v_seconds::numeric > 0 then make_interval(secs => v_seconds::double precision) end;
    return v_answer;
  end if;
  select c.code into v_code from (values
    (v_body -> 'error'), (v_body #> '{error,code}'), (v_body #> '{error,type}'),
    (v_body #> '{error,status}'), (v_body -> 'status'), (v_body -> 'code'), (v_body -> 'type')
  ) as f (said)
  cross join lateral (select case when jsonb_typeof(f.said) = 'string'
    then lower(left(f.said #>> '{}', 60)) end) as c (code)
  where c.code ~ '^[a-z][a-z0-9_.-]*$'
  order by c.code ~ '^(invalid|bad|expired)_(grant|client|refresh_token)$' desc limit 1;
  v_answer.is_refusal := coalesce(p_status < 500 and p_status <> 429
    and v_code ~ '^((invalid|bad|expired)_(grant|client|refresh_token)|unauthorized_client)$',
    false);
  -- A code of ours to compare with is no part of a secret; any other may be.
  v_answer.finding := format('HTTP %s, %s', p_status, case when v_answer.is_refusal then v_code
    else 'the token endpoint gave no access token' end);
  v_answer.said := concat_ws(', ', case when not v_answer.is_refusal then v_code end,
    coalesce(v_body ->> 'error_description', v_body ->> 'message'));
  return v_answer;
end; $$;
comment on function sync.read_token_answer(int, text) is
$$Returns: what a token endpoint's answer says.$$;

create function sync.take_token(p_request sync.token_requests, p_answer sync.token_answer)
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_token sync.workspace_tokens;
  v_before jsonb;
  v_secret_id uuid;
begin
  select * into strict v_token from sync.workspace_tokens
  where workspace_id = p_request.workspace_id for no key update;
  v_before := coalesce(sync.json_object(sync.read_secret(v_token.secret_id)), '{}');
  v_secret_id := sync.write_secret('chunkwise/token/' || p_request.workspace_id,
    jsonb_strip_nulls(jsonb_build_object('access_token', p_answer.access_token,
      'refresh_token', coalesce(p_answer.refresh_token, v_before ->> 'refresh_token'),
      -- What is on its way with them may come back in a text.
      'before', nullif(v_before - 'before', '{}')))::text, 'Tokens of a Chunkwise workspace');
  update sync.workspace_tokens set secret_id = v_secret_id, base_url = p_request.base_url,
    generation = generation + 1, issued_at = p_request.requested_at,
    expires_at = p_request.requested_at + p_answer.lifetime, is_proven = false, refusals = 0,
    refused_until = null, refusal = null
  where workspace_id = p_request.workspace_id;
  perform sync.end_token_request(p_request.id, 'completed', 'completed', null);
  -- Nowhere else is a refresh token that was just rotated.
  perform set_config('synchronous_commit', 'on', true);
  perform sync.wake_workspaces(array[p_request.workspace_id]);
  update sync.stream_tries as t set due_at = sync.now()
  from (
    select id from sync.stream_tries
    where workspace_id = p_request.workspace_id and due_at > sync.now()
    order by id for no key update skip locked
  ) as waiting
  where t.id = waiting.id;
end; $$;
comment on function sync.take_token(sync.token_requests, sync.token_answer) is
$$An access token goes to Vault, with the refresh token that came along, and what waited for it is
ready. The transaction is durable. The caller holds the request. Locks: the workspace's token; queue
rows and tries by SKIP LOCKED.$$;

create function sync.suspend_grant(p_request sync.token_requests, p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.workspace_tokens set refusal = p_message, refusals = refusals + 1,
    refused_until = sync.now() + least(interval '1 hour',
      interval '1 minute' * 2 ^ least(refusals, 10))
  where workspace_id = p_request.workspace_id;
  perform sync.end_token_request(p_request.id, 'failed', 'failed', p_message);
end; $$;
comment on function sync.suspend_grant(sync.token_requests, text) is
$$The token endpoint refuses the grant: it is not tried again for a minute, then longer each time.
The next sweep ends the runs that need it. The caller holds the request. Locks: the workspace's
token.$$;

create function sync.delay_token_request(p_request sync.token_requests, p_outcome text,
  p_message text, p_seconds numeric) returns interval
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_is_failure constant boolean := p_outcome in ('retry', 'delayed');
  v_wait constant interval := case
    when v_is_failure then make_interval(secs => greatest(
      case when p_seconds > 0 then least(p_seconds, sync.setting('max_block_seconds')) end,
      (0.5 + random() / 2) * least(300, sync.setting('retry_base_seconds')
        * 2 ^ least(p_request.failures, 20)))::double precision)
    when p_outcome = 'postponed' then interval '1 second'
    else interval '0' end;
begin
  update sync.token_requests set status = 'pending', outcome = p_outcome,
    lease_expires_at = null, due_at = sync.now() + v_wait,
    failures = failures + v_is_failure::int,
    failing_since = case when p_outcome = 'retry' then coalesce(failing_since, sync.now())
    else failing_since end,
    error_message = coalesce(p_message, error_message)
  where id = p_request.id;
  return v_wait;
end; $$;
comment on function sync.delay_token_request(sync.token_requests, text, text, numeric) is
$$A request for a token is sent again: at once if it was not sent (outcome released), soon if the
database could not take its answer (postponed), else after a backoff up to 5 minutes, or what the
endpoint asked for. Whom the endpoint tells to wait (delayed) is not failing. The caller holds it.
Returns: after how long.$$;

create function sync.lock_token_request(p_queue_id bigint, p_lease_token bigint)
  returns sync.token_requests
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_request sync.token_requests;
begin
  select * into v_request from sync.token_requests where id = p_queue_id for no key update;
  -- Nobody has asked since, so that a late answer is as good as one in time.
  return case when v_request.lease_token = p_lease_token then v_request end;
end; $$;
comment on function sync.lock_token_request(bigint, bigint) is
$$Returns: the request for a token that was leased so last, also if that lease has run out; null:
there is none. Locks: its row.$$;

create function sync.lock_token_requests(p_pages sync.page_in_hand[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '10s' as $$
declare
  v_ids bigint[] := array(
    select r.id from unnest(p_pages) as p
    join sync.token_requests as r on r.id = p.queue_id and r.lease_token = p.lease_token
    where (p.verdict).outcome = 'refused');
begin
  if v_ids = array[]::bigint[] then
    return v_ids;
  end if;
  begin
    perform 1 from sync.token_requests where id = any (v_ids) order by id for no key update;
    perform 1 from sync.workspace_tokens where workspace_id in (
      select workspace_id from sync.token_requests where id = any (v_ids))
      order by workspace_id for no key update;
    return v_ids;
  exception when lock_not_available then
    null;
  end;
  -- Whoever holds one for so long has only that one wait.
  v_ids := array(
    select id from sync.token_requests where id = any (v_ids)
    order by id for no key update skip locked);
  return array(
    select r.id from sync.token_requests as r
    join sync.workspace_tokens as t on t.workspace_id = r.workspace_id
    where r.id = any (v_ids) order by t.workspace_id for no key update of t skip locked);
end; $$;
comment on function sync.lock_token_requests(sync.page_in_hand[]) is
$$Of what the fence refused, lock the requests for tokens that these are answers to, and then their
workspaces' tokens. A rotation in another session is waited for, for 10 s: its answer may be the
only place of a refresh token. Returns: those that are locked now. Locks: the requests by id, then
the tokens by workspace.$$;

create function sync.take_token_answer(p_page sync.page_in_hand, p_is_held boolean)
  returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_request sync.token_requests;
  v_answer sync.token_answer;
  v_message text;
begin
  -- Nobody has asked since, so that a late answer is as good as one in time.
  select * into v_request from sync.token_requests
  where id = p_page.queue_id and lease_token = p_page.lease_token;
  v_page.body := null;
  if v_request.id is null then
    return v_page;
  end if;
  v_page.verdict.code := null;
  v_page.verdict.message := null;
  begin
    if not p_is_held then
      raise exception using errcode = 'lock_not_available',
        message = 'another session holds the workspace''s tokens';
    end if;
    if coalesce(v_request.outcome, v_request.status) in ('processing', 'pending', 'postponed') then
      v_answer := sync.read_token_answer(p_page.http_status, p_page.body);
      v_message := concat_ws(': ', v_answer.finding, sync.foreign_text(
        nullif(v_answer.said, ''), sync.workspace_secret(v_request.workspace_id)));
      if v_answer.access_token is not null then
        perform sync.take_token(v_request, v_answer);
      elsif v_answer.is_refusal then
        perform sync.suspend_grant(v_request, v_message);
      else
        perform sync.delay_token_request(v_request, 'retry', v_message, null);
      end if;
      if v_answer.access_token is not null or v_answer.is_refusal then
        perform sync.learn_of_lone_answer(null, v_request.budget_id, v_request.requested_at);
      end if;
      perform sync.let_probe(v_request.budget_id);
      select * into v_request from sync.token_requests where id = v_request.id;
    end if;
    v_page.verdict.outcome := coalesce(v_request.outcome, v_request.status);
    v_page.verdict.message := v_request.error_message;
  exception when others then
    v_page.verdict.code := sqlstate;
    v_page.verdict.outcome := case
      when sync.is_own_trouble(sqlstate) then 'postponed' else 'retry' end;
    -- Of what stands in the answer nothing is known here, so nothing of the error's text is kept.
    v_page.verdict.message := format('the token endpoint''s answer could not be kept (SQLSTATE %s)',
      sqlstate);
    perform sync.delay_token_request(v_request, (v_page.verdict).outcome,
      (v_page.verdict).message, null)
      where p_is_held;
  end;
  return v_page;
end; $$;
comment on function sync.take_token_answer(sync.page_in_hand, boolean) is
$$Take a token endpoint's answer; p_is_held: whether the caller holds the request and the token of
its workspace. What fails takes nothing with it: the request is sent again, after trouble of the
database's own (postponed) without counting as a failure. Returns: the page, with its outcome if it
is such an answer. Locks: workspaces, budgets and queue rows by SKIP LOCKED.$$;

create function sync.take_token_answers(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_held bigint[] := sync.lock_token_requests(p_pages);
  v_page sync.page_in_hand;
  v_pages sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  for v_page in select * from unnest(p_pages) as p order by p.queue_id loop
    v_pages := v_pages || case when (v_page.verdict).outcome = 'refused'
      then sync.take_token_answer(v_page, v_page.queue_id = any (v_held)) else v_page end;
  end loop;
  return v_pages;
end; $$;
comment on function sync.take_token_answers(sync.page_in_hand[]) is
$$Of what the fence refused, the answers of token endpoints are taken: they bypass records, events
and texts. Returns: the pages, those with their outcomes: completed, failed (the grant is refused),
retry, postponed, cancelled; no wait: no id of a request is ever hinted. Locks: the requests by id,
the workspaces' tokens by id; workspaces, queue rows and budgets by SKIP LOCKED.$$;

create function sync.fail_token(p_page sync.page_in_hand, p_error_class text,
  p_error_message text, p_retry_after numeric) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_request sync.token_requests := sync.lock_token_request(p_page.queue_id, p_page.lease_token);
  v_source public.sync_sources;
  v_outcome text := coalesce(v_request.outcome,
    case when v_request.status = 'cancelled' then 'cancelled' end);
  v_wait interval;
begin
  if v_request.id is null then
    return null;
  end if;
  if v_outcome is null then
    v_outcome := case
      when p_error_class = 'postponed' then 'postponed'
      when p_error_class = 'released' and sync.is_unsent(p_error_message) then 'released'
      when p_error_class = 'rate_limited' then 'delayed' else 'retry' end;
    select so.* into v_source from public.sync_workspaces as w
    join public.sync_sources as so on so.id = w.source_id where w.id = v_request.workspace_id;
    v_wait := sync.delay_token_request(v_request, v_outcome, case when v_outcome <> 'released'
      then sync.failure_text(p_error_message, v_request.workspace_id) end, coalesce(
      sync.wait_asked_for(v_source, p_page.headers, sync.json_object(p_page.body),
      v_outcome = 'delayed'), p_retry_after));
    perform sync.slow_down(v_request.budget_id, v_request.requested_at, sync.now() + v_wait, false)
      where v_outcome = 'delayed';
    perform sync.let_probe(v_request.budget_id) where v_outcome <> 'delayed';
  end if;
  return jsonb_build_object('queue_id', v_request.id, 'outcome', v_outcome);
end; $$;
comment on function sync.fail_token(sync.page_in_hand, text, text, numeric) is
$$A request for a token ended without an answer that SQL can read: it is sent again. A 429 teaches
the budget of the token endpoint's host, whoever else draws on it; its workspace waits for the token
anyway. Returns: the outcome, or null if that is no such request, or another's lease. Locks: its
row, its budget by SKIP LOCKED.$$;

create function sync.reclaim_token_requests() returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_taken_back int;
begin
  update sync.token_requests as r set status = 'pending', lease_losses = r.lease_losses + 1,
    due_at = v_now + case when r.lease_losses = 0 then interval '0'
    else least(interval '5 minutes', interval '1 second' * 2 ^ least(r.lease_losses, 10)) end,
    failing_since = coalesce(r.failing_since, v_now),
    error_message = coalesce(r.error_message, 'its worker fell silent: chunkwise worker says why')
  from (
    select id from sync.token_requests
    where status = 'processing' and lease_expires_at <= v_now
    order by id for no key update skip locked
  ) as lost
  where r.id = lost.id;
  get diagnostics v_taken_back = row_count;
  -- The clock may have been set back.
  update sync.token_requests as r set due_at = least(r.due_at, v_now + interval '15 minutes'),
    lease_expires_at = least(r.lease_expires_at, v_now + sync.setting_seconds('lease_seconds'))
  from (
    select id from sync.token_requests
    where ended_at is null and (due_at > v_now + greatest(interval '15 minutes',
        sync.setting_seconds('max_block_seconds'))
      or lease_expires_at > v_now + greatest(interval '1 minute',
        sync.setting_seconds('lease_seconds')))
    for no key update skip locked
  ) as ahead
  where r.id = ahead.id;
  return v_taken_back;
end; $$;
comment on function sync.reclaim_token_requests() is
$$Requests for tokens whose lease ran out are sent again, with the refresh token that is in Vault:
whether the API has rotated it is for it to say. Returns: how many. Locks: their rows by SKIP
LOCKED.$$;

create function sync.follow_grants() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
begin
  update public.sync_workspaces as w set key_status = 'refused', key_checked_at = v_now
  where w.id = any (array(
    select x.id from sync.workspace_tokens as t
    join public.sync_workspaces as x on x.id = t.workspace_id
    where t.refused_until > v_now and x.key_status not in ('refused', 'unreadable')
    order by x.id for no key update of x skip locked));
  -- A job that waited on would hold its name, and with it the next sync of everybody else.
  update public.workspace_sync_runs as r set ending = 'failed', error_message = waiting.message
  from (
    select r.id, coalesce(
      'its grant is refused: ' || t.refusal || '. rotate_workspace_key() sets another',
      'it waited ten minutes for an access token: ' || x.error_message) as message
    from public.workspace_sync_runs as r
    left join sync.workspace_tokens as t on t.workspace_id = r.workspace_id
      and t.refused_until > v_now
    left join sync.token_requests as x on x.workspace_id = r.workspace_id and x.ended_at is null
      and greatest(x.failing_since, r.started_at) <= v_now - interval '10 minutes'
    where r.status = 'running' and r.ending is null and (t.workspace_id is not null
      or x.failing_since is not null)
    order by r.id for no key update of r skip locked
  ) as waiting
  where r.id = waiting.id;
end; $$;
comment on function sync.follow_grants() is
$$A refused grant is a refused key, and its live runs are ending; so are runs that have waited for
an access token for ten minutes. Locks: workspaces, then runs, by SKIP LOCKED.$$;

revoke all on function
  sync.read_token_answer, sync.take_token, sync.suspend_grant, sync.delay_token_request,
  sync.lock_token_request, sync.lock_token_requests, sync.take_token_answer,
  sync.take_token_answers, sync.fail_token, sync.reclaim_token_requests, sync.follow_grants
from public, anon, authenticated, service_role;
