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
    ('stream', 'body', 'object', null, null, null),
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
    ('stream', 'deleted_when', 'parameters', null, null, null),
    ('stream', 'fan_out', 'choice', null, null, '{all,changed}'),
    ('stream', 'id_scope', 'choice', null, null, '{global,parent}'),
    ('stream', 'order_direction', 'choice', null, null, '{asc,desc}'),
    ('stream', 'order_is_unique', 'boolean', null, null, null),
    ('stream', 'order_moves', 'choice', null, null, '{never,forward}'),
    ('stream', 'since_format', 'choice', null, null, '{iso,epoch,epoch_ms,date}'),
    ('stream', 'since_overlap', 'whole number', 0, 31536000, null),
    ('stream', 'class_rules', 'class rules', null, null, null),
    ('stream', 'conditional', 'boolean', null, null, null),
    ('stream', 'columns', 'object', null, null, null),
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
    when 'headers' then 'an object of texts, such as {"Api-Version": "2026-01-01"}'
    when 'object' then 'a JSON object'
    when 'scalar' then 'a text, a number, true or false'
    when 'reset header' then 'an object such as {"name": "x-ratelimit-reset", "is": "epoch"}; '
      '"is" may be epoch, seconds or date'
    when 'token url' then 'a path below the base URL, such as /oauth/token, or an https URL'
    when 'status classes' then 'an object such as {"404": "page", "5xx": "transient", '
      '"other": "permanent"}; the fourth class is rate_limited'
    when 'class rules' then 'a list such as [{"status": 403, "text": "Too Many Attempts", '
      '"class": "rate_limited"}]; the text has 4 characters or more, the status may be left out'
    else format(case p_field.kind
      when 'base path' then 'nothing or a path without a slash at its end, such as /api'
      when 'item path' then 'a path with {id} in it, such as /people/{id}'
      else 'a path, such as /people' end || ', at most %s long: below the base URL, '
      'without "//", "." or ".." as a folder, "?", "#", "\", other braces, blanks or controls; '
      'what is not ASCII as %%C3%%A9', p_field.most) end;
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
    when p_field.kind in ('parameters', 'headers', 'object', 'reset header', 'status classes')
    then 'object'
    else 'string' end)
  then
    return false;
  end if;
  return case p_field.kind
    when 'boolean' then true
    when 'whole number' then v_text::numeric between p_field.least and p_field.most
      and v_text::numeric = trunc(v_text::numeric)
    when 'number' then v_text::numeric between p_field.least and p_field.most
    when 'choice' then v_text = any (p_field.one_of)
    when 'text' then length(v_text) between p_field.least and p_field.most
      and btrim(v_text) = sync.one_line(v_text) and (btrim(v_text) <> '' or v_text = '')
    when 'name' then length(v_text) between p_field.least and p_field.most
      and v_text ~ '^[A-Za-z0-9_.-]+$'
    when 'path' then sync.is_path(v_text, p_field.most)
    when 'base path' then v_text = ''
      or (sync.is_path(v_text, p_field.most) and right(v_text, 1) <> '/')
    when 'item path' then strpos(v_text, '{id}') > 0
      and sync.is_path(replace(v_text, '{id}', 'id'), p_field.most)
    when 'keys' then jsonb_array_length(p_value) between p_field.least and p_field.most
      and not exists (select from jsonb_array_elements(p_value) as k
        where jsonb_typeof(k) <> 'string'
          and not (jsonb_typeof(k) = 'number' and k::text ~ '^[0-9]{1,9}$'))
    when 'lists of keys' then not exists (
      select from jsonb_array_elements(p_value) as p (path)
      where case when jsonb_typeof(path) = 'array' then jsonb_array_length(path) = 0 or exists (
        select from jsonb_array_elements(path) as k where jsonb_typeof(k) <> 'string')
      else true end)
    when 'parameters' then not exists (
      select from jsonb_each(p_value) as p
      where p.key = '' or jsonb_typeof(p.value) not in ('string', 'number', 'boolean'))
    when 'object' then true
    when 'headers' then not exists (
      select from jsonb_each(p_value) as p
      where p.key !~ '^[A-Za-z0-9_.-]+$' or jsonb_typeof(p.value) <> 'string')
    when 'reset header' then p_value - '{name,is}'::text[] = '{}'
      and p_value ->> 'name' ~ '^[A-Za-z0-9_.-]{1,100}$'
      and p_value ->> 'is' in ('epoch', 'seconds', 'date')
    when 'token url' then length(v_text) <= p_field.most
      and (sync.is_path(v_text, p_field.most) or v_text ~ '^https://[^/?#@\s]+(/[^?#\s]*)?$')
    when 'status classes' then not exists (
      select from jsonb_each_text(p_value) as c
      where c.key !~ '^([1-5][0-9]{2}|[1-5]xx|other)$'
        or coalesce(c.value, '') not in ('page', 'transient', 'rate_limited', 'permanent'))
    else not exists (
      select from jsonb_array_elements(p_value) as r
      where case when jsonb_typeof(r) <> 'object' then true else
        r ->> 'class' is distinct from 'rate_limited'
        or length(btrim(r ->> 'text')) >= 4 is not true
        or coalesce(r ->> 'status', '200') !~ '^[1-5][0-9]{2}$'
        or r - '{status,text,class}'::text[] <> '{}' end) end;
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
  if coalesce(p_source ->> 'auth_in', 'header') = 'header'
    and lower(p_source ->> 'auth_name') = any ('{accept,accept-encoding,connection,content-length,
    content-type,expect,host,keep-alive,te,trailer,transfer-encoding,upgrade}'::text[]) then
    perform sync.refuse_field('source', p_source, 'auth_name',
      'a header that the worker does not write itself, such as Authorization or X-Api-Key');
  end if;
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
    retry_after_path = excluded.retry_after_path, auth_in = excluded.auth_in, auth_name = excluded.auth_name,
    auth_prefix = excluded.auth_prefix,
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

