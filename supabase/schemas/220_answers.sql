-- Answers: what an answer says. Shape checks, records, totals.
-- Stands on: keys, records, next_urls, classes.

create type sync.page_access as (
  -- Whether the key is accepted, so that nothing is noted of it, and whether a rate limit of the
  -- workspace or its budget lasts, so that something is.
  is_key_accepted boolean, is_rate_limited boolean,
  -- Which access token was sent, and whether an answer proved that one before.
  token_generation bigint, is_token_proven boolean
);
comment on type sync.page_access is
'With what a request was sent, as the fence found it: whose key and limits an answer tells of.';

create type sync.page_verdict as (
  -- No outcome: the page is still to be applied. is_repeat: the verb gave this answer before.
  outcome text, is_repeat boolean,
  -- What is wrong: an SQLSTATE, and a text with the way out. is_permanent: no attempt can help.
  code text, message text, is_permanent boolean,
  -- Until it comes again, and what the answer asks for, in seconds.
  wait interval, retry_after numeric
);
comment on type sync.page_verdict is
'What becomes of a chunk whose request ended: what its holder is told and its event says.';

create type sync.page_in_hand as (
  -- What was handed over. turn: its place in the call. The body is dropped when it is read, the
  -- answer when it is applied: every statement over pages copies them.
  turn int, queue_id bigint, lease_token bigint, http_status int, headers jsonb, body text,
  duration_ms bigint,

  -- The chunk, as the fence found it. requested_at: the earliest that it was sent.
  run_id bigint, workspace_id bigint, stream_id bigint, slot smallint, worker_id text,
  attempts int, max_attempts int, requested_at timestamptz,
  -- How often in a row, and since when, the database itself could not take it.
  postponements int, postponed_since timestamptz,
  -- What was asked for: a page, or a record; reading: where in the list, as its stream's kind says.
  kind text, scan int, page int, record_id text, reading jsonb,
  -- Of children: of which parent's list it is a page.
  part_id bigint, parent_id text,
  -- Of its run: whether it reads everything, up to which page it knew, and whether half of the
  -- planned window is used up with this chunk.
  is_full_scan boolean, known_pages int, uses_up_window boolean,
  access sync.page_access,

  -- What the answer says. answer: first all of it, then its records, none where one that was asked
  -- for is gone; records: how many. is_mended: characters that Postgres cannot store were replaced.
  answer jsonb, records int, is_mended boolean,
  -- total: how many records the API counts. reveals_pages: the run did not know that its pages end
  -- there. is_past_pages: it shows that the list was at its end before.
  total bigint, last_page int, reveals_pages boolean, is_past_pages boolean,
  -- Of a feed: where it goes on, and the lowest id that it shows.
  next_cursor text, lowest_id bigint,
  -- Of a chained or agreed list, or one that is read since a time: as in sync.seen_pages.
  first_key numeric, last_key numeric, first_text text, last_text text, disorder text, next jsonb,
  ends boolean, latest_at timestamptz,
  -- Of a page that others led to and that is gone: what the API answered in its place.
  refusal text,
  -- Of a conditional request: {"key", "said"}, which request and the validators of its answer; of a
  -- 304 without "said", and the ids that the page showed when it was read.
  condition jsonb, seen_ids text array,
  -- Of a request that asks whose key it is: {"id", "name"}.
  key_owner jsonb,

  verdict sync.page_verdict,
  -- How many records are new or different, and {column: the first record whose value does not fit}.
  changed int, unfit jsonb
);
comment on type sync.page_in_hand is
'A chunk on its way through a completing or failing verb: what was handed over, the chunk as the
fence found it, what the answer says, and the verdict.';

