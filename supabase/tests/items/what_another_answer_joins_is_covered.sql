begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(7);

select tests.workspace('acme', 3);
select tests.have_replies(6);
update tests.replies set fields = '{"parent_id": null}';
select tests.sync_replies('{replies}');
select public.start_sync_job('test', '{conversation_threads}');
truncate tests.asked;
select tests.serve_replies(1);
select results_eq($$select c.record_id, e.event from public.chunk_events as e
  join public.chunked_sync_jobs as c on c.id = e.chunk_id where c.kind = 'item' order by e.id$$,
  $$values ('1', 'completed'), ('2', 'covered'), ('3', 'covered')$$,
  'what came with the first answer is covered');
select is((select count(*) from public.thread_stage where processed_at is null), 3::bigint,
  'and not staged any more');
select tests.serve_replies(1, 3);
select results_eq($$select status, extra_fetches, chunks_completed, planned_chunks
  from public.workspace_sync_runs order by id desc limit 1$$,
  $$values ('completed', 2::bigint, 6::bigint, 6::bigint)$$,
  'three that were on their way together are one fetch and two extra ones');
select is(tests.asked('%'), '{conversation 1,conversation 4,conversation 5,conversation 6}'::text[],
  'no covered one was asked for');
select is((select count(*) from public.email_threads), 2::bigint, 'two conversations');
select is((select count(*) from public.email_messages), 6::bigint, 'each message once');
select is((select count(*) from public.thread_stage where processed_at is null), 0::bigint,
  'nothing is left');

select * from finish();
rollback;
