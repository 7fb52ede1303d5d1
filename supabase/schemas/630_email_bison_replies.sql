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
