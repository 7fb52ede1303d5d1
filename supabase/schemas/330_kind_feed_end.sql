-- Feed ends: whether a feed was read newest first and all that the API counts is there; where the
-- next scan may stop.
-- Stands on: streams, slots, missing, close, kind_feed.

create function sync.order_finding(p_run public.workspace_sync_runs) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select format('%s is not newest first: %s',
      coalesce('page ' || j.page, 'a page read by cursor'), j.disorder)
    from (
      select s.page, s.chunk_id, coalesce(s.disorder, case
          -- What moved between two requests stands on both, or the total moved with it.
          when s.first_key > lag(s.last_key) over by_place
            and s.total is not distinct from lag(s.total) over by_place
            and s.record_ids[1] <> all (lag(s.record_ids) over by_place)
            and (s.page = lag(s.page) over by_place + 1 or s.page is null)
          then format('record %s comes after the page before', s.record_ids[1]) end) as disorder
      from sync.seen_pages as s
      join public.chunked_sync_jobs as c on c.id = s.chunk_id
      where s.run_id = p_run.id and s.scan = p_run.scan
      window by_place as (
        partition by c.kind, c.reading -> 'chain', s.page is null order by s.page, s.chunk_id)
    ) as j
    where j.disorder is not null order by j.page, j.chunk_id limit 1
  );
end; $$;
comment on function sync.order_finding(public.workspace_sync_runs) is
$$Returns: the first page of a feed's scan that is not newest first, by itself or after the page
before, or null.$$;

create function sync.missing_from_feed(p_run public.workspace_sync_runs,
  out o_total bigint, out o_here bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_shown bigint;
begin
  -- What came after the first page was read is the next scan's.
  select min(total) into o_total from sync.seen_pages
  where run_id = p_run.id and scan = p_run.scan;
  if o_total is null then
    return;
  end if;
  o_here := sync.count_here(p_run);
  if p_run.is_full_scan then
    select count(distinct id) into v_shown
    from sync.seen_pages as s cross join unnest(s.record_ids) as id
    where s.run_id = p_run.id and s.scan = p_run.scan;
    o_here := least(o_here, v_shown);
  end if;
end; $$;
comment on function sync.missing_from_feed(public.workspace_sync_runs) is
$$Returns: how many records the API counted in a feed's scan, null where it does not, and how many
of them there are: live rows, of a full scan at most what it showed.$$;

create function sync.set_feed_mark(p_run public.workspace_sync_runs, p_short_by bigint)
  returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_mark jsonb;
  v_old jsonb;
  v_is_next_full boolean;
begin
  -- Of the same address, owner and declaration that it was read by: one look at all of them.
  select jsonb_build_object('run_id', p_run.id, 'read_at', sync.now(), 'of', sync.feed_identity(w, st),
      'newest_id', (
        select case st.id_type when 'integer' then to_jsonb(s.record_ids[1]::bigint)
          else to_jsonb(s.record_ids[1]) end
        from sync.seen_pages as s
        where s.run_id = p_run.id and s.scan = p_run.scan and s.record_ids <> '{}'
        order by s.page, s.chunk_id limit 1)),
    case when ws.marks -> 'of' = sync.feed_identity(w, st) then ws.marks else '{}' end
  into v_mark, v_old
  from public.sync_workspaces as w
  join public.sync_streams as st on st.id = p_run.stream_id
  left join public.sync_workspace_streams as ws
    on ws.workspace_id = w.id and ws.stream_id = st.id
  where w.id = p_run.workspace_id and w.access_revision = p_run.access_revision
    and st.revision = p_run.stream_revision;
  v_is_next_full := p_short_by > coalesce((v_old ->> 'short_by')::bigint, 0);
  insert into public.sync_workspace_streams as s (workspace_id, stream_id, marks)
  select p_run.workspace_id, p_run.stream_id, jsonb_strip_nulls(v_mark || jsonb_build_object(
    'short_by', case when p_run.is_full_scan then nullif(p_short_by, 0)
    else (v_old ->> 'short_by')::bigint end,
    'full_scan_at', case when v_is_next_full then null when p_run.is_full_scan then to_jsonb(sync.now())
    else v_old -> 'full_scan_at' end))
  where v_mark is not null
  on conflict (workspace_id, stream_id) do update set marks = excluded.marks;
  return v_is_next_full;
end; $$;
comment on function sync.set_feed_mark(public.workspace_sync_runs, bigint) is
$$A feed was read in order and down to its mark, or its end: that is where the next scan may stop,
unless the API counts more than there are, and more than two full scans in a row did not show.
Returns: whether the next scan reads everything. The caller holds the run's lock.$$;

create function sync.close_feed(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_disorder text := sync.order_finding(p_run);
  v_count record;
  v_is_next_full boolean;
begin
  if v_disorder is not null then
    update public.sync_workspace_streams set marks = marks - 'full_scan_at'
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id;
    perform sync.close_run(p_run.id, 'partial',
      v_disorder || '; the mark stays, and the next scan reads everything');
    return;
  end if;
  v_count := sync.missing_from_feed(p_run);
  v_is_next_full := sync.set_feed_mark(p_run, greatest(v_count.o_total - v_count.o_here, 0));
  if v_count.o_here < v_count.o_total then
    perform sync.close_run(p_run.id, 'partial', format('the API counts %s, there are %s: %s',
      v_count.o_total, v_count.o_here, case when v_is_next_full
      then 'the next scan reads everything' else 'full scans show no more of them' end));
  else
    perform sync.close_run(p_run.id, 'completed', null);
  end if;
end; $$;
comment on function sync.close_feed(public.workspace_sync_runs) is
$$Close a feed that was read down to its mark, or to its end: completed if its pages were newest
first and as many records are there as the API counts, else partial, and the next scan reads
everything. The caller holds the run's lock.$$;

create function sync.advance_feed(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_pages_read int;
  v_has_gaps boolean;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  if p_run.phase = 'cursor' then
    perform sync.close_feed(p_run) where not sync.plan_skipped(p_run);
    return;
  end if;
  select count(*) into v_pages_read from (
    select page, row_number() over (order by page) as n from sync.seen_pages
    where run_id = p_run.id and scan = p_run.scan and page is not null
  ) as read_in_a_row where page = n;
  v_has_gaps := v_stream.cursor_codec is not null
    and sync.plan_between_pages(p_run, v_pages_read);
  if v_pages_read >= p_run.needed_pages and v_has_gaps then
    update public.workspace_sync_runs set phase = 'cursor' where id = p_run.id;
    perform sync.refill_slots(p_run.id);
  elsif v_pages_read >= p_run.needed_pages then
    perform sync.close_feed(p_run);
  elsif v_stream.cursor_params is not null then
    perform sync.begin_cursors(p_run, v_pages_read);
  else
    perform sync.close_run(p_run.id, 'partial', concat_ws(': ', format('%s of %s read',
      v_pages_read, sync.counted(p_run.needed_pages, 'page was', 'pages were')), (
      select min(s.refusal) from sync.seen_pages as s
      where s.run_id = p_run.id and s.scan = p_run.scan)));
  end if;
end; $$;
comment on function sync.advance_feed(public.workspace_sync_runs) is
$$The next step of a feed of which nothing is live: go on by cursor where pages ended too early, or
close. The caller holds the run's lock.$$;

revoke all on function
  sync.order_finding, sync.missing_from_feed, sync.set_feed_mark,
  sync.close_feed, sync.advance_feed
from public, anon, authenticated, service_role;
