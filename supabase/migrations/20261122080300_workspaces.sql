-- Workspaces: register, rotate a key, deactivate; the Email Bison tenants in the first user's
-- words.
-- Stands on: registry.

create function sync.hold_runs(p_workspace_name text) returns bigint[]
language plpgsql set search_path = '' as $$
begin
  return array(
    select r.id from public.workspace_sync_runs as r
    join public.sync_workspaces as w on w.id = r.workspace_id
    where w.workspace_name = p_workspace_name and r.status = 'running'
    order by r.id for no key update of r);
end; $$;
comment on function sync.hold_runs(text) is
$$Lock a workspace's live runs, as must be done before the workspace itself is locked. Returns:
their ids. Locks: the runs by id.$$;

create function sync.store_workspace_key(p_workspace_id bigint, p_api_key text, p_run_ids bigint[])
  returns void
language plpgsql set search_path = '' as $$
declare
  v_name text := 'chunkwise/workspace/' || p_workspace_id;
  v_secret_id uuid;
  v_is_same boolean;
begin
  if coalesce(btrim(p_api_key), '') = '' then
    raise exception using errcode = 'SY014', message = 'the key is empty',
      hint = 'Hand over the key that the API gave for this workspace.';
  end if;
  perform 1 from public.sync_workspaces where id = p_workspace_id for no key update;
  select id, decrypted_secret = btrim(p_api_key) into v_secret_id, v_is_same
  from vault.decrypted_secrets where name = v_name;
  if v_secret_id is null then
    v_secret_id := vault.create_secret(btrim(p_api_key), v_name,
      'API key of a Chunkwise workspace');
  else
    perform vault.update_secret(v_secret_id, btrim(p_api_key));
  end if;
  update public.sync_workspaces
  set secret_id = v_secret_id, key_status = 'unchecked', key_checked_at = null,
  key_owner = case when v_is_same then key_owner end,
  key_owner_id = case when v_is_same then key_owner_id end
  where id = p_workspace_id;
  if v_is_same is not true then
    perform sync.begin_again(id) from (
      select r.id from public.workspace_sync_runs as r
      join public.sync_workspaces as w on w.id = r.workspace_id
      where r.id = any (p_run_ids) and r.ending is null and (r.phase = 'connect'
        or r.phase <> 'parent' and sync.is_key_unproven(w)) order by r.id) as live;
  end if;
end; $$;
comment on function sync.store_workspace_key(bigint, text, bigint[]) is
$$Put a workspace's key into Vault, in place of the one before. Another key than before has its
owner asked before anything that was fetched with it is written: live runs begin again with that.
The caller holds these runs, see hold_runs(). Raises: SY014 empty. Locks: the workspace, pending
queue rows by SKIP LOCKED.$$;

create function sync.workspace_id_of(p_workspace_name text) returns bigint
language plpgsql stable set search_path = '' as $$
declare
  v_workspace_id bigint;
begin
  select id into v_workspace_id from public.sync_workspaces where workspace_name = p_workspace_name;
  if v_workspace_id is null then
    raise exception using errcode = 'SY002', message = format('there is no workspace '
      '%L', p_workspace_name),
      hint = 'select workspace_name from sync_workspaces lists them; '
      'register_workspace() adds one.';
  end if;
  return v_workspace_id;
end; $$;
comment on function sync.workspace_id_of(text) is
$$Returns: a workspace's id. Raises: SY002 unknown.$$;

create function public.register_workspace(
  p_workspace_name text,
  p_base_url text,
  p_api_key text,
  p_source text default 'email_bison',
  p_external_id text default null,
  p_max_concurrency int default null
) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '10s' as $$
declare
  v_source_id bigint;
  v_workspace_id bigint;
  v_is_new boolean;
  v_run_ids bigint[];
