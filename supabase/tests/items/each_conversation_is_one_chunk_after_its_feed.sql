begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(9);

select tests.workspace('acme', 3);
select tests.have_replies(9);
select public.start_sync_job('test', '{replies,conversation_threads}');
select tests.serve_replies(4);
select is((select count(*) from public.thread_processing_queue), 0::bigint,
  'nothing is queued while the feed is read');
select tests.serve_replies();
select is(tests.asked('conversation%'), '{conversation 1,conversation 4,conversation 7}'::text[],
  'each root is asked for once');
select results_eq($$select thread_id, array_agg(reply_id order by position),
  array_agg(direction order by position) from public.email_messages group by 1 order by 1$$,
  $$values (1::bigint, '{1,2,3}'::bigint[], '{incoming,outgoing,incoming}'::text[]),
  (4, '{4,5,6}', '{outgoing,incoming,outgoing}'), (7, '{7,8,9}', '{incoming,outgoing,incoming}')$$,
  'all messages in order, both directions');
select is((select count(*) from public.thread_stage where processed_at is null), 0::bigint,
  'nothing is left staged');
select is(tests.sync_replies(), 'completed', 'a second sync');
select is(tests.asked('conversation%'), '{}'::text[], 'fetches none');
update tests.replies set fields = '{"interested": true}' where id = 5;
insert into tests.replies (id, root) values (10, 7), (11, 11);
select tests.sync_replies();
select is(tests.asked('conversation%'), '{conversation 11,conversation 4,conversation 7}'::text[],
  'a third one what is new or edited');
select results_eq($$select stream_name, r.status, r.extra_fetches
  from public.workspace_sync_runs as r
  join public.sync_streams as s on s.id = r.stream_id where stream_name <> 'replies'$$,
  $$select 'conversation_threads', 'completed', 0::bigint from generate_series(1, 3)$$,
  'without an extra fetch');
select is((select bool_and(c.completed_at >= p.completed_at) from public.workspace_sync_runs as c
  join public.workspace_sync_runs as p on p.id = c.parent_run_id), true,
  'a child closes after its parent');

select * from finish();
rollback;
