begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3, 4);
select tests.sync('acme');
select tests.advance('1 hour');
select tests.serve('acme', 1, 2, 4);
select tests.start('acme');
select tests.work(2);

select is(tests.live_ids('acme'), '{1,2,3,4}', 'after the first complete scan it lives');
select results_eq($$select record_id, missed_scans, is_confirmed, last_seen_at
  from sync.missing_records$$,
  $$values ('3', 1, false, sync.now() - interval '1 hour')$$, 'it is noted as missed');
select results_eq($$select id, last_synced_at from sender_emails where id > 2 order by id$$,
  $$values (3::bigint, sync.now() - interval '1 hour'), (4, sync.now() - interval '1 hour')$$,
  'its last sync is the one that saw it');
create temp table held as select l as lease from tests.claim() as l;
select results_eq($$select (lease).record_id, (lease).page from held$$, $$values ('3', null::int)$$,
  'it is asked for by its own GET');
select is(tests.complete(lease), 'completed', 'a 404 is a page here') from held;
select results_eq($$select id, deleted_at from sender_emails order by id$$,
  $$values (1::bigint, null), (2, null), (3, sync.now()), (4, null)$$,
  'and confirms: it is soft-deleted');
select results_eq($$select status, phase, distinct_ids, records_deleted, warnings
  from public.workspace_sync_runs order by id desc limit 1$$,
  $$values ('completed', 'confirm', 3::bigint, 1::bigint, '{}'::text[])$$,
  'the run completes and counts it');
select results_eq($$select accounts, deleted_accounts from public.workspace_statistics$$,
  $$values (3::bigint, 1::bigint)$$, 'as do the statistics');

select * from finish();
rollback;
