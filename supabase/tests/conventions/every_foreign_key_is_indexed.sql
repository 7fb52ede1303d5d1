begin;
\ir ../support/setup.psql
select plan(1);

select is_empty($$
  select c.conrelid::regclass, c.conname from pg_constraint as c
  where c.contype = 'f' and c.connamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and not exists (
      select 1 from pg_index as i
      where i.indrelid = c.conrelid and i.indpred is null
        and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
$$, 'every foreign key is the head of an index');

select * from finish();
rollback;
