begin;
\ir ../support/setup.psql
select plan(1);

select results_eq($$
  select sync.counted(n, 'page'), sync.counted(n, 'reply', 'replies')
  from unnest(array[0, 1, 2, 1.5]) as n
$$, $$
  values ('0 pages', '0 replies'), ('1 page', '1 reply'), ('2 pages', '2 replies'),
    ('1.5 pages', '1.5 replies')
$$, 'one is singular, everything else is plural');

select * from finish();
rollback;
