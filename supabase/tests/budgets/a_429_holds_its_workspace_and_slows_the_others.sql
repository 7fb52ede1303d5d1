begin;
\ir ../support/setup.psql
select plan(10);

select tests.workspace(name) from unnest('{acme,zen,oak,elm,fir,yew}'::text[]) as name;
select tests.serve(name, 1, 2, 3, 4, 5, 6)
from unnest('{acme,zen,oak,elm,fir,yew}'::text[]) as name;
select tests.start('acme', 'zen', 'oak', 'elm', 'fir', 'yew');
create temp table held as select * from tests.claim(4);
select tests.advance('1 second');
select is(tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'rate_limited', 'HTTP 429', 30),
  'delayed', 'the chunk that met a 429 is delayed') from held where workspace = 'acme';
select results_eq($$select attempts, status, next_retry_at - sync.now(), turn is not null
  from public.chunk_processing_queue where id = (select queue_id from held
  where workspace = 'acme')$$, $$values (0, 'pending', interval '30 seconds', true)$$,
  'as long as the API asks for, without an attempt, and it keeps its turn');
select results_eq($$select workspace_name, rate_limited_until - sync.now() from workspace_health
  where stream = 'sender_emails' and rate_limited_until is not null$$,
  $$values ('acme', interval '30 seconds')$$, 'only its workspace waits');
select results_eq($$select reduced_in_flight, block_level, blocked_until from public.sync_budgets$$,
  $$values (2, 0, null::timestamptz)$$, 'the budget goes down to half of what was in flight');
select tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'rate_limited', 'HTTP 429', 5) from held where workspace = 'zen';
select is((select reduced_in_flight from public.sync_budgets), 2,
  'once: another that was sent before says nothing new');
select is_empty($$select * from tests.claim(100)$$, 'with two in flight no third goes');
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
from held where workspace = 'oak';
select tests.advance('1 second');
select is((select count(*) from tests.claim(100)), 1::bigint, 'one ends, one goes');
select is((select reduced_in_flight from public.sync_budgets), 2,
  'an answer to what was sent before gives nothing back');
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
from held where workspace = 'elm';
select tests.advance('1 second');
select tests.complete(row(q.id, q.lease_token, w.workspace_name, 1, null, 0, 1)::tests.lease)
from public.chunk_processing_queue as q join public.workspace_sync_runs as r on r.id = q.run_id
join public.sync_workspaces as w on w.id = r.workspace_id where q.status = 'processing'
order by q.id limit 1;
select is((select reduced_in_flight from public.sync_budgets), 3,
  'one to what was sent since gives a place back');
select is((select sum(attempts) from public.chunk_processing_queue), 0::bigint,
  'no attempt was burnt in all');

select * from finish();
rollback;
