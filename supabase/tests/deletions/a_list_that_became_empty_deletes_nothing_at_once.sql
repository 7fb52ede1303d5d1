begin;
\ir ../support/setup.psql
select plan(14);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.serve('acme', variadic '{}'::bigint[]);
create temp table first_run as select tests.sync('acme') as id;
select is(tests.live_ids('acme'), '{1,2,3}', 'one empty answer deletes nothing');
select results_eq($$select status, phase, distinct_ids, deletions_waiting, cardinality(warnings)
  from public.workspace_sync_runs join first_run using (id)$$,
  $$values ('completed', 'scan', 0::bigint, 3::bigint, 1)$$,
  'however few rows there are: they wait, and none is asked for');

select tests.advance('9 minutes');
create temp table second_run as select tests.sync('acme') as id;
select is(tests.live_ids('acme'), '{1,2,3}', 'nor does a second one before 10 minutes have passed');
select results_eq($$select id, deletions_waiting from public.workspace_sync_runs
  where id in (select id from first_run union select id from second_run) order by id$$,
  $$select id, 0::bigint from first_run union all select id, 3 from second_run$$,
  'it is what waits now');
select tests.advance('1 minute');
select tests.sync('acme');
select is(tests.live_ids('acme'), '{}', 'a run that begins 10 minutes after the first one does');
select results_eq($$select records_deleted, deletions_waiting from public.workspace_sync_runs
  order by id desc limit 2$$, $$values (3::bigint, 0::bigint), (0, 0)$$, 'and nothing waits');

select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select is(tests.live_ids('acme'), '{1,2,3}', 'they live again');
select tests.serve('acme', variadic '{}'::bigint[]);
create temp table held as select tests.sync('acme') as id;
select is(approve_deletions(id) ->> 'deleted', '3', 'an approval deletes at once') from held;
select is(tests.live_ids('acme'), '{}', 'all of them');

-- A run in between that shows anything, complete or not, begins the wait anew.
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select tests.serve('acme', variadic '{}'::bigint[]);
select tests.sync('acme');
select tests.advance('10 minutes');
select tests.start('acme');
select tests.complete(l, tests.body('{1,2}'::bigint[], 3, 2)) from tests.claim() as l;
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select is_empty($$select 1 from public.workspace_sync_runs where deletions_waiting > 0$$,
  'what it showed waits no more');
select tests.sync('acme');
select is(tests.live_ids('acme'), '{1,2}', 'the list is newly empty');
select tests.advance('10 minutes');
select tests.sync('acme');
select is(tests.live_ids('acme'), '{}', 'and stayed so');

select tests.serve('acme', variadic array(select generate_series(1, 12)::bigint));
select tests.sync('acme');
select tests.serve('acme', variadic '{}'::bigint[]);
select tests.sync('acme');
select tests.advance('10 minutes');
create temp table guarded as select tests.sync('acme') as id;
select is(cardinality(tests.live_ids('acme')), 12, 'more than 10 rows need an approval as ever');
select is((select deletions_waiting from public.workspace_sync_runs as r
  join guarded as g on g.id = r.id), 12::bigint, 'and wait for it');

select * from finish();
rollback;
