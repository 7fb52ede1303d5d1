begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.serve('acme', variadic array(select generate_series(1, 20)::bigint));
select tests.sync('acme');
select tests.serve('acme', variadic array(select generate_series(1, 9)::bigint));
create temp table old as select tests.sync('acme') as id;
select results_eq($$select status, phase, deletions_waiting, planned_chunks
  from public.workspace_sync_runs join old using (id)$$,
  $$values ('completed', 'scan', 11::bigint, 5::bigint)$$,
  '11 of 20 rows wait for approval, and none was asked for by its own GET');

-- A newer run decides anew, an approval, or a page that shows them: then they wait no more.
create temp table new as select tests.sync('acme') as id;
select results_eq($$select id, deletions_waiting from public.workspace_sync_runs
  where id in (select id from old union select id from new) order by id$$,
  $$select id, 0::bigint from old union all select id, 11 from new$$,
  'the newer run is the only one that waits');
select throws_ok($$select approve_deletions(id) from old$$, 'SY008', null, 'the old one is late');
select tests.serve('acme', variadic array(select generate_series(1, 20)::bigint));
select tests.start('acme');
select tests.work(6);
select is(approve_deletions(id) ->> 'deleted', '8',
  'what a live run has seen already is not deleted') from new;
select is(cardinality(tests.live_ids('acme')), 12, 'it lives on');
select tests.work();
select is(cardinality(tests.live_ids('acme')), 20, 'as does what that run shows later');
select results_eq($$select deletions_waiting from public.workspace_sync_runs join new using (id)$$,
  $$values (0::bigint)$$, 'nothing waits any more');
select is_empty($$select * from sync.missing_records$$, 'and nothing is missing');

select * from finish();
rollback;
