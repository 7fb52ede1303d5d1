-- Made from supabase/schemas by `make migration`. Edit those files, not this one.

-- chunkwise: the engine comes first
do $engine$
declare
  v_release text;
begin
  if to_regprocedure('public.chunkwise_version()') is not null then
    v_release := public.chunkwise_version() ->> 'release';
  end if;
  if v_release is distinct from '0.2.0' then
    raise exception using errcode = '55000', message = 'this file needs Chunkwise 0.2.0 in the '
      'database. Push the migration chunkwise of the same release first: chunkwise init writes '
      'both, chunkwise upgrade what is newer.';
  end if;
end; $engine$;

-- chunkwise: look first
do $names$
declare
  v_names constant text[] := '{client_registry, email_messages, email_messages_reply_idx, email_replies,
      email_replies_parent_idx, email_replies_received_idx, email_threads,
      email_threads_warning_idx, missing_workspaces, sender_emails, thread_processing_queue,
      thread_stage, workspace_statistics}';
  v_taken text;
begin
  select string_agg(t.what, ', ' order by t.what) into v_taken from (
    select case c.relkind when 'v' then 'view ' when 'm' then 'view ' when 'S' then 'sequence '
      when 'i' then 'index ' when 'I' then 'index ' else 'table ' end || c.relname as what
    from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relname = any (v_names)
      -- Those of a table go with it.
      and not exists (select 1 from pg_catalog.pg_index as x
        join pg_catalog.pg_class as b on b.oid = x.indrelid
        where x.indexrelid = c.oid and b.relname = any (v_names))
    union
    select 'function ' || p.proname from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.proname = any ('{import_client_registry}')
    union
    select 'type ' || y.typname from pg_catalog.pg_type as y
    where y.typnamespace = 'public'::regnamespace and y.typname = any ('{client_registry, email_messages, email_replies, email_threads, missing_workspaces,
      sender_emails, thread_processing_queue, thread_stage, workspace_statistics}')
      and (y.typrelid = 0 or exists (select 1 from pg_catalog.pg_class as c
        where c.oid = y.typrelid and c.relkind = 'c'))
  ) as t;
  if v_taken is not null then
    raise exception using errcode = '55000', message = format('the schema public has %s already, '
      'and Chunkwise makes its own. Rename what you keep and drop the rest. If an old poller made '
      'them, delete %s, and run chunkwise init --source email_bison --keep-legacy: what it adds '
      'moves them to the schema legacy.', v_taken,
      case when to_regprocedure('public.chunkwise_version()') is null
        then 'supabase/chunkwise.lock and the files that it lists' else 'this file' end);
  end if;
end; $names$;

-- Email Bison: the API, and whose key it is.

select public.declare_source('{
  "source_name": "email_bison", "base_path": "/api", "success_path": ["success"],
  "message_path": ["message"],
  "class_rules": [{"text": "Too Many Attempts", "class": "rate_limited"}],
  "requests_per_second": 5, "max_in_flight": 10, "budget_scope": "instance"}');

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "connection", "is_default": false,
  "completeness": "connection", "path": "/users",
  "page_size": 1, "id_path": ["data", "workspace", "id"],
  "name_path": ["data", "workspace", "name"],
  "drop_paths": [["data", "webhooks_secret_key"]]}');

-- Sender emails: the accounts of Email Bison, typed, with statistics per workspace; its workspaces
-- in the first user's words.
-- Stands on: records.

create table sync.sender_emails (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  id bigint not null,
  name text,
  email text,
  email_signature text,
  imap_server text,
  imap_port bigint,
  smtp_server text,
  smtp_port bigint,
  daily_limit bigint,
  type text,
  status text,
  warmup_enabled boolean,
  emails_sent_count bigint,
  total_replied_count bigint,
  total_opened_count bigint,
  unsubscribed_count bigint,
  bounced_count bigint,
  unique_replied_count bigint,
  unique_opened_count bigint,
  total_leads_contacted_count bigint,
  interested_leads_count bigint,
  tags jsonb,
  raw jsonb not null,
  created_at timestamptz,
  updated_at timestamptz,
  last_changed_at timestamptz not null default sync.now(),
  deleted_at timestamptz,
  unlisted_at timestamptz,
  primary key (workspace_id, id)
);
comment on table sync.sender_emails is
'Accounts: one row per workspace and id. Email addresses repeat and are no key. created_at and
updated_at are the API''s.';
comment on column sync.sender_emails.raw is
'The record as the API serves it; every typed column derives from it.';
comment on column sync.sender_emails.unlisted_at is
'Since when no page shows it although its own GET answers; it lives.';
-- By hash, which takes an address of any length.
create index sender_emails_email_idx on sync.sender_emails using hash (email);
-- How many a workspace has is counted from the index alone, past what a record holds.
create index sender_emails_live_idx on sync.sender_emails (workspace_id) where deleted_at is null;
alter table sync.sender_emails enable row level security;
insert into sync.target_tables (target) values ('sync.sender_emails');

