begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(4);

create function tests.next_cursor(p_next text) returns jsonb language sql as $$
  select (public.complete_chunk_jobs_safe(jsonb_build_array(jsonb_build_object(
    'queue_id', l -> 'queue_id', 'lease_token', l -> 'lease_token', 'status', 200,
    'body', jsonb_build_object('data', jsonb_build_array(tests.reply(1)),
    'meta', jsonb_build_object('next_cursor', p_next))::text))) #> '{outcomes,0}')
  from jsonb_array_elements(public.claim_next_chunk_job_safe('w', 1) -> 'leases') as l;
$$;

select tests.workspace('acme', 1);
select tests.have_replies(6);
update public.sync_streams set cursor_codec = null where stream_name = 'replies';
select public.start_sync_job('test', '{replies}');
select tests.next_cursor('first');
select is(tests.next_cursor('b') ->> 'outcome', 'completed', 'the chain begins at the top');
select is(tests.next_cursor('c') ->> 'outcome', 'completed', 'and goes on');
select is(tests.next_cursor('b') ->> 'code', 'SY020', 'a circle of two is seen');
select tests.advance('1 minute');
select is(tests.next_cursor(null) ->> 'outcome', 'completed', 'a later true end is taken');

select * from finish();
rollback;
