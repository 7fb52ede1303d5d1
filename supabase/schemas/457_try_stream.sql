-- Trying a declaration: the verbs.
-- Stands on: grants, templates, declared_fields, declare, parent_rows, declarations.

create function sync.rows_to_try(p_declaration jsonb, p_source_name text, p_stream text,
  out o_source jsonb, out o_stream jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_is_file boolean := p_declaration ?| '{source,streams}';
  v_source_name text := case when v_is_file then p_declaration #>> '{source,source_name}'
    else p_source_name end;
  v_stream_name text := coalesce(p_stream, case
    when not v_is_file then p_declaration ->> 'stream_name'
    when jsonb_array_length(p_declaration -> 'streams') = 1
    then p_declaration #>> '{streams,0,stream_name}' end);
begin
  begin
    if v_is_file then
      perform sync.declare_all(p_declaration);
    elsif p_declaration - '{source_name,stream_name}'::text[] <> '{}' then
      perform public.declare_stream(p_declaration
        || jsonb_build_object('source_name', p_source_name));
    end if;
    select to_jsonb(so), to_jsonb(st) into o_source, o_stream
    from public.sync_sources as so join public.sync_streams as st on st.source_id = so.id
    where so.source_name = v_source_name and st.stream_name = v_stream_name;
    raise exception 'this was a trial';
  exception when raise_exception then
    null;
  end;
  if o_stream is null then
    raise exception using errcode = 'SY003', message = case when v_stream_name is null
        then 'the declaration has several streams, and none is named'
        else format('there is no stream %L of source %L', v_stream_name, v_source_name) end,
      hint = 'select stream_name from sync_streams lists those that are declared; p_stream says '
        'which one of a declaration is tried.';
  end if;
  if v_source_name <> p_source_name then
    raise exception using errcode = 'SY006',
      message = format('the workspace speaks %L, and the stream is one of %L', p_source_name,
        v_source_name),
      hint = 'Name a workspace of that source; register_workspace() adds one.';
  end if;
end; $$;
comment on function sync.rows_to_try(jsonb, text, text) is
$$Returns: the rows of a source and a stream as they would be declared, or are; they are taken back.
Raises: SY003 no such stream, SY006 as declaring does.$$;

create function sync.some_parent(p_workspace_id bigint, p_stream jsonb, out o_parent jsonb,
  out o_id text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_stream);
  v_parent public.sync_streams := sync.parent_of(v_stream);
  v_rows sync.live_row[];
begin
  if v_parent.id is null then
    return;
  end if;
  v_rows := array(
    select l from sync.live_rows(v_parent.id, p_workspace_id, null, null, 1) as l);
  o_id := v_rows[1].record_id;
  o_parent := (sync.parent_values(v_parent, p_workspace_id, v_rows,
    sync.parent_paths(v_stream)))[1];
end; $$;
comment on function sync.some_parent(bigint, jsonb) is
$$Returns: of a live record of a stream's parent in a workspace its id, and what the stream's
templates take of it, as of a list that a run reads, and nothing else; null if there is none.$$;

create function public.try_stream(p_declaration jsonb, p_workspace text,
  p_stream text default null) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_workspace public.sync_workspaces;
  v_source_name text;
  v_rows record;
  v_parent record;
  v_is_item boolean;
  v_changed text;
  v_id bigint;
begin
  perform sync.require_service();
  select * into v_workspace from public.sync_workspaces
  where workspace_name = p_workspace and removed_at is null;
  if v_workspace.id is null then
    raise exception using errcode = 'SY002', message = format('there is no workspace %L',
        p_workspace),
      hint = 'select workspace_name from sync_workspaces lists them.';
  end if;
  select source_name into strict v_source_name from public.sync_sources
  where id = v_workspace.source_id;
  if coalesce(jsonb_typeof(p_declaration), 'null') <> 'object' then
    raise exception using errcode = 'SY006',
      message = format('the declaration is %s and no JSON object',
        coalesce(sync.shown(p_declaration), 'null')),
      hint = 'A stream as declare_stream() takes it, a source with its streams, or '
        '{"stream_name": …} of one that is declared.';
  end if;
  if p_declaration ?| '{source,streams}' then
    perform sync.require_declaration(p_declaration);
  end if;
  v_rows := sync.rows_to_try(p_declaration, v_source_name, p_stream);
  select string_agg(f.field, ', ') into v_changed
  from unnest('{auth,token_url,token_params,token_auth}'::text[]) as f (field)
  join public.sync_sources as so on so.id = v_workspace.source_id
    and to_jsonb(so) -> f.field is distinct from v_rows.o_source -> f.field
  where sync.is_oauth(v_rows.o_source ->> 'auth');
  if v_changed is not null then
    raise exception using errcode = 'SY006',
      message = format('the declaration changes %s, and access tokens are asked for as the source '
        'stands', v_changed),
      hint = 'Declare the source first: chunkwise streams declare, or apply_declaration().';
  end if;
  v_is_item := v_rows.o_stream ->> 'completeness' = 'items';
  v_parent := sync.some_parent(v_workspace.id, v_rows.o_stream);
  if v_rows.o_stream ->> 'parent_stream' is not null and v_parent.o_id is null then
    raise exception using errcode = 'SY005',
      message = format('stream %L is read of each record of %L, and workspace %L has none',
        v_rows.o_stream ->> 'stream_name', v_rows.o_stream ->> 'parent_stream', p_workspace),
      hint = 'start_sync_job() reads the parents first.';
  end if;
  insert into sync.stream_tries (workspace_id, budget_id, source, stream, request_id, kind, page,
    record_id, reading)
  -- A first answer is wanted, and no word that nothing changed.
  values (v_workspace.id, v_workspace.budget_id, v_rows.o_source,
    v_rows.o_stream || '{"conditional": false}',
    nextval('public.chunked_sync_jobs_id_seq'), case when v_is_item then 'item'
    else 'page' end, case when not v_is_item then 1 end,
    case when v_is_item then v_parent.o_id end,
    case when v_rows.o_stream ->> 'parent_stream' is not null and not v_is_item
    then jsonb_build_object('parent', v_parent.o_parent) end)
  returning id into v_id;
  return jsonb_build_object('try_id', v_id, 'workspace', v_workspace.workspace_name,
    'stream', v_rows.o_stream ->> 'stream_name');
end; $$;
comment on function public.try_stream(jsonb, text, text) is
$$Try a declaration with a workspace's key: a stream as declare_stream() takes it, {"stream_name"}
of one that is declared, or a source with its streams, of which p_stream names one. Nothing is
declared or written. A worker asks for pages 1 and 2 and one record by its own path, as a sync
would, in budget, outside of runs. Returns: {"try_id", "workspace", "stream"} at once;
get_stream_try() says what came of it. Raises: SY002, SY003, SY005 no parent to ask for, SY006 as
declare_stream(). Locks: as declaring, for a moment.$$;

create function public.get_stream_try(p_try_id bigint) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '5s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_try sync.stream_tries;
  v_stream public.sync_streams;
  v_first jsonb;
begin
  perform sync.require_service();
  select * into v_try from sync.stream_tries
  where id = p_try_id and coalesce(ended_at, 'infinity') > sync.now() - interval '1 hour';
  if v_try.id is null then
    raise exception using errcode = 'SY007', message = format('there is no try %s', coalesce(
        p_try_id::text, 'null')),
      hint = 'They are kept for an hour; try_stream() begins another.';
  end if;
  v_stream := jsonb_populate_record(null::public.sync_streams, v_try.stream);
  v_first := v_try.steps -> 0;
  return jsonb_build_object(
    'try_id', v_try.id, 'status', v_try.status, 'stream', v_stream.stream_name,
    'workspace', (select workspace_name from public.sync_workspaces where id = v_try.workspace_id),
    'error_message', v_try.error_message,
    'complaints', (
      select coalesce(jsonb_agg(c.complaint || jsonb_build_object('step', s.step -> 'step')
        order by s.n, c.n), '[]')
      from jsonb_array_elements(v_try.steps) with ordinality as s (step, n)
      cross join jsonb_array_elements(s.step -> 'complaints') with ordinality as c (complaint, n)),
    'planned', jsonb_build_object('completeness', v_stream.completeness,
      'position', sync.position_of(v_stream), 'records', v_first -> 'total',
      'pages', coalesce((v_first ->> 'last_page')::bigint,
        ceil((v_first ->> 'total')::numeric / v_stream.page_size)::bigint)),
    'written', jsonb_build_object('table', v_stream.target_table,
      'records_of_page_1', v_first -> 'records'),
    'fields', coalesce(v_first -> 'fields', '[]'),
    'steps', (select coalesce(jsonb_agg(s.step - 'fields' order by s.n), '[]')
      from jsonb_array_elements(v_try.steps) with ordinality as s (step, n)));
end; $$;
comment on function public.get_stream_try(bigint) is
$$What came of a try. Returns: {"try_id", "status": waiting, done or failed, "complaints": [{"step",
"what", "says"}], "planned": {"completeness", "position", "pages", "records"}, "written": {"table",
"records_of_page_1"}, "fields": [{"field", "types"}], "steps": [{"step", "request": without the key,
"status", "shape", "records", "first_ids", "total", "next", "ends", …}], "error_message"}; no
record. Raises: SY007 no such try, or older than an hour.$$;

revoke all on function
  sync.rows_to_try, sync.some_parent, public.try_stream, public.get_stream_try
from public, anon, authenticated, service_role;
grant execute on function public.try_stream, public.get_stream_try to service_role;
