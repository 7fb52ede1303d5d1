-- Complete: a page is applied by the holder of its chunk's lease, once, together with what it
-- reveals.
-- Stands on: read, claim.

create function sync.first_answer(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql stable set search_path = '' as $$
declare
  v_page sync.page_in_hand := p_page;
  v_event public.chunk_events;
begin
  select * into v_event from public.chunk_events
  where chunk_id = p_page.queue_id and lease_token = p_page.lease_token
  order by event = 'lease_lost' desc, id desc limit 1;
  v_page.is_repeat := true;
  v_page.outcome := case when v_event.id is null or v_event.event = 'lease_lost' then 'refused'
    else v_event.event end;
  if v_page.outcome = 'refused' then
    v_page.code := 'SY001';
    v_page.message := format('chunk %s is not leased under token %s', p_page.queue_id,
      p_page.lease_token);
  else
    v_page.code := v_event.details ->> 'code';
    v_page.message := v_event.details ->> 'message';
    v_page.records := (v_event.details ->> 'records')::int;
    v_page.changed := (v_event.details ->> 'changed')::int;
  end if;
  return v_page;
end; $$;
comment on function sync.first_answer(sync.page_in_hand) is
$$For a lease that has ended. Returns: what its holder was told, or refused (SY001) if another ended
it.$$;

create function sync.fence(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = '' as $$
declare
  v_now timestamptz;
  v_page sync.page_in_hand;
  v_chunk record;
  v_fenced sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  perform sync.require_read_committed();
  perform 1 from public.chunk_processing_queue
  where id = any (array(select queue_id from unnest(p_pages))) order by id for no key update;
  v_now := sync.now();
  for v_chunk in
    select p as given, q.*, c.kind, c.scan, c.page, c.record_id, c.reading, r.workspace_id,
      r.stream_id, r.ending
    from unnest(p_pages) as p
    left join public.chunk_processing_queue as q on q.id = p.queue_id
    left join public.chunked_sync_jobs as c on c.id = q.id
    left join public.workspace_sync_runs as r on r.id = q.run_id
    order by p.turn
  loop
    v_page := v_chunk.given;
    if v_chunk.lease_token = v_page.lease_token and v_chunk.status = 'processing'
      and v_chunk.lease_expires_at > v_now then
      v_page.run_id := v_chunk.run_id;
      v_page.workspace_id := v_chunk.workspace_id;
      v_page.stream_id := v_chunk.stream_id;
      v_page.slot := v_chunk.slot;
      v_page.kind := v_chunk.kind;
      v_page.scan := v_chunk.scan;
      v_page.page := v_chunk.page;
      v_page.record_id := v_chunk.record_id;
      v_page.reading := v_chunk.reading;
      v_page.worker_id := v_chunk.worker_id;
      v_page.attempts := v_chunk.attempts;
      v_page.max_attempts := v_chunk.max_attempts;
      v_page.outcome := case when v_chunk.ending is not null then 'cancelled' end;
    else
      v_page := sync.first_answer(v_page);
    end if;
    v_fenced := v_fenced || v_page;
  end loop;
  return v_fenced;
end; $$;
comment on function sync.fence(sync.page_in_hand[]) is
$$Lock the chunks and check the leases, deadline included, so that a late worker is refused before
any sweep ran. Returns: the pages; those still to be applied have no outcome. Raises: SY016. Locks:
the queue rows, by id.$$;

create function sync.applied(p_pages sync.page_in_hand[], p_found sync.found_record[],
  p_changed sync.changed_record[])
returns sync.page_in_hand[]
language plpgsql stable set search_path = '' as $$
declare
  v_page sync.page_in_hand;
  v_applied sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  foreach v_page in array p_pages loop
    v_page.outcome := 'completed';
    v_page.records := coalesce(v_page.records, 0);
    v_page.changed := (
      select count(*) from unnest(p_changed) as c
      join unnest(p_found) as f using (workspace_id, stream_id, record_id)
      where f.turn = v_page.turn);
    v_page.body := null;
    v_page.answer := null;
    v_applied := v_applied || v_page;
  end loop;
  return v_applied;
end; $$;
comment on function sync.applied(sync.page_in_hand[], sync.found_record[], sync.changed_record[]) is
$$Returns: applied pages, with their outcome and how many records of each changed, and without their
bodies.$$;

create function sync.apply_pages(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = '' set enable_hashjoin = on as $$
declare
  v_found sync.found_record[] := sync.found_records(p_pages);
  v_changed sync.changed_record[] := '{}'::sync.changed_record[];
  v_part sync.changed_record[];
  v_function text;
begin
  for v_function in
    select distinct apply_function from public.sync_streams
    where id in (select stream_id from unnest(p_pages)) order by 1
  loop
    execute format('select array_agg(c) from %s($1) as c', v_function) into v_part
    using array(
      select row(f.workspace_id, f.stream_id, f.record_id, f.updated_at,
        f.record)::sync.incoming_record
      from unnest(v_found) as f join public.sync_streams as st on st.id = f.stream_id
      where st.apply_function = v_function);
    v_changed := v_changed || coalesce(v_part, '{}');
  end loop;
  insert into sync.seen_pages (run_id, scan, page, chunk_id, record_ids, total, last_page)
  select p.run_id, p.scan, case when p.is_past_pages then null else p.page end, p.queue_id,
    array(select f.record_id from unnest(v_found) as f where f.turn = p.turn), p.total, p.last_page
  from unnest(p_pages) as p where p.kind in ('page', 'cursor');
  perform sync.note_confirmations(p_pages)
    where exists (select 1 from unnest(p_pages) as p where p.kind = 'confirmation');
  perform sync.note_items(p_pages)
    where exists (select 1 from unnest(p_pages) as p where p.kind = 'item');
  return sync.applied(p_pages, v_found, v_changed);
end; $$;
comment on function sync.apply_pages(sync.page_in_hand[]) is
$$Apply pages that were read as one set, and note the ids they showed. Returns: the pages with
outcome completed and counts. Raises: whatever the data does to the tables. Locks: target rows, in
key order.$$;

create function sync.try_page(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql set search_path = '' as $$
declare
  v_page sync.page_in_hand := p_page;
  v_is_sound boolean := false;
  v_message text;
  v_hint text;
begin
  v_page := sync.read_page(v_page);
  perform sync.apply_pages(array[v_page]);
  v_is_sound := true;
  raise exception 'this was a trial';
exception when others then
  if v_is_sound then
    return v_page;
  end if;
  get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
  return sync.judge_error(v_page, sqlstate, v_message, v_hint);
end; $$;
comment on function sync.try_page(sync.page_in_hand) is
$$Apply one page and take it back. Returns: the page as read, without an outcome if it can be
applied, else with what its error means.$$;

create function sync.apply_fenced(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = '' as $$
declare
  v_decided sync.page_in_hand[] := array(select p from unnest(p_pages) as p
    where p.outcome is not null);
  v_to_apply sync.page_in_hand[] := array(select p from unnest(p_pages) as p
    where p.outcome is null);
begin
  if cardinality(v_to_apply) = 0 then
    return v_decided;
  end if;
  begin
    return v_decided || sync.apply_pages(array(select sync.read_page(p)
      from unnest(v_to_apply) as p));
  exception when others then
    v_to_apply := array(select sync.try_page(p) from unnest(v_to_apply) as p);
  end;
  v_decided := v_decided || array(select p from unnest(v_to_apply) as p
    where p.outcome is not null);
  v_to_apply := array(select p from unnest(v_to_apply) as p where p.outcome is null);
  return v_decided || case when cardinality(v_to_apply) > 0 then sync.apply_pages(v_to_apply)
    else v_to_apply end;
end; $$;
comment on function sync.apply_fenced(sync.page_in_hand[]) is
$$Apply what has no outcome yet as one set; if that fails, find the bad pages by trying each alone,
and apply the others as one set: pages applied one after the other would lock records out of key
order. Returns: all pages, each with its outcome.$$;

create function sync.given_pages(p_pages jsonb) returns sync.page_in_hand[]
language plpgsql stable set search_path = '' as $$
begin
  if coalesce(jsonb_typeof(p_pages), 'null') <> 'array' or jsonb_array_length(p_pages) not between 1
    and 100 then
    raise exception using errcode = 'SY006', message = 'p_pages is not a list of 1 to 100 pages',
      hint = '[{"queue_id": 1, "lease_token": 2, "status": 200, "body": "…", "duration_ms": 187}]';
  end if;
  if exists (
    select 1 from jsonb_array_elements(p_pages) as g
    where (g ->> 'queue_id' ~ '^[0-9]{1,18}$' and g ->> 'lease_token' ~ '^[0-9]{1,18}$'
      and g ->> 'status' ~ '^[1-5][0-9]{2}$'
      and coalesce(g ->> 'duration_ms', '0') ~ '^[0-9]{1,15}$'
      and jsonb_typeof(g -> 'body') = 'string') is not true
  ) or (select count(distinct g ->> 'queue_id') < count(*) from jsonb_array_elements(p_pages) as g)
  then
    raise exception using errcode = 'SY006',
      message = 'a page lacks queue_id, lease_token, status or body, or stands there twice',
      hint = 'They are whole numbers, as is duration_ms; the body is a JSON string with the '
        'answer''s text.';
  end if;
  return array(
    select jsonb_populate_record(null::sync.page_in_hand, jsonb_build_object(
      'turn', g.n, 'queue_id', g.page -> 'queue_id', 'lease_token', g.page -> 'lease_token',
      'http_status', g.page -> 'status',
      'body', g.page -> 'body', 'duration_ms', g.page -> 'duration_ms', 'is_repeat', false,
      'is_permanent', false))
    from jsonb_array_elements(p_pages) with ordinality as g (page, n) order by g.n);
end; $$;
comment on function sync.given_pages(jsonb) is
$$Returns: the argument of complete_chunk_jobs_safe(), checked. Raises: SY006.$$;

create function sync.outcome_of(p_page sync.page_in_hand) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object('queue_id', p_page.queue_id, 'outcome',
    p_page.outcome, 'code', p_page.code,
    'message', p_page.message, 'hint',
    case p_page.outcome when 'refused' then 'Stop: another worker owns it.' end,
    'records', p_page.records, 'changed', p_page.changed,
    'look_again_ms', ceil(extract(epoch from p_page.wait) * 1000)::bigint));
$$;
comment on function sync.outcome_of(sync.page_in_hand) is
$$Returns: what the holder is told, see docs/worker-protocol.md.$$;

create function public.complete_chunk_jobs_safe(p_pages jsonb) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '25s'
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
  set enable_hashjoin = off
set enable_mergejoin = off set jit = off as $$
declare
  v_pages sync.page_in_hand[] := sync.apply_fenced(sync.fence(sync.given_pages(p_pages)));
begin
  v_pages := sync.settle_chunks(v_pages);
  return jsonb_build_object(
    'outcomes', (select jsonb_agg(sync.outcome_of(p) order by p.turn) from unnest(v_pages) as p),
    'blocked_budgets', sync.blocked_budgets());
end; $$;
comment on function public.complete_chunk_jobs_safe(jsonb) is
$$Hand over 1 to 100 fetched pages [{"queue_id", "lease_token", "status", "body", "duration_ms"}];
the body is the answer's text. Returns: {"outcomes": [one per page, in order], "blocked_budgets"};
outcomes: completed, cancelled, retry, failed, refused. Repeated with the same tokens it answers
alike and applies nothing again. Raises: SY006 not such a list, SY016 wrong isolation. Locks: queue
rows by id, target rows by key, promotions by SKIP LOCKED, then runs, jobs, workspaces, budgets.$$;

create function public.complete_chunk_job_safe(p_queue_id bigint, p_lease_token bigint,
  p_page jsonb) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '25s' as $$
declare
  v_answer jsonb := public.complete_chunk_jobs_safe(jsonb_build_array(
    coalesce(p_page, '{}') || jsonb_build_object('queue_id', p_queue_id, 'lease_token',
    p_lease_token)));
  v_outcome jsonb := v_answer -> 'outcomes' -> 0;
begin
  if v_outcome ->> 'outcome' = 'refused' then
    raise exception using errcode = 'SY001', message = v_outcome ->> 'message',
      hint = v_outcome ->> 'hint';
  end if;
  return v_outcome || jsonb_build_object('blocked_budgets', v_answer -> 'blocked_budgets');
end; $$;
comment on function public.complete_chunk_job_safe(bigint, bigint, jsonb) is
$$Hand over one fetched page {"status", "body", "duration_ms"}. Returns: its outcome and
"blocked_budgets". Raises: SY001 lease lost, SY006 bad page, SY016 wrong isolation. Locks: as
complete_chunk_jobs_safe().$$;

revoke all on function sync.applied, sync.first_answer, sync.fence, sync.apply_pages, sync.try_page,
  sync.apply_fenced, sync.given_pages,
sync.outcome_of, public.complete_chunk_jobs_safe, public.complete_chunk_job_safe from public, anon,
  authenticated, service_role;
grant execute on function public.complete_chunk_jobs_safe,
  public.complete_chunk_job_safe to service_role;