CREATE OR REPLACE FUNCTION sync.require_fields_together(p_stream jsonb)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream record;
  v_wrong record;
begin
  select coalesce(r.completeness, 'counted') as completeness, r.item_path, r.parent_stream,
    r.stage_function, r.shown_function, r.warn_function, coalesce(r.id_type, 'integer') as id_type,
    r.order_path, r.order_type, r.cursor_params, r.next_cursor_path, r.cursor_codec
  into v_stream from jsonb_populate_record(null::public.sync_streams, p_stream) as r;
  select c.field, c.takes into v_wrong from (values
    ('item_path', v_stream.completeness = 'items' and v_stream.item_path is null,
      'a path with {id} in it, where completeness is items'),
    ('parent_stream', v_stream.completeness = 'items' and v_stream.parent_stream is null,
      'the name of a stream of the same source, where completeness is items'),
    ('stage_function', v_stream.completeness <> 'items' and v_stream.stage_function is not null,
      'nothing unless completeness is items'),
    ('shown_function', v_stream.completeness <> 'items' and v_stream.shown_function is not null,
      'nothing unless completeness is items'),
    ('warn_function', v_stream.completeness <> 'items' and v_stream.warn_function is not null,
      'nothing unless completeness is items'),
    ('id_type', v_stream.completeness = 'feed' and v_stream.id_type <> 'integer',
      'integer, where completeness is feed'),
    ('order_type', v_stream.order_type = 'time' and v_stream.order_path is null,
      'number, where order_path is left out'),
    ('cursor_params', v_stream.cursor_params is null and v_stream.next_cursor_path is not null,
      'an object, {} at the least, where next_cursor_path is given'),
    ('next_cursor_path', v_stream.cursor_params is not null and v_stream.next_cursor_path is null,
      'a list of keys, where cursor_params is given'),
    ('cursor_codec', v_stream.cursor_params is null and v_stream.cursor_codec is not null,
      'nothing unless cursor_params is given')
  ) as c (field, is_wrong, takes)
  where c.is_wrong limit 1;
  if found then
    perform sync.refuse_field('stream', p_stream, v_wrong.field, v_wrong.takes);
  end if;
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

comment on column public.sync_streams.columns is 'Columns of its own table, {"name": "type"} or {"name": {"path", "type", "format"}}; null: records go
to synced_records or to target_table.';

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

select public.schedule_jobs();

notify pgrst, 'reload schema';
