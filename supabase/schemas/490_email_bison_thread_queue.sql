-- Thread queue: which reply to ask a conversation of, the chunks of conversations as a view, what a
-- run found of them; the stream's declaration.
-- Stands on: email_bison_threads, views_queue.

create function sync.thread_warnings(p_run_id bigint) returns text[]
language sql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  select array(
    select format('%s conversations: %s (asked for reply %s)', count(*), w.warning,
      (array_agg(w.record_id order by w.record_id))[1])
    from (
      select c.record_id, case when e.details ->> 'http_status' in ('404', '410')
        then 'gone, the API answers ' || (e.details ->> 'http_status')
        else t.warning end as warning
      from public.workspace_sync_runs as r
      join public.chunked_sync_jobs as c on c.run_id = r.id and c.kind = 'item'
      -- Offset 0: one look by key for each, whatever the planner knows of the tables.
      cross join lateral (
        select x.details from public.chunk_events as x
        where x.chunk_id = c.id and x.event = 'completed' offset 0
      ) as e
      left join lateral (
        select x.warning from public.email_threads as x
        where x.workspace_id = r.workspace_id and x.asked_reply_id = c.record_id::bigint
          and x.warning is not null offset 0
      ) as t on true
      where r.id = p_run_id
    ) as w
    where w.warning is not null group by w.warning order by w.warning);
$$;
comment on function sync.thread_warnings(bigint) is
$$Returns: what of a run's conversations is gone or could not be mapped, with counts and one example
each.$$;

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

create view public.thread_processing_queue with (security_invoker = true) as
select
  q.id, (select min(s.id) from public.thread_stage as s where s.chunk_id = q.id) as thread_stage_id,
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
  "apply_function": "sync.apply_conversations"}');

revoke all on table public.thread_processing_queue
from public, anon, authenticated, service_role;
grant select on table public.thread_processing_queue to authenticated;
grant select, insert, update, delete on table public.thread_processing_queue to service_role;
revoke all on function
  sync.thread_warnings, sync.thread_roots
from public, anon, authenticated, service_role;
