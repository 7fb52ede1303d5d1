-- Thread queue: which reply to ask a conversation of, what its answer shows, what a run warns of;
-- the staged replies and the chunks of conversations as views; the stream's declaration.

create function sync.thread_warnings(p_run_id bigint) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  return array(
    select format('%s: %s (asked for reply %s)', sync.counted(count(*), 'conversation'), w.warning,
      (array_agg(w.record_id order by w.record_id))[1])
    from (
      select c.record_id, t.warning from public.workspace_sync_runs as r
      join public.chunked_sync_jobs as c on c.run_id = r.id and c.kind = 'item'
      -- Offset 0: one look by key for each, whatever the planner knows of the tables.
      cross join lateral (
        select 1 from public.chunk_events as x
        where x.chunk_id = c.id and x.event = 'completed' offset 0
      ) as e
      cross join lateral (
        select x.warning from public.email_threads as x
        where x.workspace_id = r.workspace_id and x.asked_reply_id = c.record_id::bigint
          and x.warning is not null offset 0
      ) as t
      where r.id = p_run_id
    ) as w
    group by w.warning order by w.warning);
end; $$;
comment on function sync.thread_warnings(bigint) is
$$Returns: what of a run's conversations could not be mapped, with counts and one example each.$$;

create function sync.thread_roots(p_workspace_id bigint, p_reply_ids bigint[])
returns table (reply_id bigint, root_id bigint)
language sql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off as $$
  -- Offset 0: one look by key for each, whatever the planner knows of the table.
  with recursive ancestors as (
    select asked.id as reply_id, asked.id, r.parent_id
    from unnest(p_reply_ids) as asked (id)
    left join lateral (
      select x.parent_id from public.email_replies as x
      where x.workspace_id = p_workspace_id and x.id = asked.id offset 0
    ) as r on true
    union
    select a.reply_id, a.parent_id, r.parent_id
    from ancestors as a
    cross join lateral (
      select x.parent_id from public.email_replies as x
      where x.workspace_id = p_workspace_id and x.id = a.parent_id offset 0
    ) as r
  ), steps as (
    select a.reply_id, a.id, exists (
      select 1 from public.email_replies as r
      where r.workspace_id = p_workspace_id and r.id = a.parent_id offset 0) as goes_on
    from ancestors as a
  )
  select reply_id, coalesce(min(id) filter (where not goes_on), min(id)) from steps
  group by reply_id;
$$;
comment on function sync.thread_roots(bigint, bigint[]) is
$$Follow parent_id through stored replies. Returns: each reply and its root; of replies that lead in
a circle the lowest id.$$;

create function sync.conversation_keys(p_workspace_id bigint, p_reply_ids text[])
returns table (record_id text, item_key text)
language sql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  -- Offset 0: one look by key for each, whatever the planner knows of the tables.
  select r.reply_id::text, coalesce(stored.asked_reply_id, r.root_id)::text
  from sync.thread_roots(p_workspace_id, p_reply_ids::bigint[]) as r
  left join lateral (
    select t.asked_reply_id from public.email_messages as m
    cross join lateral (
      select x.asked_reply_id from public.email_threads as x
      where x.workspace_id = p_workspace_id and x.id = m.thread_id offset 0
    ) as t
    where m.workspace_id = p_workspace_id and m.reply_id = r.reply_id limit 1
  ) as stored on true;
$$;
comment on function sync.conversation_keys(bigint, text[]) is
$$Returns: of which reply to ask for the conversation of each: the one that brought its conversation
last, so that what an answer of this run showed is not asked for again; else its root.$$;

create function sync.replies_shown(p_workspace_ids bigint[], p_chunk_ids bigint[],
  p_reply_ids text[])
returns table (chunk_id bigint, shown_id text)
language sql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  -- In steps without doubles: of a long conversation every message leads to every other. Offset 0:
  -- one look by key for each, whatever the planner knows of the table.
  with threads as materialized (
    select distinct asked.chunk_id, asked.workspace_id, m.thread_id
    from unnest(p_workspace_ids, p_chunk_ids, p_reply_ids)
      as asked (workspace_id, chunk_id, reply_id)
    cross join lateral (
      select x.thread_id from public.email_messages as x
      where x.workspace_id = asked.workspace_id and x.reply_id = asked.reply_id::bigint offset 0
    ) as m
  )
  select distinct t.chunk_id, m.reply_id::text from threads as t
  cross join lateral (
    select x.reply_id from public.email_messages as x
    where x.workspace_id = t.workspace_id and x.thread_id = t.thread_id
      and x.reply_id is not null offset 0
  ) as m;
