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
