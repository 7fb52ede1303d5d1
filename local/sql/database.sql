-- Schemas, extensions and default privileges of a hosted project, in the database `postgres`.
-- psql variables: grants ('new' or 'old' era of the default privileges).

alter database postgres owner to postgres;
grant usage on schema public to postgres, anon, authenticated, service_role;

create schema extensions;
grant usage on schema extensions to postgres, anon, authenticated, service_role;
create extension pgcrypto with schema extensions;
create extension "uuid-ossp" with schema extensions;
create extension pgtap with schema extensions;
create extension plpgsql_check with schema extensions;

create extension pg_cron with schema pg_catalog;
grant usage on schema cron to postgres with grant option;
grant all on all functions in schema cron to postgres with grant option;
grant all on all tables in schema cron to postgres with grant option;
revoke all on cron.job, cron.job_run_details from postgres;
grant select on cron.job to postgres with grant option;
grant select, delete on cron.job_run_details to postgres with grant option;

alter default privileges for role supabase_admin in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;

alter default privileges for role postgres in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;

select :'grants' = 'new' as is_new_era \gset
\if :is_new_era
alter default privileges for role postgres in schema public
  revoke select, insert, update, delete on tables from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  revoke usage, select on sequences from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  revoke execute on functions from anon, authenticated, service_role;
\endif

create function extensions.notify_schema_change() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  notify pgrst, 'reload schema';
end; $$;
create event trigger pgrst_ddl_watch on ddl_command_end
  execute function extensions.notify_schema_change();
create event trigger pgrst_drop_watch on sql_drop
  execute function extensions.notify_schema_change();
