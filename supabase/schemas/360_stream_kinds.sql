-- Kinds of streams: one dispatcher each for how a run begins, a page is read, what it reveals is
-- planned, and a run goes on. Earlier files call these four, and nothing else of a later file.
-- Stands on: keys, streams, parts, classes, answers, unchanged, close, begin, list_pages,
--   list_scans, kind_counted, kind_chained, kind_agreed, kind_feed, kind_feed_end, kind_items,
--   kind_children, kind_connection, kind_single.

create function sync.begin_kinds(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = on
  set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_counted bigint[];
  v_listed bigint[];
  v_feed bigint[];
  v_items bigint[];
  v_single bigint[];
  v_children bigint[];
begin
  -- Each is looked up by its key: a join of tables that were just filled may compare all with all.
  select array_agg(given.id order by given.id) filter (where k.kind = 'counted'),
    array_agg(given.id order by given.id) filter (where k.kind in ('chained', 'agreed')),
    array_agg(given.id order by given.id) filter (where k.kind = 'feed'),
    array_agg(given.id order by given.id) filter (where k.kind = 'items'),
    array_agg(given.id order by given.id) filter (where k.kind = 'single'),
    array_agg(given.id order by given.id) filter (where k.kind = 'children')
  into v_counted, v_listed, v_feed, v_items, v_single, v_children
  from unnest(p_run_ids) as given (id)
  cross join lateral (
    select case when sync.has_parts(st) then 'children' else st.completeness end as kind
    from public.workspace_sync_runs as r
    join public.sync_streams as st on st.id = r.stream_id
    where r.id = given.id offset 0
  ) as k;
  if v_counted is not null then
    perform sync.begin_counted(v_counted);
  end if;
  if v_listed is not null then
    perform sync.begin_listed(v_listed);
  end if;
  if v_feed is not null then
    perform sync.begin_feed(v_feed);
  end if;
  if v_items is not null then
    perform sync.begin_items(v_items);
  end if;
  if v_single is not null then
    perform sync.begin_single(v_single);
  end if;
  if v_children is not null then
    perform sync.begin_children(v_children);
  end if;
end; $$;
comment on function sync.begin_kinds(bigint[]) is
$$Begin runs as the kinds of their streams say. The caller holds their locks, or made them.$$;

create function sync.begin_runs(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = on
  set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_wait bigint[];
  v_connect bigint[];
  v_go bigint[];
begin
  perform sync.forget_what_says_nothing(p_run_ids);
  -- Each is looked up by its key: a join of tables that were just filled may compare all with all.
  select array_agg(id) filter (where first = 'parent'),
    array_agg(id order by id) filter (where first = 'connect'),
    array_agg(id order by id) filter (where first = 'kind')
  into v_wait, v_connect, v_go
  from unnest(p_run_ids) as given (id)
  cross join lateral (
    select case
      when sync.live_parent_of(r) is not null then 'parent'
      when st.completeness = 'connection'
        or (w.key_status <> 'accepted' and sync.connection_path(st.source_id) is not null)
        then 'connect'
      else 'kind' end as first
    from public.workspace_sync_runs as r
    join public.sync_streams as st on st.id = r.stream_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    where r.id = given.id offset 0
  ) as begins;
  update public.workspace_sync_runs as r
  set phase = 'parent', parent_run_id = sync.live_parent_of(r) where id = any (v_wait);
  if v_connect is not null then
    perform sync.begin_connection(v_connect);
  end if;
  if v_go is not null then
    perform sync.begin_kinds(v_go);
  end if;
end; $$;
comment on function sync.begin_runs(bigint[]) is
$$What runs begin with: whose key it is, where the source tells and the key is not accepted as the
workspace's own; nothing while a parent runs in the same job; else what their kinds begin with.
Locks: the new rows.$$;

create function sync.read_page(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_has_rules constant boolean := p_stream.class_rules <> '[]' or p_source.class_rules <> '[]';
  v_class text;
  v_is_guess boolean := coalesce(p_page.reading ?| '{guess,beside}', false);
begin
  if p_page.http_status = 304 then
    v_page := sync.read_unchanged(p_page, p_stream, p_source);
    v_page.reveals_pages := coalesce(v_page.reveals_pages,
      (v_page.last_page <= v_page.known_pages) is not true);
    v_page.body := null;
    return v_page;
  end if;
  if p_page.http_status not between 200 and 299 then
    if v_has_rules then
      v_page.answer := sync.json_or_null(p_page.body);
      v_class := sync.content_class(v_page, p_stream, p_source);
      perform sync.require_page(v_class, v_page, p_source);
    end if;
    if p_page.http_status in (400, 404, 422) and (v_is_guess or v_class is distinct from 'page')
      and sync.may_be_gone(p_stream, p_page.kind, p_page.page, p_page.reading) then
      -- A proxy's page says nothing of where a list ends.
      perform sync.read_json(p_page) where btrim(p_page.body) <> ''
        and (p_page.http_status <> 422 or p_stream.cursor_params is null);
      v_page := case when v_is_guess then sync.read_past_end(p_page, p_stream)
        else sync.read_refused(p_page, p_source) end;
      v_page.is_past_pages := v_page.is_past_pages or p_stream.completeness = 'feed'
        and not v_is_guess;
      v_page.answer := '[]';
      v_page.body := null;
      return v_page;
    end if;
    -- Before class_rules: that a record is gone no rule about lists can say.
    if p_page.kind in ('confirmation', 'item') and p_page.http_status in (404, 410) then
      perform sync.require_own_error(p_page, p_source);
    elsif v_class = 'page' then
      null;
    elsif (p_page.kind = 'page' and p_page.page > 1 and p_page.http_status = 422
        and p_stream.cursor_params is not null) is not true then
      perform sync.refuse_shape(format('a page with status %s has no records', p_page.http_status),
        'The status classes of its stream should not call it a page.');
    end if;
    v_page.answer := '[]';
    v_page.is_past_pages := p_page.kind = 'page';
    v_page.reveals_pages := v_page.is_past_pages;
    v_page.body := null;
    return v_page;
  end if;
  if v_has_rules and p_page.body !~ '^[[:space:]]*[{[]' then
    perform sync.require_page(sync.content_class(v_page, p_stream, p_source), v_page, p_source);
  end if;
  v_page := sync.read_json(p_page);
  if v_has_rules then
    perform sync.require_page(sync.content_class(v_page, p_stream, p_source), v_page, p_source);
  end if;
  if v_page.answer #> p_source.success_path = 'false'::jsonb then
    raise exception using errcode = 'SY013',
      message = format('the API answers %s and reports a failure: %s', p_page.http_status,
        coalesce(sync.foreign_text(v_page.answer #>> p_source.message_path,
        sync.workspace_secret(v_page.workspace_id)), 'it says no more')),
      hint = 'It is tried again; if it stays, ask the API''s operator.';
  end if;
  v_page := case
    when p_page.kind = 'connection' then sync.read_connection(v_page, p_source)
    when p_page.kind = 'confirmation' then sync.read_confirmation(v_page, p_stream)
    when p_stream.completeness = 'counted' then sync.read_counted(v_page, p_stream)
    when p_stream.completeness in ('chained', 'agreed')
    then sync.read_listed(v_page, p_stream, p_source)
    when p_stream.completeness = 'feed' then sync.read_feed(v_page, p_stream, p_source)
    when p_stream.completeness = 'single' then sync.read_single(v_page, p_stream)
    else sync.read_items(v_page) end;
  if p_stream.drop_paths <> '[]' then
    v_page.answer := sync.without_paths(v_page, p_stream.drop_paths);
  end if;
  v_page.records := jsonb_array_length(v_page.answer);
  if p_stream.conditional and p_page.kind = 'page' then
    v_page.condition := jsonb_build_object('key', sync.request_key_of(p_page, p_stream, p_source),
      'said', sync.said_by(v_page, p_page));
  end if;
  v_page.reveals_pages := coalesce(v_page.reveals_pages, v_page.kind = 'page'
    and (v_page.last_page <= v_page.known_pages) is not true);
  -- It is in the answer now; every statement over the pages would copy it.
  v_page.body := null;
  return v_page;
end; $$;
comment on function sync.read_page(sync.page_in_hand, public.sync_streams, public.sync_sources) is
$$Cast a body and check it by its stream. 304 is the page as it was read before. A status that the
stream counts as a page although it is
no success has no records: 404 and 410 say that a record is gone, 422 that pages end here, and
of a page that may be gone 400, 404 and 422 say that it is. Returns: the
page with answer = its records, and what it says of others; reveals_pages: the run did not know that
pages end there. Raises: SY010 wrong shape, SY013 the API reports a failure, SY021 and SY024 another
class by class_rules, 22P02 not JSON.$$;

create function sync.read_pages(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
  v_stream public.sync_streams;
  v_source public.sync_sources;
  v_read sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  foreach v_page in array p_pages loop
    if v_stream.id is distinct from v_page.stream_id then
      select * into strict v_stream from public.sync_streams where id = v_page.stream_id;
      select * into strict v_source from public.sync_sources where id = v_stream.source_id;
    end if;
    v_read := v_read || sync.read_page(v_page, v_stream, v_source);
  end loop;
  return v_read;
end; $$;
comment on function sync.read_pages(sync.page_in_hand[]) is
$$Returns: the pages, read by their streams. Raises: as read_page().$$;

create function sync.plan_revealed(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_kinds text[] := array(
    select distinct case when p.part_id is not null then 'children' else st.completeness end
    from unnest(p_pages) as p join public.sync_streams as st on st.id = p.stream_id);
  v_kind text;
  v_pages sync.page_in_hand[];
begin
  foreach v_kind in array v_kinds loop
    v_pages := array(
      select p from unnest(p_pages) as p
      join public.sync_streams as st on st.id = p.stream_id
        and case when p.part_id is not null then 'children' else st.completeness end = v_kind
      order by p.turn);
    case v_kind
      when 'counted', 'single' then perform sync.plan_counted(v_pages);
      when 'chained' then perform sync.plan_listed(v_pages);
      when 'agreed' then perform sync.plan_listed(v_pages);
      when 'feed' then perform sync.plan_feed(v_pages);
      when 'items' then perform sync.plan_items(v_pages);
      when 'children' then perform sync.plan_children(v_pages);
      else null;
    end case;
  end loop;
end; $$;
comment on function sync.plan_revealed(sync.page_in_hand[]) is
$$Take up what completed pages reveal, as the kinds of their streams say. The caller holds the runs'
locks.$$;

create function sync.advance_run(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set plan_cache_mode = auto set enable_seqscan = off
  set enable_hashjoin = on as $$
declare
  v_run public.workspace_sync_runs;
  v_completeness text;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select completeness into strict v_completeness from public.sync_streams
  where id = v_run.stream_id;
  if v_run.ending is not null then
    perform sync.close_run(p_run_id,
      case v_run.ending when 'timeout' then 'partial' else v_run.ending end,
      case v_run.ending when 'timeout' then 'time ran out' end);
  elsif exists (
    select 1 from public.chunk_processing_queue as q
    join public.chunked_sync_jobs as c on c.id = q.id
    where q.run_id = p_run_id and q.status = 'failed' and (c.kind in ('connection', 'cursor')
      or (c.kind = 'page' and v_run.parts_total is null))
  ) then
    perform sync.close_run(p_run_id, 'failed', null);
  elsif v_run.phase = 'connect' then
    perform sync.advance_connection(v_run);
  elsif v_run.phase = 'parent' then
    perform sync.begin_runs(array[p_run_id]) where not exists (
      select 1 from public.workspace_sync_runs
      where id = v_run.parent_run_id and (status = 'running') is true);
  elsif v_run.phase = 'items' then
    perform sync.advance_items(v_run);
  elsif v_run.parts_total is not null then
    perform sync.advance_children(v_run);
  else
    case v_completeness
      when 'chained' then perform sync.advance_chained(v_run);
      when 'agreed' then perform sync.advance_agreed(v_run);
      when 'feed' then perform sync.advance_feed(v_run);
      when 'single' then perform sync.advance_single(v_run);
      else perform sync.advance_counted(v_run);
    end case;
  end if;
end; $$;
comment on function sync.advance_run(bigint) is
$$The next step of a run of which nothing is live, as the kind of its stream says, or its end. The
caller holds its lock.$$;

revoke all on function
  sync.begin_runs, sync.read_page, sync.read_pages, sync.plan_revealed, sync.advance_run,
  sync.begin_kinds
from public, anon, authenticated, service_role;
