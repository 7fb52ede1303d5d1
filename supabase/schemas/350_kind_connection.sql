-- Connections: whose key it is, asked before a workspace writes its first row with it.
-- Stands on: workspaces, streams, declared_fields, answers, close, begin.

create function sync.is_key_unproven(p_workspace public.sync_workspaces) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (p_workspace.key_owner_id = p_workspace.external_id) is not true
    and sync.connection_path(p_workspace.source_id) is not null;
end; $$;
comment on function sync.is_key_unproven(public.sync_workspaces) is
$$Returns: whether a workspace's key may be another workspace's: its source tells whose keys are,
and was not asked about this one yet, or named another owner.$$;

create function sync.begin_connection(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.begin_phase(p_run_ids, 'connect');
end; $$;
comment on function sync.begin_connection(bigint[]) is
$$The one request of runs. The caller holds their locks, or made them.$$;

create function sync.read_connection(p_page sync.page_in_hand, p_source public.sync_sources)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_stream public.sync_streams;
  v_owner_id text;
begin
  select * into strict v_stream from public.sync_streams
  where source_id = p_source.id and completeness = 'connection';
  v_owner_id := sync.trim_blanks(p_page.answer #>> v_stream.id_path);
  -- What could be anybody's tells two owners apart as little as nothing does.
  if (v_owner_id <> '' and jsonb_typeof(p_page.answer #> v_stream.id_path) in ('string', 'number')
    and (p_page.is_mended and strpos(v_owner_id, chr(65533)) > 0) is not true) is not true then
    perform sync.refuse_shape(format('the answer does not tell whose key it is at %s: there is %s',
      array_to_string(v_stream.id_path, '.'),
      coalesce(sync.shown(p_page.answer #> v_stream.id_path), 'nothing')),
      'declare_stream() says where the id of a key''s owner stands, a text or a number.');
  end if;
  v_page.key_owner := jsonb_build_object('id', v_owner_id, 'name',
    p_page.answer #>> v_stream.name_path);
  v_page.answer := '[]';
  return v_page;
end; $$;
comment on function sync.read_connection(sync.page_in_hand, public.sync_sources) is
$$Returns: the page with the id and name of the workspace that the key belongs to; the rest of the
answer is dropped, secrets with it. Raises: SY010.$$;

create function sync.note_key_owners(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_said record;
  v_is_taken boolean;
begin
  perform 1 from public.sync_workspaces where id in (
    select p.workspace_id from unnest(p_pages) as p where p.kind = 'connection'
      and (p.verdict).outcome = 'completed')
  order by id for no key update;
  -- In the order of the owners: two calls that name the same ones do not wait for each other.
  for v_said in
    select p.workspace_id, r.access_revision, p.key_owner ->> 'id' as owner_id,
      concat_ws(' ', p.key_owner ->> 'id', '(' || (p.key_owner ->> 'name') || ')') as owner
    from unnest(p_pages) as p
    join public.workspace_sync_runs as r on r.id = p.run_id and r.scan = p.scan
    where p.kind = 'connection' and (p.verdict).outcome = 'completed'
    order by p.key_owner ->> 'id', p.workspace_id
  loop
    begin
      v_is_taken := false;
      update public.sync_workspaces as w set
        key_owner = v_said.owner, key_owner_id = v_said.owner_id, key_checked_at = sync.now(),
        external_id = coalesce(w.external_id, v_said.owner_id),
        is_external_id_found = w.is_external_id_found or w.external_id is null,
        key_status = case when w.external_id <> v_said.owner_id then 'other_workspace'
        else 'accepted' end
      where w.id = v_said.workspace_id and w.access_revision = v_said.access_revision;
    exception when unique_violation or sqlstate 'SY019' then
      v_is_taken := true;
    end;
    update public.sync_workspaces as w set
      key_owner = v_said.owner, key_owner_id = v_said.owner_id, key_checked_at = sync.now(),
      key_status = 'other_workspace'
    where v_is_taken and w.id = v_said.workspace_id
      and w.access_revision = v_said.access_revision;
  end loop;
end; $$;
comment on function sync.note_key_owners(sync.page_in_hand[]) is
$$Write whose keys they are. The first owner seen is the workspace's external id from then on, where
none was given; a key of another one, or of another workspace that is registered for that instance,
is refused. An answer to the key before, whose run has to begin again, says nothing. The caller
holds the runs' locks. Locks: the workspaces by id.$$;

create function sync.advance_connection(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
          and x.instance = v_workspace.instance and x.external_id = v_workspace.key_owner_id),
        'not to this one'))
    where id = p_run.id;
    perform sync.close_run(p_run.id, 'failed', null);
  elsif exists (select 1 from public.sync_streams
    where id = p_run.stream_id and completeness = 'connection') then
    perform sync.close_run(p_run.id, 'completed', null);
  else
    perform sync.begin_kinds(array[p_run.id]);
  end if;
end; $$;
comment on function sync.advance_connection(public.workspace_sync_runs) is
$$The key's owner is known: go on to what the run is for, or end it before it wrote anything. The
caller holds the run's lock.$$;

revoke all on function
  sync.is_key_unproven, sync.read_connection, sync.note_key_owners, sync.advance_connection,
  sync.begin_connection
from public, anon, authenticated, service_role;
