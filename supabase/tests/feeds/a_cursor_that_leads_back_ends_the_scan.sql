begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(6);

select tests.workspace('acme', 1);
select tests.have_replies(6);
select public.start_sync_job('test', '{replies}');
select is(tests.next_cursor(sync.build_cursor(100)) ->> 'outcome', 'completed',
  'page 1 answers in cursor mode: pages end');
select is(tests.next_cursor(sync.build_cursor(50)) ->> 'outcome', 'completed', 'from the top');
select is(tests.next_cursor(sync.build_cursor(50)) ->> 'code', 'SY020', 'the same cursor again');
select tests.advance('1 minute');
select is(tests.next_cursor(sync.build_cursor(51)) ->> 'code', 'SY020', 'one that leads back');
select tests.advance('1 minute');
select is(tests.next_cursor(sync.build_cursor(50)) ->> 'outcome', 'failed', 'the third try fails');
select results_eq(
  $$select status, error_message ~ 'cursor repeats' from public.workspace_sync_runs$$,
  $$values ('failed', true)$$, 'and names it');

select * from finish();
rollback;
