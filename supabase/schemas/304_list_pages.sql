-- Pages of lists: what a page of a chained or agreed list says: its records, what comes after it,
-- whether it is the last one.
-- Stands on: keys, templates, declared_fields, next_urls, classes, answers, marks, list_order.

create function sync.named_next(p_page sync.page_in_hand, p_answer jsonb,
  p_stream public.sync_streams, p_source public.sync_sources, out o_is_said boolean,
  out o_next jsonb)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_text text;
  v_base_url text;
begin
  if p_stream.next_is = 'link_header' then
    o_is_said := p_page.headers ->> 'link' is not null;
    v_text := sync.link_next(p_page.headers ->> 'link');
  else
    o_is_said := p_answer #> p_stream.next_path is not null;
    v_text := sync.cursor_at(p_answer, p_stream.next_path);
  end if;
  if v_text is null then
    return;
  elsif p_stream.next_is = 'token' then
    o_next := jsonb_build_object('next', p_answer #> p_stream.next_path);
  else
    select base_url into strict v_base_url from public.sync_workspaces
    where id = p_page.workspace_id;
    o_next := jsonb_build_object('url', sync.next_url(v_base_url, v_text, p_source,
      v_base_url || p_source.base_path || p_stream.path));
  end if;
end; $$;
comment on function sync.named_next(sync.page_in_hand, jsonb, public.sync_streams,
  public.sync_sources) is
$$Returns: what an answer names as the next page, null if none, and whether it says so at all.
Raises: SY010 no cursor, or a URL that leads elsewhere.$$;

create function sync.wanted_overlap(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_served bigint := coalesce((
    select cardinality(record_ids) from sync.seen_pages
    where run_id = p_page.run_id and scan = p_page.scan order by chunk_id limit 1), p_page.records);
begin
  return greatest(1, least(coalesce(p_stream.overlap, least(p_stream.page_size, v_served) / 10),
    v_served / 2));
end; $$;
comment on function sync.wanted_overlap(sync.page_in_hand, public.sync_streams) is
$$Returns: how many records a page by offset is to share with the one before: as declared, or a
tenth of a page, as long as the first one is, whatever was asked for; at most half of it, so that a
list of which the API serves less goes on by pages, and not by records.$$;

create function sync.next_offset(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_offset bigint := coalesce((p_page.reading ->> 'offset')::bigint,
    (p_page.page - 1)::bigint * p_stream.page_size);
  v_wanted bigint := sync.wanted_overlap(p_page, p_stream);
  v_least bigint := 1;
  v_back bigint;
begin
  if p_stream.completeness in ('agreed', 'feed') then
    return jsonb_build_object('offset', v_offset + p_page.records, 'guess', true);
  elsif p_page.records > 0 then
    v_least := sync.least_overlap(p_page, p_stream);
    if p_page.page = 1 and not sync.is_order_unique(p_stream) then
      -- Pages that are read side by side are all as far apart as the first two.
      v_wanted := greatest(v_wanted, sync.longest_tie(p_page, p_stream) + 1);
    end if;
    if v_least < p_page.records then
      v_wanted := least(greatest(v_wanted, v_least), p_page.records - 1);
    elsif p_page.page = 1 or sync.is_order_unique(p_stream) then
      v_wanted := case when p_page.page = 1 then 0 else p_page.records - 1 end;
    elsif p_page.reading ? 'again' then
      -- Not the end: nothing proves how the rest joins, and it is read all the same.
      v_wanted := least(1, greatest(p_page.records - 2, 0));
    else
      v_wanted := least(v_least, v_offset + p_page.records);
    end if;
    return jsonb_strip_nulls(jsonb_build_object('offset', v_offset + p_page.records - v_wanted,
      'overlap', v_wanted, 'guess', true, 'again', case when v_wanted >= p_page.records
        then true end));
  elsif v_offset = 0 or coalesce(p_page.reading ?| '{back,beside}', false) then
    return null;
  end if;
  v_back := case when (p_page.reading ->> 'overlap')::bigint = 0 then 0
    else greatest(0, v_offset - v_wanted) end;
  return jsonb_build_object('offset', v_back, 'overlap', v_offset - v_back, 'guess', true,
    'back', true);
end; $$;
comment on function sync.next_offset(sync.page_in_hand, public.sync_streams) is
$$Returns: where a list goes on that is read by offsets, by what was received. Of a chained list the
page shares its first records with the page before. One that turned out to be past the end is asked
again, once, from further up: an empty page joins nothing. After a first page that is too short to
overlap that is the first page again: if it shows the same, there was no other. After a later page
of which the next one had to show all, because its last keys are tied, that page is asked again,
once: it may be shorter than pages are, and then ends the list; else what follows is read.$$;

create function sync.says_more(p_answer jsonb, p_stream public.sync_streams) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_stream.more_path is null then
    return null;
  end if;
  if jsonb_typeof(p_answer #> p_stream.more_path) is distinct from jsonb_typeof(p_stream.more_is)
  then
    perform sync.refuse_shape(format('the answer does not say at %s whether more follows: there is '
      '%s, and more_is is %s', array_to_string(p_stream.more_path, '.'),
      coalesce(sync.shown(p_answer #> p_stream.more_path), 'nothing'),
      sync.shown(p_stream.more_is)),
      'declare_stream() says where that stands (more_path) and which value means it (more_is). If '
        'only the last page lacks it, declare no more_path: then a page that is empty is the end.');
  end if;
  return p_answer #> p_stream.more_path = p_stream.more_is;
end; $$;
comment on function sync.says_more(jsonb, public.sync_streams) is
$$Returns: whether an answer says that more follows; null where the stream does not say that it
does. Raises: SY010.$$;

create function sync.with_next(p_page sync.page_in_hand, p_answer jsonb,
  p_stream public.sync_streams, p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_position text := sync.position_of(p_stream);
  v_says_more boolean := sync.says_more(p_answer, p_stream);
  v_named record;
  v_next jsonb;
begin
  if v_position = 'page' then
    v_page.last_page := sync.page_number_in(p_answer, p_stream.last_page_path);
  end if;
  v_page.ends := case
    when v_says_more is false then true
    -- What the answer itself says of more counts for more than how long it is; behind an empty page
    -- nothing comes, whatever it names.
    when v_says_more is null and p_stream.short_page_ends and p_page.records < p_stream.page_size
      and (p_page.records = 0 or v_position not in ('next', 'url', 'link')) then true
    -- Where pages begin at 0, the last one may be named by number or by count.
    when v_page.last_page is not null and v_says_more is not true
    then p_page.page >= v_page.last_page + 1 - p_stream.first_page
    when p_page.records > 0 or v_says_more then false
    when v_position in ('page', 'last') then true
    else v_position = 'offset' and (p_page.page = 1
      or p_stream.completeness in ('agreed', 'feed')) end;
  case
    when v_page.ends then
      null;
    when v_position in ('next', 'url', 'link') then
      v_named := sync.named_next(p_page, p_answer, p_stream, p_source);
      v_next := v_named.o_next;
      v_page.ends := v_next is null;
      if v_next is null and (v_says_more or not (v_named.o_is_said or p_stream.next_absent_ends
        or p_page.records < p_stream.page_size)) then
        perform sync.refuse_shape(format('%s and it names no next page', case when v_says_more
          then 'the answer says that more follows' else 'the page is full' end),
          'declare_stream() says where the next page is named (next_path, next_is), or that a full '
            'page without one is the last (next_absent_ends).');
      end if;
    when v_position = 'last' then
      v_next := jsonb_build_object('last',
        p_page.answer -> -1 #> coalesce(p_stream.last_path, p_stream.id_path));
      if nullif(v_next -> 'last', 'null') is null then
        perform sync.refuse_shape(format('nothing says where the list goes on: %s', case
          when p_page.records = 0 then 'the answer says that more follows, and shows no record'
          else 'the last record has nothing at ' || array_to_string(p_stream.last_path, '.') end),
          'declare_stream() says which value of the last record asks for the next page '
            '(last_path).');
      end if;
    when v_position = 'offset' then
      v_next := sync.next_offset(p_page, p_stream);
      v_page.is_past_pages := p_page.records = 0;
      if p_stream.completeness = 'chained' and v_says_more is null
        and p_page.records between 1 and (p_page.reading ->> 'overlap')::bigint then
        -- What is asked for again and is no end is read on, whether it joins or not.
        v_page.ends := case when p_page.reading ? 'again'
          and not sync.may_end_list(p_page.records, (
            select max(cardinality(s.record_ids)) from sync.seen_pages as s
            where s.run_id = p_page.run_id and s.scan = p_page.scan)) then false end;
      end if;
    when v_position = 'page' then
      v_next := '{"guess": true}';
    else
      null;
  end case;
  if v_next is not null then
    v_page.next := coalesce(p_page.reading, '{}')
      - '{next,url,last,offset,overlap,guess,back,again,beside,pages_below}'::text[] || v_next;
    if p_page.page >= sync.setting('max_pages') then
      perform sync.refuse_shape(format('page %s is not the last one', p_page.page),
        format('More than %s are refused; set_setting(''max_pages'', …) allows more.',
        sync.counted(sync.setting('max_pages'), 'page')));
    end if;
  end if;
  return v_page;
end; $$;
comment on function sync.with_next(sync.page_in_hand, jsonb, public.sync_streams,
  public.sync_sources) is
$$Returns: a page with the reading of the one after it, and whether the list ends with it: a short
page does not, whatever short_page_ends says, where the answer says or names what follows. By
offsets a page that shows no more than it shares with the page before may be the end: then ends is
null. Raises: SY010.$$;

create function sync.require_progress(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_ids text[];
  v_value text := coalesce(p_page.next ->> 'next', p_page.next ->> 'url', p_page.next ->> 'last');
begin
  if v_value is not null and exists (
    select 1 from public.chunked_sync_jobs as c
    where c.run_id = p_page.run_id and c.scan = p_page.scan and c.kind = 'page'
      and c.reading is not null
      and md5(coalesce(c.reading ->> 'next', c.reading ->> 'url', c.reading ->> 'last'))
        = md5(v_value)
      and c.reading -> 'parent' is not distinct from p_page.reading -> 'parent'
  ) then
    raise exception using errcode = 'SY020',
      message = format('the cursor %s repeats', left(sync.one_line(v_value), 80)),
      hint = 'The scan would never end. Ask the API''s operator; the next job begins anew.';
  end if;
  if p_page.page = 1 or p_page.records <= coalesce((p_page.reading ->> 'overlap')::bigint, 0)
    -- Where pages begin at 0, the one behind the last may be asked for, and may be the last again.
    or (p_page.ends and p_page.last_page is not null and p_stream.first_page = 0) then
    return;
  end if;
  v_ids := array(
    select e.record #>> p_stream.id_path
    from jsonb_array_elements(p_page.answer) with ordinality as e (record, n) order by e.n);
  if exists (
    select 1 from public.chunked_sync_jobs as c
    join sync.seen_pages as s on s.run_id = c.run_id and s.scan = c.scan and s.chunk_id = c.id
    where c.run_id = p_page.run_id and c.scan = p_page.scan and c.kind = 'page'
      and c.page = p_page.page - 1 and s.record_ids = v_ids
      and c.reading -> 'parent' is not distinct from p_page.reading -> 'parent'
  ) then
    raise exception using errcode = 'SY020',
      message = format('page %s repeats the page before', p_page.page),
      hint = 'The API may not know the parameter that asks for a page: declare_stream() names it. '
        'The scan would never end.';
  end if;
end; $$;
comment on function sync.require_progress(sync.page_in_hand, public.sync_streams) is
$$Raises: SY020 the next page leads where the scan has been, or the page is the one before again.$$;

create function sync.read_listed(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_moved text;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.require_records(v_page, p_stream);
  v_page.records := jsonb_array_length(v_page.answer);
  v_page.total := sync.count_in(p_page.answer, p_stream.total_path);
  if v_page.total >= p_stream.result_cap then
    v_page.total := null;
  end if;
  v_page := sync.with_next(v_page, p_page.answer, p_stream, p_source);
  perform sync.require_progress(v_page, p_stream);
  v_page.latest_at := sync.latest_time(v_page.answer, p_stream);
  v_page.reveals_pages := (p_page.page < p_page.known_pages) is not true;
  if p_stream.completeness <> 'chained' then
    v_page.disorder := sync.tied_last(v_page, p_stream);
    return v_page;
  end if;
  v_page := sync.in_order(v_page, p_stream);
  v_page.disorder := coalesce(v_page.disorder, sync.tied_last(v_page, p_stream));
  if v_page.disorder is null and v_page.next ? 'next' and p_stream.cursor_is is null
    and v_page.next ->> 'next'
      is distinct from v_page.answer -> -1 #>> coalesce(p_stream.last_path, p_stream.id_path) then
    v_page.disorder := format('its cursor is %s and not what its last record has at %s, so that '
      'nothing says that the next page joins', sync.shown(v_page.next -> 'next'),
      array_to_string(coalesce(p_stream.last_path, p_stream.id_path), '.'));
  end if;
  -- A page of no run is only tried, perhaps by a declaration that no record was written by.
  if v_page.disorder is null and p_stream.order_moves = 'never' and p_page.run_id is not null then
    v_moved := sync.moved_record(v_page, p_stream);
    if v_moved is not null then
      v_page.disorder := format('record %s has another place in the order than before, and '
        'order_moves is never', v_moved);
    end if;
  end if;
  if p_stream.order_moves = 'forward' and p_stream.order_type = 'time'
    and p_page.is_full_scan is false and v_page.last_key > (
      select extract(epoch from r.started_at) from public.workspace_sync_runs as r
      where r.id = p_page.run_id) then
    v_page.ends := true;
  end if;
  return v_page;
end; $$;
comment on function sync.read_listed(sync.page_in_hand, public.sync_streams,
  public.sync_sources) is
$$Returns: a page of a chained or agreed list with its records, its order, what comes next and
whether it is the end. What changed since an incremental run began is the next one's. Raises: SY010
wrong shape, SY020 it leads where the scan has been.$$;

create function sync.read_past_end(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.records := 0;
  v_page.ends := sync.position_of(p_stream) = 'page'
    or p_stream.completeness in ('agreed', 'feed');
  v_page.is_past_pages := not v_page.ends;
  v_page.next := case when not v_page.ends then coalesce(p_page.reading, '{}')
    - '{offset,overlap,guess,back,again,beside}'::text[] || sync.next_offset(v_page, p_stream) end;
  v_page.reveals_pages := (p_page.page < p_page.known_pages) is not true;
  return v_page;
end; $$;
comment on function sync.read_past_end(sync.page_in_hand, public.sync_streams) is
$$Returns: a page that was asked for on the chance that it exists, and does not.$$;

create function sync.read_refused(p_page sync.page_in_hand, p_source public.sync_sources)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.refusal := concat_ws('. ', rtrim(format('HTTP %s for page %s: %s', p_page.http_status,
    p_page.page, coalesce(sync.foreign_text(
      sync.json_or_null(p_page.body) #>> p_source.message_path,
      sync.workspace_secret(p_page.workspace_id)), 'it says no more')), '.'),
    sync.way_out(p_page.http_status, null));
  v_page.records := 0;
  v_page.reveals_pages := true;
  return v_page;
end; $$;
comment on function sync.read_refused(sync.page_in_hand, public.sync_sources) is
$$Returns: a page that others led to, by a total, a cursor or their last record, and that does not
exist any more. That is no failure: its scan does not count.$$;

revoke all on function
  sync.named_next, sync.wanted_overlap, sync.next_offset, sync.says_more, sync.with_next,
  sync.require_progress, sync.read_listed, sync.read_past_end, sync.read_refused
from public, anon, authenticated, service_role;
