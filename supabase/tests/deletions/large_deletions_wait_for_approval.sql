begin;
\ir ../support/setup.psql
select plan(13);

select tests.workspace('acme');
select tests.serve('acme', variadic array(select generate_series(1, 40)::bigint));
select tests.sync('acme');
select tests.serve('acme', variadic array(select generate_series(1, 30)::bigint));
select tests.sync('acme');
select is(cardinality(tests.live_ids('acme')), 30,
  '10 rows of 40 go without a word: more than 20 %, but not more than 10');

select tests.serve('acme', variadic array(select generate_series(1, 19)::bigint));
create temp table run as select tests.sync('acme') as id;
select is(cardinality(tests.live_ids('acme')), 30, '11 of 30 do not');
select results_eq($$select r.status, r.deletions_waiting, r.records_deleted, cardinality(r.warnings)
  from public.workspace_sync_runs as r join run using (id)$$,
  $$values ('completed', 11::bigint, 0::bigint, 1)$$, 'the run completes, with a warning');
select results_eq($$select deletions_waiting from workspace_health where stream = 'sender_emails'$$,
  $$values (11::bigint)$$, 'health shows what waits');

select is(approve_deletions(id), jsonb_build_object('run_id', id, 'deleted', 11), 'approved')
  from run;
select is(cardinality(tests.live_ids('acme')), 19, 'they go');
select results_eq($$select r.deletions_waiting, r.records_deleted
  from public.workspace_sync_runs as r join run using (id)$$, $$values (0::bigint, 11::bigint)$$,
  'the run counts them');
select throws_ok($$select approve_deletions(id) from run$$, 'SY008', null, 'once');
select throws_ok($$select approve_deletions(-1)$$, 'SY017', null,
  'an unknown run has nothing to approve');

select tests.serve('acme', 1, 2, 3, 4);
create temp table older as select tests.sync('acme') as id;
create temp table newer as select tests.sync('acme') as id;
select throws_ok($$select approve_deletions(id) from older$$, 'SY008', null,
  'a newer run decides anew');
select is(approve_deletions(id) ->> 'deleted', '15', 'that one can be approved') from newer;

select tests.serve('acme', variadic array(select generate_series(101, 200)::bigint));
select tests.sync('acme');
select is(tests.live_ids('acme') @> '{101,200}', true, 'a hundred new ones come at once');
select tests.serve('acme', variadic array(select generate_series(101, 188)::bigint));
select tests.sync('acme');
select is(cardinality(tests.live_ids('acme')), 88,
  '12 of 100 go: more than 10, but not more than 20 %');

select * from finish();
rollback;
