begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
create temp table before as select raw, last_changed_at from sender_emails where id = 2;
select tests.advance('1 hour');
select tests.serve('acme', 1);
select tests.sync('acme');
select is(tests.live_ids('acme'), '{1}', 'it was deleted');
select tests.advance('1 hour');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select is(tests.live_ids('acme'), '{1,2}', 'and lives again');
select results_eq($$select raw, last_changed_at from sender_emails where id = 2$$,
  $$select * from before$$, 'as it was, byte for byte');
select results_eq($$select records_changed, records_deleted from public.workspace_sync_runs
  order by id$$,
  $$values (2::bigint, 0::bigint), (0, 1), (1, 0)$$, 'the runs say so');

select * from finish();
rollback;
