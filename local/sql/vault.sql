-- Supabase Vault: the real extension where the server has it, else a stand-in with the same
-- signatures and grants that encrypts too. The root key is a file of the data folder, outside
-- every table, so a dump of the database does not contain it.

select exists (select from pg_available_extensions where name = 'supabase_vault') as is_real \gset
\if :is_real
create schema if not exists vault;
create extension supabase_vault with schema vault cascade;
\else

create schema vault;

create table vault.secrets (
  id uuid primary key default gen_random_uuid(),
  name text,
  description text not null default '',
  secret text not null,
  key_id uuid,
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
create unique index secrets_name_idx on vault.secrets (name) where name is not null;

create function vault._root_key() returns text language plpgsql stable set search_path = '' as $$
begin
  return pg_catalog.pg_read_file('vault_root.key');
end $$;
revoke all on function vault._root_key() from public;

-- The key is random, so one salted hash of it is enough: no slow key stretching per secret.
create function vault._encrypt(p_secret text) returns text
language sql volatile security definer set search_path = '' as $$
  select pg_catalog.encode(extensions.pgp_sym_encrypt(
    p_secret, vault._root_key(), 'cipher-algo=aes256, s2k-mode=1, s2k-digest-algo=sha256'
  ), 'base64')
$$;
revoke all on function vault._encrypt(text) from public;

create function vault._decrypt(p_secret text) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return extensions.pgp_sym_decrypt(pg_catalog.decode(p_secret, 'base64'), vault._root_key());
end $$;
revoke all on function vault._decrypt(text) from public;

create view vault.decrypted_secrets as
select
  id, name, description, secret, vault._decrypt(secret) as decrypted_secret, key_id,
  created_at, updated_at
from vault.secrets;

create function vault.create_secret(
  new_secret text,
  new_name text default null,
  new_description text default '',
  new_key_id uuid default null
) returns uuid language sql volatile security definer set search_path = '' as $$
  insert into vault.secrets (secret, name, description, key_id)
  values (vault._encrypt(new_secret), new_name, new_description, new_key_id)
  returning id
$$;
revoke all on function vault.create_secret(text, text, text, uuid) from public;

create function vault.update_secret(
  secret_id uuid,
  new_secret text default null,
  new_name text default null,
  new_description text default null,
  new_key_id uuid default null
) returns void language sql volatile security definer set search_path = '' as $$
  update vault.secrets set
    secret = coalesce(vault._encrypt(new_secret), secret),
    name = coalesce(new_name, name),
    description = coalesce(new_description, description),
    key_id = coalesce(new_key_id, key_id),
    updated_at = now()
  where id = secret_id
$$;
revoke all on function vault.update_secret(uuid, text, text, text, uuid) from public;

grant usage on schema vault to postgres with grant option;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant execute on function
  vault.create_secret(text, text, text, uuid),
  vault.update_secret(uuid, text, text, text, uuid),
  vault._decrypt(text)
to postgres with grant option;
\endif