begin
  select id into v_source_id from public.sync_sources where source_name = p_source;
  if v_source_id is null then
    raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them; declare_source() adds one.';
  end if;
  if length(coalesce(p_workspace_name, '')) not between 1 and 200 or p_max_concurrency not between 1
    and 64 then
    raise exception using errcode = 'SY006',
      message = 'a workspace needs a name of at most 200 characters and 1 to 64 slots',
      hint = 'register_workspace(p_workspace_name => ''acme'', …, p_max_concurrency => 8)';
  end if;
  v_run_ids := sync.hold_runs(p_workspace_name);
  insert into public.sync_workspaces (workspace_name, source_id, base_url, external_id,
    max_concurrency)
  values (p_workspace_name, v_source_id, p_base_url, p_external_id, coalesce(p_max_concurrency, 8))
  on conflict (workspace_name) do update set
    source_id = excluded.source_id, base_url = excluded.base_url, is_active = true,
    external_id = coalesce(excluded.external_id, sync_workspaces.external_id),
    max_concurrency = coalesce(p_max_concurrency, sync_workspaces.max_concurrency)
  returning id, xmax = 0 into v_workspace_id, v_is_new;
  perform sync.store_workspace_key(v_workspace_id, p_api_key, v_run_ids);
  return jsonb_build_object('workspace_id', v_workspace_id, 'workspace_name', p_workspace_name,
    'created', v_is_new);
end; $$;
comment on function public.register_workspace(text, text, text, text, text, int) is
$$Add a workspace, or set its address, key and slots anew and activate it. The key goes to Vault.
Returns: {"workspace_id", "workspace_name", "created"}. Raises: SY003 unknown source, SY006 bad
argument, SY014 empty key, SY015 refused address. Locks: as rotate_workspace_key().$$;

create function public.rotate_workspace_key(p_workspace_name text, p_api_key text) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '10s' as $$
declare
  v_workspace_id bigint := sync.workspace_id_of(p_workspace_name);
begin
  perform sync.store_workspace_key(v_workspace_id, p_api_key, sync.hold_runs(p_workspace_name));
  return jsonb_build_object('workspace_id', v_workspace_id, 'workspace_name', p_workspace_name);
end; $$;
comment on function public.rotate_workspace_key(text, text) is
$$Give a workspace a new key; claims from now on use it. Where its owner can be compared, live runs
begin again by asking for it; what is in flight is not applied. Returns: {"workspace_id",
"workspace_name"}. Raises: SY002 unknown workspace, SY014 empty key. Locks: its live runs by id, the
workspace, pending queue rows by SKIP LOCKED.$$;

create function public.deactivate_workspace(p_workspace_name text) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '10s' as $$
declare
  v_workspace_id bigint := sync.workspace_id_of(p_workspace_name);
begin
  update public.sync_workspaces set is_active = false where id = v_workspace_id;
  return jsonb_build_object('workspace_id', v_workspace_id, 'workspace_name', p_workspace_name,
    'is_active', false);
end; $$;
comment on function public.deactivate_workspace(text) is
$$Start no more syncs of a workspace; its rows stay, a live run goes on. register_workspace()
activates it again. Returns: {"workspace_id", "workspace_name", "is_active"}. Raises: SY002 unknown
workspace. Locks: the workspace.$$;

create function sync.credentials_of(p_workspace_ids bigint[]) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_object_agg(w.id, jsonb_build_object(
      'in', s.auth_in, 'name', s.auth_name, 'value', s.auth_prefix || d.decrypted_secret)), '{}')
    from public.sync_workspaces as w
    join public.sync_sources as s on s.id = w.source_id
    join vault.decrypted_secrets as d on d.id = w.secret_id
    where w.id = any (p_workspace_ids)
  );
end; $$;
comment on function sync.credentials_of(bigint[]) is
$$Returns: {"<workspace id>": {"in", "name", "value"}} for a claim's answer, and for nothing
else.$$;

create function sync.mask_workspace_key(p_text text, p_workspace_id bigint) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_key text;
  v_text text := p_text;
begin
  select d.decrypted_secret into v_key from public.sync_workspaces as w
  join vault.decrypted_secrets as d on d.id = w.secret_id
  where w.id = p_workspace_id;
  v_text := replace(v_text, coalesce(v_key, ''), '***');
  if length(split_part(v_key, '|', 2)) >= 8 then
    v_text := replace(v_text, split_part(v_key, '|', 2), '***');
  end if;
  return sync.mask_secrets(v_text);
end; $$;
comment on function sync.mask_workspace_key(text, bigint) is
$$Returns: the text without this workspace's key, whole or only the token behind its number, and
without what looks like a token.$$;

revoke all on function sync.mask_workspace_key, sync.hold_runs, sync.store_workspace_key,
  sync.workspace_id_of,
  public.register_workspace, public.rotate_workspace_key,
public.deactivate_workspace, sync.credentials_of
from public, anon, authenticated, service_role;
grant execute on function public.register_workspace, public.rotate_workspace_key,
  public.deactivate_workspace to service_role;
