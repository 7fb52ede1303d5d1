-- Lists: where a page of a chained or agreed list stands, what comes after it, whether it is the
-- last one; how far a scan of such a list got.
-- Stands on: keys, streams, templates, declared_fields, targets, slots, next_urls, classes,
--   answers, missing, marks, close, deletions.

create function sync.is_order_unique(p_stream public.sync_streams) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce(p_stream.order_is_unique,
    p_stream.order_path is null or p_stream.order_path = p_stream.id_path);
end; $$;
comment on function sync.is_order_unique(public.sync_streams) is
$$Returns: whether no two records of a list have the same place in its order.$$;

create function sync.in_order(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_page sync.page_in_hand := p_page;
  v_path text[] := coalesce(p_stream.order_path, p_stream.id_path);
  v_is_unique boolean := sync.is_order_unique(p_stream);
begin
  select (array_agg(k.number order by k.n))[1], (array_agg(k.number order by k.n desc))[1],
    (array_agg(k.word order by k.n))[1], (array_agg(k.word order by k.n desc))[1],
    (array_agg(k.flaw order by k.n) filter (where k.flaw is not null))[1]
  into v_page.first_key, v_page.last_key, v_page.first_text, v_page.last_text, v_page.disorder
  from (
    select r.n, r.number, r.word, case
      when r.number is null and r.word is null
      then format('record %s has no %s at %s', r.id, p_stream.order_type,
        array_to_string(v_path, '.'))
      when r.step * case p_stream.order_direction when 'asc' then 1 else -1 end < 0
      then format('record %s comes after %s', r.id, r.id_before)
      when r.step = 0 and v_is_unique and r.id <> r.id_before
      then format('records %s and %s have the same key', r.id_before, r.id) end as flaw
    from (
      select x.*, lag(x.id) over by_place as id_before, case p_stream.order_type
        when 'text' then (x.word > lag(x.word) over by_place)::int
          - (x.word < lag(x.word) over by_place)::int
        else sign(x.number - lag(x.number) over by_place) end as step
      from (
        select e.n, e.record #>> p_stream.id_path as id,
          case
            when p_stream.order_type = 'text' then null
            when p_stream.order_type = 'time'
            then extract(epoch from sync.try_time(e.record #>> v_path))
            when e.record #>> v_path ~ '^-?[0-9]{1,40}(\.[0-9]{1,40})?$'
            then (e.record #>> v_path)::numeric end as number,
          case when p_stream.order_type = 'text'
            and jsonb_typeof(e.record #> v_path) in ('string', 'number')
            then e.record #>> v_path end collate ucs_basic as word
        from jsonb_array_elements(p_page.answer) with ordinality as e (record, n)
      ) as x
      window by_place as (order by x.n)
    ) as r
  ) as k;
  return v_page;
end; $$;
comment on function sync.in_order(sync.page_in_hand, public.sync_streams) is
$$Returns: a page with what its first and its last record are ordered by, and its disorder: what on
it is not in the declared order, or has no place in it; null if all is.$$;

create function sync.moved_record(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_moved text;
begin
  execute replace(sync.target_sql('select i.id
    from (select e.record #>> $4 as id, e.record #> $5 as key
      from jsonb_array_elements($3) as e (record)) as i
    cross join lateral (
      select t.raw #> $5 as key from %1$s as t where %2$s and <same> offset 0) as known
    where known.key <> i.key limit 1', p_stream.id), '<same>', case
      when sync.is_keyed_by_parent(to_regclass(p_stream.target_table))
      then 't.parent_id = $6 and t.id = i.id::'
      when p_stream.id_scope = 'parent' then 't.id = sync.scoped_id($6, i.id)::'
      else 't.id = i.id::' end || (
      select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
      where attrelid = to_regclass(p_stream.target_table) and attname = 'id'))
  into v_moved using p_page.workspace_id, p_stream.id, p_page.answer, p_stream.id_path,
    coalesce(p_stream.order_path, p_stream.id_path), p_page.parent_id;
  return v_moved;
end; $$;
comment on function sync.moved_record(sync.page_in_hand, public.sync_streams) is
$$Returns: a record of a page whose place in the order is another than when it was written last, or
null.$$;

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

create function sync.least_overlap(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_path text[] := coalesce(p_stream.order_path, p_stream.id_path);
begin
  if sync.is_order_unique(p_stream) then
    return 1;
  end if;
  return (
    select p_page.records + 1 - coalesce(max(e.n)
      filter (where e.record #> v_path <> p_page.answer -> -1 #> v_path), 0)
    from jsonb_array_elements(p_page.answer) with ordinality as e (record, n));
end; $$;
comment on function sync.least_overlap(sync.page_in_hand, public.sync_streams) is
$$Returns: how many of a page's last records the next one has to show, so that it joins: one, or,
where keys are not unique, those with the last key and one before them.$$;

create function sync.longest_tie(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select max(t.records) from (
      select count(*) as records from jsonb_array_elements(p_page.answer) as e (record)
      group by e.record #> coalesce(p_stream.order_path, p_stream.id_path)
    ) as t);
end; $$;
comment on function sync.longest_tie(sync.page_in_hand, public.sync_streams) is
$$Returns: how many records of a page share one key, at most.$$;

create function sync.next_offset(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_offset bigint := coalesce((p_page.reading ->> 'offset')::bigint,
    (p_page.page - 1)::bigint * p_stream.page_size);
  v_wanted bigint := coalesce(p_stream.overlap, greatest(1, p_stream.page_size / 10));
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
    perform sync.raise_shape(format('the answer does not say at %s whether more follows',
      array_to_string(p_stream.more_path, '.')),
      'declare_stream() says where that stands (more_path) and which value means it (more_is).');
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
        perform sync.raise_shape(format('%s and it names no next page', case when v_says_more
          then 'the answer says that more follows' else 'the page is full' end),
          'declare_stream() says where the next page is named (next_path, next_is), or that a full '
            'page without one is the last (next_absent_ends).');
      end if;
    when v_position = 'last' then
      v_next := jsonb_build_object('last',
        p_page.answer -> -1 #> coalesce(p_stream.last_path, p_stream.id_path));
      if nullif(v_next -> 'last', 'null') is null then
        perform sync.raise_shape(format('nothing says where the list goes on: %s', case
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
        -- One as long as the others is no end, and the list is read on, whether it joins or not.
        v_page.ends := case when p_page.reading ? 'again' and p_page.records >= (
          select max(cardinality(s.record_ids)) from sync.seen_pages as s
          where s.run_id = p_page.run_id and s.scan = p_page.scan) then false end;
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
      perform sync.raise_shape(format('page %s is not the last one', p_page.page),
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

create function sync.check_progress(p_page sync.page_in_hand, p_stream public.sync_streams)
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
  if p_page.page = 1 or p_page.records <= coalesce((p_page.reading ->> 'overlap')::bigint, 0) then
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
comment on function sync.check_progress(sync.page_in_hand, public.sync_streams) is
$$Raises: SY020 the next page leads where the scan has been, or the page is the one before again.$$;

create function sync.read_listed(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_moved text;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.check_records(v_page, p_stream);
  v_page.records := jsonb_array_length(v_page.answer);
  v_page.total := sync.count_in(p_page.answer, p_stream.total_path);
  if v_page.total >= p_stream.result_cap then
    v_page.total := null;
  end if;
  v_page := sync.with_next(v_page, p_page.answer, p_stream, p_source);
  perform sync.check_progress(v_page, p_stream);
  v_page.latest_at := sync.latest_time(v_page.answer, p_stream);
  v_page.reveals_pages := (p_page.page < p_page.known_pages) is not true;
  if p_stream.completeness <> 'chained' then
    return v_page;
  end if;
  v_page := sync.in_order(v_page, p_stream);
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
    p_page.page, coalesce(sync.foreign_text(sync.try_json(p_page.body) #>> p_source.message_path,
    sync.workspace_secret(p_page.workspace_id)), 'it says no more')), '.'),
    sync.way_out(p_page.http_status, null));
  v_page.records := 0;
  v_page.reveals_pages := true;
  return v_page;
end; $$;
comment on function sync.read_refused(sync.page_in_hand, public.sync_sources) is
$$Returns: a page that others led to, by a total, a cursor or their last record, and that does not
exist any more. That is no failure: its scan does not count.$$;

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
        -- One as long as the others may have been cut where it shows what is new.
        or (cardinality(s.record_ids) between 1 and s.most - 1 and not exists (
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

create function sync.read_on(p_run public.workspace_sync_runs, p_walk sync.walk) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.seen_pages set page = null
  where run_id = p_run.id and scan = p_run.scan and page > p_walk.pages;
  update public.workspace_sync_runs
  set known_pages = p_walk.pages, planned_pages = p_walk.pages where id = p_run.id;
  perform sync.plan_page(p_run.id, p_walk.pages + 1, p_walk.next);
  perform sync.fill_slots(p_run.id);
end; $$;
comment on function sync.read_on(public.workspace_sync_runs, sync.walk) is
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

create function sync.next_scan(p_run_id bigint, p_sound_scan int) returns void
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
  perform sync.fill_slots(p_run_id);
end; $$;
comment on function sync.next_scan(bigint, int) is
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
    perform sync.close_run(p_run.id, 'completed', sync.delete_gone(p_run));
  end if;
end; $$;
comment on function sync.close_since(public.workspace_sync_runs) is
$$Close a run that read what changed since a time: it says nothing of what it did not show. Where
the API counts more records than there are, and more than the last full scan did not show, the next
run is a full scan. The caller holds the run's lock.$$;

create function sync.close_list(p_run_id bigint, p_pages int) returns void
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
comment on function sync.close_list(bigint, int) is
$$A scan of a list is accepted: note what it showed, and confirm what it missed, or close. A total
that differs only warns; a list that reaches its result_cap is partial. The caller holds the run's
lock.$$;

revoke all on function
  sync.is_order_unique, sync.in_order, sync.moved_record, sync.named_next, sync.least_overlap,
  sync.longest_tie, sync.next_offset,
  sync.says_more, sync.with_next, sync.check_progress, sync.read_listed, sync.read_past_end,
  sync.read_refused,
  sync.way_out_of_ties,
  sync.walk_list, sync.read_on, sync.plan_beside, sync.plan_listed, sync.next_scan,
  sync.close_since, sync.close_list
from public, anon, authenticated, service_role;
