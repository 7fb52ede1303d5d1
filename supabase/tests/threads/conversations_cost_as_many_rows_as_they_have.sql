begin;
\ir ../support/setup.psql
select plan(10);
select tests.forget_statistics();

-- Nothing here was ever analyzed. Three workspaces, each twice as large as the one before: what is
-- read may not grow much faster.
create function tests.conversation(p_first int, p_last int, p_changed text default '')
  returns jsonb language sql as $$
  select jsonb_build_object('data', jsonb_agg(jsonb_build_object('id', n, 'text_body',
    case when n % 10 = 1 then p_changed else '' end || n, 'raw_message_id',
    format('<%s@example.com>', n), 'from_email_address', 'a@example.com', 'date_received',
    timestamptz '2026-01-01' + n * interval '1 minute')))
  from generate_series(p_first, p_last) as n;
$$;

-- Replies that are staged, each with its parent, if that is known.
create function tests.stage(p_workspace text, p_replies int, p_per_root int) returns void
language sql as $$
  insert into email_replies as e (workspace_id, id, parent_id, raw)
  select w.id, n, nullif(n - (n - 1) % p_per_root, n), '{}'
  from sync_workspaces as w cross join generate_series(1, p_replies) as n
  where w.workspace_name = p_workspace order by n
  on conflict (workspace_id, id) do update set parent_id = excluded.parent_id;
  insert into sync.staged_items (workspace_id, stream_id, record_id)
  select w.id, s.id, n from sync_workspaces as w join sync_streams as s
    on s.source_id = w.source_id and s.stream_name = 'conversation_threads'
  cross join generate_series(1, p_replies) as n
  where w.workspace_name = p_workspace order by n;
$$;

-- A worker; each answer shows the conversation of p_shown replies that the one asked for is in.
create function tests.cost_of_threads(p_workspace text, p_replies int, p_per_root int,
  p_shown int, p_changed text default '') returns bigint language plpgsql as $$
declare
  v_tables regclass[] := '{public.email_threads,public.email_messages,public.email_replies,
    sync.staged_items,public.chunked_sync_jobs,public.chunk_processing_queue,
    public.chunk_events}';
  v_leases tests.lease[];
  v_before bigint;
begin
  perform tests.stage(p_workspace, p_replies, p_per_root);
  v_before := tests.rows_read(v_tables);
  perform public.start_sync_job('test', '{conversation_threads}', array[p_workspace]);
  loop
    v_leases := array(
      select row((l ->> 'queue_id')::bigint, (l ->> 'lease_token')::bigint, null, null,
        substring(l #>> '{request,url}' from '([0-9]+)/conversation-thread$'), 0, 0)::tests.lease
      from jsonb_array_elements(
        public.claim_next_chunk_job_safe('w', 100, p_protocol => 2) -> 'leases') as l);
    exit when cardinality(v_leases) = 0;
    perform public.complete_chunk_jobs_safe((
      select jsonb_agg(jsonb_build_object('queue_id', l.queue_id, 'lease_token', l.lease_token,
        'status', 200, 'body', tests.conversation(first.id, first.id + p_shown - 1, p_changed)::text))
      from unnest(v_leases) as l cross join lateral (
        select l.record_id::int - (l.record_id::int - 1) % p_shown as id) as first));
  end loop;
  return tests.rows_read(v_tables) - v_before;
end; $$;

select tests.workspace('small');
select tests.workspace('double');
select tests.workspace('fourfold');
create temp table cost as
select w.name, w.replies, tests.cost_of_threads(w.name, w.replies, w.replies, w.replies) as of_one,
  tests.cost_of_threads(w.name, w.replies, w.replies, w.replies, 'new ') as of_one_changed
from (values ('small', 100), ('double', 200), ('fourfold', 400)) as w (name, replies);
create function tests.threads() returns setof text language sql as $$
  select format('%s: %s threads, %s messages', w.workspace_name, count(distinct t.id),
    sum(t.message_count))
  from email_threads as t join sync_workspaces as w on w.id = t.workspace_id
  group by w.id order by w.id;
$$;
select is(array(select tests.threads()), '{"small: 1 threads, 100 messages",
  "double: 1 threads, 200 messages","fourfold: 1 threads, 400 messages"}', 'one conversation each');
select is((select count(*) from email_messages as m join email_messages as o
    on o.workspace_id = m.workspace_id and o.position = m.position + 1
    where m.sent_at > o.sent_at), 0::bigint, 'in order');
select cmp_ok(more.of_one, '<', 3 * less.of_one, format('a conversation of %s and of %s messages: '
  '%s and %s rows read', more.replies, less.replies, more.of_one, less.of_one))
from cost as more, cost as less where (more.name, less.name) = ('fourfold', 'double');
select cmp_ok(more.of_one_changed, '<', 3 * less.of_one_changed, format('where some of them '
  'changed: %s and %s', more.of_one_changed, less.of_one_changed))
from cost as more, cost as less where (more.name, less.name) = ('fourfold', 'double');

-- Nobody knew that they belong together: a chunk for each, and what the first answer shows is
-- covered.
delete from email_threads where true;
create temp table cost_of_joined as
select name, tests.cost_of_threads(name, replies, 1, replies) as of_joined from cost;
select is(array(select tests.threads()), '{"small: 1 threads, 100 messages",
  "double: 1 threads, 200 messages","fourfold: 1 threads, 400 messages"}', 'they become one');
select cmp_ok(more.of_joined, '<', 3 * less.of_joined, format('%s and %s rows read',
  more.of_joined, less.of_joined))
from cost_of_joined as more, cost_of_joined as less
where (more.name, less.name) = ('fourfold', 'double');

-- More of them than are queued at once: what the first answer showed is asked for no more.
delete from email_threads where true;
select tests.workspace('parts', 1);
select tests.workspace('more parts', 1);
create temp table cost_of_parts as
select name, replies, tests.cost_of_threads(name, replies, 1, replies) as of_parts
from (values ('parts', 1500), ('more parts', 3000)) as w (name, replies);
select results_eq($$
  select w.workspace_name, count(distinct e.chunk_id), (
    select count(*) from thread_stage as s where s.workspace_id = w.id and s.processed_at is null)
  from workspace_sync_runs as r join sync_workspaces as w on w.id = r.workspace_id
  join chunk_events as e on e.run_id = r.id and e.lease_token is not null
  where w.workspace_name in ('parts', 'more parts') group by w.id order by 1
$$, $$values ('more parts', 1::bigint, 0::bigint), ('parts', 1, 0)$$,
  'one request each, however many parts, and nothing is left');
select cmp_ok(more.of_parts, '<', 3 * less.of_parts, format('%s and %s rows read',
  more.of_parts, less.of_parts))
from cost_of_parts as more, cost_of_parts as less
where (more.name, less.name) = ('more parts', 'parts');

-- Many of four messages.
delete from email_threads where true;
create temp table cost_of_many as
select name, tests.cost_of_threads(name, replies, 4, 4) as of_many from cost;
select is(array(select tests.threads()), '{"small: 25 threads, 100 messages",
  "double: 50 threads, 200 messages","fourfold: 100 threads, 400 messages"}',
  'many conversations each');
select cmp_ok(more.of_many, '<', 3 * less.of_many, format('%s and %s rows read', more.of_many,
  less.of_many))
from cost_of_many as more, cost_of_many as less
where (more.name, less.name) = ('fourfold', 'double');

select * from finish();
rollback;
