-- Fence: what a holder hands over, whether it still holds its lease, what it is told.
-- Stands on: runs, slots.

create function sync.are_headers(p_headers jsonb) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case coalesce(jsonb_typeof(p_headers), 'null') when 'null' then true
    when 'object' then not exists (
      select from jsonb_each(p_headers) as h
      where jsonb_typeof(h.value) <> 'string' or length(h.value #>> '{}') > 4096
        or h.key <> lower(h.key))
    else false end;
end; $$;
comment on function sync.are_headers(jsonb) is
$$Returns: whether these are the headers of an answer as a worker hands them over, or none.$$;

create function sync.given_pages(p_pages jsonb) returns sync.page_in_hand[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_given jsonb;
  v_page sync.page_in_hand;
  v_pages sync.page_in_hand[] := '{}'::sync.page_in_hand[];
  v_queue_ids bigint[] := array[]::bigint[];
begin
  if coalesce(jsonb_typeof(p_pages), 'null') <> 'array' or jsonb_array_length(p_pages) not between 1
    and 100 then
    raise exception using errcode = 'SY006', message = 'p_pages is not a list of 1 to 100 pages',
      hint = '[{"queue_id": 1, "lease_token": 2, "status": 200, "body": "…", "duration_ms": 187}]';
  end if;
  v_page.verdict.is_repeat := false;
  v_page.verdict.is_permanent := false;
  for v_given in select page from jsonb_array_elements(p_pages) as g (page) loop
    if (v_given ->> 'queue_id' ~ '^[0-9]{1,18}$' and v_given ->> 'lease_token' ~ '^[0-9]{1,18}$'
      and v_given ->> 'status' ~ '^[1-9][0-9]{2}$'
      and coalesce(v_given ->> 'duration_ms', '0') ~ '^[0-9]{1,15}$'
      and jsonb_typeof(v_given -> 'body') = 'string'
      and sync.are_headers(v_given -> 'headers')) is not true
      or (case when v_given ->> 'queue_id' ~ '^[0-9]{1,18}$'
        then (v_given ->> 'queue_id')::bigint = any (v_queue_ids) end)
    then
      raise exception using errcode = 'SY006',
        message = 'a page lacks queue_id, lease_token, status or body, has other headers than '
          'texts of up to 4,096 characters, or stands there twice',
        hint = 'Ids, token and status are whole numbers, as is duration_ms; the body is a JSON '
          'string with the answer''s text; headers: {"etag": "…"}, their names in lower case.';
    end if;
    v_page.turn := cardinality(v_pages) + 1;
    v_page.queue_id := (v_given ->> 'queue_id')::bigint;
    v_page.lease_token := (v_given ->> 'lease_token')::bigint;
    v_page.http_status := (v_given ->> 'status')::int;
    v_page.headers := v_given -> 'headers';
    v_page.body := v_given ->> 'body';
    v_page.duration_ms := (v_given ->> 'duration_ms')::bigint;
    v_queue_ids := v_queue_ids || v_page.queue_id;
    v_pages := v_pages || v_page;
  end loop;
  return v_pages;
end; $$;
comment on function sync.given_pages(jsonb) is
$$Returns: the argument of complete_chunk_jobs_safe(), checked. Raises: SY006.$$;

create function sync.first_answer(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_event public.chunk_events;
begin
  select * into v_event from public.chunk_events
  where chunk_id = p_page.queue_id and lease_token = p_page.lease_token
  order by event = 'lease_lost' desc, id desc limit 1;
  v_page.verdict.is_repeat := true;
  v_page.verdict.outcome := case when v_event.id is null or v_event.event = 'lease_lost'
    then 'refused' else v_event.event end;
  if (v_page.verdict).outcome = 'refused' then
    v_page.verdict.code := 'SY001';
    v_page.verdict.message := format('chunk %s is not leased under token %s', p_page.queue_id,
      p_page.lease_token);
  else
    v_page.verdict.code := v_event.details ->> 'code';
    v_page.verdict.message := v_event.details ->> 'message';
    v_page.records := (v_event.details ->> 'records')::int;
    v_page.changed := (v_event.details ->> 'changed')::int;
  end if;
  return v_page;
end; $$;
comment on function sync.first_answer(sync.page_in_hand) is
$$For a lease that has ended. Returns: what its holder was told, or refused (SY001) if another ended
it.$$;

create function sync.give_up_outdated(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_pages sync.page_in_hand[] := p_pages;
  v_outdated bigint[] := array(
    select f.queue_id from unnest(p_pages) as f
    join public.workspace_sync_runs as r on r.id = f.run_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_streams as st on st.id = r.stream_id
    where r.ending is not null or (r.scan <> f.scan and f.part_id is null)
      or sync.is_outdated(r, w, st));
begin
  for v_turn in 1 .. case when cardinality(v_outdated) > 0 then cardinality(v_pages) else 0 end loop
    if (v_pages[v_turn].verdict).outcome is null and v_pages[v_turn].queue_id = any (v_outdated)
    then
      v_pages[v_turn].verdict.outcome := 'cancelled';
    end if;
  end loop;
  return v_pages;
end; $$;
comment on function sync.give_up_outdated(sync.page_in_hand[]) is
$$Returns: the pages; cancelled those without an outcome whose runs are ending, have begun again or
have to.$$;

create function sync.fence(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
  -- Apart: to lock rows that are joined with pages would sort each page's body with its row.
  v_queue_ids bigint[] := array(select p.queue_id from unnest(p_pages) as p);
  v_page sync.page_in_hand;
  v_chunk record;
  v_fenced sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  perform sync.require_read_committed();
  for v_chunk in
    select q.*, c.kind, c.scan, c.page, c.record_id, c.reading, r.workspace_id, part.id as part_id,
      coalesce(part.parent_id, c.reading ->> 'parent_id') as parent_id,
      r.stream_id, r.is_full_scan, case
        when part.id is not null then part.known_pages
        when r.progress_total is not null then coalesce(r.needed_pages, r.known_pages) end
      as known_pages, w.key_status, case
        when part.id is not null then c.id >= r.window_turn
        else r.planned_pages < r.known_pages and c.page
          >= r.planned_pages - r.max_concurrency - sync.pages_ahead(r.max_concurrency) / 2 end
      as uses_up_window,
      b.block_level > 0 or b.reduced_in_flight is not null or b.learned_rate is not null
      or w.rate_limited_until is not null as is_rate_limited
    -- One row after the other by its key: where tables were empty when they were analyzed the
    -- planner may begin at the other end.
    from public.chunk_processing_queue as q
    cross join lateral (
      select x.id, x.kind, x.scan, x.page, x.record_id, x.reading
      from public.chunked_sync_jobs as x where x.id = q.id offset 0
    ) as c
    cross join lateral (
      select x.id, x.workspace_id, x.stream_id, x.is_full_scan, x.progress_total, x.needed_pages,
        x.known_pages, x.window_turn, x.planned_pages, x.max_concurrency, x.parts_total
      from public.workspace_sync_runs as x where x.id = q.run_id offset 0
    ) as r
    cross join lateral (
      select x.budget_id, x.key_status, x.rate_limited_until from public.sync_workspaces as x
      where x.id = r.workspace_id offset 0
    ) as w
    left join lateral (
      select x.id, x.parent_id, x.known_pages from sync.run_parts as x
      where r.parts_total is not null and c.kind = 'page' and x.run_id = r.id and x.scan = c.scan
      offset 0
    ) as part on true
    left join lateral (
      select x.block_level, x.reduced_in_flight, x.learned_rate from public.sync_budgets as x
      where x.id = w.budget_id offset 0
    ) as b on true
    where q.id = any (v_queue_ids) order by q.id for no key update of q
  loop
    v_page := p_pages[array_position(v_queue_ids, v_chunk.id)];
    if v_chunk.lease_token = v_page.lease_token and v_chunk.status = 'processing'
      and v_chunk.lease_expires_at > sync.now() then
      v_page.run_id := v_chunk.run_id;
      v_page.workspace_id := v_chunk.workspace_id;
      v_page.stream_id := v_chunk.stream_id;
      v_page.slot := v_chunk.slot;
      v_page.kind := v_chunk.kind;
      v_page.scan := v_chunk.scan;
      v_page.page := v_chunk.page;
      v_page.record_id := v_chunk.record_id;
      v_page.reading := v_chunk.reading;
      v_page.part_id := v_chunk.part_id;
      v_page.parent_id := v_chunk.parent_id;
      v_page.worker_id := v_chunk.worker_id;
      v_page.attempts := v_chunk.attempts;
      v_page.max_attempts := v_chunk.max_attempts;
      v_page.requested_at := v_chunk.requested_at;
      v_page.is_full_scan := v_chunk.is_full_scan;
      v_page.postponements := v_chunk.postponements;
      v_page.postponed_since := v_chunk.postponed_since;
      v_page.known_pages := v_chunk.known_pages;
      v_page.uses_up_window := v_chunk.uses_up_window;
      v_page.access.is_key_accepted := v_chunk.key_status = 'accepted';
      v_page.access.is_rate_limited := v_chunk.is_rate_limited;
      if v_chunk.token_generation is not null then
        v_page.access.token_generation := v_chunk.token_generation;
        v_page.access.is_token_proven := (
          select t.is_proven or t.generation <> v_chunk.token_generation
          from sync.workspace_tokens as t where t.workspace_id = v_chunk.workspace_id) is not false;
      end if;
    else
      v_page := sync.first_answer(v_page);
    end if;
    v_fenced := v_fenced || v_page;
  end loop;
  -- A statement of its own: a cancel, another key, URL or declaration may have committed while this
  -- call waited for a row.
  v_fenced := sync.give_up_outdated(v_fenced);
  return v_fenced || case when cardinality(v_fenced) < cardinality(p_pages) then array(
    select sync.first_answer(p) from unnest(p_pages) as p
    where p.queue_id <> all (array(select f.queue_id from unnest(v_fenced) as f))) end;
end; $$;
comment on function sync.fence(sync.page_in_hand[]) is
$$Lock the chunks and check the leases, deadline included, so that a late worker is refused before
any sweep ran, that the key may write, and then whether their runs are ending, have begun again or
have to, because their stream was declared anew.
Returns: the pages; those still to be applied have no outcome. Raises: SY016, 55P03 if another holds
one of the chunks for over 500 ms. Locks: the queue rows, by id.$$;

create function sync.outcome_of(p_page sync.page_in_hand) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_strip_nulls(jsonb_build_object('queue_id', p_page.queue_id, 'outcome',
    (p_page.verdict).outcome, 'code', (p_page.verdict).code,
    'message', (p_page.verdict).message, 'hint',
    case (p_page.verdict).outcome when 'refused' then 'Stop: another worker owns it.' end,
    'records', p_page.records, 'changed', p_page.changed,
    'look_again_ms', ceil(extract(epoch from (p_page.verdict).wait) * 1000)::bigint));
end; $$;
comment on function sync.outcome_of(sync.page_in_hand) is
$$Returns: what the holder is told, see docs/worker-protocol.md.$$;

revoke all on function
  sync.are_headers, sync.given_pages, sync.first_answer, sync.give_up_outdated, sync.fence,
  sync.outcome_of
from public, anon, authenticated, service_role;
