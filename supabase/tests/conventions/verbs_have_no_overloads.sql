begin;
\ir ../support/setup.psql
select plan(1);

select is_empty($$
  select pronamespace::regnamespace, proname, count(*) from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace) group by pronamespace,
    proname having count(*) > 1
$$, 'a name is one function');

select * from finish();
rollback;
