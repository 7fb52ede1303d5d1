begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme', 3);
select tests.serve('acme', variadic array(select generate_series(1, 16)::bigint));
select tests.start('acme');
select tests.work(1);
select tests.claim(1, 'worker-2');
select tests.fail(l, 'transient', 'HTTP 500', 30) from tests.claim(1, 'worker-3') as l;
select results_eq($$
  select live_jobs, live_runs, ready_chunks, delayed_chunks, chunks_in_flight, waiting_chunks,
    next_retry_at, workers_alive, blocked_budgets from queue_health
$$, $$
  values (1::bigint, 1::bigint, 1::numeric, 1::numeric, 1::numeric, 4::numeric,
    sync.now() + interval '30 seconds', 3::bigint, 0::bigint)
$$, 'what waits, what is in flight');
select tests.advance('40 seconds');
select results_eq($$select worker_id, is_alive, chunks_in_flight from worker_health order by 1$$,
  $$values ('worker-1', false, 0::bigint), ('worker-2', false, 1), ('worker-3', false, 0)$$,
  'who was heard of, what they hold');
select tests.work();
select results_eq($$select worker_id, is_alive from worker_health order by 1$$,
  $$values ('worker-1', true), ('worker-2', false), ('worker-3', false)$$,
  'a worker that claims is alive');
select results_eq($$select live_runs, ready_chunks, chunks_in_flight, waiting_chunks,
  last_sweep_error from queue_health$$,
  $$values (0::bigint, 0::numeric, 0::numeric, 0::numeric, null::text)$$,
  'an idle queue is one row of zeros');

select * from finish();
rollback;
