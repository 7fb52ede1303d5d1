-- Declared fields: what each field of a declaration takes, and what a refusal says of it.
-- Stands on: addresses, keys.

create type sync.declared_field as (
  field text, kind text, least numeric, most numeric, one_of text array
);
comment on type sync.declared_field is
'A field of a declaration. kind: what takes() tells of; least and most: of a number, of the
characters of a text, of the keys of a list; one_of: the values of a choice.';

create function sync.declared_fields(p_what text) returns setof sync.declared_field
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select f.field, f.kind, f.least, f.most, f.one_of::text[] from (values
    ('source', 'source_name', 'title', 1, 100, null),
    ('source', 'base_path', 'base path', null, 1000, null),
    ('source', 'auth', 'choice', null, null, '{none,key,basic,oauth2_client,oauth2_refresh}'),
    ('source', 'token_url', 'token url', null, 1000, null),
    ('source', 'token_params', 'parameters', null, null, null),
    ('source', 'token_auth', 'choice', null, null, '{form,basic}'),
    ('source', 'reset_header', 'reset header', null, null, null),
    ('source', 'retry_after_path', 'keys', 1, 100, null),
    ('source', 'auth_in', 'choice', null, null, '{header,query}'),
    ('source', 'auth_name', 'name', 1, 100, null),
    ('source', 'auth_prefix', 'text', 0, 100, null),
    ('source', 'budget_scope', 'choice', null, null, '{instance,key,source}'),
    ('source', 'requests_per_second', 'number', 0.001, 100000, null),
    ('source', 'max_in_flight', 'whole number', 1, 2147483647, null),
    ('source', 'status_classes', 'status classes', null, null, null),
    ('source', 'success_path', 'keys', 1, 100, null),
    ('source', 'message_path', 'keys', 1, 100, null),
    ('source', 'class_rules', 'class rules', null, null, null),
    ('stream', 'source_name', 'title', 1, 100, null),
    ('stream', 'stream_name', 'title', 1, 100, null),
    ('stream', 'is_default', 'boolean', null, null, null),
    ('stream', 'completeness', 'choice', null, null,
      '{counted,chained,agreed,feed,single,items,connection}'),
    ('stream', 'path', 'path', null, 1000, null),
    ('stream', 'method', 'choice', null, null, '{GET,POST}'),
    ('stream', 'params', 'parameters', null, null, null),
    ('stream', 'headers', 'headers', null, null, null),
    ('stream', 'body', 'body', null, 20000, null),
    ('stream', 'first_page', 'whole number', 0, 1, null),
    ('stream', 'next_path', 'keys', 1, 100, null),
    ('stream', 'next_is', 'choice', null, null, '{token,url,link_header}'),
    ('stream', 'last_path', 'keys', 1, 100, null),
    ('stream', 'cursor_is', 'choice', null, null, '{keyset}'),
    ('stream', 'overlap', 'whole number', 1, 10000, null),
    ('stream', 'more_path', 'keys', 1, 100, null),
    ('stream', 'more_is', 'scalar', null, null, null),
    ('stream', 'next_absent_ends', 'boolean', null, null, null),
    ('stream', 'short_page_ends', 'boolean', null, null, null),
    ('stream', 'time_format', 'choice', null, null, '{iso,epoch,epoch_ms}'),
    ('stream', 'result_cap', 'whole number', 1, 1000000000, null),
    ('stream', 'deleted_when', 'field values', null, null, null),
    ('stream', 'fan_out', 'choice', null, null, '{all,changed}'),
    ('stream', 'id_scope', 'choice', null, null, '{global,parent}'),
    ('stream', 'order_direction', 'choice', null, null, '{asc,desc}'),
    ('stream', 'order_is_unique', 'boolean', null, null, null),
    ('stream', 'order_moves', 'choice', null, null, '{never,forward}'),
    ('stream', 'since_format', 'choice', null, null, '{iso,epoch,epoch_ms,date}'),
    ('stream', 'since_overlap', 'whole number', 0, 31536000, null),
    ('stream', 'class_rules', 'class rules', null, null, null),
    ('stream', 'conditional', 'boolean', null, null, null),
    ('stream', 'columns', 'columns', 1, 500, null),
    ('stream', 'page_param', 'text', 1, 100, null),
    ('stream', 'page_size', 'whole number', 1, 10000, null),
    ('stream', 'records_path', 'keys', 0, 100, null),
    ('stream', 'id_path', 'keys', 1, 100, null),
    ('stream', 'id_type', 'choice', null, null, '{integer,text}'),
    ('stream', 'updated_at_path', 'keys', 1, 100, null),
    ('stream', 'total_path', 'keys', 1, 100, null),
    ('stream', 'last_page_path', 'keys', 1, 100, null),
    ('stream', 'item_path', 'item path', null, 1000, null),
    ('stream', 'item_record_path', 'keys', 0, 100, null),
    ('stream', 'name_path', 'keys', 1, 100, null),
    ('stream', 'drop_paths', 'lists of keys', null, null, null),
    ('stream', 'parent_stream', 'title', 1, 100, null),
    ('stream', 'order_path', 'keys', 1, 100, null),
    ('stream', 'order_type', 'choice', null, null, '{number,time,text}'),
    ('stream', 'overlap_pages', 'whole number', 0, 100, null),
    ('stream', 'full_scan_days', 'whole number', 1, 36500, null),
    ('stream', 'deep_page_limit', 'whole number', 1, 2147483647, null),
    ('stream', 'cursor_params', 'parameters', null, null, null),
    ('stream', 'cursor_param', 'text', 1, 100, null),
    ('stream', 'next_cursor_path', 'keys', 1, 100, null),
    ('stream', 'cursor_codec', 'choice', null, null, '{laravel_id}'),
    ('stream', 'status_classes', 'status classes', null, null, null),
    ('stream', 'timeout_ms', 'whole number', 100, 600000, null),
    ('stream', 'max_body_bytes', 'whole number', 1, 16777216, null),
    ('stream', 'target_table', 'text', 1, 200, null),
    ('stream', 'apply_function', 'text', 1, 200, null),
    ('stream', 'close_function', 'text', 1, 200, null),
    ('stream', 'stage_function', 'text', 1, 200, null),
    ('stream', 'shown_function', 'text', 1, 200, null),
    ('stream', 'warn_function', 'text', 1, 200, null)
  ) as f (what, field, kind, least, most, one_of)
  where f.what = p_what;
