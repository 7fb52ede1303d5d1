begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('acme');
select is(tests.complete(l, tests.body('{}'::bigint[], 0, 1)), 'completed', 'page 1 is empty')
  from tests.start('acme'), tests.claim() as l;
select results_eq($$select status, distinct_ids from public.workspace_sync_runs$$,
  $$values ('completed', 0::bigint)$$, 'that is a complete sync');
select tests.start('acme');
select tests.complete(l, '{"data": [], "meta": {"total": 0, "last_page": 0}}')
  from tests.claim() as l;
select results_eq($$select status, distinct_ids from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('completed', 0::bigint)$$,
  'also if the API counts no page');

select * from finish();
rollback;
