-- Hints: ready work wakes workers by Realtime and by POST; lost hints are sent again. Only speed
-- depends on them.
-- Stands on: keys, budget_lines, leases, alerts, endpoints.

create function sync.note_hint_failure(p_channel text, p_message text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update sync.hint_state as s set
    last_error = case p_channel when 'realtime' then sync.mask_secrets(p_message)
      else s.last_error end,
    last_push_error = case p_channel when 'push' then sync.mask_secrets(p_message)
      else s.last_push_error end
  from (select is_only_row from sync.hint_state for no key update skip locked) as free
  where s.is_only_row;
$$;
comment on function sync.note_hint_failure(text, text) is
$$Note why hints fail; the next one that does not takes it back. A verb that holds runs may come
here, so it waits for nobody: another notes the same. Locks: the row of hint_state, by SKIP
LOCKED.$$;

create function sync.broadcast_work(p_pause interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
begin
  if not exists (select 1 from sync.hint_state where last_broadcast_at <= v_now - p_pause)
    or to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null then
    return;
  end if;
  perform 1 from sync.hint_state
    where last_broadcast_at <= v_now - p_pause for no key update skip locked;
  if found then
    update sync.hint_state set last_broadcast_at = v_now, broadcasts = broadcasts + 1,
      last_error = null
    where is_only_row;
    perform realtime.send('{}'::jsonb, 'work', 'chunkwise:work', true);
  end if;
end; $$;
comment on function sync.broadcast_work(interval) is
$$Tell the workers by Realtime that there is work, unless that was said within the pause, or is just
being said: a worker looks once more 500 ms after any hint. Locks: the row of hint_state, by SKIP
LOCKED.$$;

create function sync.held_posts() returns table (request_id bigint, chunk_id bigint)
language plpgsql stable rows 100 set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select h.request_id, h.chunk_id from net.http_request_queue as q
  join sync.hints as h on h.request_id = q.id and h.outcome = 'sent'
    and q.headers ->> 'Chunkwise-Message' = 'hint/' || h.chunk_id;
end; $$;
comment on function sync.held_posts() is
$$Returns: the posts that pg_net has and did not send yet; the caller has checked that it is
there.$$;

create function sync.room_for_posts() returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_most constant bigint := 1000;
begin
  -- Mostly so few are not answered yet that the queue need not be read.
  return v_most - case
    when (select count(*) from (
      select 1 from sync.hints where outcome = 'sent' limit v_most / 2) as sent) < v_most / 2 then 0
    else (select count(*) from sync.held_posts()) end;
end; $$;
comment on function sync.room_for_posts() is
$$Returns: how many more posts pg_net may be given. Where it stands still or is slow, more of them
would only be old when they go.$$;

create function sync.push_chunks(p_queue_ids bigint[]) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_sent int;
begin
  if to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') is null then
    return 0;
  end if;
  with reachable as materialized (
    select x.id, x.url, x.streams, x.token from (
      select e.id, e.url, e.streams, sync.read_secret(e.secret_id) as token
      from public.worker_endpoints as e
      where e.is_active and (e.resting_until is null or e.resting_until <= sync.now()) offset 0
    ) as x where x.token is not null
  )
  insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at)
  select c.id, e.id, net.http_post(
      url => e.url,
      body => jsonb_build_object('type', 'UPDATE', 'table',
      case when c.is_item then 'chunk_processing_queue' else 'sync_page_queue' end, 'schema',
      'public',
        'record', jsonb_build_object('id', c.id, 'status', c.status, 'attempts', c.attempts,
        'created_at', c.created_at), 'old_record', null),
      headers => jsonb_build_object('Content-Type', 'application/json', 'Authorization',
        'Bearer ' || e.token, 'Chunkwise-Message', 'hint/' || c.id),
      timeout_milliseconds => 2000),
    c.attempt, sync.now()
  from (
    select ready.*,
      1 + (select count(*) from sync.hints as h where h.chunk_id = ready.id)::int as attempt
    from (
      select q.id, q.status, q.attempts, q.created_at, q.ready_seq, st.stream_name,
        st.completeness = 'items' as is_item
      from public.chunk_processing_queue as q
      join public.workspace_sync_runs as r on r.id = q.run_id
      join public.sync_streams as st on st.id = r.stream_id
      where q.id = any (p_queue_ids)
      union all
      -- What is tried may be declared nowhere yet: whoever is woken for some stream will do.
      select t.request_id, 'pending', t.attempts, t.created_at, null, null, t.kind = 'item'
      from sync.stream_tries as t where t.request_id = any (p_queue_ids)
    ) as ready
    order by ready.ready_seq limit (select greatest(0, sync.room_for_posts()))
  ) as c
  cross join lateral (
    select x.*, row_number() over (order by x.id) - 1 as position, count(*) over () as endpoints
    from reachable as x
    where x.streams is null or c.stream_name is null or c.stream_name = any (x.streams)
  ) as e
  where e.position = (c.id + c.attempt) % e.endpoints
  order by c.ready_seq;
  get diagnostics v_sent = row_count;
  perform sync.note_hint_failure('push', null)
  where exists (select 1 from sync.hint_state where last_push_error is not null);
  return v_sent;
exception when others then
  perform sync.note_hint_failure('push', sqlerrm);
  return 0;
end; $$;
comment on function sync.push_chunks(bigint[]) is
$$Post one wake-up per chunk, or request of a try, spread over the endpoints; each further attempt
goes to the next one. One whose wake token cannot be read gets none. pg_net sends them after commit,
once. Beyond what it may be given at a time nothing is posted: the sweep hints again. A failure is
noted in sync.hint_state and fails nothing else. Returns: how many.$$;

create function sync.hint_work(p_queue_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  begin
    perform sync.broadcast_work(interval '250 milliseconds');
  exception when others then
    perform sync.note_hint_failure('realtime', sqlerrm);
  end;
  if exists (select 1 from public.worker_endpoints where is_active) then
    perform sync.push_chunks(p_queue_ids);
  end if;
end; $$;
comment on function sync.hint_work(bigint[]) is
$$Tell workers of chunks, or requests of tries, that are ready. A failure is noted in
sync.hint_state and never reaches the caller. Locks: as broadcast_work().$$;

create function sync.hint_ready_chunks() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_trigger_of(tg_relid, 'public.chunk_processing_queue');
  if exists (select 1 from changed where ready_seq is not null) then
    perform sync.hint_work(array(select id from changed where ready_seq is not null));
  end if;
  return null;
end; $$;
comment on function sync.hint_ready_chunks() is
$$Trigger, per statement: chunks became ready. A failure is noted in sync.hint_state and never
reaches the statement.$$;
create trigger chunk_processing_queue_hint after update on public.chunk_processing_queue
referencing new table as changed
for each statement execute function sync.hint_ready_chunks();

create function sync.hint_try() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_trigger_of(tg_relid, 'sync.stream_tries');
  if new.due_at <= sync.now() then
    perform sync.hint_work(array[new.request_id]);
  end if;
  return null;
end; $$;
comment on function sync.hint_try() is
$$Trigger: a try has a request that may be handed out. A failure is noted in sync.hint_state and
never reaches the statement.$$;
create trigger stream_tries_hint after insert or update of due_at on sync.stream_tries
for each row execute function sync.hint_try();

create function sync.hint_progress() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_trigger_of(tg_relid, 'public.polling_job_status');
  begin
    if to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
      perform realtime.send(jsonb_build_object('job_id', new.id), 'progress',
        'chunkwise:progress', true);
    end if;
  exception when others then
    perform sync.note_hint_failure('realtime', sqlerrm);
  end;
  return null;
end; $$;
comment on function sync.hint_progress() is
$$Trigger: a job's row says that it is further, or at its end; operators who watch are told to look.
While it runs that is about once a second, however many runs end: a channel that is told more than
it may be is shut. It cannot fail the statement.$$;
create trigger polling_job_status_hint after update of status, chunks_completed
on public.polling_job_status
for each row when (old.status = 'running' and (old.status, old.chunks_completed)
  is distinct from (new.status, new.chunks_completed)) execute function sync.hint_progress();

create function sync.collect_hint_answers() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('net._http_response') is null
    or not exists (select 1 from sync.hints where outcome = 'sent') then
    return;
  end if;
  with tokens as (
    select e.id as endpoint_id, sync.read_secret(e.secret_id) as token
    from public.worker_endpoints as e
  ), found as materialized (
    -- Answers have no index by their request, and a claim's sweep has no other join than one by one.
    select h.id, r.timed_out, r.error_msg, r.status_code, r.created, r.content
    from net._http_response as r
    cross join lateral (
      select x.id, x.posted_at from sync.hints as x
      where x.request_id = r.id and x.outcome = 'sent' offset 0
    ) as h
    where r.created >= (select min(x.posted_at) from sync.hints as x where x.outcome = 'sent')
      - interval '10 seconds'
      and sync.may_answer(r.created, h.posted_at, h.posted_at)
  ), answered as (
    update sync.hints as h set
      outcome = case when r.timed_out then 'timed_out' when r.error_msg is not null then 'failed'
      when r.status_code = 503 then 'busy'
        when r.status_code >= 300 then 'refused' else 'answered' end,
      status_code = r.status_code, settled_at = r.created,
      -- Of a token that cannot be read nobody can see whether the answer repeats it.
      message = case when exists (
        select 1 from tokens as t where t.endpoint_id = h.endpoint_id and t.token is null
      ) then '(not shown: the wake token cannot be read)'
        else sync.foreign_text(coalesce(r.error_msg, r.content),
        (select t.token from tokens as t where t.endpoint_id = h.endpoint_id)) end
    from found as r
    where h.id = r.id
    returning h.endpoint_id, h.outcome, h.message
  ), by_endpoint as (
    select endpoint_id, bool_or(outcome in ('answered', 'busy')) as is_alive, count(*) as failures,
      max(message) filter (where outcome not in ('answered', 'busy')) as message
    from answered group by endpoint_id
  ), free as (
    select id from public.worker_endpoints order by id for no key update skip locked
  )
  update public.worker_endpoints as e set
    last_answered_at = case when b.is_alive then sync.now() else e.last_answered_at end,
    consecutive_failures = case when b.is_alive then 0 else e.consecutive_failures + b.failures end,
    last_error = case when b.is_alive then null else b.message end,
    resting_until = case when not b.is_alive and e.consecutive_failures + b.failures >= 3
      then sync.now() + least(30 * 2 ^ least(e.consecutive_failures + b.failures - 3, 5),
      900) * interval '1 second' end
  from by_endpoint as b join free on free.id = b.endpoint_id
  where e.id = free.id;
  update sync.hints set outcome = 'lost', settled_at = sync.now()
  where outcome = 'sent' and sent_at < sync.now() - interval '60 seconds';
  perform sync.open_alert('endpoint_failing', url,
    format('%s wake-ups in a row failed: %s', consecutive_failures,
    coalesce(last_error, 'no reason')))
  from public.worker_endpoints where is_active and resting_until > sync.now();
  perform sync.resolve_alert('endpoint_failing', url) from public.worker_endpoints
    where consecutive_failures = 0;
end; $$;
comment on function sync.collect_hint_answers() is
$$Read what pg_net says of the posts; endpoints that fail three times in a row rest, with an alert,
and longer each time. A post without an answer for a minute is lost. A sweep comes here, so it waits
for nobody: of an endpoint that is being changed nothing is noted. Locks: endpoints by SKIP
LOCKED.$$;

create function sync.drop_old_posts() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('net.http_request_queue') is null
    or not exists (select 1 from sync.hints where outcome = 'sent') then
    return;
  end if;
  delete from net.http_request_queue where id = any (array(
    select q.id from net.http_request_queue as q
    join sync.hints as h on h.request_id = q.id and h.outcome = 'sent'
      and h.sent_at < sync.now() - interval '60 seconds'
      and q.headers ->> 'Chunkwise-Message' = 'hint/' || h.chunk_id
    for update of q skip locked));
exception when others then
  perform sync.note_hint_failure('push', sqlerrm);
end; $$;
comment on function sync.drop_old_posts() is
$$Take from pg_net the posts that it had for a minute without sending them: what they speak of is
hinted again. A failure is noted and fails nothing else. Locks: requests in its queue by SKIP
LOCKED.$$;

create function sync.resend_hints(p_at_once boolean) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_ready bigint[];
  v_tries bigint[] := array(
    select request_id from sync.stream_tries where due_at <= v_now order by id limit 100);
begin
  select coalesce(array_agg(q.id order by q.ready_seq), '{}') into v_ready
  from public.workspace_sync_runs as r
  cross join lateral (
    -- A plain comparison would offer the planner to look through all that is ready.
    select x.id, x.ready_seq from public.chunk_processing_queue as x
    where x.run_id = r.id and x.slot is not null and (x.ready_seq is not null) is true offset 0
  ) as q
  where r.status = 'running';
  if cardinality(v_ready || v_tries) = 0 then
    return 0;
  end if;
  perform sync.broadcast_work(case when p_at_once then interval '0' else interval '250 milliseconds'
    end);
  if exists (select 1 from public.worker_endpoints where is_active)
    and to_regclass('net.http_request_queue') is not null then
    perform sync.push_chunks(array(
      select c.ready_id from unnest(v_tries || v_ready) as c (ready_id)
      where (p_at_once or not exists (
          select 1 from sync.hints as h where h.chunk_id = c.ready_id
          having max(h.sent_at) > v_now - least(5 * 2 ^ least(count(*) - 1, 6),
            300) * interval '1 second'))
        and c.ready_id not in (select p.chunk_id from sync.held_posts() as p)
      limit 200));
  end if;
  return cardinality(v_ready);
end; $$;
comment on function sync.resend_hints(boolean) is
$$Hint ready chunks again that nobody claimed in time, with backoff per chunk, or all at once; not
those whose last post pg_net did not send yet; requests of tries likewise. Returns: chunks that are
ready.$$;

create function sync.tend_hints() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.wake_due_chunks(1000);
  perform sync.wake_lines(1000);
  perform sync.drop_old_posts();
  perform sync.collect_hint_answers();
  perform sync.resend_hints(false);
exception
  when lock_not_available then
    -- Another holds what this reads: the next sweep comes.
    null;
  when others then
    perform sync.note_hint_failure('realtime', sqlerrm);
end; $$;
comment on function sync.tend_hints() is
$$The sweep's part: due chunks become ready, answers are read, lost hints are sent again. A failure
is noted and fails nothing else.$$;

create function public.trigger_next_chunk_processing() returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
begin
  perform sync.require_service();
  perform sync.wake_due_chunks(1000);
  perform sync.wake_lines(1000);
  return jsonb_build_object('ready_chunks', sync.resend_hints(true));
end; $$;
comment on function public.trigger_next_chunk_processing() is
$$Hint all ready work again, now. Returns: {"ready_chunks"}. Locks: due queue rows by SKIP
LOCKED.$$;

do $$
begin
  if to_regclass('realtime.messages') is not null then
    create policy chunkwise_progress_select_operator
      on realtime.messages for select to authenticated
    using (extension = 'broadcast' and (select realtime.topic()) = 'chunkwise:progress'
    and (select sync.is_operator()));
  end if;
end; $$;

revoke all on function
  sync.note_hint_failure, sync.broadcast_work, sync.held_posts, sync.room_for_posts,
  sync.push_chunks, sync.hint_work, sync.hint_ready_chunks, sync.hint_try, sync.hint_progress,
  sync.collect_hint_answers, sync.drop_old_posts, sync.resend_hints, sync.tend_hints,
  public.trigger_next_chunk_processing
from public, anon, authenticated, service_role;
grant execute on function public.trigger_next_chunk_processing to service_role;
