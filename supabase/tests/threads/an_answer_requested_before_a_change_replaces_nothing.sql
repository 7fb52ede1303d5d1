begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme');
create function tests.message(p_id bigint, p_text text) returns jsonb language sql as $$
  select jsonb_build_object('id', p_id, 'raw_message_id', format('<%s@x>', p_id), 'text_body',
    p_text, 'from_email_address', 'a@example.com', 'date_received',
    timestamptz '2026-01-01' + p_id * interval '1 minute');
$$;
create function tests.write(p_asked bigint, p_requested_at timestamptz, variadic p_messages jsonb[])
  returns boolean language sql as $$
  select sync.write_thread((select id from public.sync_workspaces), p_asked,
    jsonb_build_object('data', to_jsonb(p_messages)), p_requested_at);
$$;
select tests.write(1, sync.now(), tests.message(1, 'new'), tests.message(2, 'new'));
select is(tests.write(2, sync.now() - interval '1 second', tests.message(1, 'old'),
  tests.message(3, 'other')), true, 'an answer that was requested before');
select results_eq($$select reply_id, text_body from public.email_messages order by position$$,
  $$values (1::bigint, 'new'), (2, 'new'), (3, 'other')$$,
  'adds what is missing and replaces nothing');
select results_eq($$select asked_reply_id, message_count, raw #>> '{data,0,text_body}'
  from public.email_threads$$, $$values (1::bigint, 3, 'new')$$, 'nor the conversation''s own row');
select tests.advance('1 minute');
select tests.write(2, sync.now(), tests.message(1, 'newest'), tests.message(3, 'other'));
select results_eq($$select reply_id, text_body from public.email_messages order by position$$,
  $$values (1::bigint, 'newest'), (2, 'new'), (3, 'other')$$, 'a later one does');
select is((select raw #>> '{data,0,text_body}' from public.email_threads), 'newest',
  'in the conversation''s row, too');

select * from finish();
rollback;
