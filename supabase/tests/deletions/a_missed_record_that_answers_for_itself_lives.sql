begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.start('acme');
select tests.complete(l, tests.body('{1,2}'::bigint[], 2, 1)) from tests.claim() as l;
select results_eq($$select tests.complete(l), l.record_id from tests.claim() as l$$,
  $$values ('completed', '3')$$, 'the scan missed it, its own GET shows it');
select results_eq($$select status, scan, phase, warnings from public.workspace_sync_runs
  order by id desc limit 1$$,
  $$values ('running', 2, 'scan', array['scan 1: still there although it missed them: 1'])$$,
  'the workspace is scanned again');
select tests.work();
select results_eq($$select status, distinct_ids, records_deleted from public.workspace_sync_runs
  order by id desc limit 1$$,
  $$values ('completed', 3::bigint, 0::bigint)$$, 'and completes');
select is(tests.live_ids('acme'), '{1,2,3}', 'nobody was deleted');

select * from finish();
rollback;
