-- Supabase Vault: the real extension where the server has it, else a stand-in with the same
-- signatures that encrypts too. The root key is a file of the data folder, outside every table, so
-- a dump of the database does not contain it; with another one every read raises.

select exists (select from pg_available_extensions where name = 'supabase_vault') as is_real \gset
\if :is_real
create schema vault;
create extension supabase_vault with schema vault cascade;
\else

create schema vault;

create function vault._root_key() returns text language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return pg_catalog.pg_read_file('vault_root.key');
end $$;
revoke all on function vault._root_key() from public;

create function vault._crypto_aead_det_noncegen() returns bytea
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select extensions.gen_random_bytes(32)
$$;

-- The key is random, so one salted hash of it is enough: no slow key stretching per secret.
create function vault._crypto_aead_det_encrypt(
  message bytea, additional bytea, key_id bigint,
  context bytea default 'pgsodium', nonce bytea default null
) returns bytea language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  select extensions.pgp_sym_encrypt_bytea(
    message, vault._root_key() || encode(additional || context || nonce, 'hex'),
    'cipher-algo=aes256, s2k-mode=1, s2k-digest-algo=sha256')
$$;

create function vault._crypto_aead_det_decrypt(
  message bytea, additional bytea, key_id bigint,
  context bytea default 'pgsodium', nonce bytea default null
) returns bytea language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return extensions.pgp_sym_decrypt_bytea(
    message, vault._root_key() || encode(additional || context || nonce, 'hex'));
exception when external_routine_invocation_exception then
  raise exception 'pgsodium_crypto_aead_det_decrypt_by_id: invalid ciphertext';
end $$;

create table vault.secrets (
  id uuid primary key default gen_random_uuid(),
  name text,
  description text not null default '',
  secret text not null,
  key_id uuid,
  nonce bytea default vault._crypto_aead_det_noncegen(),
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
create unique index secrets_name_idx on vault.secrets (name) where name is not null;

-- The second argument of convert_from() is a name, whose collation "C" is then the secret's.
create view vault.decrypted_secrets as
select
  id, name, description, secret,
  convert_from(vault._crypto_aead_det_decrypt(
    message := decode(secret, 'base64'), additional := convert_to(id::text, 'utf8'), key_id := 0,
    nonce := nonce), 'utf8'::name) as decrypted_secret,
  key_id, nonce, created_at, updated_at
from vault.secrets;

create function vault.create_secret(
  new_secret text,
  new_name text default null,
  new_description text default '',
  new_key_id uuid default null
) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into vault.secrets (secret, name, description)
  values (new_secret, new_name, new_description) returning id into v_id;
  perform vault.update_secret(v_id, new_secret);
  return v_id;
end $$;

create function vault.update_secret(
  secret_id uuid,
  new_secret text default null,
  new_name text default null,
  new_description text default null,
  new_key_id uuid default null
) returns void language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  update vault.secrets as s set
    secret = case when new_secret is null then s.secret
      else encode(vault._crypto_aead_det_encrypt(
        message := convert_to(new_secret, 'utf8'), additional := convert_to(s.id::text, 'utf8'),
        key_id := 0, nonce := s.nonce), 'base64') end,
    name = coalesce(new_name, s.name),
    description = coalesce(new_description, s.description),
    updated_at = now()
  where s.id = secret_id
$$;

revoke all on function
  vault._crypto_aead_det_noncegen(),
  vault._crypto_aead_det_encrypt(bytea, bytea, bigint, bytea, bytea),
  vault._crypto_aead_det_decrypt(bytea, bytea, bigint, bytea, bytea),
  vault.create_secret(text, text, text, uuid),
  vault.update_secret(uuid, text, text, text, uuid)
from public;
\endif

-- What a hosted project grants when the extension is made.
grant usage on schema vault to postgres with grant option;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant execute on function
  vault.create_secret, vault.update_secret, vault._crypto_aead_det_decrypt
to postgres with grant option;
grant usage on schema vault to service_role;
grant select, delete on vault.secrets, vault.decrypted_secrets to service_role;
grant execute on function
  vault.create_secret, vault.update_secret, vault._crypto_aead_det_decrypt
to service_role;
