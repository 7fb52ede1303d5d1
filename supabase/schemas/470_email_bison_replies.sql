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

create function sync.apply_email_replies(p_records sync.incoming_record[])
  returns sync.changed_record[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_changed sync.changed_record[];
begin
  with incoming as (
    select distinct on (r.workspace_id, r.record_id::bigint) r.workspace_id, r.stream_id,
      r.record_id::bigint as id, r.updated_at, r.record
    from unnest(p_records) as r
    order by r.workspace_id, r.record_id::bigint, r.updated_at desc nulls last
  ), judged as (
    select i.workspace_id, i.stream_id, i.id, i.record as raw, e.id is null as is_new
    from incoming as i
    -- A plan made while the table was empty would read all of it; offset 0 keeps the look by key.
    left join lateral (
      select t.* from public.email_replies as t
      where t.workspace_id = i.workspace_id and t.id = i.id offset 0
    ) as e on true
    where e.id is null or (e.raw <> i.record and (i.updated_at < e.updated_at) is not true)
  ), written as (
    insert into public.email_replies
      as t (workspace_id, id, uuid, type, folder, campaign_id, lead_id, scheduled_email_id,
      sender_email_id,
      parent_id, subject, text_body, html_body, date_received, from_email_address, from_name,
      primary_to_email_address, automated_reply,
      tracked_reply, interested, read, raw_message_id, raw, created_at, updated_at, last_changed_at)
    select j.workspace_id, j.id, r.uuid, r.type, r.folder, r.campaign_id, r.lead_id,
      r.scheduled_email_id, r.sender_email_id,
      r.parent_id, r.subject, r.text_body, r.html_body, r.date_received, r.from_email_address,
      r.from_name, r.primary_to_email_address,
      r.automated_reply, r.tracked_reply, r.interested, r.read, r.raw_message_id, j.raw,
      r.created_at, r.updated_at, v_now
    from judged as j cross join jsonb_populate_record(
      null::public.email_replies, j.raw - '{workspace_id,last_changed_at,deleted_at,raw}'::text[])
      as r
    order by j.workspace_id, j.id
    on conflict (workspace_id, id) do update set
      uuid = excluded.uuid, type = excluded.type, folder = excluded.folder,
      campaign_id = excluded.campaign_id,
      lead_id = excluded.lead_id, scheduled_email_id = excluded.scheduled_email_id,
      sender_email_id = excluded.sender_email_id,
      parent_id = excluded.parent_id, subject = excluded.subject, text_body = excluded.text_body,
      html_body = excluded.html_body,
      date_received = excluded.date_received, from_email_address = excluded.from_email_address,
      from_name = excluded.from_name,
      primary_to_email_address = excluded.primary_to_email_address,
      automated_reply = excluded.automated_reply,
      tracked_reply = excluded.tracked_reply, interested = excluded.interested,
      read = excluded.read,
      raw_message_id = excluded.raw_message_id, raw = excluded.raw,
      created_at = excluded.created_at,
      updated_at = excluded.updated_at, last_changed_at = excluded.last_changed_at
    where t.raw is distinct from excluded.raw and (excluded.updated_at < t.updated_at) is not true
    returning t.workspace_id, t.id, t.raw
  ), staged as (
    insert into public.thread_stage as s (workspace_id, reply_id, payload)
    select w.workspace_id, w.id, w.raw from written as w order by w.workspace_id, w.id
    on conflict (workspace_id, reply_id) where processed_at is null do update
    set payload = excluded.payload, staged_at = v_now
  )
  select array_agg(row(w.workspace_id, j.stream_id, w.id::text,
    case when j.is_new then 'inserted' else 'updated' end
    )::sync.changed_record) into v_changed
  from written as w join judged as j on j.workspace_id = w.workspace_id and j.id = w.id;
  return v_changed;
end; $$;
comment on function sync.apply_email_replies(sync.incoming_record[]) is
$$Upsert replies as one set, and stage the new and changed ones for their conversation; unchanged
ones cost nothing, an older updated_at replaces nothing. Returns: what changed. Raises: 22xxx a
value does not fit its column. Locks: rows in key order.$$;

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "replies", "is_default": false,
  "completeness": "feed", "path": "/replies", "page_size": 15,
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
