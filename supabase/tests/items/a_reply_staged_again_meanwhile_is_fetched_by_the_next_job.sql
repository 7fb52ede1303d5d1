begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(3);

select tests.workspace('acme', 1);
select tests.have_replies(3);
select tests.sync_replies('{replies}');
select public.start_sync_job('items', '{conversation_threads}');
create temp table held as select l from jsonb_array_elements(
  public.claim_next_chunk_job_safe('w', 1, p_protocol => 2) -> 'leases') as l;
select tests.advance('1 second');
update tests.replies set fields = '{"read": true}' where id = 2;
select tests.sync_replies('{replies}');
select public.complete_chunk_jobs_safe((select jsonb_agg(jsonb_build_object(
  'queue_id', l -> 'queue_id', 'lease_token', l -> 'lease_token', 'status', 200,
  'body', tests.reply_answer(l -> 'request')::text)) from held));
select results_eq($$select reply_id from public.thread_stage where processed_at is null$$,
  array[2::bigint], 'its conversation was asked for before the edit');
select tests.sync_replies();
select is(tests.asked('conversation%'), '{conversation 1}'::text[], 'so it is asked for again');
select is((select count(*) from public.thread_stage where processed_at is null), 0::bigint,
  'and done');

select * from finish();
rollback;
