begin;
\ir ../support/setup.psql
select plan(2);

select is_empty($$
  select c.oid::regclass, a.attname from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = 'public'::regnamespace and c.relkind = 'v'
    and col_description(c.oid, a.attnum) is null
    and not exists (select 1 from pg_depend as d where d.objid = c.oid and d.deptype = 'e')
$$, 'every column of every public view has a comment');

select is_empty($$
  select c.oid::regclass from pg_class as c
  where c.relnamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null
    and not exists (select 1 from pg_depend as d where d.objid = c.oid and d.deptype = 'e')
$$, 'and so has every table and view itself');

select * from finish();
rollback;
