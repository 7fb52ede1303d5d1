begin;
\ir ../support/setup.psql
select plan(7);

select results_eq($$select message_key, reply_id from sync.messages_in('{"data": {"current_reply":
  {"id": 1, "raw_message_id": "<a@x>", "from_email_address": "a@x"}, "older_messages": [{"id": 2,
  "text_body": "t"}], "deep": {"deeper": [[{"id": 3, "from_email_address": "b@x", "lead": {"id": 9,
  "email": "l@x"}}]]}}}')$$,
  $$values ('<a@x>', 1::bigint), ('reply:2', 2), ('reply:3', 3)$$, 'wherever it stands');
select is((select count(*) from sync.messages_in('[{"id": 1, "raw_message_id": "<a@x>"},
  {"id": 1, "raw_message_id": "<a@x>"}]')), 1::bigint, 'a Message-ID twice is one message');
select matches((select message_key from sync.messages_in('{"text_body": "no id at all"}')),
  '^content:', 'one without any id is kept by its content');
select is((select sent_at from sync.messages_in('{"id": 1, "text_body": "",
  "date_received": "soon"}')),
  null, 'an unreadable time is null');
select is((select reply_id from sync.messages_in('{"id": "1", "text_body": ""}')), null,
  'an id that is no number names no reply');
select is((select direction from sync.messages_in('{"id": 1, "text_body": "",
  "type": "Outgoing Email"}')), 'outgoing', 'our own mail goes out');
select is((select count(*) from sync.messages_in('{"data": {"html": "<p>", "id": 5}}')), 0::bigint,
  'what does not look like one is none');

select * from finish();
rollback;
