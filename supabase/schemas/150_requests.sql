-- Requests: what of a chunk stands in the HTTP request: templates, filled and encoded for their
-- place.
-- Stands on: templates, next_urls, conditions.

create function sync.refuse_request(p_what text, p_hint text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY022', message = 'the request cannot be made: ' || p_what,
    hint = p_hint;
end; $$;
comment on function sync.refuse_request(text, text) is
$$Raises: SY022, a chunk's request cannot be made.$$;

create function sync.template_values(p_chunk public.chunked_sync_jobs,
  p_stream public.sync_streams) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  v_reading jsonb := coalesce(p_chunk.reading, '{}');
  v_since timestamptz := (v_reading ->> 'since')::timestamptz;
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'page', p_chunk.page - 1 + p_stream.first_page,
    'offset', coalesce(v_reading ->> 'offset', ((p_chunk.page - 1)::bigint
      * p_stream.page_size)::text)::bigint,
    'size', p_stream.page_size, 'next', v_reading -> 'next', 'last', v_reading -> 'last',
    'since', case p_stream.since_format
      when 'epoch' then to_jsonb(floor(extract(epoch from v_since))::bigint)
      when 'epoch_ms' then to_jsonb(floor(extract(epoch from v_since) * 1000)::bigint)
      when 'date' then to_jsonb(to_char(v_since, 'YYYY-MM-DD'))
      else to_jsonb(to_char(v_since, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) end,
    'id', coalesce(v_reading ->> 'id', p_chunk.record_id), 'parent', v_reading -> 'parent'));
end; $$;
comment on function sync.template_values(public.chunked_sync_jobs, public.sync_streams) is
$$Returns: the values of a chunk's templates by name; what has none is left out.$$;

