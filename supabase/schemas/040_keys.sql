-- Keys: secrets in Vault, and texts without them.
-- Stands on: foundation, Vault.

create function sync.mask_secrets(p_text text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
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

create function sync.read_secret(p_secret_id uuid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select nullif(decrypted_secret, '') from vault.decrypted_secrets where id = p_secret_id);
exception when others then
  if sqlstate ~ '^(40|53|55|57|58)' then
    raise;
  end if;
  return null;
end; $$;
comment on function sync.read_secret(uuid) is
$$Returns: a secret of Vault, null if it is not there, is empty or cannot be decrypted: one secret
that cannot be read fails nothing but what needs it. In a query it sees what the query sees. Raises:
what the database's own trouble raises.$$;

create function sync.write_secret(p_name text, p_secret text, p_description text) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_secret_id uuid := (select id from vault.secrets where name = p_name);
begin
  if v_secret_id is null then
    return vault.create_secret(p_secret, p_name, p_description);
  end if;
  perform vault.update_secret(v_secret_id, p_secret);
  return v_secret_id;
end; $$;
comment on function sync.write_secret(text, text, text) is
$$Put a secret into Vault, in place of the one of that name, readable or not. Returns: its id.$$;

create function sync.mask_workspace_key(p_text text, p_workspace_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_key text;
  v_text text := p_text;
begin
  select sync.read_secret(secret_id) into v_key from public.sync_workspaces
  where id = p_workspace_id;
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
  sync.mask_secrets, sync.read_secret, sync.write_secret, sync.mask_workspace_key
from public, anon, authenticated, service_role;
