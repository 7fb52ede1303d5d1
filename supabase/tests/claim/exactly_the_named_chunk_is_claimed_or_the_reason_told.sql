begin;
\ir ../support/setup.psql
select plan(10);

select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7);
select tests.start('acme');
select tests.work(1);
create temp table chunk as select page, id from public.chunked_sync_jobs;
create function tests.claim_page(p_page int) returns jsonb language sql as $$
  select claim_chunk_job_safe((select id from chunk where page = p_page), 'worker-1', 2);
$$;

create temp table third as select tests.claim_page(3) as answer;
select results_eq($$select page from third, tests.leases_of(answer)$$, $$values (3)$$,
  'the named one, not the first');
select ok((select not answer ? 'reason' and answer #> '{leases,0}' ? 'credentials' from third),
  'it comes with its credential and without a reason');
select is((select answer -> 'versions' from third), chunkwise_version(),
  'and with the versions that the worker has to know');
select is(tests.claim_page(3) -> 'reason', '"not_pending"', 'in flight');
select is(tests.claim_page(1) -> 'reason', '"not_pending"', 'completed');
select is(tests.claim_page(4) -> 'reason', '"not_due"', 'waiting for a slot');
select is(claim_chunk_job_safe(0, 'worker-1', 2) - 'next_look_ms' - 'look_again_ms' - 'versions',
  '{"leases": [], "blocked_budgets": [], "reason": "not_found"}', 'unknown');
select pause_sync();
select is(tests.claim_page(2) -> 'reason', '"paused"', 'paused');
select resume_sync();
select tests.fail(l, 'transient', 'x', 10) from third, tests.leases_of(answer) as l;
select is(tests.claim_page(3) -> 'reason', '"not_due"', 'delayed');
select set_budget('email_bison', 1, 1);
select tests.claim_page(2);
select tests.advance('11 seconds');
select is(tests.claim_page(3) -> 'reason', '"budget"', 'due, but its budget has no room');

select * from finish();
rollback;
