-- Scans of lists: how far the pages of a scan are one list, how it is read on, and how it ends.
-- Stands on: streams, templates, slots, missing, close, deletions, list_order.

create function sync.way_out_of_ties() returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select ': as many records as a page has share a place in the order, and nothing tells them apart; '
    'declare a larger page_size or an order_path that no two records share, or the list as agreed';
$$;
comment on function sync.way_out_of_ties() is
$$Returns: what a warning says of ties as long as a page.$$;

create type sync.walk as (pages int, is_ended boolean, flaw text, is_final boolean, next jsonb);
comment on type sync.walk is
'How far a scan of a list got. pages: how many in a row it read, up to the end; flaw: what speaks
against it; is_final: so that another scan cannot help; next: the reading of the page after the last
one, null if nothing names it.';

create function sync.walk_list(p_run_id bigint, p_scan int, p_stream public.sync_streams)
  returns sync.walk
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_walk sync.walk;
  v_is_chained boolean := p_stream.completeness = 'chained';
  v_is_unique boolean := sync.is_order_unique(p_stream);
  v_overlaps boolean := sync.position_of(p_stream) = 'offset';
  v_way int := case p_stream.order_direction when 'asc' then 1 else -1 end;
begin
  with shown as (
    select s.page, s.record_ids, s.ends, s.next, s.disorder, s.refusal, s.first_key, s.last_key,
      s.first_text, s.last_text, max(cardinality(s.record_ids)) over () as most,
      row_number() over (order by s.page) as n
    from sync.seen_pages as s
    where s.run_id = p_run_id and s.scan = p_scan and s.page is not null
  ), filled as (
    -- An empty page joins nothing: the next one joins the last that has records.
    select s.page, lag(s.page) over by_page as page_before,
      lag(s.record_ids) over by_page as ids_before, s.page = 2
        and s.record_ids <@ lag(s.record_ids) over by_page
        and s.record_ids @> lag(s.record_ids) over by_page as is_first_again,
      v_way * case p_stream.order_type
        when 'text' then (s.first_text > lag(s.last_text) over by_page)::int
          - (s.first_text < lag(s.last_text) over by_page)::int
        else sign(s.first_key - lag(s.last_key) over by_page) end as step
    from shown as s where s.record_ids <> '{}'
    window by_page as (order by s.page)
  ), walked as (
    select s.page, s.next, coalesce(s.ends, f.is_first_again
        or (s.record_ids <> '{}' and sync.may_end_list(cardinality(s.record_ids), s.most)
          and not exists (
            select 1 from unnest(s.record_ids) as id
            where not exists (
              select 1 from shown as x where x.page < s.page and id = any (x.record_ids)))),
        false) as is_end,
      format('page %s is not in order: ', s.page) || s.disorder as disorder, case
        when s.refusal is not null then s.refusal
        when not v_is_chained or f.page_before is null then null
        -- The first page was asked again, after an empty one.
        when v_overlaps and f.is_first_again then null
        when v_overlaps and v_is_unique and not s.record_ids && f.ids_before
        then format('page %s shares no record with page %s', s.page, f.page_before)
        when v_overlaps and (f.step > 0 or (f.step = 0 and not v_is_unique))
        then format('page %s does not begin before the end of page %s', s.page, f.page_before)
          || case when f.step = 0 then sync.way_out_of_ties() else '' end
        when not v_overlaps and (f.step < 0 or (f.step = 0 and v_is_unique))
        then format('page %s begins before the end of page %s', s.page, f.page_before) end as gap
    from shown as s left join filled as f on f.page = s.page
    where s.page = s.n
  ), last as (
    select coalesce(min(w.page) filter (where w.is_end), max(w.page)) as page,
      coalesce(bool_or(w.is_end), false) as is_ended
    from walked as w
  )
  select max(w.page), bool_or(l.is_ended), (array_agg(coalesce(w.disorder, w.gap) order by w.page)
      filter (where w.disorder is not null or w.gap is not null))[1],
    coalesce(bool_or(w.disorder is not null), false),
    (array_agg(w.next order by w.page desc))[1]
  into v_walk.pages, v_walk.is_ended, v_walk.flaw, v_walk.is_final, v_walk.next
  from last as l join walked as w on w.page <= l.page;
  if v_walk.pages is null then
    v_walk := row(0, false, 'no page was read', false, null)::sync.walk;
  elsif not v_walk.is_ended and v_walk.flaw is null and (v_walk.next is null or exists (
    select 1 from public.chunked_sync_jobs as c
    where c.run_id = p_run_id and c.scan = p_scan and c.kind = 'page'
      and c.page = v_walk.pages + 1 and c.reading = v_walk.next)) then
    v_walk.flaw := format('nothing proves that the list ends after page %s', v_walk.pages)
      || case when v_walk.next ? 'again' or exists (
        select 1 from public.chunked_sync_jobs as c
        where c.run_id = p_run_id and c.scan = p_scan and c.kind = 'page' and c.reading ? 'again')
        then sync.way_out_of_ties() else '' end;
  end if;
  return v_walk;
