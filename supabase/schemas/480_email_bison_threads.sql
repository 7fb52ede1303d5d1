-- Threads: conversations and their messages, mapped defensively from answers whose keys nobody
-- documents.
-- Stands on: email_bison_replies, items, views_queue.

create table public.email_threads (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  id bigint not null,
  asked_reply_id bigint not null,
  subject text,
  message_count int not null,
  first_message_at timestamptz,
  last_message_at timestamptz,
  last_direction text,
  warning text,
  raw jsonb not null,
  last_changed_at timestamptz not null default sync.now(),
  deleted_at timestamptz,
  unlisted_at timestamptz,
  primary key (workspace_id, id)
);
comment on table public.email_threads is 'Conversations.';
comment on column public.email_threads.id is
'The lowest reply id that the answer shows, or the reply asked for when it shows none.';
comment on column public.email_threads.raw is 'The whole answer, also what could not be mapped.';
comment on column public.email_threads.warning is 'What of the answer could not be mapped.';
alter table public.email_threads enable row level security;
insert into sync.target_tables (target) values ('public.email_threads');

create table public.email_messages (
  workspace_id bigint not null,
  thread_id bigint not null,
  message_key text not null,
  reply_id bigint,
  position int not null,
  direction text not null,
  sent_at timestamptz,
  from_email_address text,
  to_email_address text,
  subject text,
  text_body text,
  html_body text,
  raw jsonb not null,
  last_changed_at timestamptz not null default sync.now(),
  primary key (workspace_id, thread_id, message_key),
  foreign key (workspace_id, thread_id) references public.email_threads (workspace_id, id)
  on delete cascade,
  constraint email_messages_direction_check check (direction in ('incoming', 'outgoing'))
);
comment on table public.email_messages is 'Messages of conversations, both directions, in order.';
comment on column public.email_messages.message_key is
'The Message-ID, or reply:<id> where there is none.';
comment on column public.email_messages.position is 'From 1, oldest first.';
create index email_messages_reply_idx on public.email_messages (workspace_id, reply_id);
alter table public.email_messages enable row level security;

create function sync.try_time(p_text text) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return p_text::timestamptz;
exception when data_exception then
  return null;
end; $$;
comment on function sync.try_time(text) is $$Returns: the time, or null if it is none.$$;

create type sync.found_message as (
  message_key text, reply_id bigint, sent_at timestamptz, direction text, raw jsonb
);
comment on type sync.found_message is 'A message of an answer, mapped as far as it can be.';

create function sync.messages_in(p_answer jsonb) returns setof sync.found_message
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select distinct on (found.message_key) found.message_key, found.reply_id, found.sent_at,
    found.direction, found.raw
  from (
    select
      coalesce(nullif(m ->> 'raw_message_id', ''), 'reply:' || (m ->> 'id'),
        'content:' || md5(m::text)) as message_key,
      case when jsonb_typeof(m -> 'id') = 'number' and m ->> 'id' ~ '^[0-9]{1,18}$'
        then (m ->> 'id')::bigint end as reply_id,
      coalesce(sync.try_time(m ->> 'date_received'), sync.try_time(m ->> 'created_at')) as sent_at,
      case when m ->> 'type' ilike 'outgoing%' then 'outgoing' else 'incoming' end as direction,
      m as raw
    from jsonb_path_query(p_answer, 'strict $.** ? (@.type() == "object"
      && (exists (@.from_email_address) || exists (@.raw_message_id) || exists (@.text_body)))')
      as m
  ) as found
  order by found.message_key, found.sent_at nulls last;
end; $$;
comment on function sync.messages_in(jsonb) is
$$Whatever in an answer looks like a message: an object with a sender, a Message-ID or a text.
Returns: each message once.$$;

