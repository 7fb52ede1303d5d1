-- Declare: sources and streams are rows; a declaration is checked before it is one.
-- Stands on: streams.

create function sync.require_status_classes(p_status_classes jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(p_status_classes) <> 'object' or exists (
    select 1 from jsonb_each_text(p_status_classes) as c
    where c.key !~ '^([1-5][0-9]{2}|[1-5]xx|other)$'
      or c.value not in ('page', 'transient', 'rate_limited', 'permanent')
  ) then
    raise exception using errcode = 'SY006',
      message = format('%s are no status classes', p_status_classes),
      hint = 'They read {"404": "page", "5xx": "transient", "other": "permanent"}; the fourth '
        'class is rate_limited.';
  end if;
end; $$;
comment on function sync.require_status_classes(jsonb) is
$$Raises: SY006 unless it maps status codes to the four classes.$$;

create function sync.require_known_fields(p_given jsonb, p_known text[], p_required text[])
  returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_unknown text;
  v_missing text;
begin
  if coalesce(jsonb_typeof(p_given), 'null') <> 'object' then
    raise exception using errcode = 'SY006', message = 'the declaration is not a JSON object',
      hint = 'Fields: ' || array_to_string(p_known, ', ');
  end if;
  select string_agg(k, ', ') into v_unknown from jsonb_object_keys(p_given) as k
  where k <> all (p_known);
  select string_agg(k, ', ') into v_missing from unnest(p_required) as k
  where p_given ->> k is null;
  if v_unknown is not null or v_missing is not null then
    raise exception using errcode = 'SY006',
      message = concat_ws('; ', 'unknown fields: ' || v_unknown, 'missing fields: ' || v_missing),
      hint = 'Fields: ' || array_to_string(p_known, ', ');
  end if;
end; $$;
comment on function sync.require_known_fields(jsonb, text[], text[]) is
$$Raises: SY006 naming unknown and missing fields.$$;

create function public.declare_source(p_source jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
declare
  v_id bigint;
begin
  perform sync.require_service();
  perform sync.require_known_fields(p_source,
    '{source_name,base_path,auth_in,auth_name,auth_prefix,budget_scope,requests_per_second,'
      'max_in_flight,status_classes,success_path,message_path}',
    '{source_name}');
  perform sync.require_status_classes(coalesce(p_source -> 'status_classes', '{}'));
  insert into public.sync_sources
    as s (source_name, base_path, auth_in, auth_name, auth_prefix, budget_scope,
    requests_per_second, max_in_flight, status_classes, success_path, message_path)
  select r.source_name, coalesce(r.base_path, ''), coalesce(r.auth_in, 'header'),
    coalesce(r.auth_name, 'Authorization'),
    coalesce(r.auth_prefix, 'Bearer '), coalesce(r.budget_scope, 'instance'),
    case when p_source ? 'requests_per_second' then r.requests_per_second else 5 end,
    case when p_source ? 'max_in_flight' then r.max_in_flight else 10 end,
    '{"2xx": "page", "408": "transient", "425": "transient", "429": "rate_limited",
    "5xx": "transient", "other": "permanent"}'::jsonb
      || coalesce(r.status_classes, '{}'),
    r.success_path, coalesce(r.message_path, '{message}')
  from jsonb_populate_record(null::public.sync_sources, p_source) as r
  on conflict (source_name) do update set
    base_path = excluded.base_path, auth_in = excluded.auth_in, auth_name = excluded.auth_name,
    auth_prefix = excluded.auth_prefix,
    budget_scope = excluded.budget_scope, requests_per_second = excluded.requests_per_second,
    max_in_flight = excluded.max_in_flight, status_classes = excluded.status_classes,
    success_path = excluded.success_path, message_path = excluded.message_path
  returning s.id into v_id;
  update public.sync_workspaces set source_id = source_id where source_id = v_id;
  return jsonb_build_object('source_id', v_id, 'source_name', p_source ->> 'source_name');
exception when check_violation or invalid_text_representation or numeric_value_out_of_range then
  raise exception using errcode = 'SY006',
    message = format('source %L: %s', p_source ->> 'source_name', sqlerrm),
    hint = 'The columns of sync_sources say what each field takes.';
end; $$;
comment on function public.declare_source(jsonb) is
$$Add an API or declare it anew: the fields are the columns of sync_sources, what is left out has
its default. Returns: {"source_id", "source_name"}. Raises: SY006 unknown, missing or bad field.
Locks: the source and its workspaces.$$;

create function sync.require_function(p_name text, p_argument_type text, p_return_type regtype)
  returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (
    select 1 from pg_catalog.pg_proc
    where oid = to_regprocedure(format('%s(%s)', p_name, p_argument_type))
      and prorettype = p_return_type and not proretset
  ) then
    raise exception using errcode = 'SY006',
      message = format('there is no function %s(%s) that returns %s', p_name, p_argument_type,
      p_return_type),
      hint = 'Create it first, schema named; the columns of sync_streams say what it does.';
  end if;
end; $$;
comment on function sync.require_function(text, text, regtype) is
$$Raises: SY006 unless a function of that name takes such an argument and returns one such value.$$;

create function sync.require_target_table(p_name text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_missing text;
begin
  select string_agg(c, ', ') into v_missing
  from unnest('{workspace_id,id,raw,last_changed_at,deleted_at,unlisted_at}'::text[]) as c
  where not exists (
    select 1 from pg_catalog.pg_attribute as a
    where a.attrelid = to_regclass(p_name) and a.attname = c and not a.attisdropped);
  if v_missing is not null then
    raise exception using errcode = 'SY006',
      message = format('table %s does not exist or lacks: %s', p_name, v_missing),
      hint = 'Name it with its schema; an apply function fills it.';
  end if;
end; $$;
comment on function sync.require_target_table(text) is
$$Raises: SY006 unless the table exists with the columns that closing needs.$$;

create function sync.write_stream(p_source_id bigint, p_stream jsonb) returns public.sync_streams
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_assignments text;
  v_stream public.sync_streams;
begin
  select string_agg(format(
    case when p_stream ->> a.attname is null then '%1$I = default' else '%1$I = r.%1$I' end,
    a.attname), ', ')
  into v_assignments
  from pg_catalog.pg_attribute as a
  where a.attrelid = 'public.sync_streams'::regclass and a.attnum > 0 and not a.attisdropped
    and a.attname <> all ('{id,source_id,stream_name,created_at}');
  insert into public.sync_streams (source_id, stream_name, path, page_size)
  values (p_source_id, p_stream ->> 'stream_name', p_stream ->> 'path',
    (p_stream ->> 'page_size')::int)
  on conflict (source_id, stream_name) do nothing;
  execute format(
    'update public.sync_streams as s set %s from jsonb_populate_record(null::public.sync_streams,
      $1) as r
     where s.source_id = $2 and s.stream_name = $3', v_assignments)
  using p_stream, p_source_id, p_stream ->> 'stream_name';
  select * into strict v_stream from public.sync_streams
  where source_id = p_source_id and stream_name = p_stream ->> 'stream_name';
  return v_stream;
end; $$;
comment on function sync.write_stream(bigint, jsonb) is
$$Write a stream's row: given fields as given, the others at their defaults. Returns: the row.
Raises: what the row's checks raise. Locks: the row.$$;

create function public.declare_stream(p_stream jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
declare
  v_source_id bigint;
  v_stream public.sync_streams;
begin
  perform sync.require_service();
  perform sync.require_known_fields(p_stream,
    array(select attname::text from pg_catalog.pg_attribute
      where attrelid = 'public.sync_streams'::regclass and attnum > 0 and not attisdropped
        and attname <> all ('{id,source_id,created_at}')) || array['source_name'],
    '{source_name,stream_name,path,page_size}');
  perform sync.require_status_classes(coalesce(p_stream -> 'status_classes', '{}'));
  select id into v_source_id from public.sync_sources
  where source_name = p_stream ->> 'source_name';
  if v_source_id is null then
    raise exception using errcode = 'SY003',
      message = format('there is no source %L', p_stream ->> 'source_name'),
      hint = 'declare_source() adds one.';
  end if;
  v_stream := sync.write_stream(v_source_id, p_stream);
  perform sync.require_function(v_stream.apply_function, 'sync.incoming_record[]',
    'sync.changed_record[]'::regtype);
  perform sync.require_function(v_stream.close_function, 'bigint', 'void'::regtype)
    where v_stream.close_function is not null;
  perform sync.require_target_table(v_stream.target_table);
  return jsonb_build_object('stream_id', v_stream.id, 'stream_name', v_stream.stream_name);
exception when check_violation or invalid_text_representation or numeric_value_out_of_range
  or array_subscript_error then
  raise exception using errcode = 'SY006',
    message = format('stream %L: %s', p_stream ->> 'stream_name', sqlerrm),
    hint = 'The columns of sync_streams say what each field takes.';
end; $$;
comment on function public.declare_stream(jsonb) is
$$Add a stream to a source or declare it anew: the fields are the columns of sync_streams, what is
left out has its default. Returns: {"stream_id", "stream_name"}. Raises: SY003 unknown source, SY006
unknown, missing or bad field. Locks: the stream.$$;

revoke all on function
  sync.write_stream, sync.require_status_classes, sync.require_known_fields,
  sync.require_function, sync.require_target_table, public.declare_source, public.declare_stream
from public, anon, authenticated, service_role;
grant execute on function public.declare_source, public.declare_stream to service_role;
