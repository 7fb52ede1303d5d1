begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.workspace('oak');
select declare_source('{"source_name": "other", "requests_per_second": null}');
select declare_stream('{"source_name": "other", "stream_name": "things", "path": "/things",
  "page_size": 1}');
select register_workspace('elsewhere', 'https://other.example', 'k', 'other');
select start_sync_job('test', '{sender_emails,things}');
select tests.fail(l, 'rate_limited', 'HTTP 429', 5) from tests.claim() as l;
select tests.advance('1 second');
create temp table second as select * from tests.claim();
select results_eq($$select workspace from second$$, $$values ('zen')$$, 'another workspace asks');
select tests.advance('1 second');
create temp table told as select fail_chunk_job_safe(queue_id, lease_token, 'rate_limited',
  'HTTP 429', 30) as answer from second;
select results_eq($$select b - 'budget_id' from told,
  jsonb_array_elements(answer -> 'blocked_budgets') as b$$,
  $$values ('{"for_ms": 30000}'::jsonb)$$,
  'refused too, it stops for all, and the answer says so');
select results_eq($$select workspace from tests.claim(100)$$, $$values ('elsewhere')$$,
  'only other budgets go on');
select tests.advance('31 seconds');
create temp table probe as select * from tests.claim(100) where workspace <> 'elsewhere';
select is((select count(*) from probe), 1::bigint, 'after the block one probe goes first');
select is_empty($$select * from tests.claim(100)$$, 'nobody goes beside it');
select tests.serve(workspace, 1) from probe;
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
from probe;
select results_eq($$select block_level, blocked_until, probe_until from public.sync_budgets
  where scope_key = 'bison.example'$$, $$values (0, null::timestamptz, null::timestamptz)$$,
  'when it succeeds, the block is over');
select tests.advance('1 second');
select isnt_empty($$select * from tests.claim(100)$$, 'and the others go on');
select is((select count(*) from public.chunk_events where event = 'delayed'), 2::bigint,
  'each 429 is an event');

select * from finish();
rollback;
