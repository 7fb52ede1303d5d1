begin;
\ir ../support/setup.psql
select plan(6);

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
select results_eq($$select b ->> 'for_ms' from jsonb_array_elements(sync.blocked_budgets()) as b$$,
  $$values ('30000')$$, 'what is leased with its key and not sent comes back, from every worker');
select tests.advance('1 second');
select results_eq($$select workspace from tests.claim(100)$$, $$values ('zen')$$,
  'a 429 of one does not hold the other');
select results_eq($$select scope_key ~ '^workspace:[0-9]+$', count(*) from public.sync_budgets
  group by 1$$, $$values (true, 2::bigint)$$,
  'each workspace has its budget');
select results_eq($$select distinct sync.send_ahead(b) from public.sync_budgets as b$$,
  $$values (interval '500 ms')$$,
  'little is reserved ahead: what waits for one key takes a worker''s room from the others');

-- At 8/s, where 10/s are set, 13 were answered in 2 s before the next 429.
update public.sync_budgets set requests_per_second = 10, learned_rate = 8, answers = 13,
  refusals = 0, is_rate_measured = false, reduced_in_flight = 5, block_level = 0,
  reduced_at = sync.now() - interval '2 seconds', next_send_at = sync.now() + interval '1 second';
insert into public.sync_budgets (source_id, scope_key, requests_per_second, learned_rate, answers,
  reduced_in_flight, reduced_at, next_send_at)
select source_id, 'crm.example', requests_per_second, learned_rate, answers, reduced_in_flight,
  reduced_at, next_send_at
from public.sync_budgets order by id limit 1;
select sync.slow_down(id, sync.now(), sync.now() + interval '1 second', true)
from public.sync_budgets;
select results_eq($$select starts_with(scope_key, 'workspace:'), round(learned_rate, 2)
    from public.sync_budgets group by 1, 2 order by 1$$,
  $$values (false, 8.00), (true, 6.05)$$,
  'one more tells what passes with this key; of an instance it may be chance');

select * from finish();
rollback;
