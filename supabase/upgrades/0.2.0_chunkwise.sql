-- From Chunkwise 0.1.0 to 0.2.0. Made by `make migration`; what is done by hand stands
-- in supabase/upgrade.

-- chunkwise: look first
do $before$
begin
  if to_regprocedure('public.chunkwise_version()') is null then
    raise exception using errcode = '55000', message = 'Chunkwise is not in this database, so that '
      'there is nothing to upgrade. Push the migrations before this one first.';
  end if;
  if coalesce(public.chunkwise_version() ->> 'release', '0.1.0') <> '0.1.0' then
    raise exception using errcode = '55000', message = format('this file leads from Chunkwise '
      '0.1.0 to 0.2.0, and the database has %s. Push what comes before it first, or remove '
      'it if the database is past it.',
      coalesce(public.chunkwise_version() ->> 'release', '0.1.0'));
  end if;
end; $before$;

-- Nobody works while it changes. With less than the deadlock timeout it is we who step back.
do $locks$
begin
  for v_try in 1 .. 200 loop
    begin
      perform set_config('lock_timeout', '500ms', true);
      lock table public.chunk_processing_queue,
        public.workspace_sync_runs,
        public.polling_job_status,
        public.sync_workspaces,
        public.sync_budgets,
        public.chunk_events,
        public.chunked_sync_jobs,
        public.sync_alerts,
        public.sync_settings,
        public.sync_sources,
        public.sync_streams,
        public.sync_workspace_streams,
        public.synced_records,
        public.worker_endpoints,
        sync.alert_deliveries,
        sync.alert_posts,
        sync.audits,
        sync.cron_jobs,
        sync.echo_state,
        sync.engine_locks,
        sync.heartbeats,
        sync.hint_state,
        sync.hinted_claims,
        sync.hints,
        sync.job_watch,
        sync.missing_records,
        sync.named_locks,
        sync.run_counters,
        sync.seen_pages,
        sync.staged_items,
        sync.sweep_state,
        sync.target_tables,
        sync.workers in access exclusive mode;
      perform set_config('lock_timeout', '0', true);
      return;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.05);
    end;
  end loop;
  raise exception using errcode = '55P03', message = 'Chunkwise''s tables were not free for a '
    'minute and a half. End what holds them (chunkwise doctor names long transactions), then push '
    'again.';
end; $locks$;

select set_config('check_function_bodies', 'off', true);

drop function sync.read_single(sync.page_in_hand,public.sync_sources);

drop function sync.require_fields_together(jsonb);

drop function sync.require_parents(bigint);

drop function sync.require_drop_paths(jsonb,public.sync_streams);

alter table public.sync_sources add column auth text default 'key'::text not null;
alter table public.sync_sources add column reset_header jsonb;
alter table public.sync_sources add column retry_after_path text[];
alter table public.sync_sources add column token_params jsonb default '{}'::jsonb not null;
alter table public.sync_sources add column token_url text;
alter table public.sync_streams add column body jsonb;
alter table public.sync_streams add column class_rules jsonb default '[]'::jsonb not null;
alter table public.sync_streams add column columns jsonb;
alter table public.sync_streams add column conditional boolean default false not null;
alter table public.sync_streams add column cursor_is text;
alter table public.sync_streams add column deleted_when jsonb;
alter table public.sync_streams add column fan_out text default 'all'::text not null;
alter table public.sync_streams add column first_page integer default 1 not null;
alter table public.sync_streams add column headers jsonb default '{}'::jsonb not null;
alter table public.sync_streams add column id_scope text default 'global'::text not null;
alter table public.sync_streams add column last_path text[];
alter table public.sync_streams add column method text default 'GET'::text not null;
alter table public.sync_streams add column more_is jsonb default 'true'::jsonb not null;
alter table public.sync_streams add column more_path text[];
alter table public.sync_streams add column next_absent_ends boolean default false not null;
alter table public.sync_streams add column next_is text default 'token'::text not null;
alter table public.sync_streams add column next_path text[];
alter table public.sync_streams add column order_direction text default 'desc'::text not null;
alter table public.sync_streams add column order_is_unique boolean;
alter table public.sync_streams add column order_moves text default 'never'::text not null;
alter table public.sync_streams add column overlap integer;
alter table public.sync_streams add column result_cap bigint;
alter table public.sync_streams add column short_page_ends boolean default false not null;
alter table public.sync_streams add column since_format text default 'iso'::text not null;
alter table public.sync_streams add column since_overlap integer default 60 not null;
alter table public.sync_streams add column time_format text default 'iso'::text not null;
alter table public.sync_sources add constraint sync_sources_auth_check CHECK (((auth = ANY (ARRAY['none'::text, 'key'::text, 'basic'::text, 'oauth2_client'::text, 'oauth2_refresh'::text])) AND ((token_url IS NOT NULL) = (auth = ANY (ARRAY['oauth2_client'::text, 'oauth2_refresh'::text])))));
alter table public.sync_streams add constraint sync_streams_choices_check CHECK (((method = ANY (ARRAY['GET'::text, 'POST'::text])) AND (time_format = ANY (ARRAY['iso'::text, 'epoch'::text, 'epoch_ms'::text])) AND (since_format = ANY (ARRAY['iso'::text, 'epoch'::text, 'epoch_ms'::text, 'date'::text])) AND (next_is = ANY (ARRAY['token'::text, 'url'::text, 'link_header'::text])) AND (cursor_is = 'keyset'::text) AND (fan_out = ANY (ARRAY['all'::text, 'changed'::text])) AND (id_scope = ANY (ARRAY['global'::text, 'parent'::text])) AND (order_direction = ANY (ARRAY['asc'::text, 'desc'::text])) AND (order_moves = ANY (ARRAY['never'::text, 'forward'::text]))));
alter table public.sync_streams drop constraint sync_streams_completeness_check;
alter table public.sync_streams add constraint sync_streams_completeness_check CHECK ((completeness = ANY (ARRAY['counted'::text, 'chained'::text, 'agreed'::text, 'feed'::text, 'single'::text, 'items'::text, 'connection'::text])));
alter table public.sync_streams drop constraint sync_streams_order_check;
alter table public.sync_streams add constraint sync_streams_order_check CHECK (((order_type = ANY (ARRAY['number'::text, 'time'::text, 'text'::text])) AND ((order_path IS NOT NULL) OR (order_type = 'number'::text))));
create type sync.template as (said text, name text, path text[], fallback jsonb, flaw text);
create type sync.wrong_field as (field text, takes text);
alter table public.sync_streams drop constraint sync_streams_order_check;
alter table public.sync_streams add constraint sync_streams_order_check CHECK (((order_type = ANY (ARRAY['number'::text, 'time'::text, 'text'::text])) AND ((order_path IS NOT NULL) OR (order_type <> 'time'::text))));

CREATE OR REPLACE FUNCTION public.chunkwise_version()
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '5s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
  -- `make migration` puts the release's number in.
  select pg_catalog.jsonb_build_object('schema_version', 1, 'protocol_version', 1,
    'release', '0.2.0');
$function$;

CREATE OR REPLACE FUNCTION sync.template_default(p_text text)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case when jsonb_typeof(p_text::jsonb) in ('string', 'number', 'boolean')
    then p_text::jsonb end;
exception when data_exception then
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.templates_in(p_text text)
 RETURNS SETOF sync.template
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select m.part[1], split_part(m.part[2], '.', 1),
    (string_to_array(m.part[2], '.'))[2:], sync.template_default(m.part[3]),
    case
      when m.part[2] !~ '^(page|offset|size|next|last|since|id|parent(\.[^.]+)+)$' then 'name'
      when m.part[3] is not null and sync.template_default(m.part[3]) is null then 'default' end
  from regexp_matches(p_text, '(\{([A-Za-z_][^{}|]*)(?:\|([^{}]*))?\})', 'g')
    with ordinality as m (part, n)
  order by m.n;
$function$;

CREATE OR REPLACE FUNCTION sync.has_template(p_stream public.sync_streams, p_name text)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
begin
  return concat_ws(' ', p_stream.path, p_stream.params, p_stream.headers, p_stream.body)
    ~ ('\{' || p_name || '[.|}]');
end; $function$;

CREATE OR REPLACE FUNCTION sync.position_of(p_stream public.sync_streams)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
begin
  return case
    when p_stream.completeness in ('single', 'items', 'connection') then 'none'
    when p_stream.next_is = 'url' then 'url'
    when p_stream.next_is = 'link_header' then 'link'
    else coalesce(
      substring(concat_ws(' ', p_stream.path, p_stream.params, p_stream.headers, p_stream.body)
        from '\{(page|offset|next|last)[|}]'),
      case when p_stream.completeness in ('counted', 'feed') then 'page' else 'none' end) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.declared_fields(p_what text)
 RETURNS SETOF sync.declared_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select f.field, f.kind, f.least, f.most, f.one_of::text[] from (values
    ('source', 'source_name', 'text', 1, 100, null),
    ('source', 'base_path', 'base path', null, 1000, null),
    ('source', 'auth', 'choice', null, null, '{none,key,basic,oauth2_client,oauth2_refresh}'),
    ('source', 'token_url', 'token url', null, 1000, null),
    ('source', 'token_params', 'parameters', null, null, null),
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
    ('stream', 'source_name', 'text', 1, 100, null),
    ('stream', 'stream_name', 'text', 1, 100, null),
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
    ('stream', 'parent_stream', 'text', 1, 100, null),
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
$function$;

CREATE OR REPLACE FUNCTION sync.column_types()
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select '{text,boolean,integer,bigint,numeric,double precision,date,timestamptz,uuid,
    jsonb}'::text[];
$function$;

CREATE OR REPLACE FUNCTION sync.own_columns()
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select '{workspace_id,stream_id,parent_id,id,raw,updated_at,last_changed_at,deleted_at,
    unlisted_at}'::text[];
$function$;

