begin;
\ir ../support/setup.psql
select plan(10);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.workspace('oak');
select declare_source('{"source_name": "other", "requests_per_second": null}');
select declare_stream('{"source_name": "other", "stream_name": "things", "path": "/things",
  "page_size": 1}');
select register_workspace('elsewhere', 'https://other.example', 'k', 'other');
select start_sync_job('test', '{sender_emails,things}');

create temp table held as select * from tests.claim();
select is(tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'rate_limited', 'HTTP 429: slow down', 30), 'delayed',
  'the rate-limited chunk is delayed') from held;
select results_eq($$select attempts, status, next_retry_at - sync.now()
  from public.chunk_processing_queue where id = (select queue_id from held)$$,
  $$values (0, 'pending', interval '30 seconds')$$,
  'as long as the API asked for, and no attempt is burnt');
create temp table answer as select claim_next_chunk_job_safe('worker-2', 100) as answer;
select results_eq($$select workspace from answer, tests.leases_of(answer)$$,
  $$values ('elsewhere')$$, 'nobody else''s on that budget is handed out, others go on');
select results_eq($$select b - 'budget_id' from answer,
  jsonb_array_elements(answer -> 'blocked_budgets') as b$$, $$values ('{"for_ms": 30000}'::jsonb)$$,
  'the answer lists the block');

select tests.advance('31 seconds');
create temp table probe as select * from tests.claim(100) where workspace <> 'elsewhere';
select is((select count(*) from probe), 1::bigint, 'after the block one probe goes first');
select tests.advance('5 seconds');
select is_empty($$select * from tests.claim(100) where workspace <> 'elsewhere'$$,
  'nobody goes beside it');
select tests.serve(workspace, 1) from probe;
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
  from probe;
select tests.advance('5 seconds');
select is((select count(*) from tests.claim(100) where workspace <> 'elsewhere'), 2::bigint,
  'when it succeeds, all go');
select results_eq($$select block_level, blocked_until, probe_until from public.sync_budgets
  where scope_key = 'bison.example'$$,
  $$values (0, null::timestamptz, null::timestamptz)$$, 'the budget is free again');

select is((select count(*) from public.chunk_events where event = 'delayed'), 1::bigint,
  'the 429 is an event');
select is((select sum(attempts) from public.chunk_processing_queue), 0::bigint,
  'no attempt was burnt in all');

select * from finish();
rollback;