create function sync.thread_of(
  p_workspace_id bigint, p_asked_reply_id bigint, p_messages sync.found_message[]
) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select coalesce(
      (select min(e.thread_id) from public.email_messages as e
        where e.workspace_id = p_workspace_id and e.reply_id = any (
          array(select m.reply_id from unnest(p_messages) as m) || p_asked_reply_id)),
      (select min(m.reply_id) from unnest(p_messages) as m),
      p_asked_reply_id)
  );
end; $$;
comment on function sync.thread_of(bigint, bigint, sync.found_message[]) is
$$Returns: the stored conversation that has one of an answer's messages; for a new one the lowest
reply id it shows, or the reply asked for.$$;

create function sync.write_messages(
  p_workspace_id bigint, p_thread_id bigint, p_messages sync.found_message[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.email_messages as e (workspace_id, thread_id, message_key, reply_id, position,
    direction, sent_at, from_email_address, to_email_address, subject, text_body, html_body, raw)
  select p_workspace_id, p_thread_id, m.message_key, m.reply_id,
    row_number() over (order by m.sent_at nulls last, m.reply_id, m.message_key), m.direction,
    m.sent_at, m.raw ->> 'from_email_address', m.raw ->> 'primary_to_email_address',
    m.raw ->> 'subject', m.raw ->> 'text_body', m.raw ->> 'html_body', m.raw
  from unnest(p_messages) as m order by m.message_key
  on conflict (workspace_id, thread_id, message_key) do update set
    reply_id = excluded.reply_id, direction = excluded.direction, sent_at = excluded.sent_at,
    from_email_address = excluded.from_email_address, to_email_address = excluded.to_email_address,
    subject = excluded.subject, text_body = excluded.text_body, html_body = excluded.html_body,
    raw = excluded.raw, last_changed_at = sync.now()
  where e.raw is distinct from excluded.raw;
  delete from public.email_messages as e using unnest(p_messages) as m
  where e.workspace_id = p_workspace_id and e.reply_id = m.reply_id
    and (e.thread_id, e.message_key) <> (p_thread_id, m.message_key);
  update public.email_messages as e set position = ordered.position
  from (
    select message_key, row_number() over (order by sent_at nulls last, reply_id, message_key)
      as position
    from public.email_messages where workspace_id = p_workspace_id and thread_id = p_thread_id
  ) as ordered
  where e.workspace_id = p_workspace_id and e.thread_id = p_thread_id
    and e.message_key = ordered.message_key and e.position <> ordered.position;
end; $$;
comment on function sync.write_messages(bigint, bigint, sync.found_message[]) is
$$Write a conversation's messages in order. Those an answer no longer shows stay; a reply stands in
one conversation only, under one key. Locks: messages by key.$$;

create function sync.write_thread(p_workspace_id bigint, p_asked_reply_id bigint, p_answer jsonb)
  returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_messages sync.found_message[] := array(select m from sync.messages_in(p_answer) as m);
  v_thread_id bigint := sync.thread_of(p_workspace_id, p_asked_reply_id, v_messages);
begin
  if exists (select 1 from public.email_threads
    where workspace_id = p_workspace_id and id = v_thread_id and raw = p_answer) then
    return false;
  end if;
  insert into public.email_threads (workspace_id, id, asked_reply_id, message_count, raw)
  values (p_workspace_id, v_thread_id, p_asked_reply_id, 0, p_answer)
  on conflict (workspace_id, id) do nothing;
  perform sync.write_messages(p_workspace_id, v_thread_id, v_messages);
  update public.email_threads as t set
    asked_reply_id = p_asked_reply_id, raw = p_answer, last_changed_at = sync.now(),
    message_count = stored.count, subject = stored.subject, first_message_at = stored.first_at,
    last_message_at = stored.last_at, last_direction = stored.direction,
    warning = case when cardinality(v_messages) = 0 then 'the answer shows no message'
      when stored.is_without_time then 'a message has no readable time' end
  from (
    select count(*) as count, (array_agg(e.subject order by e.position))[1] as subject,
      min(e.sent_at) as first_at, max(e.sent_at) as last_at,
      (array_agg(e.direction order by e.sent_at desc nulls last, e.reply_id desc))[1] as direction,
      bool_or(e.sent_at is null) as is_without_time
    from public.email_messages as e
    where e.workspace_id = p_workspace_id and e.thread_id = v_thread_id
  ) as stored
  where t.workspace_id = p_workspace_id and t.id = v_thread_id;
  delete from public.email_threads as t
  where t.workspace_id = p_workspace_id and t.id <> v_thread_id and (t.id = p_asked_reply_id
      or t.id in (select m.reply_id from unnest(v_messages) as m))
    and not exists (select 1 from public.email_messages as e
      where e.workspace_id = t.workspace_id and e.thread_id = t.id);
  return true;
end; $$;
comment on function sync.write_thread(bigint, bigint, jsonb) is
$$Write one conversation and its messages; stored ones that the answer joins become one. Returns:
whether anything changed. Locks: the thread, its messages by key.$$;

create function sync.apply_conversations(p_records sync.incoming_record[])
  returns sync.changed_record[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_record sync.incoming_record;
  v_changed sync.changed_record[] := '{}'::sync.changed_record[];
begin
  for v_record in select r.* from unnest(p_records) as r order by r.workspace_id,
    r.record_id::bigint loop
    if sync.write_thread(v_record.workspace_id, v_record.record_id::bigint, v_record.record) then
      v_changed := v_changed || row(v_record.workspace_id, v_record.stream_id,
        v_record.record_id, 'updated')::sync.changed_record;
    end if;
  end loop;
  return v_changed;
end; $$;
comment on function sync.apply_conversations(sync.incoming_record[]) is
$$Write conversations; unchanged answers cost nothing. Returns: what changed. Locks: threads in the
order of the replies asked for.$$;

create function sync.thread_warnings(p_run_id bigint) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array(
    select format('%s conversations: %s (asked for reply %s)', count(*), w.warning,
      (array_agg(w.record_id order by w.record_id))[1])
    from (
      select c.record_id, case when e.details ->> 'http_status' in ('404', '410')
        then 'gone, the API answers ' || (e.details ->> 'http_status') else t.warning end as warning
      from public.chunked_sync_jobs as c
      join public.chunk_events as e on e.chunk_id = c.id and e.event = 'completed'
      join public.workspace_sync_runs as r on r.id = c.run_id
      left join public.email_threads as t on t.workspace_id = r.workspace_id
        and t.asked_reply_id = c.record_id::bigint
      where c.run_id = p_run_id and c.kind = 'item'
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
  with recursive ancestors as (
    select asked.id as reply_id, asked.id, r.parent_id
    from unnest(p_reply_ids) as asked (id)
    left join public.email_replies as r on r.workspace_id = p_workspace_id and r.id = asked.id
    union
    select a.reply_id, r.id, r.parent_id
    from ancestors as a
    join public.email_replies as r on r.workspace_id = p_workspace_id and r.id = a.parent_id
  ), steps as (
    select a.reply_id, a.id, exists (
      select 1 from public.email_replies as r
      where r.workspace_id = p_workspace_id and r.id = a.parent_id) as goes_on
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

revoke all on table
  public.email_threads, public.email_messages, public.thread_processing_queue
from public, anon, authenticated, service_role;
grant select on table public.email_threads, public.email_messages to authenticated, service_role;
grant select on table public.thread_processing_queue to authenticated;
grant select, insert, update, delete on table public.thread_processing_queue to service_role;
create policy email_threads_select_operator on public.email_threads
for select to authenticated using ((select sync.is_operator()));
create policy email_messages_select_operator on public.email_messages
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.try_time, sync.messages_in, sync.thread_of, sync.write_messages, sync.write_thread,
  sync.apply_conversations, sync.thread_warnings, sync.thread_roots
from public, anon, authenticated, service_role;
