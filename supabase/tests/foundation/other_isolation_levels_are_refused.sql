begin;
set local transaction_isolation = 'repeatable read';
\ir ../support/setup.psql
select plan(6);

select throws_ok($$select public.start_sync_job()$$, 'SY016', null, 'start_sync_job');
select throws_ok($$select public.claim_next_chunk_job_safe('w')$$, 'SY016', null,
  'claim_next_chunk_job_safe');
select throws_ok($$select public.claim_chunk_job_safe(1, 'w')$$, 'SY016', null,
  'claim_chunk_job_safe');
select throws_ok($$select public.complete_chunk_job_safe(1, 1, '{"status": 200, "body": "{}"}')$$,
  'SY016', null, 'complete_chunk_job_safe');
select throws_ok($$select public.fail_chunk_job_safe(1, 1, 'released')$$, 'SY016', null,
  'fail_chunk_job_safe');
select throws_ok($$select public.cleanup_stuck_chunks()$$, 'SY016', null, 'cleanup_stuck_chunks');

select * from finish();
rollback;
