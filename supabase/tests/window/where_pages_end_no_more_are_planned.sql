begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(6);

-- A feed of 60 pages that serves 20 of them, and grows meanwhile.
select tests.workspace('acme', 2);
select tests.have_replies(120);
select public.start_sync_job('test', '{replies}');
select tests.serve_replies(19);
create temp table held as
select (l ->> 'queue_id')::bigint as id, (l ->> 'lease_token')::bigint as token,
  l -> 'request' as request, (tests.params_of(l) ->> 'page')::int as page
from jsonb_array_elements(
  public.claim_next_chunk_job_safe('worker-1', 2, p_protocol => 2) -> 'leases') as l;
select set_eq('select page from held', '{20,21}'::int[], 'two pages are in flight');
select ok((select planned_pages between 22 and 37 and known_pages = 60
  from public.workspace_sync_runs), 'a window of them is planned');
select public.complete_chunk_job_safe(id, token, '{"status": 422, "body": ""}') from held
where page = 21;
select results_eq($$select known_pages = planned_pages, (select count(*)
  from public.chunk_processing_queue where status = 'pending') from public.workspace_sync_runs$$,
  'values (true, 0::bigint)', 'the ones beyond are cancelled, and none is left to plan');
select tests.have_replies(140);
select public.complete_chunk_job_safe(id, token, jsonb_build_object('status', 200, 'body',
  tests.reply_answer(request)::text)) from held where page = 20;
select results_eq($$select phase, needed_pages, known_pages = planned_pages
  from public.workspace_sync_runs$$, $$values ('cursor', 70, true)$$,
  'a page that names more of them plans none beyond their end');
select tests.serve_replies();
select results_eq($$select status from public.polling_job_status$$, $$values ('completed')$$,
  'the rest is read by cursor');
select set_eq($$select id from public.email_replies where id <= 120$$,
  array(select generate_series(1, 120)::bigint), 'and nothing is lost');

select * from finish();
rollback;
