begin;
\ir ../support/setup.psql
select plan(2);

select is_empty($$
  select oid::regclass from pg_class
  where relnamespace in ('public'::regnamespace, 'sync'::regnamespace) and relkind in ('r', 'p')
    and not relrowsecurity
$$, 'every table of public and sync has row level security on');

select results_eq($$
  select format('%s %s %s', p.policyname, p.cmd, p.roles) collate "default" from pg_policies as p
  where p.schemaname in ('public', 'sync')
    and (p.roles <> '{authenticated}' or p.cmd <> 'SELECT' or p.qual !~ 'sync\.is_operator\(\)')
$$, $$
  values ('polling_job_status_select_dashboard SELECT {anon}')
$$, 'all policies let operators read, but the one of the public dashboard');

select * from finish();
rollback;
