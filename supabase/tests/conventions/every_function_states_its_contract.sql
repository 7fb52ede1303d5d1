begin;
\ir ../support/setup.psql
select plan(4);

select is_empty($$
  select oid::regprocedure from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and obj_description(oid, 'pg_proc') is null
$$, 'every function of public and sync has a comment');

select is_empty($$
  select oid::regprocedure from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and prorettype <> 'void'::regtype
    and obj_description(oid, 'pg_proc') !~ '(Returns|Trigger|Raises)'
$$, 'every function that gives something back says what, or what it is a trigger for');

select is_empty($$
  select oid::regprocedure from pg_proc
  where pronamespace = 'public'::regnamespace
    and coalesce(obj_description(oid, 'pg_proc'), '') !~ 'Returns:'
$$, 'every verb says what it returns');

select is_empty($$
  select c.oid::regclass from pg_class as c
  where relnamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and relkind in ('r', 'v', 'S')
    and obj_description(oid, 'pg_class') is null
    and not exists (select 1 from pg_depend as d
    where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype = 'i')
$$, 'every table, view and sequence says what it is');

select * from finish();
rollback;