CREATE OR REPLACE FUNCTION sync.takes(p_field sync.declared_field)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select case p_field.kind
    when 'choice' then array_to_string(p_field.one_of, ', ')
    when 'boolean' then 'true or false'
    when 'whole number' then format('a whole number from %s to %s', p_field.least, p_field.most)
    when 'number' then format('a number from %s to %s', p_field.least, p_field.most)
    when 'text' then format('a text of %s to %s printable characters', p_field.least, p_field.most)
    when 'name' then 'the name of a header or parameter, of letters, digits, "_", "-" and "."'
    when 'keys' then 'a list of keys, such as ["data", "id"]'
      || case p_field.least when 0 then ', or []' else '' end
    when 'lists of keys' then 'lists of keys, such as [["token"], ["oauth", "access_token"]]'
    when 'parameters' then 'an object of texts, numbers and truths, such as {"per_page": 100}'
    when 'headers' then 'an object of texts without line breaks or letters beyond ASCII, such as '
      '{"Api-Version": "2026-01-01"}'
    when 'body' then format('a JSON object of at most %s characters', p_field.most)
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
      '"other": "permanent"}; the fourth class is rate_limited'
    when 'class rules' then 'a list such as [{"status": 403, "text": "Too Many Attempts", '
      '"class": "rate_limited"}, {"status": 403, "header": "x-ratelimit-remaining", "is": "0", '
      '"class": "rate_limited"}, {"status": 200, "path": ["success"], "is": false, "class": '
      '"transient"}]; the text has 4 characters or more, the status may be left out; classes: page, '
      'transient, rate_limited, permanent'
    else format(case p_field.kind
      when 'base path' then 'nothing or a path without a slash at its end, such as /api'
      when 'item path' then 'a path with {id} in it, such as /people/{id}'
      else 'a path, such as /people or /people/{parent.id}/notes' end || ', at most %s long: below the base URL, '
      'without "//", "." or ".." as a folder, "?", "#", "\", other braces, blanks or controls; '
      'what is not ASCII as %%C3%%A9', p_field.most) end;
$function$;