end; $$;
comment on function sync.walk_list(bigint, int, public.sync_streams) is
$$Returns: how far the pages of a scan are contiguous: each one there, in order, joined to the one
before, up to the first that is the end. By offsets a page joins that shares a record with the one
before, or, where keys are not unique, begins strictly before its end; by keyset one that begins
after it.$$;

create function sync.plan_rest(p_run public.workspace_sync_runs, p_walk sync.walk) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.seen_pages set page = null
  where run_id = p_run.id and scan = p_run.scan and page > p_walk.pages;
  update public.workspace_sync_runs
  set known_pages = p_walk.pages, planned_pages = p_walk.pages where id = p_run.id;
  perform sync.plan_page(p_run.id, p_walk.pages + 1, p_walk.next);
  perform sync.refill_slots(p_run.id);
end; $$;
comment on function sync.plan_rest(public.workspace_sync_runs, sync.walk) is
$$A scan goes on as a chain after the last of its pages in a row; what was read beyond counts as no
page. The caller holds the run's lock.$$;

create function sync.plan_beside(p_run public.workspace_sync_runs, p_page sync.page_in_hand)
  returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_last record;
  v_pages int;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  if sync.position_of(v_stream) not in ('page', 'offset') or v_stream.order_moves = 'forward'
    or (v_stream.completeness = 'chained' and p_run.scan - p_run.begun_again > 1) then
    return false;
  end if;
  if p_run.sound_scan is not null then
    select max(page) as pages, max(cardinality(record_ids)) filter (where page = 1) as records
    into v_last from sync.seen_pages where run_id = p_run.id and scan = p_run.sound_scan;
  else
    select (ws.marks ->> 'pages')::int as pages, (ws.marks ->> 'page_records')::int as records
    into v_last
    from public.sync_workspace_streams as ws
    join public.sync_workspaces as w on w.id = ws.workspace_id
    where ws.workspace_id = p_run.workspace_id and ws.stream_id = p_run.stream_id
      and ws.marks -> 'of' = sync.feed_identity(w, v_stream);
  end if;
  -- Where a chain of offsets ends follows from the page before.
  v_pages := least(v_last.pages, p_page.last_page)
    - case when v_stream.completeness = 'chained' then 1 else 0 end;
  if (v_pages > 1 and p_page.records >= v_last.records) is not true then
    return false;
  end if;
  update public.workspace_sync_runs set
    known_pages = v_pages, progress_total = coalesce(progress_total, v_pages),
    reading = coalesce(reading, '{}') || '{"beside": true}' || case
      when p_page.next ? 'offset' then jsonb_build_object('step', p_page.next -> 'offset',
        'overlap', coalesce(p_page.next -> 'overlap', '0')) else '{}'::jsonb end
  where id = p_run.id;
  return true;
end; $$;
comment on function sync.plan_beside(public.workspace_sync_runs, sync.page_in_hand) is
$$After page 1: know of as many pages as the last complete sync saw, or the scan before, which are
read side by side; the rest is a chain. Not where page 1 is shorter than it was then. The caller
holds the run's lock. Returns: whether it does.$$;

