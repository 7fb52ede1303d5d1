-- Threads: conversations and their messages, mapped defensively from answers whose keys nobody
-- documents.

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
create index email_threads_warning_idx on public.email_threads (asked_reply_id, workspace_id)
  where warning is not null;
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
'The Message-ID, or reply:<id> where there is none; of one that is too long a hash.';
comment on column public.email_messages.position is 'From 1, oldest first.';
-- It does not begin with the workspace: see the indices of email_replies.
create index email_messages_reply_idx on public.email_messages (reply_id, workspace_id);
alter table public.email_messages enable row level security;

create type sync.found_message as (
  message_key text, reply_id bigint, sent_at timestamptz, direction text, raw jsonb
);
comment on type sync.found_message is 'A message of an answer, mapped as far as it can be.';

create function sync.messages_in(p_answer jsonb) returns setof sync.found_message
language plpgsql stable set search_path = pg_catalog, pg_temp
  set timezone = 'UTC' set datestyle = 'ISO, MDY' as $$
begin
  return query
  select distinct on (found.message_key) found.message_key, found.reply_id, found.sent_at,
    found.direction, found.raw
  from (
    select
      -- A longer one does not fit the key's index.
      coalesce(case when length(m ->> 'raw_message_id') > 500
        then 'long:' || md5(m ->> 'raw_message_id') else nullif(m ->> 'raw_message_id', '') end,
        'reply:' || (m ->> 'id'), 'content:' || md5(m::text)) as message_key,
      case when jsonb_typeof(m -> 'id') = 'number' and m ->> 'id' ~ '^[0-9]{1,18}$'
        then (m ->> 'id')::bigint end as reply_id,
      coalesce(sync.time_or_null(m ->> 'date_received'),
        sync.time_or_null(m ->> 'created_at')) as sent_at,
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

create function sync.stored_messages(p_workspace_id bigint, p_reply_ids bigint[])
returns table (reply_id bigint, thread_id bigint, message_key text)
language sql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  -- Offset 0: one look by key for each, whatever the planner knows of the table.
  select asked.id, e.thread_id, e.message_key from unnest(p_reply_ids) as asked (id)
  cross join lateral (
    select x.thread_id, x.message_key from public.email_messages as x
    where x.workspace_id = p_workspace_id and x.reply_id = asked.id offset 0
  ) as e;
$$;
comment on function sync.stored_messages(bigint, bigint[]) is
$$Returns: where messages of these replies stand.$$;

create function sync.write_messages(
  p_workspace_id bigint, p_thread_id bigint, p_messages sync.found_message[],
  p_requested_at timestamptz
) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
begin
  insert into public.email_messages as e (workspace_id, thread_id, message_key, reply_id, position,
    direction, sent_at, from_email_address, to_email_address, subject, text_body, html_body, raw)
  select p_workspace_id, p_thread_id, m.message_key, m.reply_id, 0, m.direction, m.sent_at,
    m.raw ->> 'from_email_address', m.raw ->> 'primary_to_email_address', m.raw ->> 'subject',
    m.raw ->> 'text_body', m.raw ->> 'html_body', m.raw
  from unnest(p_messages) as m
  -- Offset 0: one look by key for each; and what is the same is not even locked.
  where not exists (
    select 1 from public.email_messages as x
    where x.workspace_id = p_workspace_id and x.thread_id = p_thread_id
      and x.message_key = m.message_key and x.raw = m.raw offset 0)
  order by m.message_key
  on conflict (workspace_id, thread_id, message_key) do update set
    reply_id = excluded.reply_id, direction = excluded.direction, sent_at = excluded.sent_at,
    from_email_address = excluded.from_email_address, to_email_address = excluded.to_email_address,
    subject = excluded.subject, text_body = excluded.text_body, html_body = excluded.html_body,
    raw = excluded.raw, last_changed_at = sync.now()
  where (p_requested_at < e.last_changed_at) is not true;
end; $$;
comment on function sync.write_messages(bigint, bigint, sync.found_message[], timestamptz) is
$$Write a conversation's messages, without positions; one that an answer no longer shows stays, as
does one that changed after the answer was requested. Locks: changed messages, by key.$$;

create function sync.drop_doubles(
  p_workspace_id bigint, p_thread_id bigint, p_messages sync.found_message[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_threads bigint[];
  v_keys text[];
begin
  select array_agg(d.thread_id), array_agg(d.message_key) into v_threads, v_keys
  from sync.stored_messages(p_workspace_id,
    array(select m.reply_id from unnest(p_messages) as m)) as d
  where not exists (
    select 1 from unnest(p_messages) as m
    where d.thread_id = p_thread_id and m.message_key = d.message_key
      and m.reply_id = d.reply_id);
  if v_keys is null then
    return;
  end if;
  delete from public.email_messages as e using unnest(v_threads, v_keys) as d (thread_id, key)
  where e.workspace_id = p_workspace_id and e.thread_id = any (v_threads)
    and e.thread_id = d.thread_id and e.message_key = d.key;
end; $$;
comment on function sync.drop_doubles(bigint, bigint, sync.found_message[]) is
$$A reply stands in one conversation only, under one key: what was stored of these elsewhere goes.
Locks: those messages.$$;

create function sync.set_positions(p_workspace_id bigint, p_thread_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
begin
  update public.email_messages as e set position = o.position
  from (
    select message_key, row_number() over (order by sent_at nulls last, reply_id, message_key)
      as position
    from public.email_messages where workspace_id = p_workspace_id and thread_id = p_thread_id
  ) as o
  where e.workspace_id = p_workspace_id and e.thread_id = p_thread_id
    and e.message_key = o.message_key and e.position <> o.position;
end; $$;
comment on function sync.set_positions(bigint, bigint) is
$$Number a conversation's messages from 1, oldest first. Locks: those that move.$$;

create function sync.write_thread(p_workspace_id bigint, p_asked_reply_id bigint, p_answer jsonb,
  p_requested_at timestamptz default null) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  v_messages sync.found_message[] := array(select m from sync.messages_in(p_answer) as m);
  v_reply_ids bigint[] := array(
    select m.reply_id from unnest(v_messages) as m where m.reply_id is not null
    union select p_asked_reply_id);
  v_thread_id bigint;
  v_is_late boolean;
begin
  v_thread_id := coalesce(
    (select min(s.thread_id) from sync.stored_messages(p_workspace_id, v_reply_ids) as s),
    (select min(m.reply_id) from unnest(v_messages) as m), p_asked_reply_id);
  if exists (select 1 from public.email_threads
    where workspace_id = p_workspace_id and id = v_thread_id and raw = p_answer) then
    return false;
  end if;
  insert into public.email_threads (workspace_id, id, asked_reply_id, message_count, raw)
  values (p_workspace_id, v_thread_id, p_asked_reply_id, 0, p_answer)
  on conflict (workspace_id, id) do nothing;
  v_is_late := exists (
    select 1 from public.email_threads
    where workspace_id = p_workspace_id and id = v_thread_id
      and last_changed_at > p_requested_at);
  perform sync.write_messages(p_workspace_id, v_thread_id, v_messages, p_requested_at);
  perform sync.drop_doubles(p_workspace_id, v_thread_id, v_messages);
  perform sync.set_positions(p_workspace_id, v_thread_id);
  update public.email_threads as t set
    asked_reply_id = case when v_is_late then t.asked_reply_id else p_asked_reply_id end,
    raw = case when v_is_late then t.raw else p_answer end, last_changed_at = sync.now(),
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
  where t.workspace_id = p_workspace_id and t.id = any (array(
    select x.id from unnest(v_reply_ids) as r (id)
    cross join lateral (
      select e.id from public.email_threads as e
      where e.workspace_id = p_workspace_id and e.id = r.id offset 0
    ) as x
    where x.id <> v_thread_id and not exists (
      select 1 from public.email_messages as m
      where m.workspace_id = p_workspace_id and m.thread_id = x.id offset 0)));
  return true;
end; $$;
comment on function sync.write_thread(bigint, bigint, jsonb, timestamptz) is
$$Write one conversation and its messages; stored ones that the answer joins become one. An answer
that was requested before its last change adds what is missing and replaces nothing. Returns:
whether anything changed. Locks: the thread, its messages by key.$$;

create type sync.new_message as (
  turn int, workspace_id bigint, asked_reply_id bigint, message_key text, reply_id bigint,
  sent_at timestamptz, direction text, raw jsonb
);
comment on type sync.new_message is
'A message of the answer in that turn; without a key for an answer that shows none.';

create function sync.write_new_threads(p_records sync.incoming_record[]) returns int[]
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_found sync.new_message[] := array(
    select row(r.n, r.workspace_id, r.record_id::bigint, m.message_key, m.reply_id, m.sent_at,
      m.direction, m.raw)::sync.new_message
    from unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
      record, turn, requested_at, is_truth, parent_id, own_id, n)
    left join lateral sync.messages_in(r.record) as m on true);
  v_known int[];
  v_written int[];
begin
  -- Those of which a reply stands in another answer of this call, twice in its own, or is stored.
  with named as (
    select f.turn, f.workspace_id, f.reply_id as id from unnest(v_found) as f
    where f.reply_id is not null
    union all
    select distinct f.turn, f.workspace_id, f.asked_reply_id from unnest(v_found) as f
    where not exists (select 1 from unnest(v_found) as o
      where o.turn = f.turn and o.reply_id = f.asked_reply_id)
  ), counted as (
    select workspace_id, id, array_agg(turn) as turns from named group by 1, 2
  )
  select coalesce(array_agg(distinct t.turn), '{}') into v_known
  from counted as c
  left join lateral (
    select 1 as one from public.email_messages as e
    where e.workspace_id = c.workspace_id and e.reply_id = c.id limit 1
  ) as stored on true
  left join lateral (
    select 1 as one from public.email_threads as e
    where e.workspace_id = c.workspace_id and e.id = c.id limit 1
  ) as thread on true
  cross join lateral unnest(c.turns) as t (turn)
  where cardinality(c.turns) > 1 or stored.one is not null or thread.one is not null;
  with found as (
    select f.*, row_number() over (partition by f.turn
      order by f.sent_at nulls last, f.reply_id, f.message_key) as position
    from unnest(v_found) as f where f.turn <> all (v_known)
  ), answers as (
    select f.turn, f.workspace_id, f.asked_reply_id,
      coalesce(min(f.reply_id), f.asked_reply_id) as thread_id, count(f.message_key) as count,
      (array_agg(f.raw ->> 'subject' order by f.position))[1] as subject,
      min(f.sent_at) as first_at, max(f.sent_at) as last_at,
      (array_agg(f.direction order by f.sent_at desc nulls last, f.reply_id desc))[1] as direction,
      case when count(f.message_key) = 0 then 'the answer shows no message'
        when bool_or(f.sent_at is null) then 'a message has no readable time' end as warning
    from found as f group by f.turn, f.workspace_id, f.asked_reply_id
  ), threads as (
    insert into public.email_threads (workspace_id, id, asked_reply_id, message_count, subject,
      first_message_at, last_message_at, last_direction, warning, raw)
    select a.workspace_id, a.thread_id, a.asked_reply_id, a.count, a.subject, a.first_at,
      a.last_at, a.direction, a.warning, (p_records[a.turn]).record
    from answers as a order by a.workspace_id, a.thread_id
    on conflict (workspace_id, id) do nothing
    returning workspace_id, id
  ), written as (
    select a.* from answers as a
    join threads as t on t.workspace_id = a.workspace_id and t.id = a.thread_id
  ), messages as (
    insert into public.email_messages (workspace_id, thread_id, message_key, reply_id, position,
      direction, sent_at, from_email_address, to_email_address, subject, text_body, html_body, raw)
    select w.workspace_id, w.thread_id, f.message_key, f.reply_id, f.position, f.direction,
      f.sent_at, f.raw ->> 'from_email_address', f.raw ->> 'primary_to_email_address',
      f.raw ->> 'subject', f.raw ->> 'text_body', f.raw ->> 'html_body', f.raw
    from written as w join found as f on f.turn = w.turn
    where f.message_key is not null
    order by w.workspace_id, w.thread_id, f.message_key
  )
  select coalesce(array_agg(turn), '{}') into v_written from written;
  return v_written;
end; $$;
comment on function sync.write_new_threads(sync.incoming_record[]) is
$$Write conversations as one set of which nothing is stored yet, and which share nothing with each
other. Returns: their positions among the records; write_thread() is for the others. Locks: threads
by id, messages by key.$$;

create function sync.apply_conversations(p_records sync.incoming_record[])
  returns sync.changed_record[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_written int[] := sync.write_new_threads(p_records);
  v_changed sync.changed_record[] := array(
    select row(r.workspace_id, r.stream_id, r.record_id, 'inserted', '{}')::sync.changed_record
    from unnest(v_written) as n
    cross join lateral (select (p_records[n]).*) as r);
  v_record sync.incoming_record;
begin
  for v_record in
    select r.workspace_id, r.stream_id, r.record_id, r.updated_at, r.record, r.turn,
      r.requested_at, r.is_truth, r.parent_id, r.own_id
    from unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
      record, turn, requested_at, is_truth, parent_id, own_id, n)
    where r.n <> all (v_written)
    order by r.workspace_id, r.record_id::bigint
  loop
    if sync.write_thread(v_record.workspace_id, v_record.record_id::bigint, v_record.record,
      v_record.requested_at) then
      v_changed := v_changed || row(v_record.workspace_id, v_record.stream_id,
        v_record.record_id, 'updated', '{}')::sync.changed_record;
    end if;
  end loop;
  return v_changed;
end; $$;
comment on function sync.apply_conversations(sync.incoming_record[]) is
$$Write conversations, new ones as one set; unchanged answers cost nothing. Returns: what changed.
Locks: new threads by id, then others in the order of the replies asked for.$$;

revoke all on table public.email_threads, public.email_messages
from public, anon, authenticated, service_role;
grant select on table public.email_threads, public.email_messages to authenticated, service_role;
create policy email_threads_select_operator on public.email_threads
for select to authenticated using ((select sync.is_operator()));
create policy email_messages_select_operator on public.email_messages
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.messages_in, sync.stored_messages, sync.write_messages, sync.drop_doubles,
  sync.set_positions, sync.write_thread, sync.write_new_threads, sync.apply_conversations
from public, anon, authenticated, service_role;
