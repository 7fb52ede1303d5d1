-- Declarations: a source with its streams, as a file has them: what would change, and what stands.
-- Stands on: declared_fields, declare.

create function sync.rows_of_source(p_source_name text) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('source', to_jsonb(so), 'streams', coalesce((
    select jsonb_object_agg(st.stream_name, to_jsonb(st)) from public.sync_streams as st
    where st.source_id = so.id), '{}'))
  from public.sync_sources as so where so.source_name = p_source_name;
$$;
comment on function sync.rows_of_source(text) is
$$Returns: {"source": its row, "streams": {name: row}}; null if there is no such source.$$;

create function sync.changed_fields(p_what text, p_before jsonb, p_after jsonb, p_given jsonb)
  returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
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
$$;
comment on function sync.changed_fields(text, jsonb, jsonb, jsonb) is
$$Returns: which fields of a declaration differ between two rows, [{"field", "old", "new"}]; of a
row that is new, those that were given.$$;

create function sync.require_declaration(p_declaration jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.require_declaration(jsonb) is
$$Raises: SY006 unless it is a source with its streams; what their fields say is not looked at.$$;

create function sync.declare_all(p_declaration jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source record;
  v_stream record;
  v_written record;
  v_asks_whose_keys boolean := false;
  v_message text;
  v_hint text;
begin
  v_source := sync.write_source(p_declaration -> 'source');
  for v_stream in
    select s.stream, s.n from jsonb_array_elements(p_declaration -> 'streams') with ordinality
      as s (stream, n) order by s.n
  loop
    begin
      v_written := sync.write_declared_stream(v_stream.stream
        || jsonb_build_object('source_name', p_declaration #>> '{source,source_name}'));
      v_asks_whose_keys := v_asks_whose_keys or v_written.o_asks_whose_keys;
    exception when sqlstate 'SY006' then
      get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
      raise exception using errcode = 'SY006', hint = v_hint,
        message = case when v_message like 'stream %' then v_message
        else format('stream %s: %s', coalesce(sync.shown(v_stream.stream -> 'stream_name'),
          v_stream.n::text), v_message) end;
    end;
  end loop;
  -- Workspaces come behind what streams lock.
  perform sync.ask_whose_keys(v_source.o_id) where v_asks_whose_keys;
  perform sync.follow_source(v_source.o_id, v_source.o_before);
end; $$;
comment on function sync.declare_all(jsonb) is
$$Declares a source, then its streams in their order. Raises: as declare_source() and
declare_stream(), with the stream's name. Locks: what streams lock, then what the source does.$$;

create function public.apply_declaration(p_declaration jsonb, p_is_trial boolean default false)
  returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '30s'
  set default_transaction_isolation = 'read committed' as $$
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
    if coalesce(p_is_trial, true) then
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
  return jsonb_build_object('source_name', v_name, 'is_applied', not coalesce(p_is_trial, true),
    'changes', v_changes, 'untouched', (
      select coalesce(jsonb_agg(k order by k), '[]')
      from jsonb_object_keys(coalesce(v_before -> 'streams', '{}')) as k
      where k not in (select s ->> 'stream_name'
        from jsonb_array_elements(p_declaration -> 'streams') as s)));
end; $$;
comment on function public.apply_declaration(jsonb, boolean) is
$$Declare a source with its streams, {"source": {…}, "streams": [{…}]}, all of it or nothing; as a
trial nothing stays. "about" is for people. Streams that it does not name stay as they are. Returns:
{"source_name", "is_applied", "changes": [{"what": source or stream, "name", "is_new", "live_runs":
how many begin again, "fields": [{"field", "old", "new"}]}], "untouched": streams of the source that
it does not name}. Raises: SY006 as declare_source() and declare_stream(). Locks: as those do.$$;

create function sync.undeclared_rows(out o_source jsonb, out o_stream jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_name text := 'defaults ' || gen_random_uuid();
begin
  begin
    perform public.declare_source(jsonb_build_object('source_name', v_name));
    perform public.declare_stream(jsonb_build_object('source_name', v_name, 'stream_name', v_name,
      'path', '/', 'page_size', 1));
    select to_jsonb(so), to_jsonb(st) into strict o_source, o_stream
    from public.sync_sources as so join public.sync_streams as st on st.source_id = so.id
    where so.source_name = v_name;
    raise exception 'this was a trial';
  exception when raise_exception then
    if o_stream is null then
      raise;
    end if;
  end;
end; $$;
comment on function sync.undeclared_rows() is
$$Returns: the rows of a source and of a stream of which nothing was said, read and taken back: what
declaring makes of a field that is left out stands in one place.$$;

create function sync.declaration_of(p_what text, p_row jsonb, p_defaults jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_object_agg(f.field, case when f.field = 'status_classes' then (
      select coalesce(jsonb_object_agg(c.key, c.value), '{}')
      from jsonb_each(p_row -> 'status_classes') as c
      where c.value is distinct from p_defaults -> 'status_classes' -> c.key)
    else p_row -> f.field end), '{}')
  from sync.declared_fields(p_what) as f
  where p_row ? f.field and (p_row -> f.field is distinct from p_defaults -> f.field
    or f.field = any ('{path,page_size}'))
    -- Of declared columns it is made.
    and not (f.field = 'apply_function' and p_row ->> 'columns' is not null);
$$;
comment on function sync.declaration_of(text, jsonb, jsonb) is
$$Returns: a row as a declaration that gives it: without what declaring would put there anyway.$$;

create function public.get_declarations(p_source text default null) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '30s'
  set default_transaction_isolation = 'read committed' as $$
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
      'source', sync.declaration_of('source', to_jsonb(so), v_defaults.o_source),
      'streams', (
        select coalesce(jsonb_agg(
          jsonb_build_object('source_name', so.source_name)
            || sync.declaration_of('stream', to_jsonb(st), v_defaults.o_stream)
          order by p.depth, st.id), '[]')
        from public.sync_streams as st
        join (select id, max(depth) as depth from placed group by id) as p on p.id = st.id
        where st.source_id = so.id)) order by so.id), '[]')
    from public.sync_sources as so where p_source is null or so.source_name = p_source));
end; $$;
comment on function public.get_declarations(text) is
$$What was declared, of one source or of all: a parent before its children, without what a field
that is left out means anyway. Returns: {"declarations": [{"source", "streams"}]}, each as
apply_declaration() takes it. Raises: SY003 unknown source. Locks: nothing that stays.$$;

revoke all on function
  sync.rows_of_source, sync.changed_fields, sync.require_declaration,
  sync.declare_all, sync.undeclared_rows, sync.declaration_of, public.apply_declaration,
  public.get_declarations
from public, anon, authenticated, service_role;
grant execute on function public.apply_declaration, public.get_declarations to service_role;
