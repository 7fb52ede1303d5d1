begin;
\ir ../support/setup.psql
select plan(6);

select register_workspace('acme', 'https://bison.example', '7|keyofacme');
select tests.accept_key('acme');
select start_sync_job();

create temp table answer as select claim_next_chunk_job_safe('worker-1', p_protocol => 2) as answer;
select results_eq($$
  select l - 'queue_id' - 'lease_token' - 'workspace_id' - 'budget_id' - 'credentials' from answer,
    jsonb_array_elements(answer -> 'leases') as l
$$, $$
  values ('{"lease_ms": 20000, "send_after_ms": 0, "workspace": "acme", "stream": "sender_emails",
    "attempt": 1, "timeout_ms": 30000,
    "max_body_bytes": 8388608,
    "request": {"method": "GET", "url": "https://bison.example/api/sender-emails",
    "params": [["page", "1"]],
      "headers": {"Accept": "application/json"}, "reach": "public"},
    "origin": "https://bison.example", "answer_headers": ["date", "retry-after"],
    "status_classes": {"2xx": "page", "304": "transient", "408": "transient", "425": "transient", "429": "rate_limited",
    "5xx": "transient",
      "other": "permanent"}}'::jsonb)
$$, 'what to send, how long it may take, what each status means');
select results_eq($$
  select answer #> '{leases,0,credentials}' from answer
$$, $$values ('[{"in": "header", "name": "Authorization", "value": "Bearer 7|keyofacme"}]'::jsonb)$$,
  'and the workspace''s credential');
select results_eq($$
  select status, worker_id, attempts, started_at, lease_expires_at, ready_seq, next_retry_at
  from public.chunk_processing_queue
$$, $$
  values ('processing', 'worker-1', 0, sync.now(), sync.now() + interval '20 seconds', null::bigint,
    null::timestamptz)
$$, 'the chunk is in flight');

select is((select answer -> 'versions' from answer), chunkwise_version(),
  'a worker whose program the database has outgrown learns it from its next claim');

select is(claim_next_chunk_job_safe('worker-2', 100, p_protocol => 2) - 'versions',
  '{"leases": [], "blocked_budgets": [], "next_look_ms": null}',
  'for the next there is nothing, which is no error');
select results_eq($$select worker_id, last_seen_at from sync.workers order by 1$$,
  $$values ('worker-1', sync.now()), ('worker-2', sync.now())$$, 'both are known');

select * from finish();
rollback;
