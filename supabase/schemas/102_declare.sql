-- Declare: sources and streams are rows; a declaration is checked before it is one.
-- Stands on: workspaces, declared_templates, declared_fields, targets, declared_together, records,
--   declared_tables, column_fills.

create function sync.require_new_name(p_what text, p_declared jsonb, p_field text, p_names text[])
  returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_name text := p_declared ->> p_field;
  v_other text := (
    select min(x.name) from unnest(p_names) as x (name)
    where sync.name_key(x.name) = sync.name_key(v_name));
begin
  if v_other is not null and v_name <> all (p_names) then
    perform sync.refuse_field(p_what, p_declared, p_field, format('the name %L, as the one that '
      'there is is written, or one that differs from it in more than case', v_other));
  end if;
end; $$;
comment on function sync.require_new_name(text, jsonb, text, text[]) is
$$Raises: SY006 where a declaration would add a second source or stream whose name a person takes
for that of the first.$$;

create function sync.write_source(p_source jsonb, out o_id bigint, out o_before jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_fields('source', p_source, '{source_name}');
  perform sync.require_source_together(p_source);
  perform sync.require_new_name('source', p_source, 'source_name', array(
    select source_name from public.sync_sources));
  o_before := (
    select to_jsonb(so) from public.sync_sources as so
    where so.source_name = p_source ->> 'source_name');
  insert into public.sync_sources
    as s (source_name, base_path, auth, token_url, token_params, token_auth, reset_header,
    retry_after_path, auth_in, auth_name, auth_prefix, budget_scope,
    requests_per_second, max_in_flight, status_classes, success_path, message_path, class_rules)
  select r.source_name, coalesce(r.base_path, ''), coalesce(r.auth, 'key'), r.token_url,
    coalesce(r.token_params, '{}'), coalesce(r.token_auth, 'form'), r.reset_header,
    r.retry_after_path,
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
    token_params = excluded.token_params, token_auth = excluded.token_auth,
    reset_header = excluded.reset_header,
    retry_after_path = excluded.retry_after_path, auth_in = excluded.auth_in,
    auth_name = excluded.auth_name, auth_prefix = excluded.auth_prefix,
    budget_scope = excluded.budget_scope, requests_per_second = excluded.requests_per_second,
    max_in_flight = excluded.max_in_flight, status_classes = excluded.status_classes,
    success_path = excluded.success_path, message_path = excluded.message_path,
    class_rules = excluded.class_rules
  returning s.id into o_id;
end; $$;
comment on function sync.write_source(jsonb, out bigint, out jsonb) is
$$Check a source's declaration and write its row. Returns: its id, and the row before. Raises: SY006
unknown, missing or bad field. Locks: the row.$$;

create function sync.follow_source(p_id bigint, p_before jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_before public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_before);
begin
  perform 1 from public.sync_workspaces where source_id = p_id order by id for no key update;
  update public.sync_workspaces as w
  set source_id = w.source_id,
  access_revision = w.access_revision + (v_before.base_path <> so.base_path)::int
  from public.sync_sources as so where so.id = p_id and w.source_id = so.id;
  if exists (
    select 1 from public.sync_sources as so where so.id = p_id
      and (v_before.auth, v_before.token_url, v_before.token_params, v_before.token_auth)
        is distinct from (so.auth, so.token_url, so.token_params, so.token_auth)) then
    -- Another endpoint's token is no token; the grant stays, and is tried again.
    update sync.workspace_tokens as t
    set expires_at = sync.now(), refused_until = least(t.refused_until, sync.now())
    from (
      select workspace_id from sync.workspace_tokens where source_id = p_id
      order by workspace_id for no key update
    ) as held
    where t.workspace_id = held.workspace_id;
  end if;
end; $$;
comment on function sync.follow_source(bigint, jsonb) is
$$What a source's workspaces take from its row, after it was written. Locks: the workspaces by id,
their budgets, their tokens by workspace.$$;

create function public.declare_source(p_source jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_written record;
begin
  perform sync.require_service();
  v_written := sync.write_source(p_source);
  perform sync.follow_source(v_written.o_id, v_written.o_before);
  return jsonb_build_object('source_id', v_written.o_id, 'source_name',
    p_source ->> 'source_name');
end; $$;
comment on function public.declare_source(jsonb) is
$$Add an API or declare it anew: the fields are the columns of sync_sources, what is left out has
its default. With another base path its workspaces' live runs begin again. Returns: {"source_id",
"source_name"}. Raises: SY006 unknown, missing or bad field. Locks: the source, its workspaces by
id, their budgets.$$;

create function sync.require_function(p_stream jsonb, p_field text, p_argument_types text,
  p_return_type regtype) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_call text := format('%s(%s)', p_stream ->> p_field, p_argument_types);
  v_function regprocedure;
begin
  if p_stream ->> p_field is null then
    return;
  end if;
  begin
    v_function := to_regprocedure(v_call);
  exception when data_exception or syntax_error_or_access_rule_violation then
    v_function := null;  -- no name at all
  end;
  if not exists (
    select 1 from pg_catalog.pg_proc as f
    join pg_catalog.pg_namespace as n on n.oid = f.pronamespace
    where f.oid = v_function and f.prokind = 'f' and not starts_with(n.nspname, 'pg_')
      and f.prorettype = p_return_type and f.proretset = (p_return_type = 'record'::regtype)
  ) then
    perform sync.refuse_field('stream', p_stream, p_field, format('the name, with its schema, of an '
      'existing function of (%s) that returns %s', p_argument_types,
      case p_return_type when 'record'::regtype then 'a table' else p_return_type::text end));
  end if;
end; $$;
comment on function sync.require_function(jsonb, text, text, regtype) is
$$Raises: SY006 unless the function that a field names, if it names one, takes such arguments and
returns one such value, or, of type record, a table.$$;

create function sync.require_own_upsert(p_stream jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_name text := coalesce(p_stream ->> 'apply_function', 'sync.apply_synced_records');
  v_function regprocedure := to_regprocedure(v_name || '(sync.incoming_record[])');
  v_written regclass;
begin
  select t.target into v_written from sync.target_tables as t
  join pg_catalog.pg_class as c on c.oid = t.target
  where to_regprocedure(t.upsert_name || '(sync.incoming_record[])') = v_function
    and t.target is distinct from to_regclass(p_stream ->> 'target_table');
  if found then
    perform sync.refuse_field('stream', p_stream, 'apply_function', format('the function that '
      'writes target_table, which is %s; %s writes %s', p_stream ->> 'target_table', v_name,
      v_written));
  end if;
end; $$;
comment on function sync.require_own_upsert(jsonb) is
$$Raises: SY006 where the apply function of a stream is one that was made for another table than its
own.$$;

create function sync.require_uncut_parents(p_given jsonb, p_source_id bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_cut record;
begin
  select child.stream_name, parent.stream_name as parent_name, t.field, t.said into v_cut
  from public.sync_streams as child
  join public.sync_streams as parent on parent.source_id = child.source_id
    and parent.stream_name = child.parent_stream
  cross join jsonb_array_elements(parent.drop_paths) as d (path)
  cross join sync.placed_templates(child) as t
  where child.source_id = p_source_id and t.name = 'parent'
    and p_given ->> 'stream_name' in (child.stream_name, parent.stream_name)
    and (parent.parent_stream is null or t.path[1] <> 'parent')
    and to_jsonb(t.path[:jsonb_array_length(d.path)]) = d.path
  order by child.id limit 1;
  if v_cut.stream_name = p_given ->> 'stream_name' then
    perform sync.refuse_field('stream', p_given, v_cut.field,
      format('what the parents keep: drop_paths of the stream %L cuts %s', v_cut.parent_name,
        v_cut.said));
  elsif found then
    perform sync.refuse_field('stream', p_given, 'drop_paths',
      format('paths that spare %s, which stands in %s of the stream %L', v_cut.said, v_cut.field,
        v_cut.stream_name));
  end if;
end; $$;
comment on function sync.require_uncut_parents(jsonb, bigint) is
$$Raises: SY006 where requests of a stream, or of its children, take of a parent what its drop_paths
cut.$$;

create function sync.require_parents(p_given jsonb, p_source_id bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
    perform sync.refuse_field('stream', p_given, 'completeness',
      format('that of a list: the stream %L has it as its parents', v_wrong.stream_name));
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
end; $$;
comment on function sync.require_parents(jsonb, bigint) is
$$Raises: SY006 unless the parents that streams of a source name are lists of it, and none is its
own.$$;

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
    and a.attname <> all ('{id,source_id,stream_name,revision,created_at}');
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

create function sync.require_same_scope(p_before public.sync_streams, p_given jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
  v_target regclass := to_regclass(p_given ->> 'target_table');
  v_has_rows boolean;
begin
  if p_before.id_scope = coalesce(p_given ->> 'id_scope', 'global') then
    return;
  end if;
  -- What another is writing at this moment is no row yet.
  begin
    execute format('lock table %s in share row exclusive mode', v_target);
  exception when lock_not_available then
    raise exception using errcode = '55P03',
      message = format('%s is in use: whether it has rows by another id_scope is not known',
        v_target),
      hint = 'Nothing was declared. Try again; a long transaction may hold the table.';
  end;
  execute format('select exists (select 1 from %s as t where %s)', v_target,
    case when sync.is_shared_target(v_target) then 't.stream_id = $1' else 'true' end)
  into v_has_rows using p_before.id;
  if v_has_rows then
    perform sync.refuse_field('stream', p_given, 'id_scope', format('%s, as its rows in %s have '
      'their ids: by another each record would be there twice; a stream of another name, or '
      'another target_table, takes another', p_before.id_scope, v_target));
  end if;
end; $$;
comment on function sync.require_same_scope(public.sync_streams, jsonb) is
$$Raises: SY006 where a stream that has rows would make its ids otherwise, 55P03 the table was not
free within 2 s. Locks: where they would, the table against writing.$$;

create function sync.write_declared_stream(p_stream jsonb, out o_id bigint, out o_source_id bigint,
  out o_asks_whose_keys boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source public.sync_sources;
  v_source_id bigint;
  v_before public.sync_streams;
  v_stream public.sync_streams;
  v_given jsonb;
  v_table jsonb;
begin
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
  perform sync.require_new_name('stream', p_stream, 'stream_name', array(
    select stream_name from public.sync_streams where source_id = v_source_id));
  select * into v_before from public.sync_streams
  where source_id = v_source_id and stream_name = p_stream ->> 'stream_name' for no key update;
  if p_stream ->> 'columns' is not null then
    v_table := sync.make_table(p_stream, v_source_id);
    v_given := p_stream || (v_table - 'added');
    v_stream := sync.write_stream(v_source_id, v_given);
    perform sync.write_columns(v_before, v_stream, v_table -> 'added');
  else
    v_given := p_stream || jsonb_build_object('target_table',
      sync.require_target_table(p_stream, v_source_id));
    perform sync.require_same_scope(v_before, v_given) where v_before.id is not null;
    v_stream := sync.write_stream(v_source_id, v_given);
  end if;
  perform sync.require_function(v_given, f.field, f.takes, f.gives) from (values
    ('apply_function', 'sync.incoming_record[]', 'sync.changed_record[]'::regtype),
    ('close_function', 'bigint', 'void'),
    ('stage_function', 'bigint, text[]', 'record'),
    ('shown_function', 'bigint[], bigint[], text[]', 'record'),
    ('warn_function', 'bigint', 'text[]')) as f (field, takes, gives);
  perform sync.require_own_upsert(v_given);
  perform sync.require_parents(p_stream, v_source_id);
  perform sync.require_uncut_parents(p_stream, v_source_id);
  if v_before.id is not null and v_before is distinct from v_stream then
    update public.sync_streams set revision = revision + 1 where id = v_stream.id;
  end if;
  o_id := v_stream.id;
  o_source_id := v_source_id;
  o_asks_whose_keys := v_stream.completeness = 'connection'
    and (v_stream.completeness, v_stream.path, v_stream.id_path) is distinct
      from (v_before.completeness, v_before.path, v_before.id_path);
exception when unique_violation then
  raise exception using errcode = 'SY006',
    message = format('stream "%s": completeness is "connection"; it takes that once in a source, '
      'and %L has such a stream already', p_stream ->> 'stream_name', p_stream ->> 'source_name'),
    hint = 'select stream_name from sync_streams where completeness = ''connection'' names it.';
end; $$;
comment on function sync.write_declared_stream(jsonb) is
$$Check a stream's declaration and write its row, its table, and what these change. Returns: the
stream's id and its source's, and whether that one's workspaces have to be asked whose their keys
are. Raises: as
declare_stream(). Locks: as that does, but no workspace.$$;

create function sync.ask_whose_keys(p_source_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform 1 from public.sync_workspaces where source_id = p_source_id order by id for no key update;
  update public.sync_workspaces set
    key_owner = null, key_owner_id = null, access_revision = access_revision + 1,
    key_status = case when key_status in ('accepted', 'other_workspace') then 'unchecked'
    else key_status end
  where source_id = p_source_id;
end; $$;
comment on function sync.ask_whose_keys(bigint) is
$$Another stream tells whose the keys of a source are: what was known of them is not. Locks: its
workspaces by id.$$;

create function public.declare_stream(p_stream jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_written record;
begin
  perform sync.require_service();
  v_written := sync.write_declared_stream(p_stream);
  perform sync.ask_whose_keys(v_written.o_source_id) where v_written.o_asks_whose_keys;
  return jsonb_build_object('stream_id', v_written.o_id, 'stream_name',
    p_stream ->> 'stream_name');
end; $$;
comment on function public.declare_stream(jsonb) is
$$Add a stream to a source or declare it anew: the fields are the columns of sync_streams, what is
left out has its default. With columns a table is made, adopted or widened. Another content than
before has its live runs begin again, and what they missed forgotten; one that tells whose a key is
has every key of its source asked about anew. Returns: {"stream_id", "stream_name"}. Raises: SY003
unknown source, SY006 unknown, missing or bad field, 55P03 the table that gets a column, or other
ids, was not free within 2 s. Locks: the stream, its table where it gets these, its registration,
missing records by key, then runs that hold some back, for one that tells whose a key is the
source's workspaces.$$;

create function public.stream_sql(p_stream text, p_source text default null) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_sources text[];
  v_stream public.sync_streams;
  v_given jsonb;
  v_upsert_name text;
begin
  perform sync.require_service();
  select array_agg(so.source_name order by so.source_name) into v_sources
  from public.sync_streams as st join public.sync_sources as so on so.id = st.source_id
  where st.stream_name = p_stream and so.source_name = coalesce(p_source, so.source_name);
  if v_sources is null then
    raise exception using errcode = 'SY003',
      message = format('there is no stream %L%s', p_stream,
        ' of the source ' || quote_literal(p_source)),
      hint = 'select stream_name from sync_streams lists them; declare_stream() adds one.';
  elsif cardinality(v_sources) > 1 then
    raise exception using errcode = 'SY006',
      message = format('a stream %L have the sources %s', p_stream,
        array_to_string(v_sources, ', ')),
      hint = format('select stream_sql(%L, %L)', p_stream, v_sources[1]);
  end if;
  select st.* into strict v_stream
  from public.sync_streams as st join public.sync_sources as so on so.id = st.source_id
  where st.stream_name = p_stream and so.source_name = v_sources[1];
  select t.upsert_name into v_upsert_name from sync.target_tables as t
  where t.target = to_regclass(v_stream.target_table)
    and t.upsert_name = v_stream.apply_function;
  v_given := to_jsonb(v_stream) || jsonb_build_object('source_name', v_sources[1]);
  return concat_ws(chr(10),
    case when v_stream.columns is not null
      then sync.table_sql(v_stream.target_table, v_given) end,
    case when v_stream.columns is not null
      then sync.access_sql(v_stream.target_table, v_given) end,
    case when v_upsert_name is not null then btrim(sync.upsert_sql(v_upsert_name,
        to_regclass(v_stream.target_table), v_stream.columns), chr(10))
      else pg_catalog.pg_get_functiondef((
        select f.oid from pg_catalog.pg_proc as f
        where f.oid = to_regprocedure(v_stream.apply_function || '(sync.incoming_record[])')))
      end);
end; $$;
comment on function public.stream_sql(text, text) is
$$What a stream's records go through, to read or to keep: its table, if it declares one, with
rights, policy and revokes, and the function that writes it. The source has to be named where
several have such a stream. Returns: SQL. Raises: SY003 no such stream, SY006 several.$$;

revoke all on function
  sync.require_new_name, sync.write_source, sync.follow_source, sync.write_stream,
  sync.require_function,
  sync.require_own_upsert, sync.require_uncut_parents, sync.require_parents,
  sync.require_same_scope,
  sync.write_declared_stream, sync.ask_whose_keys, public.declare_source,
  public.declare_stream, public.stream_sql
from public, anon, authenticated, service_role;
grant execute on function
  public.declare_source, public.declare_stream, public.stream_sql
to service_role;
