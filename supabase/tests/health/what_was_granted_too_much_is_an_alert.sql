begin;
\ir ../support/setup.psql
select plan(8);

create function tests.grants() returns table (grantee text, privilege text, object text)
  language sql as $$
  select grantee, privilege, object from sync.careless_grants();
$$;

select is_empty('select * from tests.grants()', 'as pushed, nobody has what is not for them');

create role chunkwise_m;
grant execute on function claim_next_chunk_job_safe to anon;
grant execute on function sync.pause_sync to chunkwise_m;
grant truncate on sync_workspaces to authenticated;
grant usage on sequence sync.ready_seq, sync_sources_id_seq to public;
grant usage on schema sync to anon;
select results_eq('select * from tests.grants()', $$
  values ('anon', 'execute', 'function public.claim_next_chunk_job_safe(text,integer,jsonb,integer)'),
    ('anon', 'usage', 'schema sync'),
    ('authenticated', 'truncate', 'table public.sync_workspaces'),
    ('chunkwise_m', 'execute', 'function sync.pause_sync(text,text)'),
    ('public', 'usage', 'sequence public.sync_sources_id_seq'),
    ('public', 'usage', 'sequence sync.ready_seq')
$$, 'functions, tables, sequences and the schema are looked at, whoever has them');

select set_setting('expect_realtime', 'false');
select sync.check_health();
select results_eq($$select kind, subject from sync_alerts order by subject$$, $$
  values ('open_grants', 'anon'), ('open_grants', 'authenticated'),
    ('open_grants', 'chunkwise_m'), ('open_grants', 'public')
$$, 'each role is an alert');

do $$ begin execute (select string_agg(remedy, ' ') from sync.careless_grants()); end $$;
select is_empty('select * from tests.grants()', 'the statements given take all of it back');
select sync.check_health();
select is_empty('select 1 from sync_alerts where resolved_at is null', 'which resolves the alerts');

-- The popular mistakes, for whoever signs in.
grant all on all routines in schema public to anon, authenticated;
grant all on all tables in schema public to anon;
select is_empty($$
  select oid::regprocedure from pg_proc
  where prosecdef and pronamespace = 'public'::regnamespace
  except select replace(object, 'function ', '')::regprocedure from tests.grants()
    where grantee = 'authenticated' and object ~ '^function'
$$, 'of all routines each definer function is named');
select is_empty($$
  select oid::regclass from pg_class as c
  where relkind = 'r' and relnamespace = 'public'::regnamespace
    and has_table_privilege('anon', oid, 'truncate')
  except select replace(object, 'table ', '')::regclass from tests.grants()
    where grantee = 'anon' and privilege = 'truncate'
$$, 'of all tables each one is');

create table public.not_ours (id bigint);
grant all on public.not_ours to anon;
create function public.not_ours() returns int language sql security definer as 'select 1';
select is_empty($$select 1 from tests.grants() where object ~ 'not_ours'$$,
  'what a project has of its own is no business of ours');

select * from finish();
rollback;
