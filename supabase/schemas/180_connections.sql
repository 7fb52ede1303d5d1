-- Connections: whose key it is, asked before a workspace writes its first row with it.
-- Stands on: answers.

create function sync.connection_path(p_source_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select path from public.sync_streams
    where source_id = p_source_id and completeness = 'connection');
end; $$;
comment on function sync.connection_path(bigint) is
$$Returns: where a source tells whose key it is, or null if it does not.$$;

create function sync.is_key_unproven(p_workspace public.sync_workspaces) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return p_workspace.key_status <> 'accepted' and p_workspace.external_id is not null
    and p_workspace.key_owner_id is distinct from p_workspace.external_id
    and sync.connection_path(p_workspace.source_id) is not null;
end; $$;
comment on function sync.is_key_unproven(public.sync_workspaces) is
$$Returns: whether a workspace's key may be another workspace's: its owner can be compared with the
registered external id, and was not yet, or is another one. Nothing fetched with it is applied.$$;

create function sync.read_connection(p_page sync.page_in_hand, p_source public.sync_sources)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.read_connection(sync.page_in_hand, public.sync_sources) is
$$Returns: the page with the id and name of the workspace that the key belongs to; the rest of the
answer is dropped, secrets with it. Raises: SY010.$$;

create function sync.note_key_owners(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_workspaces as w set
    key_owner = concat_ws(' ', p.key_owner ->> 'id', '(' || (p.key_owner ->> 'name') || ')'),
    key_owner_id = p.key_owner ->> 'id',
    key_checked_at = sync.now(),
    key_status = case when w.external_id <> p.key_owner ->> 'id' then 'other_workspace'
    else 'accepted' end
  from (
    select given.* from unnest(p_pages) as given
    join public.workspace_sync_runs as r on r.id = given.run_id and r.scan = given.scan
    where given.kind = 'connection' and given.outcome = 'completed' order by given.workspace_id
  ) as p
  where w.id = p.workspace_id;
end; $$;
comment on function sync.note_key_owners(sync.page_in_hand[]) is
$$Write whose keys they are; a key of another workspace than the registered external id is refused
from then on. An answer to the key before, whose run has begun again meanwhile, says nothing. The
caller holds the runs' locks. Locks: the workspaces.$$;

create function sync.advance_connection(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_workspace public.sync_workspaces;
  v_completeness text;
begin
  select * into strict v_workspace from public.sync_workspaces where id = p_run.workspace_id;
  select completeness into strict v_completeness from public.sync_streams
  where id = p_run.stream_id;
  if v_workspace.key_status = 'other_workspace' then
    update public.workspace_sync_runs
    set error_message = format('its key belongs to workspace %s, not to %s. '
      'rotate_workspace_key() gives it its own.',
      v_workspace.key_owner, v_workspace.external_id) where id = p_run.id;
    perform sync.close_run(p_run.id, 'failed', null);
  elsif v_completeness = 'connection' then
    perform sync.close_run(p_run.id, 'completed', null);
  elsif v_completeness = 'items' then
    perform sync.open_items(p_run.id);
  else
    perform sync.begin_pages(p_run.id);
  end if;
end; $$;
comment on function sync.advance_connection(public.workspace_sync_runs) is
$$The key's owner is known: go on to what the run is for, or end it before it wrote anything. The
caller holds the run's lock.$$;

revoke all on function
  sync.connection_path, sync.is_key_unproven, sync.read_connection, sync.note_key_owners,
  sync.advance_connection
from public, anon, authenticated, service_role;
