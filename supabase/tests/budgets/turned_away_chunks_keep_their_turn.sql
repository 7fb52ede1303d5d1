begin;
\ir ../support/setup.psql
select plan(9);

select tests.workspace('first');
select tests.workspace('second');
select tests.workspace('third');
select set_budget('email_bison', null, 1);
select tests.serve('first', 1, 2, 3);
select tests.start('first', 'second', 'third');
create temp table held as select * from tests.claim(100);
select results_eq($$select workspace from held$$, $$values ('first')$$, 'one may be in flight');
select results_eq($$select count(*), count(turn), count(ready_seq)
  from public.chunk_processing_queue where line_budget_id is not null$$,
  $$values (2::bigint, 2::bigint, 0::bigint)$$,
  'the others left the claim''s index with the turns they had');
select cleanup_stuck_chunks();
select ok((select claim_floor <= (select min(turn) from public.chunk_processing_queue)
  from sync.sweep_state), 'the claim''s floor does not pass them');
-- The first one's next page becomes ready only now.
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
from held;
create temp table next as select * from tests.claim(100);
select results_eq($$select workspace from next$$, $$values ('second')$$,
  'a place goes to who waits longest, not to who came last');
select is(tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'released'), 'released', 'who hands it back unsent') from next;
select results_eq($$select workspace from tests.claim(100)$$, $$values ('second')$$,
  'has it again before the others');
select set_budget('email_bison', 0.02, 10);
select tests.claim(100);
select is((select count(*) from public.chunk_processing_queue where line_budget_id is not null),
  1::bigint, 'at one request in 50 s the last one waits');
select ok((select next_retry_at > sync.now() + interval '10 seconds'
  from public.chunk_processing_queue where line_budget_id is not null), 'for long');
select set_budget('email_bison', 100, 10);
select is((select count(*) from public.chunk_processing_queue where line_budget_id is not null),
  0::bigint, 'a budget set higher wakes it at once');

select * from finish();
rollback;