$$;
comment on function sync.declared_fields(text) is
$$Returns: the fields of a declaration of a source or stream; a test compares them with the
columns.$$;

create function sync.column_types() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select '{text,boolean,integer,bigint,numeric,double precision,date,timestamptz,uuid,
    jsonb}'::text[];
$$;
comment on function sync.column_types() is
$$Returns: the types that a declared column may have.$$;

create function sync.own_columns() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select '{workspace_id,stream_id,parent_id,id,raw,updated_at,last_changed_at,deleted_at,
    unlisted_at}'::text[];
$$;
comment on function sync.own_columns() is
$$Returns: the columns of a target table that no record sets by itself and no declaration names.$$;

create function sync.takes(p_field sync.declared_field) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select case p_field.kind
    when 'choice' then array_to_string(p_field.one_of, ', ')
    when 'boolean' then 'true or false'
    when 'whole number' then format('a whole number from %s to %s', p_field.least, p_field.most)
    when 'number' then format('a number from %s to %s', p_field.least, p_field.most)
    when 'text' then format('a text of %s to %s printable characters', p_field.least, p_field.most)
    when 'title' then format('a text of %s to %s printable characters, without blanks at its ends or '
      'any but a space', p_field.least, p_field.most)
    when 'name' then 'the name of a header or parameter, of letters, digits, "_", "-" and "."'
    when 'keys' then 'a list of keys, such as ["data", "id"]'
      || case p_field.least when 0 then ', or []' else '' end
    when 'lists of keys' then 'lists of keys, such as [["token"], ["oauth", "access_token"]]'
    when 'parameters' then 'an object of texts, numbers and truths, such as {"per_page": 100}'
    when 'headers' then 'an object of texts without line breaks or letters beyond ASCII, such as '
      '{"Api-Version": "2026-01-01"}'
    when 'body' then format('a JSON object whose text has a length of at most %s, nested at most 50 '
      'deep', p_field.most)
    when 'field values' then 'an object of fields and the text, number or truth in each, such as '
      '{"status": "deleted"}'
    when 'columns' then format('an object of at most %s columns, such as {"amount": "bigint", '
      '"created": {"path": ["created"], "type": "timestamptz", "format": "epoch"}}; types: %s; '
      'formats, of timestamptz and date: epoch and epoch_ms; names of small letters, digits and "_", '
      'at most 63 long, and none of our own: %s', p_field.most,
      array_to_string(sync.column_types(), ', '), array_to_string(sync.own_columns(), ', '))
    when 'scalar' then 'a text, a number, true or false'
    when 'reset header' then 'an object such as {"name": "x-ratelimit-reset", "is": "epoch"}; '
      '"is" may be epoch, seconds or date'
    when 'token url' then 'a path below the base URL, such as /oauth/token, or an https URL'
    when 'status classes' then 'an object such as {"404": "page", "5xx": "transient", '
      '"other": "permanent"}; the fourth class is rate_limited; of 2xx one at least is a page and '
      'none permanent, as class_rules may call one for what it contains'
    when 'class rules' then 'a list such as [{"status": 403, "text": "Too Many Attempts", '
      '"class": "rate_limited"}, {"status": 403, "header": "x-ratelimit-remaining", "is": "0", '
      '"class": "rate_limited"}, {"status": 200, "path": ["success"], "is": false, "class": '
      '"transient"}]; the text has 4 characters or more, the status may be left out; classes: page, '
      'transient, rate_limited, permanent'
    else format(case p_field.kind
      when 'base path' then 'nothing or a path without a slash at its end, such as /api'
      when 'item path' then 'a path with {id} in it, such as /people/{id}'
      else 'a path, such as /people or /people/{parent.id}/notes' end
      || ', at most %s long: below the base URL, '
      'without "//", "." or ".." as a folder, "?", "#", "\", other braces, blanks or controls; '
      'what is not ASCII as %%C3%%A9', p_field.most) end;
