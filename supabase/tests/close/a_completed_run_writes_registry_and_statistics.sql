begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
update tests.accounts set fields = '{"status": "Not connected", "email": "a1@example.com"}'
  where id = 2;
select tests.start('acme');
select tests.advance('1500 milliseconds');
select tests.work();
select results_eq($$
  select last_complete_sync_at, last_sync_duration_ms, record_count, last_complete_run_id
  from public.sync_workspace_streams
$$, $$select sync.now(), 1500::bigint, 3::bigint, id from public.workspace_sync_runs$$,
  'when, how long, how many');
select results_eq($$
  select accounts, connected_accounts, distinct_emails, deleted_accounts, emails_sent_count,
    updated_at from public.workspace_statistics
$$, $$values (3::bigint, 2::bigint, 2::bigint, 0::bigint, 60::bigint, sync.now())$$,
  'sums over the live accounts');
select results_eq($$
  select status, planned_chunks, chunks_completed, chunks_failed, chunks_cancelled, records_seen,
    records_changed, completed_at from public.workspace_sync_runs
$$, $$values ('completed', 2::bigint, 2::bigint, 0::bigint, 0::bigint, 3::bigint, 3::bigint,
  sync.now())$$, 'the run has its totals');

select * from finish();
rollback;
