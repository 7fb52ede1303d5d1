begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('acme');
select tests.start('acme');
create temp table held as select * from tests.claim();
select is(tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'released'), 'released', 'handed back unsent') from held;
select results_eq($$select queue_id, attempt, send_after_ms from tests.claim(1, 'worker-2')$$,
  $$select queue_id, 1, 0::bigint from held$$,
  'the next claim has it, as its first attempt');
select results_eq($$select event, worker_id from public.chunk_events$$,
  $$values ('released', 'worker-1')$$, 'that is an event');

select * from finish();
rollback;
