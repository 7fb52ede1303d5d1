begin;
\ir ../support/setup.psql
select plan(1);

select is_empty($$
  select oid::regclass from pg_class
  where relnamespace in ('public'::regnamespace, 'sync'::regnamespace) and relkind = 'v'
    and 'security_invoker=true' <> all (coalesce(reloptions, '{}'))
$$, 'every view is security_invoker');

select * from finish();
rollback;
