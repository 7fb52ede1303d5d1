begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.serve('acme', 1, 2);
select tests.start('acme');
select tests.work(1);
select is(tests.fail(l, 'permanent', 'HTTP 403: Forbidden'), 'failed', 'the API does not say')
  from tests.claim() as l;
select is(tests.live_ids('acme'), '{1,2,3}', 'so it lives');
select results_eq($$select status, records_deleted from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('completed', 0::bigint)$$,
  'the scan was complete all the same');
select tests.start('acme');
select tests.work();
select is(tests.live_ids('acme'), '{1,2}', 'a second complete scan in a row confirms');

select * from finish();
rollback;
