begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(4);

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
