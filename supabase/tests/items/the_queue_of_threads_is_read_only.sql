begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(8);

select tests.workspace('acme', 1);
select tests.have_replies(3);
select tests.sync_replies('{replies}');
select public.start_sync_job('test', '{conversation_threads}');
select results_eq($$select q.thread_stage_id = (select min(id) from public.thread_stage),
  q.sync_job_id = (select id from public.polling_job_status where status = 'running'), q.processed_at is null,
  q.created_at is not null from public.thread_processing_queue as q$$,
  $$values (true, true, true, true)$$, 'a thread chunk that waits');
select tests.serve_replies();
select is((select count(*) from public.thread_processing_queue where processed_at is not null),
  1::bigint, 'processed_at is set at completion');
select results_eq($$select id, status, attempts, next_retry_at, created_at is null,
  started_at is null from public.sync_page_queue order by id limit 1$$,
  $$select id, 'completed', 0, null::timestamptz, false, false from public.chunk_processing_queue
  order by id limit 1$$, 'pages stand in a queue of their own');
select ok(not exists (select 1 from public.sync_page_queue as p
  join public.thread_processing_queue as t on t.id = p.id), 'no chunk stands in both');
set local role service_role;
select throws_ok($$update public.thread_processing_queue set processed_at = now()$$, 'SY018', null,
  'threads refuse changes');
select throws_ok($$delete from public.thread_processing_queue$$, 'SY018', null, 'and deletions');
select throws_ok($$insert into public.thread_processing_queue (id) values (1)$$, 'SY018', null,
  'and new rows');
select throws_ok($$update public.sync_page_queue set status = 'pending'$$, 'SY018', null,
  'pages do too');

select * from finish();
rollback;
