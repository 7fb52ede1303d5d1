begin;
\ir ../support/setup.psql
select plan(4);

select declare_source('{"source_name": "crm", "budget_scope": "key", "requests_per_second": 1,
  "max_in_flight": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 1}');
select register_workspace('acme', 'https://crm.example', 'k1', 'crm');
select register_workspace('zen', 'https://crm.example', 'k2', 'crm');
select start_sync_job();
create temp table held as select * from tests.claim(100);
select results_eq($$select workspace, send_after_ms from held$$,
  $$values ('acme', 0::bigint), ('zen', 0)$$, 'both go at once');
select tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'rate_limited', 'HTTP 429', 30) from held where workspace = 'acme';
select tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'released') from held where workspace = 'zen';
select tests.advance('1 second');
select results_eq($$select workspace from tests.claim(100)$$, $$values ('zen')$$,
  'a 429 of one does not hold the other');
select results_eq($$select scope_key ~ '^workspace:[0-9]+$', count(*) from public.sync_budgets
  group by 1$$, $$values (true, 2::bigint)$$,
  'each workspace has its budget');
select results_eq($$select distinct sync.send_ahead(b) from public.sync_budgets as b$$,
  $$values (interval '500 ms')$$,
  'little is reserved ahead: what waits for one key takes a worker''s room from the others');

select * from finish();
rollback;
