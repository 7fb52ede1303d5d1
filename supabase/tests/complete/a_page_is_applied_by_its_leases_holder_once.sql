begin;
\ir ../support/setup.psql
select plan(9);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.start('acme');
create temp table held as select l as lease from tests.claim() as l;

create temp table first as select complete_chunk_jobs_safe(jsonb_build_array(tests.answer(lease)))
  -> 'outcomes' -> 0 as answer from held;
select is((select answer - 'queue_id' from first),
  '{"outcome": "completed", "records": 2, "changed": 2}', 'the holder is told what was applied');
select results_eq($$select id, email_address, emails_sent_count, created_at, last_changed_at,
  deleted_at from sender_emails order by id$$, $$
  values (1::bigint, 'a1@example.com', 10::bigint, '2026-01-01T00:00:00Z'::timestamptz, sync.now(),
    null::timestamptz),
    (2, 'a2@example.com', 20, '2026-01-01T00:00:00Z', sync.now(), null)
$$, 'its records stand in the table');
select results_eq($$
  select c.page, q.status, q.slot::int from public.chunked_sync_jobs as c
  join public.chunk_processing_queue as q on q.id = c.id order by 1
$$, $$values (1, 'completed', null), (2, 'pending', 1)$$,
  'the page it revealed is ready in its slot');
select results_eq($$select event, worker_id, details from public.chunk_events$$, $$
  values ('completed', 'worker-1',
    '{"records": 2, "changed": 2, "total": 3, "duration_ms": 187, "http_status": 200}'::jsonb)
$$, 'the event says what happened');

select is(complete_chunk_jobs_safe(jsonb_build_array(tests.answer(lease))) -> 'outcomes' -> 0,
  (select answer from first),
  'repeated, it is answered alike') from held;
select tests.advance('10 minutes');
select cleanup_stuck_chunks();
select is(complete_chunk_jobs_safe(jsonb_build_array(tests.answer(lease))) -> 'outcomes' -> 0,
  (select answer from first),
  'also later') from held;
select results_eq($$select event, count(*) from public.chunk_events group by 1$$,
  $$values ('completed', 1::bigint)$$, 'and applied once');
select throws_ok($$select complete_chunk_job_safe(l.queue_id, l.lease_token + 1, tests.answer(l))
  from held, lateral (select (lease).*) as l$$, 'SY001', null,
  'any other token is refused');
select throws_ok($$select complete_chunk_job_safe(999999999, 1, '{"status": 200, "body": "{}"}')$$,
  'SY001', null, 'as is an unknown chunk');

select * from finish();
rollback;
