begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme', 3);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
select tests.start('acme');
select tests.work(1);
create temp table held as select * from tests.claim(2);
select is(cleanup_stuck_chunks(), 0, 'a lease that holds stays');
select tests.advance('20 seconds');
select is(cleanup_stuck_chunks(), 2, 'those that ran out come back, and are counted');
select is(cleanup_stuck_chunks(), 0, 'once');
select results_eq($$
  select q.status, q.attempts, q.lease_losses, q.slot is not null, q.ready_seq is not null
  from public.chunk_processing_queue as q join held on held.queue_id = q.id
$$, $$values ('pending', 0, 1, true, true), ('pending', 0, 1, true, true)$$,
  'ready in their slots, no attempt burnt');
select results_eq($$select event, worker_id, lease_token from public.chunk_events
  where event = 'lease_lost' order by lease_token$$,
  $$select 'lease_lost', 'worker-1', lease_token from held order by 3$$, 'each loss is an event');
select tests.work();
select results_eq($$select status, distinct_ids from public.workspace_sync_runs$$,
  $$values ('completed', 8::bigint)$$, 'the run completes');

select * from finish();
rollback;
