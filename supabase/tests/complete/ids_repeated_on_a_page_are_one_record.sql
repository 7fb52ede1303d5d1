begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('acme');
select tests.start('acme');
select is(tests.complete(l, tests.body(array[tests.record(1),
  tests.record(1, '{"updated_at": "2026-03-01T00:00:00Z", "name": "newer"}'), tests.record(2)], 2,
  1)),
  'completed', 'the page is applied') from tests.claim() as l;
select results_eq($$select id, name from sender_emails order by id$$,
  $$values (1::bigint, 'newer'), (2, 'Account 2')$$, 'the newer of two stays');
select results_eq($$select status, distinct_ids, warnings from public.workspace_sync_runs$$,
  $$values ('completed', 2::bigint, '{}'::text[])$$,
  'distinct ids are what counts');

select * from finish();
rollback;
