-- Answers: what an answer says. Shape checks, records, totals, and which class an error is.
-- Stands on: streams, queue.

create type sync.page_in_hand as (
  turn int, queue_id bigint, lease_token bigint, http_status int, body text, duration_ms bigint,
  answer jsonb,
  run_id bigint, workspace_id bigint, stream_id bigint, slot smallint, kind text, scan int,
  page int, record_id text, worker_id text,
  attempts int, max_attempts int, postponements int, postponed_since timestamptz,
  is_repeat boolean,
  known_pages int, is_key_accepted boolean, is_budget_blocked boolean,
  outcome text, code text, message text, wait interval, is_permanent boolean,
  records int, changed int, total bigint, last_page int, reveals_pages boolean,
  reading jsonb, next_cursor text, is_past_pages boolean, lowest_id bigint, highest_id bigint,
  key_owner jsonb
);
comment on type sync.page_in_hand is
'A chunk on its way through a completing or failing verb: what was handed over, what the queue knows
of it, what became of it.';

create function sync.raise_shape(p_what text, p_hint text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY010', message = p_what, hint = p_hint;
end; $$;
comment on function sync.raise_shape(text, text) is
$$Raises: SY010, the answer has the wrong shape.$$;

create function sync.count_at(p_answer jsonb, p_path text[]) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(p_answer #> p_path) is distinct
    from 'number' or p_answer #>> p_path !~ '^[0-9]{1,15}$' then
    perform sync.raise_shape(format('the answer has no count at %s', array_to_string(p_path, '.')),
      'The API may page in another mode now; declare_stream() says where the count stands.');
  end if;
  return (p_answer #>> p_path)::bigint;
end; $$;
comment on function sync.count_at(jsonb, text[]) is
$$Returns: a whole number of 0 or more at a path. Raises: SY010.$$;

create function sync.check_records(p_records jsonb, p_stream public.sync_streams) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_position bigint;
begin
  if coalesce(jsonb_typeof(p_records), 'null') <> 'array' then
    perform sync.raise_shape(format('the answer has no list of records at %s',
      array_to_string(p_stream.records_path, '.')),
      'declare_stream() says where they stand.');
  end if;
  select r.n into v_position from (
    select n, record #> p_stream.id_path as id
    from jsonb_array_elements(p_records) with ordinality as e (record, n)
  ) as r
  where (case p_stream.id_type
    when 'integer' then jsonb_typeof(r.id) = 'number' and r.id #>> '{}' ~ '^-?[0-9]{1,18}$'
    else jsonb_typeof(r.id) = 'string' and length(r.id #>> '{}') between 1 and 500 end) is not true
  order by r.n limit 1;
  if v_position is not null then
    perform sync.raise_shape(
      format('record %s of the page has no %s id at %s', v_position, p_stream.id_type,
      array_to_string(p_stream.id_path, '.')),
      'Nothing of the page was written. declare_stream() says where the id stands and of which '
        'type it is.');
  end if;
end; $$;
comment on function sync.check_records(jsonb, public.sync_streams) is
$$Raises: SY010 unless it is a list of records with usable ids.$$;

create function sync.read_counted_page(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.total := sync.count_at(p_page.answer, p_stream.total_path);
  v_page.last_page := least(greatest(sync.count_at(p_page.answer, p_stream.last_page_path), 1),
    2147483647);
  if v_page.last_page > greatest(p_page.known_pages, sync.setting('max_pages')) then
    perform sync.raise_shape(format('the answer names %s as its last page', v_page.last_page),
      format('More than %s pages are refused; set_setting(''max_pages'', …) allows more.',
      sync.setting('max_pages')));
  end if;
  if v_page.last_page > greatest(v_page.total, 1) then
    perform sync.raise_shape(format('the answer names %s as its last page, for %s records',
      v_page.last_page, v_page.total),
      'A list whose last page moves on with every page read has no end: ask the API''s operator.');
  end if;
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.check_records(v_page.answer, p_stream);
  return v_page;
end; $$;
comment on function sync.read_counted_page(sync.page_in_hand, public.sync_streams) is
$$Returns: the page with its records, total and last_page. Raises: SY010.$$;

create function sync.read_confirmation(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := jsonb_build_array(p_page.answer #> p_stream.item_record_path);
  perform sync.check_records(v_page.answer, p_stream);
  if v_page.answer -> 0 #>> p_stream.id_path is distinct from p_page.record_id then
    perform sync.raise_shape(format('asked for record %s, the API answers with another',
      p_page.record_id),
      'declare_stream() says under which path a record stands.');
  end if;
  return v_page;
end; $$;
comment on function sync.read_confirmation(sync.page_in_hand, public.sync_streams) is
$$Returns: the page with the one record asked for. Raises: SY010.$$;

create function sync.without_paths(p_page sync.page_in_hand, p_paths jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_records jsonb := p_page.answer;
  v_is_plain boolean := strpos(p_page.body, '\u') = 0;
  v_path text[];
begin
  for v_path in
    select array(select jsonb_array_elements_text(p.path)) from jsonb_array_elements(p_paths)
      as p (path)
  loop
    -- Looking for a few letters costs a tenth of a look at every record, and hardly a page has
    -- them. Behind an escape they could hide.
    if not v_is_plain or v_path[cardinality(v_path)] ~ '[^A-Za-z0-9_-]'
      or strpos(p_page.body, v_path[cardinality(v_path)]) > 0 then
      select coalesce(jsonb_agg(r.record #- v_path order by r.n), '[]') into v_records
      from jsonb_array_elements(v_records) with ordinality as r (record, n);
    end if;
  end loop;
  return v_records;
end; $$;
comment on function sync.without_paths(sync.page_in_hand, jsonb) is
$$Returns: a page's records without what their stream's drop_paths name.$$;

create function sync.require_own_error(p_page sync.page_in_hand, p_source public.sync_sources)
  returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(p_page.body::jsonb #> p_source.message_path) is distinct from 'string' then
    perform sync.raise_shape(format('an answer %s without a message at %s is not the API''s own',
      p_page.http_status, array_to_string(p_source.message_path, '.')),
      'It proves nothing. If the API reports its errors elsewhere, declare_source() says where '
        '(message_path).');
  end if;
end; $$;
comment on function sync.require_own_error(sync.page_in_hand, public.sync_sources) is
$$That a record is gone only the API can say, not a proxy before it. Raises: SY010 unless the body
is JSON with a message where the source says that its errors have one, 22P02 not JSON.$$;

create function sync.read_page(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  if p_page.http_status not between 200 and 299 then
    if p_page.kind in ('confirmation', 'item') and p_page.http_status in (404, 410) then
      perform sync.require_own_error(p_page, p_source);
    elsif (p_page.kind = 'page' and p_page.page > 1 and p_page.http_status = 422
        and p_stream.cursor_params is not null) is not true then
      perform sync.raise_shape(format('a page with status %s has no records', p_page.http_status),
        'The status classes of its stream should not call it a page.');
    end if;
    v_page.answer := '[]';
    v_page.is_past_pages := p_page.kind = 'page';
    v_page.reveals_pages := v_page.is_past_pages;
    v_page.body := null;
    return v_page;
  end if;
  v_page.answer := p_page.body::jsonb;
  if v_page.answer #> p_source.success_path = 'false'::jsonb then
    raise exception using errcode = 'SY013',
      message = format('the API answers %s and reports a failure: %s', p_page.http_status,
        coalesce(sync.mask_workspace_key(v_page.answer #>> p_source.message_path,
        v_page.workspace_id), 'it says no more')),
      hint = 'It is tried again; if it stays, ask the API''s operator.';
  end if;
  v_page := case
    when p_page.kind = 'connection' then sync.read_connection(v_page, p_source)
    when p_page.kind = 'confirmation' then sync.read_confirmation(v_page, p_stream)
    when p_stream.completeness = 'counted' then sync.read_counted_page(v_page, p_stream)
    when p_stream.completeness = 'feed' then sync.read_feed_page(v_page, p_stream)
    else sync.read_item(v_page) end;
  if p_stream.drop_paths <> '[]' then
    v_page.answer := sync.without_paths(v_page, p_stream.drop_paths);
  end if;
  v_page.records := jsonb_array_length(v_page.answer);
  v_page.reveals_pages := v_page.kind = 'page'
    and (v_page.last_page <= v_page.known_pages) is not true;
  -- It is in the answer now; every statement over the pages would copy it.
  v_page.body := null;
  return v_page;
end; $$;
comment on function sync.read_page(sync.page_in_hand, public.sync_streams, public.sync_sources) is
$$Cast a body and check it by its stream. A status that the stream counts as a page although it is
no success has no records: 404 and 410 say that a record is gone, 422 that pages end here. Returns: the
page with answer = its records, and what it says of others; reveals_pages: the run did not know that
pages end there. Raises: SY010 wrong shape, SY013 the API reports a failure, 22P02 not JSON, 22P05 a
character that Postgres cannot hold.$$;

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

create function sync.found_records(p_pages sync.page_in_hand[]) returns sync.incoming_record[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select coalesce(array_agg(row(
      p.workspace_id, p.stream_id,
      case p.kind when 'item' then p.record_id else r.record #>> st.id_path end,
      (r.record #>> st.updated_at_path)::timestamptz, r.record, p.turn
    )::sync.incoming_record), '{}')
    from unnest(p_pages) as p
    join public.sync_streams as st on st.id = p.stream_id
    cross join jsonb_array_elements(p.answer) as r (record)
  );
end; $$;
comment on function sync.found_records(sync.page_in_hand[]) is
$$Returns: the records of pages that were read. Raises: 22007 unreadable time.$$;

create function sync.find_bad_field(p_page sync.page_in_hand) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_field record;
begin
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  for v_field in
    select r.record, a.attname, format_type(a.atttypid, a.atttypmod) as type_name
    from jsonb_array_elements(p_page.answer) as r (record)
    join pg_catalog.pg_attribute as a on a.attrelid = to_regclass(v_stream.target_table)
      and a.attnum > 0
    where a.attname <> all ('{workspace_id,stream_id,id,raw,last_changed_at,deleted_at}')
      and r.record ->> a.attname is not null and a.atttypid <> 'jsonb'::regtype
  loop
    begin
      execute format('select ($1)::%s', v_field.type_name) using v_field.record ->> v_field.attname;
    exception when data_exception then
      return format('%s.%s cannot take the value of record %s', v_stream.target_table,
        v_field.attname,
        v_field.record #>> v_stream.id_path);
    end;
  end loop;
  return format('%s cannot take a value of page %s', v_stream.target_table,
    coalesce(p_page.page::text, p_page.record_id));
end; $$;
comment on function sync.find_bad_field(sync.page_in_hand) is
$$After a page failed with a data error: which table, column and record it was. Never the value.
Returns: a sentence.$$;

create function sync.lock_holders(p_stream_id bigint) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select string_agg(h.words, '; ') from (
    select format('session %s (%s, %s, its transaction began at %s) holds locks on %s', a.pid,
      concat_ws(', ', a.usename, nullif(a.application_name, '')), coalesce(a.state, 'working'),
      sync.in_utc(a.xact_start), string_agg(distinct l.relation::regclass::text, ', ')) as words
    from public.sync_streams as st
    join pg_catalog.pg_locks as l on l.relation in (to_regclass(st.target_table),
        'public.sync_workspaces'::regclass, 'public.workspace_sync_runs'::regclass)
      and l.granted and l.mode <> 'AccessShareLock' and l.pid <> pg_backend_pid()
    join pg_catalog.pg_stat_activity as a on a.pid = l.pid
    where st.id = p_stream_id
    group by a.pid, a.usename, a.application_name, a.state, a.xact_start
    order by a.xact_start limit 2
  ) as h;
$$;
comment on function sync.lock_holders(bigint) is
$$Returns: which other sessions hold locks on what a page of a stream writes to, the two whose
transactions are oldest; null if none does.$$;

create function sync.is_pages_own_trouble(p_page sync.page_in_hand, p_sqlstate text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_bitmapscan = on as $$
begin
  -- Who holds a lock is never the page that waits for it.
  if p_page.postponements < 4 or p_sqlstate ~ '^(40|55P03)' then
    return false;
  end if;
  return (
    select count(*) filter (where e.chunk_id = p_page.queue_id
        and e.details ->> 'code' !~ '^(40|55P03)') >= 4
      and count(*) filter (where e.chunk_id <> p_page.queue_id and e.event = 'completed')
        > count(*) filter (where e.chunk_id <> p_page.queue_id and e.event = 'postponed')
    from public.chunk_events as e
    where e.occurred_at >= p_page.postponed_since and e.event in ('completed', 'postponed'));
end; $$;
comment on function sync.is_pages_own_trouble(sync.page_in_hand, text) is
$$Returns: whether an error that looks like the database's own is the page's: the fifth in a row
that is no lock, while the database took more pages of others than it did not take.$$;

create function sync.postpone(p_page sync.page_in_hand, p_sqlstate text, p_message text)
  returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.code := p_sqlstate;
  v_page.records := null;
  v_page.total := null;
  v_page.is_permanent := false;
  v_page.message := rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.');
  if sync.is_pages_own_trouble(v_page, p_sqlstate) then
    v_page.outcome := 'retry';
    v_page.message := concat_ws('. ', v_page.message,
      'Pages of others are taken meanwhile: it is about this one.');
    return v_page;
  end if;
  v_page.outcome := 'postponed';
  v_page.wait := (0.5 + random() / 2)
    * make_interval(secs => least(2 ^ least(v_page.postponements, 10), 15));
  v_page.postponements := v_page.postponements + 1;
  v_page.postponed_since := coalesce(v_page.postponed_since, sync.now());
  v_page.message := concat_ws('. ', v_page.message, case
    when p_sqlstate = '55P03' then sync.mask_secrets(sync.lock_holders(v_page.stream_id)) end,
    'It comes again by itself; no attempt is lost.');
  return v_page;
end; $$;
comment on function sync.postpone(sync.page_in_hand, text, text) is
$$The database itself could not take a page: it comes again, after 1 s and then later each time, up
to 15 s; no attempt is burnt, unless it recurs for this page only. Returns: the page with outcome
postponed and wait, or retry.$$;

create function sync.judge_error(p_page sync.page_in_hand, p_sqlstate text, p_message text,
  p_hint text) returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_was_read boolean := p_page.answer is not null;
begin
  if sync.is_own_trouble(p_sqlstate) then
    return sync.postpone(v_page, p_sqlstate, p_message);
  end if;
  v_page.code := case
    when p_sqlstate in ('SY010', 'SY013') then p_sqlstate
    when p_sqlstate ~ '^2[23]' and (v_was_read or p_sqlstate = '22P05') then 'SY012'
    when p_sqlstate ~ '^22' then 'SY011'
    else p_sqlstate end;
  v_page.message := concat_ws('. ',
    case
      when v_page.code = 'SY012' and not v_was_read
      then 'the body holds a character that Postgres cannot store, such as U+0000'
      when v_page.code = 'SY012' then sync.find_bad_field(v_page)
      when v_page.code = 'SY011' then 'the body is not JSON'
      else rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.') end,
    case v_page.code
      when 'SY012' then 'Nothing of the page was written. Have the record corrected in the API, '
        'or the column widened.'
      when 'SY011' then 'Something else may answer in place of the API: look at the workspace''s '
        'base URL.'
      else nullif(p_hint, '') end);
  v_page.is_permanent := v_page.code in ('SY010', 'SY012');
  v_page.outcome := 'retry';
  v_page.records := null;
  v_page.total := null;
  return v_page;
end; $$;
comment on function sync.judge_error(sync.page_in_hand, text, text, text) is
$$What an error of reading or applying a page means: SY010 shape and SY012 data are permanent, SY011
not JSON, SY013 reported failure and anything unexpected are tried again; the database's own
trouble postpones. Returns: the page with outcome, code, and a message with the way out.$$;

revoke all on function
  sync.read_counted_page, sync.read_confirmation, sync.raise_shape, sync.count_at,
  sync.check_records, sync.require_own_error, sync.without_paths, sync.read_page,
  sync.read_pages, sync.found_records, sync.find_bad_field, sync.lock_holders,
  sync.is_pages_own_trouble, sync.postpone, sync.judge_error
from public, anon, authenticated, service_role;
