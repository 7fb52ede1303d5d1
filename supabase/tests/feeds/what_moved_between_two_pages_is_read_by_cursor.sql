begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(5);

select tests.workspace('acme', 8);
insert into tests.replies (id, root) select n * 10, n * 10 from generate_series(1, 12) as n;
select public.start_sync_job('test', '{replies}');
select tests.serve_replies(1);
create temp table held as select l -> 'queue_id' as queue_id, l -> 'lease_token' as lease_token,
  l -> 'request' as request
  from jsonb_array_elements(
    public.claim_next_chunk_job_safe('w', 8, p_protocol => 2) -> 'leases') as l;
-- Page 3 is answered at once, page 2 after four replies have come.
select public.complete_chunk_jobs_safe((select jsonb_agg(jsonb_build_object('queue_id', queue_id,
  'lease_token', lease_token, 'status', 200, 'body', tests.reply_answer(request)::text))
  from held where tests.params_of(jsonb_build_object('request', request)) ->> 'page' <> '2'));
insert into tests.replies (id, root) select n * 10, n * 10 from generate_series(13, 16) as n;
select public.complete_chunk_jobs_safe((select jsonb_agg(jsonb_build_object('queue_id', queue_id,
  'lease_token', lease_token, 'status', 200, 'body', tests.reply_answer(request)::text))
  from held where tests.params_of(jsonb_build_object('request', request)) ->> 'page' = '2'));
select is((select status from public.workspace_sync_runs), 'running', 'the scan has a gap');
select is((select count(*) from public.email_replies where id <= 120), 10::bigint,
  'of two replies');
select tests.serve_replies();
select is((select status from public.workspace_sync_runs), 'completed', 'it goes on');
select is((select count(*) from public.email_replies where id <= 120), 12::bigint,
  'until the gap is closed');
select ok(cardinality(tests.asked('cursor%')) between 1 and 4, 'which takes few requests');

select * from finish();
rollback;