CREATE OR REPLACE FUNCTION sync.without_templates(p_path text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select regexp_replace(p_path, '\{[A-Za-z_][^{}]*\}', 'x', 'g');
$function$;

CREATE OR REPLACE FUNCTION sync.is_list_of_keys(p_value jsonb, p_least numeric, p_most numeric)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case when jsonb_typeof(p_value) = 'array'
    then jsonb_array_length(p_value) between p_least and p_most
      and not exists (select from jsonb_array_elements(p_value) as k
        where jsonb_typeof(k) <> 'string'
          and not (jsonb_typeof(k) = 'number' and k::text ~ '^[0-9]{1,9}$'))
    else false end;
$function$;

CREATE OR REPLACE FUNCTION sync.is_column(p_name text, p_column jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION sync.is_class_rule(p_rule jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select case when jsonb_typeof(p_rule) <> 'object' then false else
    p_rule - '{status,text,header,path,is,class}'::text[] = '{}'
    and coalesce(p_rule -> 'class' in ('"page"', '"transient"', '"rate_limited"',
      '"permanent"'), false)
    and (not p_rule ? 'status' or p_rule ->> 'status' ~ '^[1-5][0-9]{2}$'
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
$function$;

CREATE OR REPLACE FUNCTION sync.fits(p_field sync.declared_field, p_value jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
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
    when 'whole number' then v_text::numeric between p_field.least and p_field.most
      and v_text::numeric = trunc(v_text::numeric)
    when 'number' then v_text::numeric between p_field.least and p_field.most
    when 'choice' then v_text = any (p_field.one_of)
    when 'text' then length(v_text) between p_field.least and p_field.most
      and btrim(v_text) = sync.one_line(v_text) and (btrim(v_text) <> '' or v_text = '')
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
        or (sync.parse_url(v_text)).scheme = 'https' and (sync.parse_url(v_text)).path !~ '[?#]')
    when 'status classes' then not exists (
      select from jsonb_each_text(p_value) as c
      where c.key !~ '^([1-5][0-9]{2}|[1-5]xx|other)$'
        or coalesce(c.value, '') not in ('page', 'transient', 'rate_limited', 'permanent'))
    else not exists (
      select from jsonb_array_elements(p_value) as r where not sync.is_class_rule(r)) end is true;
end; $function$;

CREATE OR REPLACE FUNCTION sync.default_values(p_table regclass)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_values jsonb;
begin
  execute (
    select format('select to_jsonb(d) from (select %s) as d', string_agg(
      format('%s as %I', pg_catalog.pg_get_expr(f.adbin, f.adrelid), a.attname), ', '))
    from pg_catalog.pg_attrdef as f
    join pg_catalog.pg_attribute as a on a.attrelid = f.adrelid and a.attnum = f.adnum
    where f.adrelid = p_table and a.attname <> all ('{id,created_at}') and a.attidentity = ''
  ) into v_values;
  return v_values;
end; $function$;

CREATE OR REPLACE FUNCTION sync.without_nulls(p_given jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(jsonb_object_agg(g.key, g.value), '{}')
  from jsonb_each(p_given) as g where g.value <> 'null';
$function$;

CREATE OR REPLACE FUNCTION sync.is_reserved_header(p_name text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select lower(p_name) = any ('{accept,accept-charset,accept-encoding,connection,content-encoding,
    content-length,content-type,date,expect,forwarded,host,http2-settings,if-match,
    if-modified-since,if-none-match,if-range,if-unmodified-since,keep-alive,proxy-authenticate,
    proxy-authorization,proxy-connection,range,te,trailer,transfer-encoding,upgrade,
    via}'::text[]);
$function$;

CREATE OR REPLACE FUNCTION sync.placed_templates(p_stream public.sync_streams)
 RETURNS TABLE(field text, said text, name text, flaw text)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select f.field, t.said, t.name, t.flaw
  from (
    select 'path', p_stream.path
    union all select 'item_path', p_stream.item_path
    union all select 'params', p.value #>> '{}' from jsonb_each(p_stream.params) as p
    union all select 'headers', h.value #>> '{}' from jsonb_each(p_stream.headers) as h
    union all select 'body', b #>> '{}'
    from jsonb_path_query(p_stream.body, 'strict $.** ? (@.type() == "string")') as b
  ) as f (field, text)
  cross join sync.templates_in(f.text) as t;
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_templates(p_stream public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select t.field, r.takes from sync.placed_templates(p_stream) as t
  cross join lateral (values
    (t.flaw = 'name', format('the templates {page}, {offset}, {size}, {next}, {last}, {since}, '
      '{id} and {parent.key}, and %s is none of them; a brace with a blank behind it is text',
      t.said)),
    (t.flaw = 'default', format('behind the bar of a template a JSON text, number or truth, as in '
      '{last|0} or {since|"2020-01-01"}, and not %s', t.said)),
    (t.field = 'item_path' and t.name not in ('id', 'parent'),
      format('the templates {id} and {parent.key} only, and not %s', t.said)),
    (t.field <> 'item_path' and t.name = 'id',
      'no {id}: that stands in item_path, the path of one record'),
    (t.name = 'parent' and p_stream.parent_stream is null,
      format('no %s unless parent_stream names the stream of the parents', t.said)),
    (t.name in ('page', 'offset', 'next', 'last', 'since')
      and p_stream.completeness in ('single', 'items', 'connection'),
      format('no %s where completeness is %s, which is one answer', t.said,
        p_stream.completeness)),
    (t.name = 'since' and p_stream.updated_at_path is null,
      'no {since} unless updated_at_path says where a record''s time of change stands'),
    (t.name = 'since' and p_stream.completeness = 'feed',
      'no {since} where completeness is feed: a feed is read down to its mark'),
    (t.name in ('page', 'offset', 'next', 'last') and t.name <> sync.position_of(p_stream),
      format('one position only: the list is paged by %s already, and %s is a second one',
        case sync.position_of(p_stream) when 'url' then 'next_is "url"'
        when 'link' then 'next_is "link_header"'
        else '{' || sync.position_of(p_stream) || '}' end, t.said))
  ) as r (is_wrong, takes)
  where r.is_wrong
  union all
  select 'body', 'templates in values only, and "' || k.key || '" is the name of one'
  from jsonb_path_query(p_stream.body, 'strict $.** ? (@.type() == "object").keyvalue().key') as b
  cross join lateral (select b #>> '{}') as k (key)
  where exists (select from sync.templates_in(k.key))
  union all
  select f.field, 'templates in values only, and "' || n.name || '" is the name of one'
  from (values ('params', p_stream.params), ('headers', p_stream.headers)) as f (field, object)
  cross join jsonb_object_keys(f.object) as n (name)
  where exists (select from sync.templates_in(n.name));
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_places(p_given jsonb)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select g.key, 'no template: those stand in values of path, params, headers and body'
  from jsonb_each(p_given) as g
  where g.key <> all ('{path,item_path,params,headers,body,class_rules}')
    and g.value::text
      ~ '\{((page|offset|size|next|last|since|id)(\|[^{}]*)?|parent\.[^{}]*)\}';
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_requests(p_stream public.sync_streams, p_default public.sync_streams, p_source public.sync_sources)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes from (values
    ('body', p_stream.body is not null and p_stream.method = 'GET',
      'nothing unless method is POST'),
    ('page_param', p_stream.page_param <> p_default.page_param
      and (sync.position_of(p_stream) <> 'page' or sync.has_template(p_stream, 'page')),
      'nothing unless completeness is counted or feed and no position stands in the request'),
    ('params', sync.position_of(p_stream) = 'page' and not sync.has_template(p_stream, 'page')
      and p_stream.params ? p_stream.page_param,
      format('no parameter %s, which page_param sends', to_jsonb(p_stream.page_param))),
    ('cursor_param', p_stream.cursor_params is not null and (p_stream.params
        || p_stream.cursor_params) ? p_stream.cursor_param,
      'a name that params and cursor_params do not have'),
    ('cursor_params', p_stream.cursor_params is not null
      and sync.position_of(p_stream) <> 'page',
      'nothing unless the list is paged by number, whose deep pages it is for'),
    ('deep_page_limit', p_stream.deep_page_limit is not null
      and sync.position_of(p_stream) <> 'page', 'nothing unless the list is paged by number'),
    ('params', p_source.auth_in = 'query' and p_source.auth in ('key', 'oauth2_client',
        'oauth2_refresh') and p_stream.params ? p_source.auth_name,
      format('no parameter %s, in which the source sends the key', to_jsonb(p_source.auth_name))),
    ('headers', (select count(*) <> count(distinct lower(h))
        from jsonb_object_keys(p_stream.headers) as h),
      'each header once, whatever the case of its letters'),
    ('conditional', p_stream.conditional and p_stream.method <> 'GET',
      'false, where method is POST'),
    ('conditional', p_stream.conditional and sync.has_template(p_stream, 'since'),
      'false, where {since} makes every request another one')
  ) as r (field, is_wrong, takes) where r.is_wrong
  union all
  select 'headers', format('no header %s, which %s', to_jsonb(h.name), case
      when sync.is_reserved_header(h.name) then 'only the engine writes'
      else 'carries the credential' end)
  from jsonb_object_keys(p_stream.headers) as h (name)
  where sync.is_reserved_header(h.name) or lower(h.name) in ('authorization', 'cookie')
    or lower(h.name) = lower(p_source.auth_name);
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_pages(p_stream public.sync_streams, p_default public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes
  from (select sync.position_of(p_stream),
    p_stream.completeness in ('single', 'items', 'connection')) as x (position, is_one_answer)
  cross join lateral (values
    ('first_page', p_stream.first_page <> p_default.first_page and x.position <> 'page',
      'nothing unless the list is paged by number'),
    ('next_is', p_stream.next_is <> 'token' and x.is_one_answer,
      format('token, where completeness is %s, which is one answer', p_stream.completeness)),
    ('next_path', p_stream.next_path is null and x.position in ('next', 'url'),
      'the keys to what an answer says comes next, where {next} stands in the request or next_is '
        'is url'),
    ('next_path', p_stream.next_path is not null and x.position not in ('next', 'url'),
      'nothing unless {next} stands in the request or next_is is url'),
    ('last_path', p_stream.last_path is not null and x.position not in ('last', 'next'),
      'nothing unless {last} or {next} stands in the request'),
    ('cursor_is', p_stream.cursor_is is not null and x.position not in ('next', 'url', 'link'),
      'nothing unless an answer says what comes next'),
    ('overlap', p_stream.overlap is not null and x.position <> 'offset',
      'nothing unless {offset} stands in the request'),
    ('overlap', p_stream.overlap >= p_stream.page_size,
      format('fewer than the %s records of a page', p_stream.page_size)),
    ('page_size', p_stream.page_size < 2 and x.position = 'offset'
      and p_stream.completeness = 'chained',
      '2 or more, since pages by {offset} overlap where completeness is chained'),
    ('more_path', p_stream.more_path is not null and x.position = 'none',
      'nothing unless the list has pages'),
    ('more_is', p_stream.more_is <> p_default.more_is and p_stream.more_path is null,
      'nothing unless more_path is given'),
    ('next_absent_ends', p_stream.next_absent_ends and x.position not in ('next', 'url', 'link'),
      'false, unless an answer says what comes next'),
    ('short_page_ends', p_stream.short_page_ends and x.position = 'none',
      'false, unless the list has pages'),
    ('time_format', p_stream.time_format <> p_default.time_format
      and p_stream.updated_at_path is null, 'nothing unless updated_at_path is given'),
    ('since_format', p_stream.since_format <> p_default.since_format
      and not sync.has_template(p_stream, 'since'),
      'nothing unless {since} stands in the request'),
    ('since_overlap', p_stream.since_overlap <> p_default.since_overlap
      and not sync.has_template(p_stream, 'since'),
      'nothing unless {since} stands in the request'),
    ('cursor_params', p_stream.cursor_params is null and p_stream.next_cursor_path is not null,
      'an object, {} at the least, where next_cursor_path is given'),
    ('next_cursor_path', p_stream.cursor_params is not null and p_stream.next_cursor_path is null,
      'a list of keys, where cursor_params is given'),
    ('cursor_codec', p_stream.cursor_params is null and p_stream.cursor_codec is not null,
      'nothing unless cursor_params is given')
  ) as r (field, is_wrong, takes) where r.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_proofs(p_stream public.sync_streams, p_default public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes
  from (select sync.position_of(p_stream), p_stream.completeness,
    p_stream.completeness in ('counted', 'chained', 'agreed', 'feed'))
    as x (position, completeness, is_list)
  cross join lateral (values
    ('completeness', x.completeness in ('chained', 'agreed') and x.position = 'none',
      format('single, where one answer holds the whole list; %s needs {offset}, {next}, {last}%s '
        'in the request, or next_is', x.completeness,
        case x.completeness when 'agreed' then ' or {page}' else '' end)),
    ('completeness', x.completeness = 'chained' and x.position = 'page',
      'agreed, or counted where the API tells a total: between pages by number a record may slip '
        'through'),
    ('completeness', x.completeness = 'counted' and x.position not in ('page', 'offset'),
      'chained or agreed, where a list is not paged by number or {offset}'),
    ('order_path', x.completeness = 'chained' and p_stream.order_path is null,
      'the keys to what the list is ordered by, where completeness is chained; a list without an '
        'order is agreed'),
    ('cursor_is', x.completeness = 'chained' and p_stream.cursor_is is null
      and (x.position in ('url', 'link') or x.position = 'next' and p_stream.last_path is null),
      'keyset, where completeness is chained and the API says that its cursor is one; last_path, '
        'where the token is a value of the last record; else completeness is agreed'),
    ('last_path', x.completeness = 'chained' and x.position = 'last'
      and p_stream.last_path <> p_stream.id_path and p_stream.order_is_unique is not true,
      'the keys to a value that no two records share: the id, or what the list is ordered by with '
        'order_is_unique true'),
    ('order_direction', x.completeness = 'feed' and p_stream.order_direction <> 'desc',
      'desc, where completeness is feed, which is read newest first'),
    ('order_direction', x.completeness in ('chained', 'agreed')
      and p_stream.order_path = p_stream.updated_at_path and p_stream.order_direction = 'desc',
      'asc, where the list is ordered by updated_at_path: read from the newest, what changes '
        'meanwhile pushes others out of sight'),
    ('order_direction', p_stream.order_moves = 'forward' and p_stream.order_direction <> 'asc',
      'asc, where order_moves is forward'),
    ('order_moves', p_stream.order_moves <> 'never' and x.completeness not in ('chained', 'agreed'),
      'never, unless completeness is chained or agreed'),
    ('order_moves', p_stream.order_moves <> 'never' and p_stream.order_path is null,
      'never, unless order_path is given'),
    ('order_moves', p_stream.order_moves <> 'never' and x.position = 'page',
      'never, where the list is paged by number: forward is one chain'),
    ('order_path', p_stream.order_path is not null and not x.is_list,
      format('nothing where completeness is %s, which is one answer', x.completeness)),
    ('order_type', p_stream.order_path is null and p_stream.order_type <> 'number'
      and not (p_stream.order_type = 'text' and p_stream.id_type = 'text'),
      case p_stream.id_type when 'text' then 'number or text' else 'number' end
        || ', where order_path is left out and the order is the id''s'),
    ('order_direction', p_stream.order_direction <> p_default.order_direction and not x.is_list,
      'nothing unless the list has pages'),
    ('order_is_unique', p_stream.order_is_unique is not null and p_stream.order_path is null,
      'nothing unless order_path is given'),
    ('id_type', x.completeness = 'feed' and p_stream.id_type <> 'integer',
      'integer, where completeness is feed'),
    ('result_cap', p_stream.result_cap is not null and not (x.is_list and x.completeness <> 'feed'),
      'nothing unless completeness is counted, chained or agreed'),
    ('result_cap', p_stream.result_cap < p_stream.page_size,
      format('at least the %s records of a page', p_stream.page_size)),
    ('deleted_when', p_stream.deleted_when is not null
      and x.completeness not in ('counted', 'chained', 'agreed', 'single'),
      format('nothing where completeness is %s, which never deletes', x.completeness)),
    ('deleted_when', p_stream.deleted_when = '{}', 'one field at least, or nothing'),
    ('overlap_pages', p_stream.overlap_pages <> p_default.overlap_pages
      and x.completeness <> 'feed', 'nothing unless completeness is feed'),
    ('conditional', p_stream.conditional and x.completeness in ('items', 'connection'),
      format('false, where completeness is %s', x.completeness))
  ) as r (field, is_wrong, takes) where r.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_relations(p_stream public.sync_streams, p_default public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes from (values
    ('item_path', p_stream.completeness = 'items' and p_stream.item_path is null,
      'a path with {id} in it, where completeness is items'),
    ('parent_stream', p_stream.completeness = 'items' and p_stream.parent_stream is null,
      'the name of a stream of the same source, where completeness is items'),
    ('parent_stream', p_stream.parent_stream is not null
      and p_stream.completeness in ('feed', 'connection'),
      format('nothing where completeness is %s', p_stream.completeness)),
    ('parent_stream', p_stream.parent_stream is not null and p_stream.completeness <> 'items'
      and not sync.has_template(p_stream, 'parent'),
      'nothing unless {parent.id} or the like stands in the request: every parent would have the '
        'same one'),
    ('parent_stream', p_stream.parent_stream = p_stream.stream_name, 'another stream than itself'),
    ('fan_out', p_stream.fan_out <> p_default.fan_out and p_stream.parent_stream is null,
      'nothing unless parent_stream is given'),
    ('id_scope', p_stream.id_scope <> p_default.id_scope and p_stream.parent_stream is null,
      'nothing unless parent_stream is given'),
    ('id_scope', p_stream.id_scope <> p_default.id_scope and p_stream.completeness = 'items',
      'nothing where completeness is items'),
    ('stage_function', p_stream.completeness <> 'items' and p_stream.stage_function is not null,
      'nothing unless completeness is items'),
    ('shown_function', p_stream.completeness <> 'items' and p_stream.shown_function is not null,
      'nothing unless completeness is items'),
    ('warn_function', p_stream.completeness <> 'items' and p_stream.warn_function is not null,
      'nothing unless completeness is items'),
    ('drop_paths', exists (
        select 1 from jsonb_array_elements(p_stream.drop_paths) as p (path)
        where to_jsonb(p_stream.id_path[:jsonb_array_length(path)]) = path
          or to_jsonb(p_stream.updated_at_path[:jsonb_array_length(path)]) = path
          or (jsonb_array_length(path) = 1 and p_stream.deleted_when ? (path ->> 0))),
      'paths that spare a record''s id, its updated_at and the fields of deleted_when, which are '
        'needed after the cut')
  ) as r (field, is_wrong, takes) where r.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.require_fields_together(p_given jsonb, p_source public.sync_sources)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_defaults jsonb := sync.default_values('public.sync_streams');
  v_default public.sync_streams := jsonb_populate_record(null::public.sync_streams, v_defaults);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams,
    v_defaults || sync.without_nulls(p_given));
  v_wrong sync.wrong_field;
begin
  select w.* into v_wrong from (
    select * from sync.wrong_places(p_given)
    union all select * from sync.wrong_templates(v_stream)
    union all select * from sync.wrong_requests(v_stream, v_default, p_source)
    union all select * from sync.wrong_pages(v_stream, v_default)
    union all select * from sync.wrong_proofs(v_stream, v_default)
    union all select * from sync.wrong_relations(v_stream, v_default)
  ) as w limit 1;
  if found then
    perform sync.refuse_field('stream', p_given, v_wrong.field, v_wrong.takes);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.wrong_source(p_source public.sync_sources, p_default public.sync_sources)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select r.field, r.takes
  from (select p_source.auth like 'oauth2%') as x (is_oauth)
  cross join lateral (values
    ('auth_name', p_source.auth_in = 'header' and (sync.is_reserved_header(p_source.auth_name)
        or lower(p_source.auth_name) = 'cookie'),
      'a header that the worker does not write itself, such as Authorization or X-Api-Key'),
    ('auth_in', p_source.auth_in <> 'header' and p_source.auth = 'basic',
      'header, where auth is basic'),
    ('auth_in', p_source.auth_in <> p_default.auth_in and p_source.auth = 'none',
      'nothing where auth is none'),
    ('auth_name', p_source.auth_name <> p_default.auth_name and p_source.auth = 'none',
      'nothing where auth is none'),
    ('auth_prefix', p_source.auth_prefix <> p_default.auth_prefix and p_source.auth = 'none',
      'nothing where auth is none'),
    ('token_url', p_source.token_url is null and x.is_oauth,
      format('a path below the base URL or an https URL, where auth is %s', p_source.auth)),
    ('token_url', p_source.token_url is not null and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_params', p_source.token_params <> p_default.token_params and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_params', p_source.token_params ?| '{grant_type,client_id,client_secret,
        refresh_token}',
      'none of grant_type, client_id, client_secret and refresh_token, which the engine sends')
  ) as r (field, is_wrong, takes) where r.is_wrong
  union all
  select f.field, format('another name than the stream %L sends in its %s', st.stream_name,
    f.carrier)
  from public.sync_streams as st
  join public.sync_sources as so on so.id = st.source_id
    and so.source_name = p_source.source_name
  cross join lateral (values
    ('auth_name', 'headers', p_source.auth_in = 'header' and exists (
      select from jsonb_object_keys(st.headers) as h where lower(h) = lower(p_source.auth_name))),
    ('auth_name', 'params', p_source.auth_in = 'query' and p_source.auth <> 'none'
      and ((st.params || coalesce(st.cursor_params, '{}')) ? p_source.auth_name
        or p_source.auth_name in (st.page_param, st.cursor_param)))
  ) as f (field, carrier, is_wrong)
  where f.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.require_source_together(p_given jsonb)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_defaults jsonb := sync.default_values('public.sync_sources');
  v_wrong sync.wrong_field;
begin
  select w.* into v_wrong from (
    select * from sync.wrong_places(p_given)
    union all
    select * from sync.wrong_source(
      jsonb_populate_record(null::public.sync_sources, v_defaults || sync.without_nulls(p_given)),
      jsonb_populate_record(null::public.sync_sources, v_defaults))
  ) as w limit 1;
  if found then
    perform sync.refuse_field('source', p_given, v_wrong.field, v_wrong.takes);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION public.declare_source(p_source jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_id bigint;
  v_base_path text;
begin
  perform sync.require_service();
  perform sync.require_fields('source', p_source, '{source_name}');
  perform sync.require_source_together(p_source);
  select base_path into v_base_path from public.sync_sources
  where source_name = p_source ->> 'source_name';
  insert into public.sync_sources
    as s (source_name, base_path, auth, token_url, token_params, reset_header, retry_after_path,
    auth_in, auth_name, auth_prefix, budget_scope,
    requests_per_second, max_in_flight, status_classes, success_path, message_path, class_rules)
  select r.source_name, coalesce(r.base_path, ''), coalesce(r.auth, 'key'), r.token_url,
    coalesce(r.token_params, '{}'), r.reset_header, r.retry_after_path,
    coalesce(r.auth_in, 'header'),
    coalesce(r.auth_name, 'Authorization'),
    coalesce(r.auth_prefix, 'Bearer '), coalesce(r.budget_scope, 'instance'),
    case when p_source ? 'requests_per_second' then r.requests_per_second else 5 end,
    case when p_source ? 'max_in_flight' then r.max_in_flight else 10 end,
    '{"2xx": "page", "408": "transient", "425": "transient", "429": "rate_limited",
    "5xx": "transient", "other": "permanent"}'::jsonb
      || coalesce(r.status_classes, '{}'),
    r.success_path, coalesce(r.message_path, '{message}'), coalesce(r.class_rules, '[]')
  from jsonb_populate_record(null::public.sync_sources, p_source) as r
  on conflict (source_name) do update set
    base_path = excluded.base_path, auth = excluded.auth, token_url = excluded.token_url,
    token_params = excluded.token_params, reset_header = excluded.reset_header,
    retry_after_path = excluded.retry_after_path, auth_in = excluded.auth_in,
    auth_name = excluded.auth_name, auth_prefix = excluded.auth_prefix,
    budget_scope = excluded.budget_scope, requests_per_second = excluded.requests_per_second,
    max_in_flight = excluded.max_in_flight, status_classes = excluded.status_classes,
    success_path = excluded.success_path, message_path = excluded.message_path,
    class_rules = excluded.class_rules
  returning s.id into v_id;
  perform 1 from public.sync_workspaces where source_id = v_id order by id for no key update;
  update public.sync_workspaces as w
  set source_id = w.source_id,
  access_revision = w.access_revision + (v_base_path <> so.base_path)::int
  from public.sync_sources as so where so.id = v_id and w.source_id = so.id;
  return jsonb_build_object('source_id', v_id, 'source_name', p_source ->> 'source_name');
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_parents(p_given jsonb, p_source_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_wrong record;
begin
  select s.stream_name, s.parent_stream into v_wrong from public.sync_streams as s
  where s.source_id = p_source_id and s.parent_stream is not null and not exists (
    select 1 from public.sync_streams as parent
    where parent.source_id = p_source_id and parent.stream_name = s.parent_stream
      and parent.completeness not in ('items', 'connection'))
  limit 1;
  if v_wrong.stream_name = p_given ->> 'stream_name' then
    perform sync.refuse_field('stream', p_given, 'parent_stream',
      'the name of a list of the same source, declared before its children');
  elsif found then
    raise exception using errcode = 'SY006',
      message = format('stream %L: parent_stream is %L, and that is no list of the source',
        v_wrong.stream_name, v_wrong.parent_stream),
      hint = 'The parent is a list of the same source, declared before its children.';
  end if;
  with recursive above as (
    select s.stream_name, s.parent_stream, array[s.stream_name] as below
    from public.sync_streams as s where s.source_id = p_source_id and s.parent_stream is not null
    union all
    select s.stream_name, s.parent_stream, a.below || s.stream_name
    from above as a
    join public.sync_streams as s on s.source_id = p_source_id and s.stream_name = a.parent_stream
    where s.parent_stream is not null and s.stream_name <> all (a.below)
  )
  select a.below[1] as stream_name, a.below || a.parent_stream as circle into v_wrong
  from above as a
  where a.parent_stream = a.below[1] and a.below[1] = p_given ->> 'stream_name' limit 1;
  if found then
    perform sync.refuse_field('stream', p_given, 'parent_stream', format(
      'a stream whose own parents do not lead back to it, as %s does',
      array_to_string(v_wrong.circle, ', ')));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION public.declare_stream(p_stream jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_source public.sync_sources;
  v_source_id bigint;
  v_before public.sync_streams;
  v_stream public.sync_streams;
begin
  perform sync.require_service();
  perform sync.require_fields('stream', p_stream, '{source_name,stream_name,path,page_size}');
  select * into v_source from public.sync_sources
  where source_name = p_stream ->> 'source_name';
  v_source_id := v_source.id;
  if v_source_id is null then
    raise exception using errcode = 'SY003',
      message = format('there is no source %L', p_stream ->> 'source_name'),
      hint = 'declare_source() adds one.';
  end if;
  perform sync.require_fields_together(p_stream, v_source);
  select * into v_before from public.sync_streams
  where source_id = v_source_id and stream_name = p_stream ->> 'stream_name' for no key update;
  v_stream := sync.write_stream(v_source_id, p_stream || jsonb_build_object('target_table',
    sync.require_target_table(p_stream, v_source_id)));
  perform sync.require_function(p_stream, f.field, f.takes, f.gives) from (values
    ('apply_function', 'sync.incoming_record[]', 'sync.changed_record[]'::regtype),
    ('close_function', 'bigint', 'void'),
    ('stage_function', 'bigint, text[]', 'record'),
    ('shown_function', 'bigint[], bigint[], text[]', 'record'),
    ('warn_function', 'bigint', 'text[]')) as f (field, takes, gives);
  perform sync.require_parents(p_stream, v_source_id);
  if v_before.id is not null and v_before is distinct from v_stream then
    update public.sync_streams set revision = revision + 1 where id = v_stream.id;
  end if;
  if v_stream.completeness = 'connection'
    and (v_stream.completeness, v_stream.path, v_stream.id_path) is distinct
      from (v_before.completeness, v_before.path, v_before.id_path) then
    update public.sync_workspaces set
      key_owner = null, key_owner_id = null, access_revision = access_revision + 1,
      key_status = case when key_status in ('accepted', 'other_workspace') then 'unchecked'
      else key_status end
    where source_id = v_source_id;
  end if;
  return jsonb_build_object('stream_id', v_stream.id, 'stream_name', v_stream.stream_name);
exception when unique_violation then
  raise exception using errcode = 'SY006',
    message = format('stream "%s": completeness is "connection"; it takes that once in a source, '
      'and %L has such a stream already', p_stream ->> 'stream_name', p_stream ->> 'source_name'),
    hint = 'select stream_name from sync_streams where completeness = ''connection'' names it.';
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_connection(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.begin_phase(p_run_ids, 'connect');
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_connection(p_page sync.page_in_hand, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_stream public.sync_streams;
begin
  select * into strict v_stream from public.sync_streams
  where source_id = p_source.id and completeness = 'connection';
  if p_page.answer #>> v_stream.id_path is null then
    perform sync.raise_shape(format('the answer does not tell whose key it is at %s',
      array_to_string(v_stream.id_path, '.')),
      'declare_stream() says where that stands.');
  end if;
  v_page.key_owner := jsonb_build_object('id', p_page.answer #>> v_stream.id_path, 'name',
    p_page.answer #>> v_stream.name_path);
  v_page.answer := '[]';
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_connection(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_workspace public.sync_workspaces;
begin
  select * into strict v_workspace from public.sync_workspaces where id = p_run.workspace_id;
  if v_workspace.key_status = 'other_workspace' then
    update public.workspace_sync_runs
    set error_message = format('its key belongs to workspace %s, %s. rotate_workspace_key() gives '
      'it its own.', v_workspace.key_owner, coalesce('not to ' || v_workspace.external_id, (
        select format('which is registered as %L', x.workspace_name)
        from public.sync_workspaces as x
        where x.source_id = v_workspace.source_id and x.removed_at is null
          and x.instance = v_workspace.instance and x.external_id = v_workspace.key_owner_id), 'not to this one'))
    where id = p_run.id;
    perform sync.close_run(p_run.id, 'failed', null);
  elsif exists (select 1 from public.sync_streams
    where id = p_run.stream_id and completeness = 'connection') then
    perform sync.close_run(p_run.id, 'completed', null);
  else
    perform sync.begin_kinds(array[p_run.id]);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_single(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.begin_phase(p_run_ids, 'scan');
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_single(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  if jsonb_typeof(v_page.answer) = 'object' then
    v_page.answer := jsonb_build_array(v_page.answer);
  end if;
  perform sync.check_records(v_page, p_stream);
  v_page.last_page := 1;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.note_answer(p_run_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_distinct_ids bigint;
begin
  select count(distinct shown.id) into v_distinct_ids
  from public.workspace_sync_runs as r
  join sync.seen_pages as s on s.run_id = r.id and s.scan = r.scan
  left join lateral unnest(s.record_ids) as shown (id) on true
  where r.id = p_run_id having count(s.page) > 0;
  update public.workspace_sync_runs
  set expected_total = v_distinct_ids, distinct_ids = v_distinct_ids where id = p_run_id;
  return v_distinct_ids is not null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_single(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_finding text := case
    when p_run.phase = 'confirm' then sync.confirmation_finding(p_run)
    when not sync.note_answer(p_run.id) then 'no answer was read' end;
begin
  if v_finding is not null then
    perform sync.scan_again(p_run.id, v_finding);
  elsif p_run.phase = 'scan' then
    perform sync.begin_confirmations(p_run.id);
  else
    perform sync.close_run(p_run.id, 'completed', sync.delete_confirmed(p_run.id));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_kinds(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'on'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_counted bigint[];
  v_feed bigint[];
  v_items bigint[];
  v_single bigint[];
begin
  -- Each is looked up by its key: a join of tables that were just filled may compare all with all.
  select array_agg(given.id order by given.id) filter (where k.completeness = 'counted'),
    array_agg(given.id order by given.id) filter (where k.completeness = 'feed'),
    array_agg(given.id order by given.id) filter (where k.completeness = 'items'),
    array_agg(given.id order by given.id) filter (where k.completeness = 'single')
  into v_counted, v_feed, v_items, v_single
  from unnest(p_run_ids) as given (id)
  cross join lateral (
    select st.completeness from public.workspace_sync_runs as r
    join public.sync_streams as st on st.id = r.stream_id
    where r.id = given.id offset 0
  ) as k;
  if v_counted is not null then
    perform sync.begin_counted(v_counted);
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
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_runs(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'on'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_wait bigint[];
  v_connect bigint[];
  v_go bigint[];
begin
  perform sync.forget_missed_with_another_key(p_run_ids);
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
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_page(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
  perform sync.require_no_rate_limit(p_page.http_status, p_page.body, p_source)
  where p_source.class_rules <> '[]' and p_page.body !~ '^[[:space:]]*[{[]';
  v_page := sync.read_json(p_page);
  perform sync.require_no_rate_limit(p_page.http_status,
    v_page.answer #>> p_source.message_path, p_source)
  where p_source.class_rules <> '[]' and jsonb_typeof(v_page.answer) = 'object';
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
    when p_stream.completeness = 'feed' then sync.read_feed(v_page, p_stream)
    when p_stream.completeness = 'single' then sync.read_single(v_page, p_stream)
    else sync.read_items(v_page) end;
  if p_stream.drop_paths <> '[]' then
    v_page.answer := sync.without_paths(v_page, p_stream.drop_paths);
  end if;
  v_page.records := jsonb_array_length(v_page.answer);
  v_page.reveals_pages := v_page.kind = 'page'
    and (v_page.last_page <= v_page.known_pages) is not true;
  -- It is in the answer now; every statement over the pages would copy it.
  v_page.body := null;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_revealed(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_kinds text[] := array(
    select distinct st.completeness from unnest(p_pages) as p
    join public.sync_streams as st on st.id = p.stream_id);
  v_kind text;
  v_pages sync.page_in_hand[];
begin
  foreach v_kind in array v_kinds loop
    v_pages := array(
      select p from unnest(p_pages) as p
      join public.sync_streams as st on st.id = p.stream_id and st.completeness = v_kind
      order by p.turn);
    case v_kind
      when 'counted', 'single' then perform sync.plan_counted(v_pages);
      when 'feed' then perform sync.plan_feed(v_pages);
      when 'items' then perform sync.plan_items(v_pages);
      else null;
    end case;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_run(p_run_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'auto'
 SET enable_seqscan TO 'on'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_run public.workspace_sync_runs;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  if v_run.ending is not null then
    perform sync.close_run(p_run_id,
      case v_run.ending when 'timeout' then 'partial' else v_run.ending end,
      case v_run.ending when 'timeout' then 'time ran out' end);
  elsif exists (
    select 1 from public.chunk_processing_queue as q
    join public.chunked_sync_jobs as c on c.id = q.id
    where q.run_id = p_run_id and q.status = 'failed' and c.kind in ('connection', 'page', 'cursor')
  ) then
    perform sync.close_run(p_run_id, 'failed', null);
  elsif v_run.phase = 'connect' then
    perform sync.advance_connection(v_run);
  elsif v_run.phase = 'parent' then
    perform sync.begin_runs(array[p_run_id]) where not exists (
      select 1 from public.workspace_sync_runs
      where id = v_run.parent_run_id and status = 'running');
  elsif v_run.phase = 'items' then
    perform sync.advance_items(v_run);
  elsif exists (select 1 from public.sync_streams
    where id = v_run.stream_id and completeness = 'feed') then
    perform sync.advance_feed(v_run);
  elsif exists (select 1 from public.sync_streams
    where id = v_run.stream_id and completeness = 'single') then
    perform sync.advance_single(v_run);
  else
    perform sync.advance_counted(v_run);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.rows_of_source(p_source_name text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select jsonb_build_object('source', to_jsonb(so), 'streams', coalesce((
    select jsonb_object_agg(st.stream_name, to_jsonb(st)) from public.sync_streams as st
    where st.source_id = so.id), '{}'))
  from public.sync_sources as so where so.source_name = p_source_name;
$function$;

CREATE OR REPLACE FUNCTION sync.changed_fields(p_what text, p_before jsonb, p_after jsonb, p_given jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('field', f.field, 'old', p_before -> f.field,
    'new', p_after -> f.field) order by f.n), '[]')
  from (
    select a.attname::text, a.attnum from pg_catalog.pg_attribute as a
    where a.attrelid = case p_what when 'source' then 'public.sync_sources'::regclass
      else 'public.sync_streams'::regclass end
  ) as f (field, n)
  where f.field in (select d.field from sync.declared_fields(p_what) as d)
    and p_before -> f.field is distinct from p_after -> f.field
    -- Of what is new its defaults are no news.
    and (p_before is not null or p_given ->> f.field is not null)
    and f.field <> all ('{source_name,stream_name}');
$function$;

CREATE OR REPLACE FUNCTION sync.require_declaration(p_declaration jsonb)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_form text := '{"source": {"source_name": …}, "streams": [{"stream_name": …}, …]}; "about" may '
    'say what no program reads.';
  v_wrong text;
begin
  if coalesce(jsonb_typeof(p_declaration), 'null') <> 'object' then
    raise exception using errcode = 'SY006',
      message = format('the declaration is %s and no JSON object',
        coalesce(sync.shown(p_declaration), 'null')),
      hint = v_form;
  end if;
  select string_agg(sync.shown(to_jsonb(k)), ', ') into v_wrong
  from jsonb_object_keys(p_declaration) as k where k <> all ('{about,source,streams}');
  v_wrong := case
    when v_wrong is not null then 'unknown fields: ' || v_wrong
    when jsonb_typeof(p_declaration -> 'source') is distinct from 'object'
    then '"source" is no object'
    when jsonb_typeof(p_declaration -> 'streams') is distinct from 'array'
    then '"streams" is no list'
    when jsonb_array_length(p_declaration -> 'streams') > 1000
    then 'more than 1,000 streams' end;
  select coalesce(v_wrong, min(w.what)) into v_wrong from (
    select case
      when jsonb_typeof(s.stream) <> 'object' then format('stream %s is no object', s.n)
      when coalesce(s.stream ->> 'source_name', '') <> coalesce(p_declaration
        #>> '{source,source_name}', '') and s.stream ? 'source_name'
      then format('stream %s is of the source %s', s.n, sync.shown(s.stream -> 'source_name'))
      when s.stream ->> 'stream_name' is not null
        and count(*) over (partition by s.stream ->> 'stream_name') > 1
      then format('the stream %s stands there twice', sync.shown(s.stream -> 'stream_name'))
      end as what
    from jsonb_array_elements(case when v_wrong is null then p_declaration -> 'streams'
      else '[]' end) with ordinality as s (stream, n)
  ) as w;
  if v_wrong is not null then
    raise exception using errcode = 'SY006', message = 'the declaration: ' || v_wrong,
      hint = v_form;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.declare_all(p_declaration jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream record;
  v_message text;
  v_hint text;
begin
  perform public.declare_source(p_declaration -> 'source');
  for v_stream in
    select s.stream, s.n from jsonb_array_elements(p_declaration -> 'streams') with ordinality
      as s (stream, n) order by s.n
  loop
    begin
      perform public.declare_stream(v_stream.stream
        || jsonb_build_object('source_name', p_declaration #>> '{source,source_name}'));
    exception when sqlstate 'SY006' then
      get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
      raise exception using errcode = 'SY006', hint = v_hint,
        message = case when v_message like 'stream %' then v_message
        else format('stream %s: %s', coalesce(sync.shown(v_stream.stream -> 'stream_name'),
          v_stream.n::text), v_message) end;
    end;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION public.apply_declaration(p_declaration jsonb, p_is_trial boolean DEFAULT false)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '30s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_name text := p_declaration #>> '{source,source_name}';
  v_before jsonb;
  v_after jsonb;
  v_changes jsonb;
begin
  perform sync.require_service();
  perform sync.require_declaration(p_declaration);
  v_before := coalesce(sync.rows_of_source(v_name), '{}');
  begin
    perform sync.declare_all(p_declaration);
    v_after := sync.rows_of_source(v_name);
    if p_is_trial then
      raise exception 'this was a trial';
    end if;
  exception when raise_exception then
    if v_after is null then
      raise;
    end if;
  end;
  select coalesce(jsonb_agg(jsonb_build_object('what', c.what, 'name', c.name,
    'is_new', c.before is null, 'fields', c.fields, 'live_runs', c.live_runs) order by c.n), '[]')
  into v_changes from (
    select d.*, sync.changed_fields(d.what, d.before, d.after, d.given) as fields, (
      select count(*) from public.workspace_sync_runs as r
      where d.what = 'stream' and r.stream_id = (d.before ->> 'id')::bigint
        and r.completed_at is null) as live_runs
    from (
      select 0, 'source', v_name, v_before -> 'source', v_after -> 'source',
        p_declaration -> 'source'
      union all
      select s.n, 'stream', s.stream ->> 'stream_name',
        v_before -> 'streams' -> (s.stream ->> 'stream_name'),
        v_after -> 'streams' -> (s.stream ->> 'stream_name'), s.stream
      from jsonb_array_elements(p_declaration -> 'streams') with ordinality as s (stream, n)
    ) as d (n, what, name, before, after, given)
  ) as c
  where c.before is null or c.fields <> '[]';
  return jsonb_build_object('source_name', v_name, 'is_applied', not p_is_trial,
    'changes', v_changes, 'untouched', (
      select coalesce(jsonb_agg(k order by k), '[]')
      from jsonb_object_keys(coalesce(v_before -> 'streams', '{}')) as k
      where k not in (select s ->> 'stream_name'
        from jsonb_array_elements(p_declaration -> 'streams') as s)));
end; $function$;

CREATE OR REPLACE FUNCTION sync.undeclared_rows(OUT o_source jsonb, OUT o_stream jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  begin
    perform public.declare_source('{"source_name": "a source of defaults"}');
    perform public.declare_stream('{"source_name": "a source of defaults",
      "stream_name": "a stream of defaults", "path": "/", "page_size": 1}');
    select to_jsonb(so), to_jsonb(st) into strict o_source, o_stream
    from public.sync_sources as so join public.sync_streams as st on st.source_id = so.id
    where so.source_name = 'a source of defaults';
    raise exception 'this was a trial';
  exception when raise_exception then
    if o_stream is null then
      raise;
    end if;
  end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.given_fields(p_what text, p_row jsonb, p_defaults jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(jsonb_object_agg(f.field, case when f.field = 'status_classes' then (
      select coalesce(jsonb_object_agg(c.key, c.value), '{}')
      from jsonb_each(p_row -> 'status_classes') as c
      where c.value is distinct from p_defaults -> 'status_classes' -> c.key)
    else p_row -> f.field end), '{}')
  from sync.declared_fields(p_what) as f
  where p_row ? f.field and (p_row -> f.field is distinct from p_defaults -> f.field
    or f.field = any ('{path,page_size}'));
$function$;

CREATE OR REPLACE FUNCTION public.get_declarations(p_source text DEFAULT NULL::text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '30s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_defaults record;
begin
  perform sync.require_service();
  if p_source is not null and not exists (
    select 1 from public.sync_sources where source_name = p_source) then
    raise exception using errcode = 'SY003',
      message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them.';
  end if;
  v_defaults := sync.undeclared_rows();
  return jsonb_build_object('declarations', (
    with recursive placed (id, stream_name, depth) as (
      select id, stream_name, 0 from public.sync_streams where parent_stream is null
      union all
      select child.id, child.stream_name, p.depth + 1 from placed as p
      join public.sync_streams as parent on parent.id = p.id
      join public.sync_streams as child on child.source_id = parent.source_id
        and child.parent_stream = parent.stream_name
      where p.depth < 100
    )
    select coalesce(jsonb_agg(jsonb_build_object(
      'source', sync.given_fields('source', to_jsonb(so), v_defaults.o_source),
      'streams', (
        select coalesce(jsonb_agg(
          jsonb_build_object('source_name', so.source_name)
            || sync.given_fields('stream', to_jsonb(st), v_defaults.o_stream)
          order by p.depth, st.id), '[]')
        from public.sync_streams as st
        join (select id, max(depth) as depth from placed group by id) as p on p.id = st.id
        where st.source_id = so.id)) order by so.id), '[]')
    from public.sync_sources as so where p_source is null or so.source_name = p_source));
end; $function$;

CREATE OR REPLACE FUNCTION sync.count_rows(p_stream_id bigint, p_workspace_ids bigint[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_target text := (select target_table from public.sync_streams where id = p_stream_id);
  v_counts jsonb;
begin
  -- Grouped before it is joined: each row is looked at once, and compared with no list of ids.
  execute format('select jsonb_object_agg(w.id, coalesce(c.row_count, 0)) from unnest($1) as w (id)
    left join (
      select t.workspace_id, count(*) as row_count from %s as t
      where %s and t.deleted_at is null group by t.workspace_id
    ) as c on c.workspace_id = w.id',
    v_target, case when sync.is_shared_target(to_regclass(v_target)) then 't.stream_id = $2'
    else '$2 is not null' end)
  into v_counts using p_workspace_ids, p_stream_id;
  return v_counts;
end; $function$;

CREATE OR REPLACE FUNCTION sync.get_fleet(p_search text, p_states text[], p_limit integer, p_offset integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_rows sync.fleet_row[];
  v_page sync.fleet_row[];
  v_matching bigint;
  v_search text;
begin
  perform sync.require_operator();
  v_search := lower(sync.trim_blanks(coalesce(p_search, '')));
  v_rows := array(select f from sync.fleet_rows(null) as f);
  select coalesce(array_agg(row(m.*)::sync.fleet_row order by m.severity,
      m.last_complete_sync_at nulls first, m.workspace_name, m.stream), '{}')
  into v_page
  from unnest(v_rows) as m
  where (v_search = '' or position(v_search in lower(m.workspace_name)) > 0
      or position(v_search in m.state) > 0 or position(v_search in lower(m.reason)) > 0)
    and (p_states is null or m.state = any (p_states) or m.tone = any (p_states));
  v_matching := cardinality(v_page);
  v_page := v_page[greatest(p_offset, 0) + 1 : greatest(p_offset, 0) + least(p_limit, 500)];
  return sync.page_head() || jsonb_build_object(
    'total', cardinality(v_rows), 'matching', v_matching,
    'fresh', (select count(*) from unnest(v_rows) as r where r.is_fresh),
    'states', (
      select coalesce(jsonb_agg(jsonb_build_object('state', s.state, 'tone', s.tone, 'count',
        s.count) order by s.severity), '[]')
      from (
        select r.state, r.tone, r.severity, count(*) as count from unnest(v_rows) as r
        group by 1, 2, 3
      ) as s),
    'records', (select sum(r.record_count) from unnest(v_rows) as r),
    'api_total', (select sum(coalesce(r.api_total, r.record_count)) from unnest(v_rows) as r),
    'jobs', (
      select coalesce(jsonb_agg(jsonb_build_object('job_id', p.job_id, 'job_name', p.job_name,
        'percentage', p.percentage, 'workspaces_completed', p.workspaces_completed,
        'total_workspaces', p.total_workspaces) order by p.updated_at), '[]')
      from sync.job_progress as p where p.status = 'running'),
    'rows', (
      with counted as (
        select p.stream_id, sync.count_rows(p.stream_id, array_agg(p.workspace_id)) as rows_by_id
        from unnest(v_page) as p where p.is_counted group by p.stream_id
      )
      select coalesce(jsonb_agg(to_jsonb(p) - '{workspace_id,stream_id,severity}'::text[]
        || jsonb_build_object(
          'rows_here', case when p.is_counted
            then (c.rows_by_id ->> p.workspace_id::text)::bigint else p.record_count end,
          'runs', past.runs) order by p.n), '[]')
      from unnest(v_page) with ordinality as p (workspace_id, stream_id, workspace_name,
        source_name, stream, is_counted, state, tone, severity, reason, remedy, act, command,
        waits_until, is_fresh, is_stale, last_complete_sync_at, last_sync_duration_ms,
        record_count, api_total, live_run_id, live_job_id, percentage, pages_done, pages_planned,
        retry_job_id, held_run_id, deletions_waiting, n)
      left join counted as c on c.stream_id = p.stream_id
      cross join lateral (
        -- One text: an array costs as much as all else of a row.
        select string_agg(concat((date_part('epoch', r.completed_at - r.started_at) * 1000)::bigint,
          ' ', r.status), ',') as runs
        from (
          select x.started_at, x.completed_at, x.status
          from public.workspace_sync_runs as x
          where x.workspace_id = p.workspace_id and x.stream_id = p.stream_id
            and x.status <> 'running'
          order by x.started_at desc, x.id desc limit 30
        ) as r
      ) as past));
end; $function$;

CREATE OR REPLACE FUNCTION sync.workspace_stream_detail(p_row sync.fleet_row)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_unlisted jsonb;
  v_unlisted_count bigint;
begin
  execute sync.target_sql('select count(*), coalesce(jsonb_agg(jsonb_build_object(
      ''id'', t.id::text, ''name'', coalesce(t.raw ->> ''email'', t.raw ->> ''name'', t.id::text),
      ''unlisted_at'', t.unlisted_at)) filter (where t.n <= 50), ''[]'')
    from (
      select t.id, t.raw, t.unlisted_at, row_number() over (order by t.unlisted_at desc, t.id) as n
      from %1$s as t where %2$s and t.unlisted_at is not null and t.deleted_at is null
    ) as t', p_row.stream_id)
  into v_unlisted_count, v_unlisted using p_row.workspace_id, p_row.stream_id;
  return to_jsonb(p_row) - '{workspace_id,stream_id,severity}'::text[] || jsonb_build_object(
    'rows_here', (sync.count_rows(p_row.stream_id, array[p_row.workspace_id])
      ->> p_row.workspace_id::text)::bigint,
    'unlisted_count', v_unlisted_count, 'unlisted', v_unlisted,
    'held', case when p_row.held_run_id is not null
      then sync.held_deletions(p_row.held_run_id, null, 50) else '[]' end,
    'history', (
      select coalesce(jsonb_agg(jsonb_build_object('run_id', r.id, 'job_id', r.job_id, 'status',
        r.status, 'started_at', r.started_at, 'completed_at', r.completed_at,
        'duration_ms', round(extract(epoch from coalesce(r.completed_at, sync.now())
          - r.started_at) * 1000),
        'records', coalesce(r.distinct_ids, r.records_seen), 'expected_total', r.expected_total,
        'changed', r.records_changed, 'deleted', r.records_deleted,
        'deletions_waiting', r.deletions_waiting, 'scans', r.scan - r.begun_again,
        'error_message', r.error_message, 'warnings', to_jsonb(r.warnings))
        order by r.started_at, r.id), '[]')
      from (
        select x.* from public.workspace_sync_runs as x
        where x.workspace_id = p_row.workspace_id and x.stream_id = p_row.stream_id
        order by x.started_at desc, x.id desc limit 60
      ) as r));
end; $function$;

CREATE OR REPLACE FUNCTION sync.get_workspace_page(p_workspace_name text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_workspace public.sync_workspaces;
begin
  perform sync.require_operator();
  select * into v_workspace from public.sync_workspaces
  where id = sync.workspace_id_of(p_workspace_name);
  return sync.page_head() || jsonb_build_object(
    'workspace_name', v_workspace.workspace_name, 'base_url', v_workspace.base_url,
    'source_name', (select s.source_name from public.sync_sources as s
      where s.id = v_workspace.source_id),
    'external_id', v_workspace.external_id, 'is_active', v_workspace.is_active,
    'created_at', v_workspace.created_at, 'paused_at', v_workspace.paused_at,
    'max_concurrency', v_workspace.max_concurrency,
    'key_status', v_workspace.key_status, 'key_checked_at', v_workspace.key_checked_at,
    'key_owner', v_workspace.key_owner, 'key_owner_id', v_workspace.key_owner_id,
    'rate_limited_until', case when v_workspace.rate_limited_until > sync.now()
      then v_workspace.rate_limited_until end,
    'streams', (
      select coalesce(jsonb_agg(sync.workspace_stream_detail(f) order by f.severity, f.stream),
        '[]') from sync.fleet_rows(v_workspace.id) as f),
    'failed', (
      select coalesce(jsonb_agg(to_jsonb(c) order by c.failed_at desc, c.id desc), '[]')
      from (
        select q.id, r.job_id as parent_sync_job_id, st.stream_name as stream, c.kind, c.page,
          c.record_id, q.attempts, q.error_message, q.completed_at as failed_at
        from public.sync_streams as st
        cross join lateral (
          select x.id, x.job_id, x.chunks_failed from public.workspace_sync_runs as x
          where x.workspace_id = v_workspace.id and x.stream_id = st.id
          order by x.started_at desc, x.id desc limit 60
        ) as r
        join public.chunk_processing_queue as q on q.run_id = r.id and q.status = 'failed'
        join public.chunked_sync_jobs as c on c.id = q.id
        where st.source_id = v_workspace.source_id and r.chunks_failed > 0
        order by q.completed_at desc limit 50
      ) as c));
end; $function$;

comment on function public.chunkwise_version() is 'What a worker asks before its first claim, and every claim says again: it may have been upgraded
meanwhile. Returns: {"schema_version", "protocol_version", "release"}.';

comment on column public.sync_sources.auth is 'none; key: the secret as it is; basic: the secret is user:password; oauth2_client and
oauth2_refresh: the secret is JSON with client_id, client_secret and, of the latter, refresh_token.';

comment on column public.sync_sources.reset_header is 'Which header says when a rate limit ends, {"name": "x-ratelimit-reset", "is": "epoch"}; is: epoch,
seconds or date; null: Retry-After alone.';

comment on column public.sync_sources.retry_after_path is 'Where the body of a refusal says after how many seconds to ask again.';

comment on column public.sync_sources.token_params is 'Of OAuth2: added to the token request''s form.';

comment on column public.sync_sources.token_url is 'Of OAuth2: where access tokens come from, a path below the base URL or an https URL.';

comment on column public.sync_streams.body is 'What a POST sends as JSON; values may hold templates. Null: no body.';

comment on column public.sync_streams.class_rules is 'As those of its source, and looked at before them.';

comment on column public.sync_streams.columns is 'Columns of its own table, {"name": "type"} or {"name": {"path", "type", "format"}}; null: records
go to synced_records or to target_table.';

comment on column public.sync_streams.completeness is 'counted: every page of one scan, distinct ids = the API''s total, total unmoved; may delete. feed:
newest first, read until the end or the mark of the last complete scan; never deletes. single: one
answer holds the whole list, or the one record; may delete. items: one request per record that the
parent stream staged. connection: one request that tells whose key it is
(id_path, name_path).';

comment on column public.sync_streams.conditional is 'Whether requests carry what the last answer said of its version, so that an unchanged page costs no
body.';

comment on column public.sync_streams.cursor_is is 'keyset: the API says that its cursor stands for a place in the order, so that nothing is missed
between two pages; null: it may be an offset.';

comment on column public.sync_streams.deleted_when is 'Fields whose values say that a record is gone, {"status": "deleted"}; null: none does.';

comment on column public.sync_streams.fan_out is 'Of a stream with a parent: changed asks for the parents that the run changed or revived, all for
all that live.';

comment on column public.sync_streams.first_page is 'The number of the first page, 0 or 1.';

comment on column public.sync_streams.headers is 'Headers of its requests, beside Accept and the credential; values may hold templates.';

comment on column public.sync_streams.id_scope is 'Whether ids are unique in a workspace (global) or below one parent only (parent).';

comment on column public.sync_streams.last_path is 'Which value of a page''s last record is {last}; null: its id.';

comment on column public.sync_streams.method is 'GET or POST.';

comment on column public.sync_streams.more_is is 'The value there that means that more follows.';

comment on column public.sync_streams.more_path is 'Where an answer says whether more follows.';

comment on column public.sync_streams.next_absent_ends is 'Whether a full page without anything at next_path is the last one.';

comment on column public.sync_streams.next_is is 'What stands there: token, for {next}; url: the next request; link_header: no path, the header Link
with rel="next" says so.';

comment on column public.sync_streams.next_path is 'Where an answer names what comes next, which is {next} in the request or the URL itself.';

comment on column public.sync_streams.order_direction is 'asc or desc.';

comment on column public.sync_streams.order_is_unique is 'Whether no two records have one order key; null: where that is the id.';

comment on column public.sync_streams.order_moves is 'never: a record''s order key stays; forward: it grows with every change, as updated_at does.';

comment on column public.sync_streams.overlap is 'By how many records pages by {offset} overlap; null: a tenth of a page, at least 1.';

comment on column public.sync_streams.result_cap is 'How many records the API shows of a list at most; a total at or above it is none.';

comment on column public.sync_streams.short_page_ends is 'Whether a page with fewer than page_size records is the last one: not where a server filters after
paging.';

comment on column public.sync_streams.since_format is 'How {since} is written: iso, epoch, epoch_ms or date.';

comment on column public.sync_streams.since_overlap is 'How many seconds before the last known change {since} lies.';

comment on column public.sync_streams.time_format is 'Of updated_at_path: iso, epoch (seconds) or epoch_ms.';

comment on type sync.template is 'A template in a text. said: as it stands there, with its braces; name: page, offset, size, next,
last, since, id or parent; path: of parent, the keys of {parent.a.b}; fallback: its default, null if
it has none; flaw: null, name or default: what of it is no template''s.';

comment on function sync.template_default(text) is 'Returns: what stands behind the bar of {last|0}; null if it is no JSON text, number or truth.';

comment on function sync.templates_in(text) is 'Returns: the templates of a text, in order: {name}, {name|default} or {parent.key.key}. A brace
that no letter follows is text.';

comment on function sync.has_template(public.sync_streams,text) is 'Returns: whether a stream''s requests have the template of that name, for instance since.';

comment on function sync.position_of(public.sync_streams) is 'What decides how a list is paged. Returns: page, offset, next or last, the template that its
requests have; url or link, where an answer names the whole next request; none: one answer. A
counted list or a feed without any has its page in page_param.';

comment on function sync.column_types() is 'Returns: the types that a declared column may have.';

comment on function sync.own_columns() is 'Returns: the columns of a target table that no record sets by itself and no declaration names.';

comment on function sync.without_templates(text) is 'Returns: a path in which something stands for every template.';

comment on function sync.is_list_of_keys(jsonb,numeric,numeric) is 'Returns: whether the value is a path into JSON: texts, and numbers of elements.';

comment on function sync.is_column(text,jsonb) is 'Returns: whether a field of columns names a column and its type, where it stands and its
format.';

comment on function sync.is_class_rule(jsonb) is 'Returns: whether the value is a rule that says what an answer means by its text, a header or a
value in its body.';

comment on type sync.wrong_field is 'A field of a declaration that does not go with the others, and what it would take.';

comment on function sync.default_values(regclass) is 'Returns: the defaults of a table''s columns.';

comment on function sync.without_nulls(jsonb) is 'Returns: a declaration without fields that are null, which are as if left out.';

comment on function sync.is_reserved_header(text) is 'Returns: whether a header is one that only the engine or the HTTP library writes.';

comment on function sync.placed_templates(public.sync_streams) is 'Returns: the templates of a stream''s requests, each with the field in which it stands.';

comment on function sync.wrong_templates(public.sync_streams) is 'Returns: fields with templates that are unknown, stand where they have no value, or are a second
position.';

comment on function sync.wrong_places(jsonb) is 'Returns: fields with a template that no request has.';

comment on function sync.wrong_requests(public.sync_streams,public.sync_streams,public.sync_sources) is 'Returns: fields that a request cannot have together.';

comment on function sync.wrong_pages(public.sync_streams,public.sync_streams) is 'Returns: fields that do not go with how the list is paged.';

comment on function sync.wrong_proofs(public.sync_streams,public.sync_streams) is 'Returns: fields that do not go with what completeness is to prove.';

comment on function sync.wrong_relations(public.sync_streams,public.sync_streams) is 'Returns: fields that do not go with a stream''s parent, or with its hooks.';

comment on function sync.require_fields_together(jsonb,public.sync_sources) is 'A field at its default goes with everything, so that a row may be declared as it stands. Raises:
SY006 naming a field of a stream that does not go with the others, or with its source.';

comment on function sync.wrong_source(public.sync_sources,public.sync_sources) is 'Returns: fields of a source that do not go with each other, or with its streams.';

comment on function sync.require_source_together(jsonb) is 'Raises: SY006 naming a field of a source that does not go with the others, or with its streams.';

comment on function sync.require_parents(jsonb,bigint) is 'Raises: SY006 unless the parents that streams of a source name are lists of it, and none is its
own.';

comment on function sync.begin_connection(bigint[]) is 'The one request of runs. The caller holds their locks, or made them.';

comment on function sync.read_connection(sync.page_in_hand,public.sync_sources) is 'Returns: the page with the id and name of the workspace that the key belongs to; the rest of the
answer is dropped, secrets with it. Raises: SY010.';

comment on function sync.advance_connection(public.workspace_sync_runs) is 'The key''s owner is known: go on to what the run is for, or end it before it wrote anything. The
caller holds the run''s lock.';

comment on function sync.read_single(sync.page_in_hand,public.sync_streams) is 'Returns: the page with its records: the list that stands at records_path, or the one object. There
is no other page. Raises: SY010.';

comment on function sync.note_answer(bigint) is 'How many records the one answer of a run''s scan shows: they are all there are. The caller holds
its lock. Returns: whether it came.';

comment on function sync.advance_single(public.workspace_sync_runs) is 'The next step of a run of which nothing is live: confirm what its answer does not show, ask again,
or close. The caller holds its lock.';

comment on function sync.rows_of_source(text) is 'Returns: {"source": its row, "streams": {name: row}}; null if there is no such source.';

comment on function sync.changed_fields(text,jsonb,jsonb,jsonb) is 'Returns: which fields of a declaration differ between two rows, [{"field", "old", "new"}]; of a
row that is new, those that were given.';

comment on function sync.require_declaration(jsonb) is 'Raises: SY006 unless it is a source with its streams; what their fields say is not looked at.';

comment on function sync.declare_all(jsonb) is 'Declares a source, then its streams in their order. Raises: as declare_source() and
declare_stream(), with the stream''s name.';

comment on function public.apply_declaration(jsonb,boolean) is 'Declare a source with its streams, {"source": {…}, "streams": [{…}]}, all of it or nothing; as a
trial nothing stays. "about" is for people. Streams that it does not name stay as they are. Returns:
{"source_name", "is_applied", "changes": [{"what": source or stream, "name", "is_new", "live_runs":
how many begin again, "fields": [{"field", "old", "new"}]}], "untouched": streams of the source that
it does not name}. Raises: SY006 as declare_source() and declare_stream(). Locks: as those do.';

comment on function sync.undeclared_rows() is 'Returns: the rows of a source and of a stream of which nothing was said, read and taken back: what
declaring makes of a field that is left out stands in one place.';

comment on function sync.given_fields(text,jsonb,jsonb) is 'Returns: a row as a declaration that gives it: without what declaring would put there anyway.';

comment on function public.get_declarations(text) is 'What was declared, of one source or of all: a parent before its children, without what a field
that is left out means anyway. Returns: {"declarations": [{"source", "streams"}]}, each as
apply_declaration() takes it. Raises: SY003 unknown source. Locks: nothing that stays.';

comment on function public.get_fleet(text,text[],integer,integer) is 'The fleet, worst first: a row for each workspace and stream, of those whose name, state or reason
has the text and whose state or tone is named. Returns: {"as_of", "total", "matching", "fresh",
"states": [{"state", "tone", "count"}] of all, "records", "api_total", "jobs", "rows": at most 500
from p_offset on, each with "runs": its last 30 runs, newest first, in ms and status:
"4200 completed,900 failed", null if there is none}. Raises: 42501 no operator.';

revoke all on function sync.template_default(text) from public, anon, authenticated, service_role;

revoke all on function sync.templates_in(text) from public, anon, authenticated, service_role;

revoke all on function sync.has_template(public.sync_streams,text) from public, anon, authenticated, service_role;

revoke all on function sync.position_of(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.column_types() from public, anon, authenticated, service_role;

revoke all on function sync.own_columns() from public, anon, authenticated, service_role;

revoke all on function sync.without_templates(text) from public, anon, authenticated, service_role;

revoke all on function sync.is_list_of_keys(jsonb,numeric,numeric) from public, anon, authenticated, service_role;

revoke all on function sync.is_column(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.is_class_rule(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.default_values(regclass) from public, anon, authenticated, service_role;

revoke all on function sync.without_nulls(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.is_reserved_header(text) from public, anon, authenticated, service_role;

revoke all on function sync.placed_templates(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_templates(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_places(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_requests(public.sync_streams,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_pages(public.sync_streams,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_proofs(public.sync_streams,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_relations(public.sync_streams,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.require_fields_together(jsonb,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_source(public.sync_sources,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.require_source_together(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.require_parents(jsonb,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.begin_connection(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.read_connection(sync.page_in_hand,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.advance_connection(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.read_single(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.note_answer(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.rows_of_source(text) from public, anon, authenticated, service_role;

revoke all on function sync.changed_fields(text,jsonb,jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.require_declaration(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.declare_all(jsonb) from public, anon, authenticated, service_role;

revoke all on function public.apply_declaration(jsonb,boolean) from public, anon, authenticated, service_role;
grant execute on function public.apply_declaration(jsonb,boolean) to service_role;

revoke all on function sync.undeclared_rows() from public, anon, authenticated, service_role;

revoke all on function sync.given_fields(text,jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function public.get_declarations(text) from public, anon, authenticated, service_role;
grant execute on function public.get_declarations(text) to service_role;

select public.schedule_jobs();

notify pgrst, 'reload schema';
