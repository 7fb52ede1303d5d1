begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(7);

create function tests.write(p_asked bigint, variadic p_ids bigint[]) returns boolean
  language sql as $$
  select sync.write_thread(id, p_asked, jsonb_build_object('data', array(
    select tests.reply(r) from unnest(p_ids) as r))) from public.sync_workspaces;
$$;
create view tests.threads as select t.id, t.message_count, array(select m.reply_id
  from public.email_messages as m where m.thread_id = t.id order by position) as replies
  from public.email_threads as t;

select tests.workspace('acme');
select tests.have_replies(9);
select tests.write(2, 2, 3);
select tests.write(5, 5, 6);
select is(tests.write(2, 2, 3), false, 'an unchanged answer changes nothing');
select is(tests.write(2, 1, 2, 3), true, 'an answer that shows an older reply');
select results_eq('select * from tests.threads order by id',
  $$values (2::bigint, 3, '{1,2,3}'::bigint[]), (5, 2, '{5,6}')$$,
  'adds it to the conversation that is stored');
select tests.write(5, 5, 6, 3);
select results_eq('select * from tests.threads', $$values (2::bigint, 5, '{1,2,3,5,6}'::bigint[])$$,
  'two that an answer joins are one');
select is((select count(*) from public.email_messages where reply_id in (3, 5, 6)), 3::bigint,
  'each reply stands in it once');
select tests.write(8, 8, 9);
select tests.write(8, 9);
select is((select message_count from tests.threads where 9 = any(replies)), 2,
  'a message that is shown no more stays');
update tests.replies set fields = '{"raw_message_id": "<new@x>"}' where id = 9;
select tests.write(8, 8, 9);
select is((select replies from tests.threads where 9 = any(replies)), '{8,9}'::bigint[],
  'a new Message-ID does not double a reply');
select * from finish();
rollback;
