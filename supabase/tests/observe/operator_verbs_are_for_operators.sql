begin;
\ir ../support/setup.psql
select plan(12);

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
select tests.act_as('authenticated');
select throws_ok($$select start_sync_job()$$, '42501', null, 'a signed-in user starts nothing');
select throws_ok($$select cancel_sync_job(gen_random_uuid())$$, '42501', null, 'cancels nothing');
select throws_ok($$select pause_sync()$$, '42501', null, 'pauses nothing');
select throws_ok($$select resume_sync()$$, '42501', null, 'resumes nothing');
select throws_ok($$select retry_failed_chunks(gen_random_uuid())$$, '42501', null,
  'retries nothing');
select throws_ok($$select approve_deletions(1)$$, '42501', null, 'approves nothing');
select throws_ok($$select claim_next_chunk_job_safe('w')$$, '42501', null, 'claims nothing');
reset role;
select tests.act_as('anon');
select throws_ok($$select start_sync_job()$$, '42501', null, 'an anonymous visitor even less');
reset role;

select tests.act_as('authenticated', p_is_operator => true);
select is(start_sync_job() ->> 'status', 'accepted', 'an operator starts');
select is(pause_sync() ->> 'paused', 'true', 'pauses');
select is(cancel_sync_job(id) ->> 'status', 'cancelled', 'and cancels') from polling_job_status;
select throws_ok($$select claim_next_chunk_job_safe('w')$$, '42501', null, 'but is no worker');

select * from finish();
rollback;