create function sync.plan_listed(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
  v_run public.workspace_sync_runs;
begin
  for v_page in select p.* from unnest(p_pages) as p where p.kind = 'page' order by p.turn loop
    select * into strict v_run from public.workspace_sync_runs where id = v_page.run_id;
    continue when v_run.ending is not null or v_page.ends is distinct from false
      or v_page.next is null or v_page.page <> v_run.known_pages;
    if v_page.page = 1 then
      continue when sync.plan_beside(v_run, v_page);
    end if;
    perform sync.plan_page(v_run.id,
      v_page.page + case when v_page.is_past_pages then 0 else 1 end, v_page.next);
  end loop;
end; $$;
comment on function sync.plan_listed(sync.page_in_hand[]) is
$$Queue what comes after the last known page of a list. The caller holds the runs' locks.$$;

create function sync.begin_next_scan(p_run_id bigint, p_sound_scan int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r set scan = scan + 1, phase = 'scan', known_pages = 1,
    planned_pages = 1, reading = nullif(reading - '{beside,step,overlap}'::text[], '{}'),
    sound_scan = p_sound_scan, distinct_ids = (
      select count(distinct shown.id) from sync.seen_pages as s
      cross join unnest(s.record_ids) as shown (id)
      where s.run_id = r.id and s.scan = r.scan)
  where id = p_run_id;
  perform sync.plan_chunks(p_run_id, 'page', array[1], null);
  perform sync.refill_slots(p_run_id);
end; $$;
comment on function sync.begin_next_scan(bigint, int) is
$$Begin the next scan of a run, with page 1. p_sound_scan: which one it will be compared with. The
caller holds the run's lock.$$;

create function sync.close_since(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_here bigint := sync.count_here(p_run);
  v_short_by bigint := coalesce((
    select (marks ->> 'short_by')::bigint from public.sync_workspace_streams
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id), 0);
begin
  if p_run.expected_total > v_here + v_short_by then
    update public.sync_workspace_streams set marks = marks - 'full_scan_at'
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id;
    perform sync.close_run(p_run.id, 'partial', format('the API counts %s, there are %s: the next '
      'scan reads everything', p_run.expected_total, v_here));
  else
    perform sync.forget_shown(p_run);
    perform sync.close_run(p_run.id, 'completed', sync.delete_gone(p_run));
  end if;
end; $$;
comment on function sync.close_since(public.workspace_sync_runs) is
$$Close a run that read what changed since a time: it says nothing of what it did not show; what it
showed is not missing, and what was held back before waits on. Where
the API counts more records than there are, and more than the last full scan did not show, the next
run is a full scan. The caller holds the run's lock.$$;

create function sync.accept_list(p_run_id bigint, p_pages int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
begin
  update public.workspace_sync_runs as r set known_pages = p_pages, planned_pages = p_pages,
    progress_total = coalesce(r.progress_total, p_pages), expected_total = s.total,
    distinct_ids = s.ids
  from (
    select max(x.total) as total, count(distinct shown.id) as ids
    from public.workspace_sync_runs as own
    join sync.seen_pages as x on x.run_id = own.id and x.scan = own.scan
    left join lateral unnest(x.record_ids) as shown (id) on true where own.id = p_run_id
  ) as s
  where r.id = p_run_id returning r.* into strict v_run;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  if v_run.distinct_ids >= v_stream.result_cap and sync.position_of(v_stream) <> 'last' then
    perform sync.close_run(p_run_id, 'partial', format('%s were shown, and the API shows no more '
      'than result_cap (%s) of a list: have it read by a keyset, {last} over a unique value, so '
      'that every page is a list of its own', sync.counted(v_run.distinct_ids, 'record'),
      v_stream.result_cap));
  elsif not v_run.is_full_scan then
    perform sync.close_since(v_run);
  else
    update public.workspace_sync_runs set warnings = warnings || format('the API counts %s, its '
      'pages show %s', expected_total, distinct_ids)
    where id = p_run_id and expected_total <> distinct_ids;
    perform sync.begin_confirmations(p_run_id);
  end if;
end; $$;
comment on function sync.accept_list(bigint, int) is
$$A scan of a list is accepted: note what it showed, and confirm what it missed, or close. A total
that differs only warns; a list that reaches its result_cap is partial. The caller holds the run's
lock.$$;

revoke all on function
  sync.way_out_of_ties, sync.walk_list, sync.plan_rest, sync.plan_beside, sync.plan_listed,
  sync.begin_next_scan, sync.close_since, sync.accept_list
from public, anon, authenticated, service_role;
