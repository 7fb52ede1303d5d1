begin;
\ir ../support/setup.psql
select plan(2);

select cmp_ok((select count(*) from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace)), '>', 50::bigint,
  'there are functions to look at');

select is_empty($$
  select oid::regprocedure from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and 'search_path=pg_catalog, pg_temp' <> all (coalesce(proconfig, '{}'))
$$, 'every function of public and sync looks in pg_catalog and, last, in pg_temp only');

select * from finish();
rollback;