create function sync.refuse_shape(p_what text, p_hint text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY010', message = p_what, hint = p_hint;
end; $$;
comment on function sync.refuse_shape(text, text) is
$$Raises: SY010, the answer has the wrong shape.$$;

create function sync.count_in(p_answer jsonb, p_path text[]) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case when jsonb_typeof(p_answer #> p_path) in ('number', 'string')
    and p_answer #>> p_path ~ '^[0-9]{1,15}$' then (p_answer #>> p_path)::bigint end;
end; $$;
comment on function sync.count_in(jsonb, text[]) is
$$Returns: a whole number of 0 or more at a path, also one in quotes; null if none stands there.$$;

create function sync.count_at(p_answer jsonb, p_path text[]) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_count bigint := sync.count_in(p_answer, p_path);
begin
  if v_count is null then
    perform sync.refuse_shape(format('the answer has no count at %s', array_to_string(p_path, '.')),
      'The API may page in another mode now; declare_stream() says where the count stands.');
  end if;
  return v_count;
end; $$;
comment on function sync.count_at(jsonb, text[]) is
$$Returns: the same, where one has to stand. Raises: SY010.$$;

create function sync.page_number_in(p_answer jsonb, p_path text[]) returns int
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_pages bigint := sync.count_in(p_answer, p_path);
begin
  return case when v_pages is not null then least(greatest(v_pages, 1), 2147483647) end;
end; $$;
comment on function sync.page_number_in(jsonb, text[]) is
$$Returns: the number of a page at a path, 1 or more; null if none stands there.$$;

create function sync.cursor_at(p_answer jsonb, p_path text[]) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(p_answer #> p_path) in ('object', 'array', 'boolean') then
    perform sync.refuse_shape(format('the answer has no cursor at %s',
      array_to_string(p_path, '.')),
      'A cursor is a text or a number. declare_stream() says where it stands.');
  end if;
  return nullif(p_answer #>> p_path, '');
end; $$;
comment on function sync.cursor_at(jsonb, text[]) is
$$Returns: the cursor at a path; null where there is none, null or an empty text: the end. Raises:
SY010.$$;

create function sync.mended(p_body text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select string_agg(case
    when t.part ~* '^\\u0000$' then '\ufffd'
    when t.part ~* '^\\ud[89ab]' and t.next_part !~* '^\\ud[c-f]' then '\ufffd'
    when t.part ~* '^\\ud[c-f]' and t.last_part !~* '^\\ud[89ab]' then '\ufffd'
    else t.part end, '' order by t.n)
  from (
    select m.n, m.match[1] as part, coalesce(lag(m.match[1]) over (order by m.n), '') as last_part,
      coalesce(lead(m.match[1]) over (order by m.n), '') as next_part
    -- An escape, or all up to the next one: a backslash that is escaped itself begins none.
    from regexp_matches(p_body, '\\u[0-9a-fA-F]{4}|\\.|[^\\]+|\\', 'g')
      with ordinality as m (match, n)
  ) as t;
$$;
comment on function sync.mended(text) is
$$Returns: a JSON text in which what Postgres cannot store, U+0000 and half a pair of surrogates, is
U+FFFD.$$;

create function sync.is_huge_number(p_number text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_part text[];
  v_exponent int;
begin
  if p_number ~ '[eE][+-]?[0-9]{5}' then
    return true;
  end if;
  v_part := regexp_match(p_number, '^-?([0-9]+)\.?([0-9]*)[eE]?([+-]?[0-9]*)$');
  v_exponent := coalesce(nullif(v_part[3], '')::int, 0);
  return length(v_part[1]) + v_exponent > 131072 or length(v_part[2]) - v_exponent > 16383;
end; $$;
comment on function sync.is_huge_number(text) is
$$Returns: whether a number of JSON has more digits before or after the point than Postgres stores,
or an exponent of five digits, with which it stores few.$$;

create function sync.without_huge_numbers(p_body text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select string_agg(case
    when starts_with(m.match[1], '"') then m.match[1]
    when length(m.match[1]) > 6384 or m.match[1] ~* 'e[+-]?[0-9]{5}' then (
      select string_agg(case when u.match[1] ~ '^[-0-9]' and sync.is_huge_number(u.match[1])
        then '"\ufffd"' else u.match[1] end, '' order by u.n)
      from regexp_matches(m.match[1], '-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[^0-9-]+|-', 'g')
        with ordinality as u (match, n))
    else m.match[1] end, '' order by m.n)
  -- A string, or all up to the next one. Nothing shorter is huge but by an exponent of five digits.
  from regexp_matches(p_body, '"(?:[^"\\]|\\.)*"|[^"]+|"', 'g') with ordinality as m (match, n);
$$;
comment on function sync.without_huge_numbers(text) is
$$Returns: a JSON text in which numbers that Postgres cannot store are the text U+FFFD.$$;

create function sync.read_json(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_page sync.page_in_hand := p_page;
  v_mended text;
begin
  -- A byte order mark is none of the JSON. Trimmed where one stands: ltrim() walks the whole text.
  if starts_with(p_page.body, chr(65279)) then
    v_page.body := ltrim(p_page.body, chr(65279));
  end if;
  begin
    v_page.answer := v_page.body::jsonb;
  exception when invalid_text_representation or untranslatable_character
    or numeric_value_out_of_range then
    v_mended := case when strpos(v_page.body, '\u') > 0 then sync.mended(v_page.body)
      else v_page.body end;
    if sqlstate <> '22003' and (v_mended <> v_page.body) is not true then
      raise;
    end if;
    begin
      v_page.answer := v_mended::jsonb;
    exception when numeric_value_out_of_range then
      v_page.answer := (sync.without_huge_numbers(v_mended))::jsonb;
    end;
    v_page.is_mended := true;
  end;
  return v_page;
end; $$;
comment on function sync.read_json(sync.page_in_hand) is
$$Returns: the page with its body as JSON; is_mended: some of its characters Postgres cannot store.
Raises: 22P02 not JSON, 22003 a number that cannot be mended.$$;

create function sync.require_records(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_position bigint;
begin
  if coalesce(jsonb_typeof(p_page.answer), 'null') <> 'array' then
    perform sync.refuse_shape(concat_ws(' ', 'the answer has no list of records',
      'at ' || nullif(array_to_string(p_stream.records_path, '.'), '')),
      'declare_stream() says where they stand (records_path; [] where the answer is the list). An '
        'object with a record at each of its keys is no list.');
  end if;
  select r.n into v_position from (
    select n, record #> p_stream.id_path as id
    from jsonb_array_elements(p_page.answer) with ordinality as e (record, n)
  ) as r
  where (case p_stream.id_type
    when 'integer' then jsonb_typeof(r.id) = 'number' and r.id #>> '{}' ~ '^-?[0-9]{1,19}$'
      and case when length(r.id #>> '{}') > 18 then r.id #>> '{}' <> '-9223372036854775808'
        and (r.id #>> '{}')::numeric between -9223372036854775807 and 9223372036854775807
        else true end
    else jsonb_typeof(r.id) = 'string' and length(r.id #>> '{}') between 1 and 500
      and (p_page.is_mended and strpos(r.id #>> '{}', chr(65533)) > 0) is not true
    end) is not true
  order by r.n limit 1;
  if v_position is not null then
    perform sync.refuse_shape(
      format('record %s of the page has no %s id at %s', v_position, p_stream.id_type,
      array_to_string(p_stream.id_path, '.')),
      'Nothing of the page was written. declare_stream() says where the id stands and of which '
        'type it is.');
  end if;
end; $$;
comment on function sync.require_records(sync.page_in_hand, public.sync_streams) is
$$Raises: SY010 unless what was found is a list of records with usable ids.$$;

create function sync.without_paths(p_page sync.page_in_hand, p_paths jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
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
  if jsonb_typeof((sync.read_json(p_page)).answer #> p_source.message_path)
    is distinct from 'string' then
    perform sync.refuse_shape(format('an answer %s without a message at %s is not the API''s own',
      p_page.http_status, array_to_string(p_source.message_path, '.')),
      'It proves nothing. If the API reports its errors elsewhere, declare_source() says where '
        '(message_path).');
  end if;
end; $$;
comment on function sync.require_own_error(sync.page_in_hand, public.sync_sources) is
$$That a record is gone only the API can say, not a proxy before it. Raises: SY010 unless the body
is JSON with a message where the source says that its errors have one, 22P02 not JSON.$$;

create function sync.content_class(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- In the records of a page any text may stand: of JSON only the API's own message is looked at.
  return sync.class_by_rules(p_stream.class_rules || p_source.class_rules, p_page.http_status,
    p_page.headers, case
      when p_page.http_status not between 200 and 299 then left(p_page.body, 16384)
      when p_page.answer is null then left(p_page.body, 1000)
      when jsonb_typeof(p_page.answer) = 'object' then p_page.answer #>> p_source.message_path
    end, p_page.answer);
end; $$;
comment on function sync.content_class(sync.page_in_hand, public.sync_streams,
  public.sync_sources) is
$$Returns: the class of an answer by the class_rules of its stream, then of its source; null if none
speaks of it.$$;

create function sync.require_page(p_class text, p_page sync.page_in_hand,
  p_source public.sync_sources) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(p_class, 'page') <> 'page' then
    raise exception using errcode = case p_class when 'rate_limited' then 'SY021'
      when 'transient' then 'SY013' else 'SY024' end,
      message = format('the API answers %s, which is %s by class_rules: %s', p_page.http_status,
        p_class, coalesce(sync.foreign_text(p_page.answer #>> p_source.message_path,
        sync.workspace_secret(p_page.workspace_id)), 'it says no more'));
  end if;
end; $$;
comment on function sync.require_page(text, sync.page_in_hand, public.sync_sources) is
$$Raises: SY021 rate_limited, SY013 transient or SY024 permanent, if that is the class of an answer
that was handed over as a page.$$;

create function sync.scoped_id(p_parent_id text, p_id text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select string_agg(case when part ~ '[^A-Za-z0-9_.~-]' then sync.url_encode(part) else part end,
    '/' order by n)
  from unnest(array[p_parent_id, p_id]) with ordinality as u (part, n);
$$;
comment on function sync.scoped_id(text, text) is
$$Returns: the id of a record whose own id is unique below its parent only: <parent>/<id>, each part
encoded as in a URL.$$;

create function sync.scoped_parts(p_record_id text, out o_parent_id text, out o_own_id text)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select max(decoded.part) filter (where decoded.n = 1), max(decoded.part) filter (where decoded.n = 2)
  from (
    select u.n, case when strpos(u.part, '%') = 0 then u.part else (
        select convert_from(decode(string_agg(case when m.c[1] like '_%' and length(m.c[1]) = 3
          then substr(m.c[1], 2) else encode(convert_to(m.c[1], 'UTF8'), 'hex') end, '' order by m.n),
          'hex'), 'UTF8')
        from regexp_matches(u.part, '%[0-9A-F]{2}|[^%]', 'g') with ordinality as m (c, n)) end as part
    from unnest(string_to_array(p_record_id, '/')) with ordinality as u (part, n)
  ) as decoded;
$$;
comment on function sync.scoped_parts(text) is
$$Returns: what scoped_id() put together.$$;

create function sync.record_time(p_record jsonb, p_stream public.sync_streams) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return case p_stream.time_format
    when 'iso' then sync.time_or_null(p_record #>> p_stream.updated_at_path)
    else sync.epoch_time(p_record #>> p_stream.updated_at_path, p_stream.time_format) end;
end; $$;
comment on function sync.record_time(jsonb, public.sync_streams) is
$$Returns: a record's updated_at as its stream writes it, null if it cannot be read.$$;

create function sync.found_records(p_pages sync.page_in_hand[]) returns sync.incoming_record[]
language plpgsql stable set search_path = pg_catalog, pg_temp
  set timezone = 'UTC' set datestyle = 'ISO, MDY' as $$
begin
  begin
    return (
      select coalesce(array_agg(row(
        p.workspace_id, p.stream_id,
        case when p.kind = 'item' then p.record_id
          when st.id_scope = 'parent' then sync.scoped_id(p.parent_id, r.record #>> st.id_path)
          else r.record #>> st.id_path end,
        case st.time_format when 'iso'
          then nullif(nullif((r.record #>> st.updated_at_path)::timestamptz, 'infinity'),
          '-infinity')
          else sync.epoch_time(r.record #>> st.updated_at_path, st.time_format) end,
        r.record, p.turn, p.requested_at, p.is_full_scan, p.parent_id, r.record #>> st.id_path
      )::sync.incoming_record), '{}')
      from unnest(p_pages) as p
      join public.sync_streams as st on st.id = p.stream_id
      cross join jsonb_array_elements(p.answer) as r (record)
    );
  exception when data_exception then
    return (
      select coalesce(array_agg(row(
        p.workspace_id, p.stream_id,
        case when p.kind = 'item' then p.record_id
          when st.id_scope = 'parent' then sync.scoped_id(p.parent_id, r.record #>> st.id_path)
          else r.record #>> st.id_path end,
        sync.record_time(r.record, st),
        r.record, p.turn, p.requested_at, p.is_full_scan, p.parent_id, r.record #>> st.id_path
      )::sync.incoming_record), '{}')
      from unnest(p_pages) as p
      join public.sync_streams as st on st.id = p.stream_id
      cross join jsonb_array_elements(p.answer) as r (record)
    );
  end;
end; $$;
comment on function sync.found_records(sync.page_in_hand[]) is
$$Returns: the records of pages that were read, in their order there; a time that
cannot be read is null, one without a zone is UTC.$$;

revoke all on function
  sync.refuse_shape, sync.count_at, sync.count_in, sync.page_number_in,
  sync.record_time, sync.cursor_at, sync.mended,
  sync.is_huge_number, sync.without_huge_numbers, sync.read_json, sync.require_records,
  sync.require_own_error, sync.content_class, sync.require_page, sync.without_paths, sync.scoped_id,
  sync.scoped_parts, sync.found_records
from public, anon, authenticated, service_role;
