-- Keys: secrets in Vault, and texts without them.
-- Stands on: foundation, Vault.

create function sync.mask_secrets(p_text text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_text text := regexp_replace(p_text, '(bearer|basic)\s+[^\s"'',;]+', '\1 ***', 'gi');
begin
  v_text := regexp_replace(v_text, '(\m[0-9]+\|[A-Za-z0-9]{8,}|\msb_secret_[A-Za-z0-9_-]+'
    '|\meyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|\mya29\.[A-Za-z0-9_-]+'
    '|\m1//[A-Za-z0-9_-]{20,})', '***', 'g');
  v_text := regexp_replace(v_text, '((_token|password|_secret|api_key)["\\]*\s*[=:]\s*["\\]*)'
    '[^\s"\\'',;&]+', '\1***', 'gi');
  return left(v_text, 1000);
end; $$;
comment on function sync.mask_secrets(text) is
$$Returns: the text without anything that looks like a token, at most 1,000 characters. The workers
mask the exact keys before.$$;

create function sync.store_workspace_key(p_workspace_id bigint, p_api_key text, p_run_ids bigint[])
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

create function sync.credentials_of(p_workspace_ids bigint[]) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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

revoke all on function
  sync.mask_secrets, sync.mask_workspace_key, sync.store_workspace_key, sync.credentials_of
from public, anon, authenticated, service_role;
