begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3, 4);
select tests.sync('acme');
select tests.serve('acme', 1, 2);

select tests.start('acme');
select tests.fail(l, 'permanent', 'HTTP 401') from tests.claim() as l;
select is(tests.live_ids('acme'), '{1,2,3,4}', 'a failed run');
select tests.start('acme');
select tests.claim();
select cancel_sync_job((select id from public.polling_job_status where status = 'running'));
select tests.advance('1 minute');
select cleanup_stuck_chunks();
select is(tests.live_ids('acme'), '{1,2,3,4}', 'a cancelled one');
select set_setting('max_scans', '1');
select tests.start('acme');
select tests.complete(l, tests.body('{1}'::bigint[], 2, 1)) from tests.claim() as l;
select is(tests.live_ids('acme'), '{1,2,3,4}', 'one whose counts disagree');
select is_empty($$select * from sync.missing_records$$, 'none of them even notes a miss');

select * from finish();
rollback;
