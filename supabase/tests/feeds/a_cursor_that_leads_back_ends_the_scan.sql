begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(6);

create function tests.next_cursor(p_next text) returns jsonb language sql as $$
  select (public.complete_chunk_jobs_safe(jsonb_build_array(jsonb_build_object(
    'queue_id', l -> 'queue_id', 'lease_token', l -> 'lease_token', 'status', 200,
    'body', jsonb_build_object('data', jsonb_build_array(tests.reply(1)),
    'meta', jsonb_build_object('next_cursor', p_next))::text))) #> '{outcomes,0}')
  from jsonb_array_elements(public.claim_next_chunk_job_safe('w', 1) -> 'leases') as l;
$$;

select tests.workspace('acme', 1);
select tests.have_replies(6);
select public.start_sync_job('test', '{replies}');
select is(tests.next_cursor(sync.build_cursor(100)) ->> 'outcome', 'completed',
  'page 1 answers in cursor mode: pages end');
select is(tests.next_cursor(sync.build_cursor(50)) ->> 'outcome', 'completed', 'from the top');
select is(tests.next_cursor(sync.build_cursor(50)) ->> 'code', 'SY020', 'the same cursor again');
select tests.advance('1 minute');
select is(tests.next_cursor(sync.build_cursor(51)) ->> 'code', 'SY020', 'one that leads back');
select tests.advance('1 minute');
select is(tests.next_cursor(sync.build_cursor(50)) ->> 'outcome', 'failed', 'the third try fails');
select results_eq(
  $$select status, error_message ~ 'cursor repeats' from public.workspace_sync_runs$$,
  $$values ('failed', true)$$, 'and names it');

select * from finish();
rollback;
