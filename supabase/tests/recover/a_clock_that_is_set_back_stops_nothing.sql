begin;
\ir ../support/setup.psql
select plan(9);

-- All of it was written by a clock that is then set back by an hour.
select tests.workspace('acme', 4);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
select tests.start('acme');
select tests.work(1);
select set_budget('email_bison', 2, null);
create temp table held as select l as lease from tests.claim(1) as l;
create temp table failed as select l as lease from tests.claim(1) as l;
select tests.fail(lease, 'transient', 'HTTP 500: oops', 30) from failed;
select tests.claim(1);
update sync_budgets set blocked_at = sync.now(), blocked_until = sync.now() + interval '20 seconds',
  block_level = 1, probe_until = sync.now() + interval '10 seconds';
select sync.broadcast_work('0');
select cleanup_stuck_chunks();
select tests.advance('-1 hour');

select count(*) from claim_next_chunk_job_safe('worker-1', p_protocol => 2);
select results_eq($$select swept_at = sync.now() from sync.sweep_state$$, $$values (true)$$,
  'the next claim sweeps');
select is((select max(next_retry_at) from chunk_processing_queue),
  sync.now() + interval '1 minute', 'what is delayed waits no longer than any setting says');
select results_eq($$select blocked_until - sync.now(), blocked_at - sync.now()
  from sync_budgets$$, $$values (interval '20 seconds', interval '0')$$,
  'a block lasts as long as it was to last');
select cmp_ok((select max(next_send_at) from sync_budgets), '<=',
  sync.now() + interval '2.5 seconds', 'no send time is reserved beyond what is reserved ahead');
select cmp_ok((select max(lease_expires_at) from chunk_processing_queue), '<=',
  sync.now() + interval '20 seconds', 'no lease lasts longer than a lease');
select is((select count(*) from sync.workers where last_seen_at > sync.now()), 0::bigint,
  'nobody was heard of later than now');
select is((select count(*) from sync.hint_state where last_broadcast_at > sync.now()), 0::bigint,
  'so hints go out');
select is(tests.complete(lease), 'completed', 'who holds a lease may end it') from held;

-- Work goes on within a minute and a lease.
select set_budget('email_bison', null, null);
select tests.advance('61 seconds');
select cleanup_stuck_chunks();
select tests.work();
-- One probe goes first after a block; the others look again a moment later.
select tests.advance('1 second');
select tests.work();
select results_eq($$select status from polling_job_status$$, $$values ('completed')$$,
  'and the job ends');

select * from finish();
rollback;
