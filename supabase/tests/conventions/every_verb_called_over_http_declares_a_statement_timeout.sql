begin;
\ir ../support/setup.psql
select plan(2);

select is_empty($$
  select oid::regprocedure from pg_proc as p
  where pronamespace = 'public'::regnamespace
    and has_function_privilege('service_role', oid, 'execute')
    and not exists (select 1 from unnest(p.proconfig) as c where c ~ '^statement_timeout=[1-9]')
$$, 'every function of public that service_role can call declares how long it may take');

select is_empty($$
  select oid::regprocedure from pg_proc as p
  where pronamespace = 'public'::regnamespace and provolatile = 'v'
    and has_function_privilege('service_role', oid, 'execute')
    and 'default_transaction_isolation=read committed' <> all (p.proconfig)
$$, 'and in which isolation the API has to begin, whatever the default of a role is');

select * from finish();
rollback;
