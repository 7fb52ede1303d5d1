begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(10);

select register_workspace('acme', 'https://bison.example', '7|keyofacme', p_external_id => '41',
  p_max_concurrency => 3);
select set_budget('email_bison', null, null);
select tests.have_replies(9);
prepare runs as select s.stream_name, r.status, r.phase, r.scan
from public.workspace_sync_runs as r join public.sync_streams as s on s.id = r.stream_id
order by 1;
prepare threads as select thread_id, count(*) from public.email_messages group by 1 order by 1;

create function tests.say_whose_key(p_id int) returns text[] language sql as $$
  select array_agg(tests.complete(l, format('{"data": {"workspace": {"id": %s}}}', p_id)))
  from tests.claim(1) as l;
$$;

select public.start_sync_job('test', '{replies,conversation_threads}');
select tests.say_whose_key(41);
select tests.serve_replies(2);
select rotate_workspace_key('acme', '8|alsoofacme');
select results_eq('runs', $$values ('conversation_threads', 'running', 'parent', 1),
  ('replies', 'running', 'connect', 2)$$, 'the feed begins again, its items wait for it');
select is(tests.say_whose_key(41), '{completed}', 'the new key is its own');
select tests.serve_replies(6);
select results_eq('runs', $$values ('conversation_threads', 'running', 'items', 1),
  ('replies', 'completed', 'scan', 2)$$, 'the feed is read whole, the first items are asked for');

select rotate_workspace_key('acme', '9|alsoofacme');
select results_eq('runs', $$values ('conversation_threads', 'running', 'connect', 2),
  ('replies', 'completed', 'scan', 2)$$, 'the items begin again');
select is(tests.say_whose_key(41), '{completed}', 'with the question whose key it is');
select tests.serve_replies();
select results_eq('threads', $$values (1::bigint, 3::bigint), (4, 3), (7, 3)$$,
  'no conversation is left out');
select results_eq($$select status, (select count(*) from public.thread_stage
  where processed_at is null) from public.polling_job_status$$,
  $$values ('completed', 0::bigint)$$, 'the job completes without help');

insert into tests.replies (id, root) values (10, 10);
select public.start_sync_job('test', '{replies,conversation_threads}');
select tests.serve_replies(1);
select rotate_workspace_key('acme', '10|keyofzen');
select is(tests.say_whose_key(42), '{completed}', 'in the middle of a feed it gets another''s key');
select is(tests.say_whose_key(42), '{completed}',
  'before an item that was staged before that is asked for, whose key it is is asked again');
select results_eq('threads', $$values (1::bigint, 3::bigint), (4, 3), (7, 3)$$,
  'and nothing is written');

select * from finish();
rollback;