$$;
comment on function sync.takes(sync.declared_field) is
$$Returns: what a field takes, in words.$$;

create function sync.is_path(p_text text, p_most numeric) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select length(p_text) <= p_most and p_text ~ '^/([!$&-.0-;=@A-Z_a-z~/]|%[0-9A-Fa-f]{2})*$'
    and p_text !~ '//' and p_text !~* '/(\.|%2e){1,2}(/|$)';
$$;
comment on function sync.is_path(text, numeric) is
$$Returns: whether the text is a path that stays below a base URL and is read in one way.$$;

create function sync.without_templates(p_path text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select regexp_replace(p_path, '\{[A-Za-z_][^{}]*\}', 'x', 'g');
$$;
comment on function sync.without_templates(text) is
$$Returns: a path in which something stands for every template.$$;

create function sync.is_list_of_keys(p_value jsonb, p_least numeric, p_most numeric) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when jsonb_typeof(p_value) = 'array'
    then jsonb_array_length(p_value) between p_least and p_most
      and not exists (select from jsonb_array_elements(p_value) as k
        where jsonb_typeof(k) <> 'string'
          and not (jsonb_typeof(k) = 'number' and k::text ~ '^[0-9]{1,9}$'))
    else false end;
$$;
comment on function sync.is_list_of_keys(jsonb, numeric, numeric) is
$$Returns: whether the value is a path into JSON: texts, and numbers of elements.$$;

create function sync.is_column(p_name text, p_column jsonb) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select p_name ~ '^[a-z_][a-z0-9_]*$' and octet_length(p_name) <= 63
    -- System columns have names that no table can give to its own.
    and p_name <> all (sync.own_columns() || '{tableoid,xmin,cmin,xmax,cmax,ctid}'::text[])
    and case jsonb_typeof(p_column)
      when 'string' then p_column #>> '{}' = any (sync.column_types())
      when 'object' then p_column - '{path,type,format}'::text[] = '{}'
        and coalesce(jsonb_typeof(p_column -> 'type') = 'string'
          and p_column ->> 'type' = any (sync.column_types()), false)
        and (not p_column ? 'path' or sync.is_list_of_keys(p_column -> 'path', 1, 100))
        and (not p_column ? 'format' or coalesce(p_column -> 'format' in ('"epoch"', '"epoch_ms"')
          and p_column ->> 'type' in ('timestamptz', 'date'), false))
      else false end;
$$;
comment on function sync.is_column(text, jsonb) is
$$Returns: whether a field of columns names a column and its type, where it stands and its
format.$$;

create function sync.is_class_rule(p_rule jsonb) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select case when jsonb_typeof(p_rule) <> 'object' then false else
    p_rule - '{status,text,header,path,is,class}'::text[] = '{}'
    and coalesce(p_rule -> 'class' in ('"page"', '"transient"', '"rate_limited"',
      '"permanent"'), false)
    and (not p_rule ? 'status' or p_rule ->> 'status' ~ '^[1-9][0-9]{2}$'
      and jsonb_typeof(p_rule -> 'status') in ('number', 'string'))
    and (p_rule ? 'text')::int + (p_rule ? 'header')::int + (p_rule ? 'path')::int = 1
    and case
      when p_rule ? 'text' then jsonb_typeof(p_rule -> 'text') = 'string'
        and length(btrim(p_rule ->> 'text')) >= 4 and not p_rule ? 'is'
      when p_rule ? 'header' then jsonb_typeof(p_rule -> 'header') = 'string'
        and p_rule ->> 'header' ~ '^[A-Za-z0-9_.-]{1,100}$'
        and coalesce(jsonb_typeof(p_rule -> 'is') = 'string', false)
      else sync.is_list_of_keys(p_rule -> 'path', 1, 100)
        and coalesce(jsonb_typeof(p_rule -> 'is') in ('string', 'number', 'boolean'), false)
      end end;
$$;
comment on function sync.is_class_rule(jsonb) is
$$Returns: whether the value is a rule that says what an answer means by its text, a header or a
value in its body.$$;

create function sync.fits(p_field sync.declared_field, p_value jsonb) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_text text := p_value #>> '{}';
begin
  if p_field.kind = 'scalar' then
    return jsonb_typeof(p_value) in ('string', 'number', 'boolean');
  end if;
  if jsonb_typeof(p_value) <> (case
    when p_field.kind = 'boolean' then 'boolean'
    when p_field.kind in ('whole number', 'number') then 'number'
    when p_field.kind in ('keys', 'lists of keys', 'class rules') then 'array'
    when p_field.kind in ('parameters', 'headers', 'body', 'field values', 'columns',
      'reset header', 'status classes') then 'object'
    else 'string' end)
  then
    return false;
  end if;
  return case case p_field.kind when 'field values' then 'parameters' else p_field.kind end
    when 'boolean' then true
    when 'whole number' then v_text ~ '^[0-9]+$'
      and v_text::numeric between p_field.least and p_field.most
    when 'number' then v_text::numeric between p_field.least and p_field.most
    when 'choice' then v_text = any (p_field.one_of)
    when 'text' then length(v_text) between p_field.least and p_field.most
      and btrim(v_text) = sync.one_line(v_text) and (btrim(v_text) <> '' or v_text = '')
    when 'title' then length(v_text) between p_field.least and p_field.most
      and v_text = sync.one_line(v_text)
      and v_text !~ '[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]'
    when 'name' then length(v_text) between p_field.least and p_field.most
      and v_text ~ '^[A-Za-z0-9_.-]+$'
    when 'path' then sync.is_path(sync.without_templates(v_text), p_field.most)
    when 'base path' then v_text = ''
      or (sync.is_path(v_text, p_field.most) and right(v_text, 1) <> '/')
    when 'item path' then strpos(v_text, '{id}') > 0
      and sync.is_path(sync.without_templates(v_text), p_field.most)
    when 'keys' then sync.is_list_of_keys(p_value, p_field.least, p_field.most)
    when 'lists of keys' then not exists (
      select from jsonb_array_elements(p_value) as p (path)
      where case when jsonb_typeof(path) = 'array' then jsonb_array_length(path) = 0 or exists (
        select from jsonb_array_elements(path) as k where jsonb_typeof(k) <> 'string')
      else true end)
    when 'parameters' then not exists (
      select from jsonb_each(p_value) as p
      where p.key = '' or jsonb_typeof(p.value) not in ('string', 'number', 'boolean'))
    when 'body' then length(v_text) <= p_field.most
      and not jsonb_path_exists(p_value, 'strict $.**{51}')
    when 'headers' then not exists (
      select from jsonb_each(p_value) as p
      where p.key !~ '^[A-Za-z0-9_.-]{1,100}$' or jsonb_typeof(p.value) <> 'string'
        or p.value #>> '{}' !~ '^[!-~]([ -~]*[!-~])?$' or length(p.value #>> '{}') > 1000)
    when 'columns' then p_value <> '{}' and not exists (
      select from jsonb_each(p_value) as c where not sync.is_column(c.key, c.value))
      and (select count(*) from jsonb_object_keys(p_value)) <= p_field.most
    when 'reset header' then p_value - '{name,is}'::text[] = '{}'
      and coalesce(jsonb_typeof(p_value -> 'name') = 'string'
        and p_value ->> 'name' ~ '^[A-Za-z0-9_.-]{1,100}$'
        and p_value -> 'is' in ('"epoch"', '"seconds"', '"date"'), false)
    when 'token url' then length(v_text) <= p_field.most
      and (sync.is_path(v_text, p_field.most)
        or (sync.parse_url(v_text)).scheme = 'https' and ((sync.parse_url(v_text)).path = ''
          or sync.is_path((sync.parse_url(v_text)).path, p_field.most)))
    when 'status classes' then not exists (
      select from jsonb_each_text(p_value) as c
      where c.key !~ '^([1-9][0-9]{2}|[1-9]xx|other)$'
        or coalesce(c.value, '') not in ('page', 'transient', 'rate_limited', 'permanent')
        or (c.key like '2%' and c.value = 'permanent')
        or (c.key = '2xx' and c.value <> 'page' and not jsonb_path_exists(p_value,
          'strict $.keyvalue() ? (@.key like_regex "^2[0-9]{2}$" && @.value == "page")')))
    else not exists (
      select from jsonb_array_elements(p_value) as r where not sync.is_class_rule(r)) end is true;
end; $$;
comment on function sync.fits(sync.declared_field, jsonb) is
$$Returns: whether a field takes the value.$$;

create function sync.shown(p_value jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select left(v.line, 100) || case when length(v.line) > 100 then '…' else '' end
  from (values (sync.one_line(p_value::text))) as v (line);
$$;
comment on function sync.shown(jsonb) is
$$Returns: a value as errors show it: on one line, its first 100 characters.$$;

create function sync.refuse_field(p_what text, p_given jsonb, p_field text, p_takes text)
  returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY006',
    message = format('%s %s: %s is %s; it takes %s', p_what,
      coalesce(sync.shown(p_given -> (p_what || '_name')), 'without a name'), p_field,
      coalesce(sync.shown(nullif(p_given -> p_field, 'null')), 'left out'), p_takes),
    hint = format('The columns of sync_%ss say what each field is for.', p_what);
end; $$;
comment on function sync.refuse_field(text, jsonb, text, text) is
$$Raises: SY006 with the field of a declaration, the value given and what it takes.$$;

create function sync.require_fields(p_what text, p_given jsonb, p_required text[]) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_known text[] := array(select field from sync.declared_fields(p_what));
  v_unknown text;
  v_missing text;
  v_wrong sync.declared_field;
begin
  if coalesce(jsonb_typeof(p_given), 'null') <> 'object' then
    raise exception using errcode = 'SY006',
      message = format('the declaration is %s and no JSON object',
        coalesce(sync.shown(p_given), 'null')),
      hint = 'Fields: ' || array_to_string(v_known, ', ');
  end if;
  select string_agg(sync.shown(to_jsonb(k)), ', ') into v_unknown
  from jsonb_object_keys(p_given) as k where k <> all (v_known);
  select string_agg(k, ', ') into v_missing from unnest(p_required) as k
  where p_given ->> k is null;
  if v_unknown is not null or v_missing is not null then
    raise exception using errcode = 'SY006',
      message = concat_ws('; ', 'unknown fields: ' || v_unknown, 'missing fields: ' || v_missing),
      hint = 'Fields: ' || array_to_string(v_known, ', ');
  end if;
  select f.* into v_wrong from sync.declared_fields(p_what) as f
  where p_given ->> f.field is not null and not sync.fits(f, p_given -> f.field) limit 1;
  if found then
    perform sync.refuse_field(p_what, p_given, v_wrong.field, sync.takes(v_wrong));
  end if;
  select f.* into v_wrong from sync.declared_fields(p_what) as f
  where length((p_given -> f.field)::text) > 100000 limit 1;
  if found then
    perform sync.refuse_field(p_what, p_given, v_wrong.field,
      'at most 100000 characters of JSON in all');
  end if;
end; $$;
comment on function sync.require_fields(text, jsonb, text[]) is
$$Raises: SY006 naming fields that are unknown or missing, or the first one that does not take its
value.$$;

revoke all on function
  sync.declared_fields, sync.column_types, sync.own_columns, sync.takes, sync.is_path,
  sync.without_templates, sync.is_list_of_keys, sync.is_column, sync.is_class_rule, sync.fits,
  sync.shown, sync.refuse_field, sync.require_fields
from public, anon, authenticated, service_role;
