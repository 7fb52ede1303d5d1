-- Threads: conversations and their messages, mapped defensively from answers whose keys nobody
-- documents.
-- Stands on: replies.

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
  primary key (workspace_id, id)
);
comment on table public.email_threads is 'Conversations.';
comment on column public.email_threads.id is
'The lowest reply id that the answer shows, or the reply asked for when it shows none.';
comment on column public.email_threads.raw is 'The whole answer, also what could not be mapped.';
comment on column public.email_threads.warning is 'What of the answer could not be mapped.';
alter table public.email_threads enable row level security;

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
language plpgsql stable set search_path = '' as $$
begin
  return p_text::timestamptz;
exception when data_exception then
  return null;
end; $$;
comment on function sync.try_time(text) is $$Returns: the time, or null if it is none.$$;

create function sync.messages_in(p_answer jsonb)
returns table (message_key text, reply_id bigint, sent_at timestamptz, direction text, raw jsonb)
language sql stable set search_path = '' as $$
  select distinct on (found.message_key) found.message_key, found.reply_id, found.sent_at,
    found.direction, found.raw
  from (
    select
      coalesce(nullif(m ->> 'raw_message_id', ''), 'reply:' || (m ->> 'id')) as message_key,
      case when jsonb_typeof(m -> 'id') = 'number' and m ->> 'id' ~ '^[0-9]{1,18}$'
      then (m ->> 'id')::bigint end as reply_id,
      coalesce(sync.try_time(m ->> 'date_received'), sync.try_time(m ->> 'created_at')) as sent_at,
      case when m ->> 'type' ilike 'outgoing%' then 'outgoing' else 'incoming' end as direction,
      m as raw
    from jsonb_path_query(p_answer, 'strict $.** ? (@.type() == "object" && exists (@.id)
      && (exists (@.from_email_address) || exists (@.raw_message_id) || exists (@.text_body)))')
      as m
  ) as found
  where found.message_key is not null
  order by found.message_key, found.sent_at nulls last;
$$;
comment on function sync.messages_in(jsonb) is
$$Whatever in an answer looks like a message: an object with an id and a sender, a Message-ID or a
text. Returns: each message once.$$;

create function sync.write_thread(p_workspace_id bigint, p_asked_reply_id bigint, p_answer jsonb)
  returns boolean
language plpgsql set search_path = '' as $$
declare
  v_thread_id bigint;
  v_count int;
begin
  select coalesce(min(m.reply_id), p_asked_reply_id), count(*) into v_thread_id, v_count
  from sync.messages_in(p_answer) as m;
  if exists (select 1 from public.email_threads
    where workspace_id = p_workspace_id and id = v_thread_id and raw = p_answer) then
    return false;
  end if;
  insert into public.email_threads
    as t (workspace_id, id, asked_reply_id, subject, message_count, first_message_at,
    last_message_at,
    last_direction, warning, raw)
  select p_workspace_id, v_thread_id, p_asked_reply_id,
    (array_agg(m.raw ->> 'subject' order by m.sent_at, m.reply_id))[1], v_count,
    min(m.sent_at), max(m.sent_at),
    (array_agg(m.direction order by m.sent_at desc nulls last, m.reply_id desc))[1],
    case when v_count = 0 then 'the answer shows no message'
      when bool_or(m.sent_at is null) then 'a message has no readable time' end, p_answer
  from sync.messages_in(p_answer) as m
  on conflict (workspace_id, id) do update set
    asked_reply_id = excluded.asked_reply_id, subject = excluded.subject,
    message_count = excluded.message_count,
    first_message_at = excluded.first_message_at, last_message_at = excluded.last_message_at,
    last_direction = excluded.last_direction,
    warning = excluded.warning, raw = excluded.raw, last_changed_at = sync.now();
  insert into public.email_messages
    as e (workspace_id, thread_id, message_key, reply_id, position, direction, sent_at,
    from_email_address,
    to_email_address, subject, text_body, html_body, raw)
  select p_workspace_id, v_thread_id, m.message_key, m.reply_id,
    row_number() over (order by m.sent_at nulls last, m.reply_id, m.message_key), m.direction,
    m.sent_at, m.raw ->> 'from_email_address',
    m.raw ->> 'primary_to_email_address', m.raw ->> 'subject', m.raw ->> 'text_body',
    m.raw ->> 'html_body', m.raw
  from sync.messages_in(p_answer) as m order by m.message_key
  on conflict (workspace_id, thread_id, message_key) do update set
    reply_id = excluded.reply_id, position = excluded.position, direction = excluded.direction,
    sent_at = excluded.sent_at,
    from_email_address = excluded.from_email_address, to_email_address = excluded.to_email_address,
    subject = excluded.subject,
    text_body = excluded.text_body, html_body = excluded.html_body, raw = excluded.raw,
    last_changed_at = sync.now()
  where (e.raw, e.position) is distinct from (excluded.raw, excluded.position);
  return true;
end; $$;
comment on function sync.write_thread(bigint, bigint, jsonb) is
$$Write one conversation and its messages; messages that an answer no longer shows stay. Returns:
whether anything changed. Locks: the thread, its messages by key.$$;

create function sync.apply_conversations(p_records sync.incoming_record[])
  returns setof sync.changed_record
language plpgsql set search_path = '' as $$
declare
  v_record sync.incoming_record;
begin
  for v_record in select r.* from unnest(p_records) as r order by r.workspace_id,
    r.record_id::bigint loop
    if sync.write_thread(v_record.workspace_id, v_record.record_id::bigint, v_record.record) then
      return query select v_record.workspace_id, v_record.stream_id, v_record.record_id, 'updated';
    end if;
  end loop;
end; $$;
comment on function sync.apply_conversations(sync.incoming_record[]) is
$$Write conversations; unchanged answers cost nothing. Returns: what changed. Locks: threads in the
order of the replies asked for.$$;

create function sync.thread_warnings(p_run_id bigint) returns text[]
language sql stable set search_path = '' as $$
  select array(
    select format('%s conversations: %s (asked for reply %s)', count(*), w.warning,
      (array_agg(w.record_id order by w.record_id))[1])
    from (
      select c.record_id, case when e.details ->> 'http_status' = '404'
        then 'gone, the API answers 404' else t.warning end as warning
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

revoke all on table public.email_threads, public.email_messages from public, anon, authenticated,
  service_role;
grant select on table public.email_threads, public.email_messages to service_role, authenticated;
create policy email_threads_select_operator on public.email_threads
for select to authenticated using ((select sync.is_operator()));
create policy email_messages_select_operator on public.email_messages
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.try_time, sync.messages_in, sync.write_thread, sync.apply_conversations,
  sync.thread_warnings
from public, anon, authenticated, service_role;
