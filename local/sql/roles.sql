-- The roles of a hosted project. Runs once per cluster, as the superuser `supabase_admin`.
-- psql variables: authenticator_password.

create role postgres nosuperuser createdb createrole login replication bypassrls
  password 'postgres';
create role anon nologin inherit;
create role authenticated nologin inherit;
create role service_role nologin inherit bypassrls;
create role authenticator login noinherit password :'authenticator_password';

grant anon, authenticated, service_role to authenticator;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;

-- Since 16, who may hand on a membership needs the admin option.
select current_setting('server_version_num')::integer >= 160000 as admin_option_needed \gset
\if :admin_option_needed
grant anon, authenticated, service_role to postgres with admin option;
\else
grant anon, authenticated, service_role to postgres;
\endif

alter role postgres set search_path to "$user", public, extensions;
alter role supabase_admin set search_path to "$user", public, auth, extensions;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

-- Hosted refuses `delete` and `update` without `where` on the Data API, where the library exists.
select pg_stat_file(setting || '/safeupdate.so', true) is not null as has_safeupdate
from pg_config where name = 'PKGLIBDIR' \gset
\if :has_safeupdate
alter role authenticator set session_preload_libraries = 'safeupdate';
\endif