select sync.write_upsert('sync.apply_sender_emails', 'sync.sender_emails');

create table public.workspace_statistics (
  workspace_id bigint primary key references public.sync_workspaces (id) on delete cascade,
  accounts bigint not null,
  connected_accounts bigint not null,
  distinct_emails bigint not null,
  deleted_accounts bigint not null,
  emails_sent_count bigint,
  total_replied_count bigint,
  unique_replied_count bigint,
  bounced_count bigint,
  unsubscribed_count bigint,
  interested_leads_count bigint,
  updated_at timestamptz not null
);
comment on table public.workspace_statistics is
'Sums over a workspace''s live accounts, as of its last complete sync.';
comment on column public.workspace_statistics.emails_sent_count is
'Like every sum here null where no bigint holds it.';
comment on column public.workspace_statistics.distinct_emails is 'Addresses repeat among accounts.';
comment on column public.workspace_statistics.deleted_accounts is 'Found to be gone, ever.';
alter table public.workspace_statistics enable row level security;

create function sync.as_bigint(p_sum numeric) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case when coalesce(p_sum, 0) between -9223372036854775808 and 9223372036854775807
    then coalesce(p_sum, 0)::bigint end;
end; $$;
comment on function sync.as_bigint(numeric) is
$$Returns: a sum, 0 of no rows, null where no bigint holds it.$$;

