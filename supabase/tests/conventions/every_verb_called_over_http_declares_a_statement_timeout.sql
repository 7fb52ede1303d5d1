begin;
\ir ../support/setup.psql
select plan(1);

select is_empty($$
  select oid::regprocedure from pg_proc as p
  where pronamespace = 'public'::regnamespace
    and has_function_privilege('service_role', oid, 'execute')
    and not exists (select 1 from unnest(p.proconfig) as c where c ~ '^statement_timeout=[1-9]')
$$, 'every function of public that service_role can call declares how long it may take');

select * from finish();
rollback;