$$;
comment on function sync.replies_shown(bigint[], bigint[], text[]) is
$$Returns: which replies stand in the conversations that chunks brought.$$;

create view public.thread_stage with (security_invoker = true) as
select
  s.id, s.workspace_id, s.record_id::bigint as reply_id, r.raw as payload, s.item_key as thread_key,
  s.chunk_id, s.staged_at, s.processed_at
from sync.staged_items as s
join public.sync_streams as st on st.id = s.stream_id and st.stream_name = 'conversation_threads'
join public.sync_sources as so on so.id = st.source_id and so.source_name = 'email_bison'
left join public.email_replies as r
  on r.workspace_id = s.workspace_id and r.id = s.record_id::bigint;
comment on view public.thread_stage is
'New and changed replies whose conversation is to be fetched: the staged items of its stream.';
comment on column public.thread_stage.id is 'Lower is earlier.';
comment on column public.thread_stage.workspace_id is 'sync_workspaces.id.';
comment on column public.thread_stage.reply_id is 'email_replies.id.';
comment on column public.thread_stage.payload is 'The reply as the API serves it.';
comment on column public.thread_stage.thread_key is
'The reply to ask the conversation of: the root that stored replies lead to, else the reply
itself.';
comment on column public.thread_stage.chunk_id is
'The chunk that fetches it: one per conversation and run.';
comment on column public.thread_stage.staged_at is 'When it was new or changed last.';
comment on column public.thread_stage.processed_at is
'Null while its conversation was not fetched; a failed one stays for the next job.';

create view public.thread_processing_queue with (security_invoker = true) as
select
  q.id, (select min(s.id) from sync.staged_items as s where s.chunk_id = q.id) as thread_stage_id,
  q.parent_sync_job_id as sync_job_id,
  case when q.status = 'completed' then q.completed_at end as processed_at, q.created_at,
  q.status, q.attempts, q.next_retry_at, q.started_at, q.run_id, c.record_id as thread_key
from public.chunk_processing_queue as q
join public.chunked_sync_jobs as c on c.id = q.id
where c.kind = 'item';
comment on view public.thread_processing_queue is
'Thread chunks; processed_at is set at completion. Read only: claim_chunk_job_safe() and
claim_next_chunk_job_safe() hand them out.';
comment on column public.thread_processing_queue.id is
'The chunk: what claim_chunk_job_safe() takes.';
comment on column public.thread_processing_queue.thread_stage_id is
'The first reply that asked for it: thread_stage.id.';
comment on column public.thread_processing_queue.sync_job_id is 'Its job: polling_job_status.id.';
comment on column public.thread_processing_queue.processed_at is 'When it was completed.';
comment on column public.thread_processing_queue.created_at is 'When it was planned.';
comment on column public.thread_processing_queue.status is
'pending, processing, completed, failed or cancelled.';
comment on column public.thread_processing_queue.attempts is
'Failures so far; rate limits do not count.';
comment on column public.thread_processing_queue.next_retry_at is
'When a delayed chunk is ready again.';
comment on column public.thread_processing_queue.started_at is 'When it was last claimed.';
comment on column public.thread_processing_queue.run_id is 'Its run: workspace_sync_runs.id.';
comment on column public.thread_processing_queue.thread_key is
'The conversation: thread_stage.thread_key.';
create trigger thread_processing_queue_write instead of insert or update or delete
  on public.thread_processing_queue
for each row execute function sync.refuse_queue_write();

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "conversation_threads", "is_default": false,
  "completeness": "items", "path": "/replies",
  "page_size": 1, "parent_stream": "replies", "item_path": "/replies/{id}/conversation-thread",
  "target_table": "public.email_threads",
  "apply_function": "sync.apply_conversations", "stage_function": "sync.conversation_keys",
  "shown_function": "sync.replies_shown", "warn_function": "sync.thread_warnings"}');

revoke all on table public.thread_stage, public.thread_processing_queue
from public, anon, authenticated, service_role;
grant select on table public.thread_stage to authenticated, service_role;
grant select on table public.thread_processing_queue to authenticated;
grant select, insert, update, delete on table public.thread_processing_queue to service_role;
revoke all on function
  sync.thread_warnings, sync.thread_roots, sync.conversation_keys, sync.replies_shown
from public, anon, authenticated, service_role;
