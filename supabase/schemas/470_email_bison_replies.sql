-- Replies: the feed of Email Bison, typed; each new or changed one stages its conversation.
-- Stands on: email_bison_source, feeds.

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

create table public.thread_stage (
  id bigint generated always as identity primary key,
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  reply_id bigint not null,
  payload jsonb not null,
  thread_key text,
  chunk_id bigint,
  staged_at timestamptz not null default sync.now(),
  processed_at timestamptz
);
comment on table public.thread_stage is
'New and changed replies whose conversation is to be fetched.';
comment on column public.thread_stage.payload is 'The reply as the API serves it.';
comment on column public.thread_stage.thread_key is
'The reply to ask the conversation of: the root that stored replies lead to, else the reply
itself.';
comment on column public.thread_stage.chunk_id is
'The chunk that fetches it: one per conversation and job.';
comment on column public.thread_stage.processed_at is
'Null while its conversation was not fetched; a failed one stays for the next job.';
create unique index thread_stage_pending_idx on public.thread_stage (workspace_id, reply_id)
  where processed_at is null;
create index thread_stage_reply_idx on public.thread_stage (workspace_id, reply_id);
create index thread_stage_chunk_idx on public.thread_stage (chunk_id);
alter table public.thread_stage enable row level security;

select sync.write_upsert('sync.upsert_email_replies', 'public.email_replies');

create function sync.apply_email_replies(p_records sync.incoming_record[])
  returns sync.changed_record[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_changed sync.changed_record[] := sync.upsert_email_replies(p_records);
begin
  insert into public.thread_stage as s (workspace_id, reply_id, payload)
  select t.workspace_id, t.id, t.raw from unnest(v_changed) as c
  cross join lateral (
    select r.workspace_id, r.id, r.raw from public.email_replies as r
    where r.workspace_id = c.workspace_id and r.id = c.record_id::bigint offset 0
  ) as t
  order by t.workspace_id, t.id
  on conflict (workspace_id, reply_id) where processed_at is null do update
  set payload = excluded.payload, staged_at = sync.now();
  return v_changed;
end; $$;
comment on function sync.apply_email_replies(sync.incoming_record[]) is
$$Upsert replies, and stage the new and changed ones for their conversation. Returns: what changed.
Raises: 23xxx a constraint. Locks: rows in key order, then staged ones likewise.$$;

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "replies", "is_default": false,
  "completeness": "feed", "path": "/replies", "page_size": 15,
  "order_path": ["date_received"], "order_type": "time",
  "deep_page_limit": 500, "cursor_params": {"pagination_type": "cursor"},
  "next_cursor_path": ["meta", "next_cursor"],
  "cursor_codec": "laravel_id", "updated_at_path": ["updated_at"],
  "target_table": "public.email_replies",
  "apply_function": "sync.apply_email_replies"}');

revoke all on sequence public.thread_stage_id_seq from public, anon, authenticated, service_role;
revoke all on table
  public.email_replies, public.thread_stage
from public, anon, authenticated, service_role;
grant select on table public.email_replies, public.thread_stage to authenticated, service_role;
create policy email_replies_select_operator on public.email_replies
for select to authenticated using ((select sync.is_operator()));
create policy thread_stage_select_operator on public.thread_stage
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.apply_email_replies from public, anon, authenticated, service_role;