create function sync.write_workspace_statistics(p_workspace_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
begin
  insert into public.workspace_statistics
    as s (workspace_id, accounts, connected_accounts, distinct_emails, deleted_accounts,
    emails_sent_count,
    total_replied_count, unique_replied_count, bounced_count, unsubscribed_count,
    interested_leads_count, updated_at)
  select p_workspace_id, count(*) filter (where deleted_at is null),
    count(*) filter (where deleted_at is null and status = 'Connected'),
    count(distinct email) filter (where deleted_at is null),
    count(*) filter (where deleted_at is not null),
    sync.as_bigint(sum(emails_sent_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(total_replied_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(unique_replied_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(bounced_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(unsubscribed_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(interested_leads_count) filter (where deleted_at is null)), sync.now()
  from sync.sender_emails where workspace_id = p_workspace_id
  on conflict (workspace_id) do update set
    accounts = excluded.accounts, connected_accounts = excluded.connected_accounts,
    distinct_emails = excluded.distinct_emails,
    deleted_accounts = excluded.deleted_accounts, emails_sent_count = excluded.emails_sent_count,
    total_replied_count = excluded.total_replied_count,
    unique_replied_count = excluded.unique_replied_count,
    bounced_count = excluded.bounced_count, unsubscribed_count = excluded.unsubscribed_count,
    interested_leads_count = excluded.interested_leads_count, updated_at = excluded.updated_at;
end; $$;
comment on function sync.write_workspace_statistics(bigint) is
$$Sum up a workspace's accounts after a complete sync. Locks: its row.$$;

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "sender_emails", "path": "/sender-emails",
  "page_size": 15,
  "item_path": "/sender-emails/{id}", "updated_at_path": ["updated_at"],
  "drop_paths": [["imap_password"], ["smtp_password"], ["oauth", "access_token"],
    ["oauth", "refresh_token"], ["oauth", "client_secret"]],
  "target_table": "sync.sender_emails",
  "apply_function": "sync.apply_sender_emails",
  "close_function": "sync.write_workspace_statistics"}');

create view public.sender_emails with (security_invoker = true) as
select
  w.workspace_name, e.id, e.email as email_address, e.name, e.status, e.type, e.daily_limit,
  e.warmup_enabled, e.emails_sent_count,
  e.total_replied_count, e.total_opened_count, e.unsubscribed_count, e.bounced_count,
  e.unique_replied_count, e.unique_opened_count,
  e.total_leads_contacted_count, e.interested_leads_count, e.email_signature, e.imap_server,
  e.imap_port, e.smtp_server, e.smtp_port,
  e.tags, e.raw, e.created_at, e.updated_at, e.last_changed_at,
  greatest(e.last_changed_at, case
    when e.deleted_at is not null then null
    when m.record_id is not null then m.last_seen_at
    else s.last_complete_sync_at end) as last_synced_at,
  e.deleted_at, e.unlisted_at
from sync.sender_emails as e
join public.sync_workspaces as w on w.id = e.workspace_id
join public.sync_streams as st on st.source_id = w.source_id and st.stream_name = 'sender_emails'
left join public.sync_workspace_streams as s on s.workspace_id = e.workspace_id
  and s.stream_id = st.id
left join sync.missing_records as m on m.workspace_id = e.workspace_id and m.stream_id = st.id
  and m.record_id = e.id::text;
comment on view public.sender_emails is
'Accounts. last_synced_at is derived: the later of the row''s change and the last complete sync that
saw it. deleted_at is null while it lives.';
comment on column public.sender_emails.workspace_name is 'The workspace.';
comment on column public.sender_emails.id is
'The account''s id in Email Bison; with the workspace, the key.';
comment on column public.sender_emails.email_address is 'May repeat: it is no key.';
comment on column public.sender_emails.name is 'The name that mails carry.';
comment on column public.sender_emails.status is 'As the API has it: Connected or not.';
comment on column public.sender_emails.type is 'How it is connected, as the API has it.';
comment on column public.sender_emails.daily_limit is 'Mails a day.';
comment on column public.sender_emails.warmup_enabled is 'Whether it is being warmed up.';
comment on column public.sender_emails.emails_sent_count is 'Mails sent, in all.';
comment on column public.sender_emails.total_replied_count is 'Replies.';
comment on column public.sender_emails.total_opened_count is 'Openings.';
comment on column public.sender_emails.unsubscribed_count is 'People who unsubscribed.';
comment on column public.sender_emails.bounced_count is 'Mails that bounced.';
comment on column public.sender_emails.unique_replied_count is 'People who replied.';
comment on column public.sender_emails.unique_opened_count is 'People who opened.';
comment on column public.sender_emails.total_leads_contacted_count is 'People written to.';
comment on column public.sender_emails.interested_leads_count is 'People who showed interest.';
comment on column public.sender_emails.email_signature is 'HTML under its mails.';
comment on column public.sender_emails.imap_server is 'Where its mails are read.';
comment on column public.sender_emails.imap_port is 'Port there.';
comment on column public.sender_emails.smtp_server is 'Where its mails are sent.';
comment on column public.sender_emails.smtp_port is 'Port there.';
comment on column public.sender_emails.tags is 'Its tags, as the API has them.';
comment on column public.sender_emails.raw is 'The record as the API serves it.';
comment on column public.sender_emails.created_at is 'The API''s own.';
comment on column public.sender_emails.updated_at is 'The API''s own.';
comment on column public.sender_emails.last_changed_at is 'When a sync last wrote the row.';
comment on column public.sender_emails.last_synced_at is
'When the API was last known to have it: that, or a complete sync that saw it.';
comment on column public.sender_emails.deleted_at is
'When it was found to be gone; null while it lives.';
comment on column public.sender_emails.unlisted_at is
'Since when no page shows it although its own GET answers: archived, but it lives; null: listed.';

create view public.client_registry with (security_invoker = true) as
select
  w.workspace_name, w.external_id as bison_workspace_id, w.base_url as bison_instance, w.is_active,
  (select s.last_complete_sync_at from public.sync_workspace_streams as s
  join public.sync_streams as st on st.id = s.stream_id
    where s.workspace_id = w.id and st.stream_name = 'sender_emails') as last_successful_sync_at,
  (select s.last_sync_duration_ms from public.sync_workspace_streams as s
  join public.sync_streams as st on st.id = s.stream_id
    where s.workspace_id = w.id and st.stream_name = 'sender_emails') as last_sync_duration_ms,
  (select s.record_count from public.sync_workspace_streams as s
  join public.sync_streams as st on st.id = s.stream_id
    where s.workspace_id = w.id and st.stream_name = 'sender_emails') as estimated_account_count
from public.sync_workspaces as w
where w.removed_at is null and w.source_id = (select so.id from public.sync_sources as so
  where so.source_name = 'email_bison');
comment on view public.client_registry is
'The Email Bison workspaces in the first user''s words. Updatable: name, id, instance, is_active.
The key is no column; register_workspace() adds.';
comment on column public.client_registry.workspace_name is 'The workspace.';
comment on column public.client_registry.bison_workspace_id is
'Its id in Email Bison, where registered.';
comment on column public.client_registry.bison_instance is 'The base URL of its instance.';
comment on column public.client_registry.is_active is 'Whether syncs take it.';
comment on column public.client_registry.last_successful_sync_at is
'When its accounts were last synced completely.';
comment on column public.client_registry.last_sync_duration_ms is 'How long that took.';
comment on column public.client_registry.estimated_account_count is
'How many accounts the API showed then.';

create function sync.refuse_registry_insert() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY018', message = 'a workspace is not added through '
    'client_registry',
    hint = 'select register_workspace(''name'', ''https://instance'', '
    '''key'') adds it with its key.';
end; $$;
comment on function sync.refuse_registry_insert() is
$$Trigger: a row without a key is of no use. Raises: SY018.$$;
create trigger client_registry_insert instead of insert on public.client_registry
for each row execute function sync.refuse_registry_insert();

create view public.missing_workspaces with (security_invoker = true) as
select w.workspace_name, w.base_url, w.key_status, s.last_complete_sync_at
from public.sync_workspaces as w
join public.sync_streams as st on st.source_id = w.source_id and st.stream_name = 'sender_emails'
left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
where w.is_active
  and not exists (select 1 from sync.sender_emails as e
  where e.workspace_id = w.id and e.deleted_at is null)
order by w.workspace_name;
comment on view public.missing_workspaces is 'Active workspaces that have no accounts here.';
comment on column public.missing_workspaces.workspace_name is 'The workspace.';
comment on column public.missing_workspaces.base_url is 'Where its API is.';
comment on column public.missing_workspaces.key_status is
'What the API said of the key last: unchecked, accepted, refused or other_workspace.';
comment on column public.missing_workspaces.last_complete_sync_at is
'If set, the API itself showed no accounts then.';

revoke all on table
  sync.sender_emails, public.workspace_statistics, public.sender_emails, public.client_registry,
  public.missing_workspaces
from public, anon, authenticated, service_role;
grant select on table
  sync.sender_emails, public.workspace_statistics, public.sender_emails, public.client_registry,
  public.missing_workspaces
to authenticated, service_role;
grant insert, update on table public.client_registry to service_role;
create policy sender_emails_select_operator on sync.sender_emails
for select to authenticated using ((select sync.is_operator()));
create policy workspace_statistics_select_operator on public.workspace_statistics
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.apply_sender_emails, sync.as_bigint, sync.write_workspace_statistics,
  sync.refuse_registry_insert
from public, anon, authenticated, service_role;

-- Replies: the feed of Email Bison, typed.
-- Stands on: records.

create table public.email_replies (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  id bigint not null,
  uuid text,
  type text,
  folder text,
  campaign_id bigint,
  lead_id bigint,
  scheduled_email_id bigint,
  sender_email_id bigint,
  parent_id bigint,
  subject text,
  text_body text,
  html_body text,
  date_received timestamptz,
  from_email_address text,
  from_name text,
  primary_to_email_address text,
  automated_reply boolean,
  tracked_reply boolean,
  interested boolean,
  read boolean,
  raw_message_id text,
  raw jsonb not null,
  created_at timestamptz,
  updated_at timestamptz,
  last_changed_at timestamptz not null default sync.now(),
  deleted_at timestamptz,
  unlisted_at timestamptz,
  primary key (workspace_id, id)
);
comment on table public.email_replies is
'Replies, outgoing mail included. created_at and updated_at are the API''s. A feed never deletes:
deleted_at and unlisted_at
stay null.';
comment on column public.email_replies.raw is
'The reply as the API serves it: also to, cc, bcc, lead, headers, attachments.';
-- None begins with the workspace: to a planner that knows nothing of the table yet any such index
-- is as good a way to one reply as the key, and it would read all replies of the workspace.
create index email_replies_parent_idx on public.email_replies (parent_id, workspace_id)
  where parent_id is not null;
create index email_replies_received_idx on public.email_replies (date_received, workspace_id);
alter table public.email_replies enable row level security;
insert into sync.target_tables (target) values ('public.email_replies');

select sync.write_upsert('sync.upsert_email_replies', 'public.email_replies');

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "replies", "is_default": false,
  "completeness": "feed", "path": "/replies", "page_size": 15,
  "order_path": ["date_received"], "order_type": "time",
  "deep_page_limit": 500, "cursor_params": {"pagination_type": "cursor"},
  "next_cursor_path": ["meta", "next_cursor"],
  "cursor_codec": "laravel_id", "updated_at_path": ["updated_at"],
  "target_table": "public.email_replies",
  "apply_function": "sync.upsert_email_replies"}');

revoke all on table public.email_replies from public, anon, authenticated, service_role;
grant select on table public.email_replies to authenticated, service_role;
create policy email_replies_select_operator on public.email_replies
for select to authenticated using ((select sync.is_operator()));

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

-- Legacy: the workspaces of an old poller are taken over with their keys.
-- Stands on: registration.

create type sync.registry_row as (place tid, fields jsonb, api_key text);
comment on type sync.registry_row is 'A row of an old registry, its key apart.';

create function sync.import_registry_row(p_row jsonb, p_key text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_message text;
begin
  perform public.register_workspace(p_row ->> 'workspace_name', p_row ->> 'bison_instance', p_key,
    'email_bison', p_row ->> 'bison_workspace_id');
  if (p_row ->> 'is_active')::boolean is false then
    perform public.deactivate_workspace(p_row ->> 'workspace_name');
  end if;
  return null;
exception when others then
  if sync.is_own_trouble(sqlstate) then
    raise;
  end if;
  get stacked diagnostics v_message = message_text;
  return v_message;
end; $$;
comment on function sync.import_registry_row(jsonb, text) is
$$Register a workspace of an old registry; one that is not active there is not here. Returns: why it
is refused, or null. Locks: as register_workspace().$$;

create function sync.registry_rows(p_table regclass, p_key_column text)
  returns setof sync.registry_row
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return query execute format(
    'select t.ctid, to_jsonb(t) - %1$L, trim(t.%1$I::text) from %2$s as t '
    'order by t.workspace_name for update of t', p_key_column, p_table);
end; $$;
comment on function sync.registry_rows(regclass, text) is
$$Returns: the rows of an old registry by name. Locks: them.$$;

create function public.import_client_registry(
  p_table regclass default to_regclass('legacy.client_registry'),
  p_key_column text default 'bison_api_key',
  p_blank_keys boolean default false
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '60s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_found sync.registry_row;
  v_refused text;
  v_registered text[] := array[]::text[];
  v_faults jsonb := '[]'::jsonb;
begin
  perform sync.require_service();
  if p_table is null then
    raise exception using errcode = 'SY006', message = 'there is no table legacy.client_registry',
      hint = 'import_client_registry(''public.its_name'') takes another one.';
  end if;
  if exists (
    select 1 from unnest(array['workspace_name', 'bison_instance', p_key_column]) as n (name)
    where not exists (select 1 from pg_catalog.pg_attribute as a where a.attrelid = p_table
      and a.attname = n.name and a.attnum > 0 and not a.attisdropped)) then
    raise exception using errcode = 'SY006', message = format('%s lacks one of the columns '
        'workspace_name, bison_instance, %s', p_table, p_key_column),
      hint = 'import_client_registry(…, p_key_column => ''its_name'') names the column of the keys.';
  end if;
  for v_found in select * from sync.registry_rows(p_table, p_key_column)
  loop
    v_refused := case when coalesce(v_found.api_key, '') = '' then 'it has no key'
      else sync.import_registry_row(v_found.fields, v_found.api_key) end;
    if v_refused is null then
      v_registered := v_registered || (v_found.fields ->> 'workspace_name');
      if p_blank_keys then
        execute format('update %s set %I = '''' where ctid = $1', p_table, p_key_column)
        using v_found.place;
      end if;
    else
      v_faults := v_faults || jsonb_build_object('workspace_name',
        v_found.fields ->> 'workspace_name', 'reason', v_refused);
    end if;
  end loop;
  return jsonb_build_object('registered', to_jsonb(v_registered), 'refused', v_faults);
end; $$;
comment on function public.import_client_registry(regclass, text, boolean) is
$$Register the workspaces of an old poller's table, by its columns workspace_name, bison_instance,
bison_workspace_id and is_active; the keys, in plain text there, go to Vault. With p_blank_keys they
are blanked in the table; a backup may still hold them, so that new keys are better. Its accounts
are not imported: the first sync brings them. May be repeated. Returns: {"registered": [names],
"refused": [{"workspace_name", "reason"}]}. Raises: SY006 no such table or column. Locks: its rows,
then as register_workspace().$$;

revoke all on function
  sync.import_registry_row, sync.registry_rows, public.import_client_registry
from public, anon, authenticated, service_role;
grant execute on function public.import_client_registry to service_role;

select sync.regenerate_upserts();

notify pgrst, 'reload schema';