create function sync.template_value(p_template text, p_values jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_part text[] := regexp_match(p_template, '^\{([^|]+)(?:\|(.*))?\}$');
  v_value jsonb := p_values #> string_to_array(v_part[1], '.');
begin
  -- Once {next} has a value it takes the place of {since}, which is false then.
  if v_part[1] = 'since' and v_value = 'false'::jsonb then
    return null;
  end if;
  return coalesce(nullif(v_value, 'null'::jsonb), nullif(v_part[2], '')::jsonb);
end; $$;
comment on function sync.template_value(text, jsonb) is
$$Returns: what stands for a template: the value of its name, or its default, or null.$$;

create function sync.template_parts(p_text text)
  returns table (place bigint, template text, plain text)
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select m.place, m.part[1], m.part[2]
  from regexp_matches(p_text, '(\{(?:page|offset|size|next|last|since|id|parent(?:\.[^.{}|]+)+)'
    '(?:\|[^{}]*)?\})|([^{]+|\{)', 'g') with ordinality as m (part, place);
$$;
comment on function sync.template_parts(text) is
$$Returns: a text's templates and what stands between them, in their order. A text is taken apart
once: what a template's value holds is never looked at.$$;

create function sync.filled_text(p_text text, p_values jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_part record;
  v_value jsonb;
  v_text text := '';
begin
  for v_part in select * from sync.template_parts(p_text) order by place loop
    if v_part.template is null then
      v_text := v_text || v_part.plain;
      continue;
    end if;
    v_value := sync.template_value(v_part.template, p_values);
    if v_part.template = p_text or v_value is null then
      return v_value;
    end if;
    if jsonb_typeof(v_value) in ('object', 'array') then
      perform sync.refuse_request(format('%s is an %s and stands within a text', v_part.template,
        jsonb_typeof(v_value)), 'declare_stream() takes a template of a single value there.');
    end if;
    v_text := v_text || (v_value #>> '{}');
  end loop;
  return to_jsonb(v_text);
end; $$;
comment on function sync.filled_text(text, jsonb) is
$$Returns: a text with its templates filled: one that is a single template keeps its value's type,
any other is a string; null if a template has no value. Raises: SY022.$$;

create function sync.filled_json(p_template jsonb, p_values jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case jsonb_typeof(p_template)
    when 'string' then sync.filled_text(p_template #>> '{}', p_values)
    when 'object' then (
      select coalesce(jsonb_object_agg(e.key, f.value), '{}') from jsonb_each(p_template) as e
      cross join lateral (select sync.filled_json(e.value, p_values) as value offset 0) as f
      where f.value is not null)
    when 'array' then (
      select case when bool_and(f.value is not null) is not false
        then coalesce(jsonb_agg(f.value order by e.n), '[]') end
      from jsonb_array_elements(p_template) with ordinality as e (value, n)
      cross join lateral (select sync.filled_json(e.value, p_values) as value offset 0) as f)
    else p_template end;
end; $$;
comment on function sync.filled_json(jsonb, jsonb) is
$$Returns: a JSON value with its templates filled; a property that has no value is left out, one of
a list takes the list's property with it; null if nothing is left. Raises: SY022.$$;

create function sync.filled_path(p_path text, p_values jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_part record;
  v_value jsonb;
  v_text text;
  v_path text := '';
begin
  for v_part in select * from sync.template_parts(p_path) order by place loop
    if v_part.template is null then
      v_path := v_path || v_part.plain;
      continue;
    end if;
    v_value := sync.template_value(v_part.template, p_values);
    v_text := v_value #>> '{}';
    if v_text is null or v_text = '' or jsonb_typeof(v_value) in ('object', 'array')
      or v_text ~ '(^|[/\\])\.{1,2}([/\\]|$)' then
      perform sync.refuse_request(format('%s of its path is %s', v_part.template,
        coalesce(left(v_value::text, 100), 'without a value')),
        'A value in a path is a text or a number, not empty, and no folder such as "..".');
    end if;
    v_path := v_path || sync.url_encode(v_text);
  end loop;
  if v_path ~* '/(\.|%2e){1,2}(/|$)' then
    perform sync.refuse_request(format('its path is %s', left(v_path, 200)),
      'A path stays below its base URL: no folder is "." or "..".');
  end if;
  return v_path;
end; $$;
comment on function sync.filled_path(text, jsonb) is
$$Returns: a path with its templates filled, each value encoded as part of one segment. Raises:
SY022 a value that is missing, empty or leads elsewhere.$$;

create function sync.filled_headers(p_headers jsonb, p_values jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_header record;
  v_value text;
  v_headers jsonb := '{}'::jsonb;
begin
  for v_header in select * from jsonb_each_text(p_headers) loop
    v_value := sync.filled_text(v_header.value, p_values) #>> '{}';
    if (v_value ~ '^[\x20-\x7e]*$') is not true then
      perform sync.refuse_request(format('header %s is %s', v_header.key,
        coalesce(left(to_jsonb(v_value)::text, 100), 'without a value')),
        'A header takes printable ASCII only, and no line break.');
    end if;
    v_headers := v_headers || jsonb_build_object(v_header.key, btrim(v_value));
  end loop;
  return v_headers;
end; $$;
comment on function sync.filled_headers(jsonb, jsonb) is
$$Returns: headers with their templates filled. Raises: SY022 a value that is missing or that no
header may have.$$;

create function sync.as_pairs(p_params jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_array(p.key, p.value)), '[]')
    from jsonb_each_text(p_params) as p);
end; $$;
comment on function sync.as_pairs(jsonb) is
$$Returns: parameters as [[name, value], …], the values as texts.$$;

create function sync.is_plain(p_stream public.sync_streams) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_stream.method = 'GET' and p_stream.next_is = 'token' and not p_stream.conditional
    and strpos(p_stream.path, '{') = 0 and strpos(substr(p_stream.params::text, 2), '{') = 0
    and strpos(substr(p_stream.headers::text, 2), '{') = 0
    and strpos(replace(coalesce(p_stream.item_path, ''), '{id}', ''), '{') = 0;
end; $$;
comment on function sync.is_plain(public.sync_streams) is
$$Returns: whether a stream's requests can be put together without a look for templates, as most
can.$$;

create function sync.position_params(p_chunk public.chunked_sync_jobs,
  p_stream public.sync_streams) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case
    when p_chunk.kind = 'cursor' then coalesce(p_stream.cursor_params, '{}')
      || case when p_chunk.reading ->> 'cursor' is null then '{}'::jsonb
      else jsonb_build_object(p_stream.cursor_param, p_chunk.reading ->> 'cursor') end
    when p_chunk.kind = 'page' and p_stream.completeness in ('counted', 'feed')
    then jsonb_build_object(p_stream.page_param, p_chunk.page - 1 + p_stream.first_page)
    else '{}' end;
end; $$;
comment on function sync.position_params(public.chunked_sync_jobs, public.sync_streams) is
$$Returns: the parameters that name a chunk's place where no template does.$$;

create function sync.plain_request(p_chunk public.chunked_sync_jobs,
  p_stream public.sync_streams, p_url text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_headers jsonb := p_stream.headers;
  v_path text := p_stream.path;
  v_params jsonb := '{}'::jsonb;
begin
  case
    when p_chunk.kind = 'connection' then
      select path, headers into v_path, v_headers from public.sync_streams
      where source_id = p_stream.source_id and completeness = 'connection';
    when p_chunk.kind in ('confirmation', 'item') then
      v_path := replace(p_stream.item_path, '{id}', p_chunk.record_id);
    else
      v_params := p_stream.params || sync.position_params(p_chunk, p_stream);
  end case;
  return jsonb_build_object('method', 'GET', 'url', p_url || v_path, 'params',
    sync.as_pairs(v_params), 'headers', '{"Accept": "application/json"}'::jsonb || v_headers);
end; $$;
comment on function sync.plain_request(public.chunked_sync_jobs, public.sync_streams, text) is
$$Returns: the request of a chunk that has no templates, as a lease carries it.$$;

create function sync.filled_request(p_chunk public.chunked_sync_jobs,
  p_stream public.sync_streams, p_source public.sync_sources, p_base_url text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_url constant text := p_base_url || p_source.base_path;
  v_values jsonb := sync.template_values(p_chunk, p_stream);
  v_is_item constant boolean := p_chunk.kind in ('confirmation', 'item');
  v_request jsonb := jsonb_build_object('method', case when v_is_item then 'GET'
    else p_stream.method end, 'params', '[]'::jsonb,
    'headers', '{"Accept": "application/json"}'::jsonb
      || sync.filled_headers(p_stream.headers, v_values));
begin
  if v_is_item then
    return v_request || jsonb_build_object('url',
      v_url || sync.filled_path(p_stream.item_path, v_values));
  end if;
  if p_chunk.reading ->> 'url' is not null then
    v_request := v_request || jsonb_build_object('url',
      sync.next_url(p_base_url, p_chunk.reading ->> 'url', p_source));
  else
    v_request := v_request || jsonb_build_object('url',
      v_url || sync.filled_path(p_stream.path, v_values));
  end if;
  if v_values ? 'next' then
    v_values := v_values || '{"since": false}';
  end if;
  if p_chunk.reading ->> 'url' is null then
    v_request := v_request || jsonb_build_object('params', sync.as_pairs(
      sync.filled_json(p_stream.params, v_values) || case
        when p_chunk.kind = 'page' and (sync.position_of(p_stream) <> 'page'
        or sync.has_template(p_stream, 'page')) then '{}'::jsonb
        else sync.position_params(p_chunk, p_stream) end));
  end if;
  return v_request || case when p_stream.body is null or p_stream.method = 'GET' then '{}'::jsonb
    else jsonb_build_object('body', coalesce(sync.filled_json(p_stream.body, v_values), '{}')) end;
end; $$;
comment on function sync.filled_request(public.chunked_sync_jobs, public.sync_streams,
  public.sync_sources, text) is
$$Returns: the request of a chunk with its templates filled, as a lease carries it. Raises: SY022,
or SY010 for a next URL that leads elsewhere.$$;

create type sync.made_request as (queue_id bigint, request jsonb, code text, message text);
comment on type sync.made_request is
'What filling the templates of a chunk gave: its request, or why it has none.';

create function sync.make_request(p_chunk public.chunked_sync_jobs,
  p_stream public.sync_streams, p_source public.sync_sources, p_base_url text)
  returns sync.made_request
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_made sync.made_request;
  v_hint text;
begin
  v_made.queue_id := p_chunk.id;
  v_made.request := sync.filled_request(p_chunk, p_stream, p_source, p_base_url);
  if p_stream.conditional and p_chunk.kind = 'page' then
    v_made.request := jsonb_set(v_made.request, '{headers}', v_made.request -> 'headers'
      || sync.condition_headers(sync.known_version(p_chunk, p_stream,
        sync.request_key(p_chunk, v_made.request), interval '0')));
  end if;
  return v_made;
exception when others then
  if sync.is_own_trouble(sqlstate) then
    raise;
  end if;
  get stacked diagnostics v_made.message = message_text, v_hint = pg_exception_hint;
  v_made.code := case when sqlstate in ('SY010', 'SY022') then sqlstate else 'SY022' end;
  v_made.message := concat_ws('. ', case when sqlstate in ('SY010', 'SY022') then v_made.message
    else 'the request cannot be made: ' || v_made.message end, nullif(v_hint, ''));
  return v_made;
end; $$;
comment on function sync.make_request(public.chunked_sync_jobs, public.sync_streams,
  public.sync_sources, text) is
$$Fill the templates of one chunk: whatever goes wrong costs only it. Returns: its request, or the
code and message of what keeps it from being made.$$;

create function sync.answer_headers(p_stream public.sync_streams, p_source public.sync_sources)
  returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if not (p_stream.class_rules || p_source.class_rules) @? '$[*].header'
    and p_source.reset_header is null and p_stream.next_is <> 'link_header'
    and not p_stream.conditional then
    return '["date", "retry-after"]'::jsonb;
  end if;
  return (
    select jsonb_agg(distinct h.name) from (
      select lower(r ->> 'header') as name
      from jsonb_array_elements(p_stream.class_rules || p_source.class_rules) as r
      union all select lower(p_source.reset_header ->> 'name')
      union all select 'link' where p_stream.next_is = 'link_header'
      union all select unnest('{etag,last-modified}'::text[]) where p_stream.conditional
      union all select unnest('{date,retry-after}'::text[])
    ) as h where h.name is not null);
end; $$;
comment on function sync.answer_headers(public.sync_streams, public.sync_sources) is
$$Returns: which headers of an answer are handed over, their names in lower case.$$;

revoke all on function
  sync.refuse_request, sync.template_values, sync.template_value,
  sync.template_parts, sync.filled_text, sync.filled_json, sync.filled_path, sync.filled_headers,
  sync.as_pairs, sync.is_plain, sync.position_params, sync.plain_request,
  sync.filled_request, sync.make_request, sync.answer_headers
from public, anon, authenticated, service_role;
