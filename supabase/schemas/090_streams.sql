-- Streams: what kinds of record a source serves, and how far each workspace is with them.

create table public.sync_streams (
  id bigint generated always as identity primary key,
  source_id bigint not null references public.sync_sources (id),
  stream_name text not null,
  revision int not null default 1,
  is_default boolean not null default true,
  completeness text not null default 'counted',
  path text not null,
  method text not null default 'GET',
  params jsonb not null default '{}',
  headers jsonb not null default '{}',
  body jsonb,
  page_param text not null default 'page',
  page_size int not null,
  first_page int not null default 1,
  next_path text[],
  next_is text not null default 'token',
  last_path text[],
  cursor_is text,
  overlap int,
  more_path text[],
  more_is jsonb not null default 'true',
  next_absent_ends boolean not null default false,
  short_page_ends boolean not null default false,
  records_path text[] not null default '{data}',
  id_path text[] not null default '{id}',
  id_type text not null default 'integer',
  updated_at_path text[],
  time_format text not null default 'iso',
  total_path text[] not null default '{meta,total}',
  last_page_path text[] not null default '{meta,last_page}',
  result_cap bigint,
  item_path text,
  item_record_path text[] not null default '{data}',
  name_path text[],
  drop_paths jsonb not null default '[]',
  deleted_when jsonb,
  parent_stream text,
  fan_out text not null default 'all',
  id_scope text not null default 'global',
  order_path text[],
  order_type text not null default 'number',
  order_direction text not null default 'desc',
  order_is_unique boolean,
  order_moves text not null default 'never',
  since_format text not null default 'iso',
  since_overlap int not null default 60,
  overlap_pages int not null default 3,
  full_scan_days int not null default 7,
  deep_page_limit int,
  cursor_params jsonb,
  cursor_param text not null default 'cursor',
  next_cursor_path text[],
  cursor_codec text,
  status_classes jsonb not null default '{}',
  class_rules jsonb not null default '[]',
  conditional boolean not null default false,
  timeout_ms int not null default 30000,
  max_body_bytes int not null default 8388608,
  columns jsonb,
  target_table text not null default 'public.synced_records',
  apply_function text not null default 'sync.apply_synced_records',
  close_function text,
  stage_function text,
  shown_function text,
  warn_function text,
  created_at timestamptz not null default sync.now(),
  unique (source_id, stream_name),
  constraint sync_streams_completeness_check
  check (completeness in
    ('counted', 'chained', 'agreed', 'feed', 'single', 'items', 'connection')),
  constraint sync_streams_id_type_check check (id_type in ('integer', 'text')),
  constraint sync_streams_path_check
  check (path like '/%' and (item_path is null or item_path like '/%{id}%')),
  constraint sync_streams_feed_check check (
    completeness <> 'feed'
    or (overlap_pages >= 0 and overlap_pages <= 100 and full_scan_days > 0)
  ),
  constraint sync_streams_order_check check (
    order_type in ('number', 'time', 'text')
    and (order_path is not null or order_type <> 'time')
  ),
  constraint sync_streams_items_check
  check (completeness <> 'items' or (item_path is not null and parent_stream is not null)),
  constraint sync_streams_items_functions_check check (completeness = 'items'
    or (stage_function is null and shown_function is null and warn_function is null)),
  constraint sync_streams_cursor_check check (
    (cursor_params is null) = (next_cursor_path is null)
    and (cursor_codec is null or cursor_params is not null)
  ),
  constraint sync_streams_cursor_codec_check check (cursor_codec = 'laravel_id'),
  constraint sync_streams_choices_check check (
    method in ('GET', 'POST') and time_format in ('iso', 'epoch', 'epoch_ms')
    and since_format in ('iso', 'epoch', 'epoch_ms', 'date')
    and next_is in ('token', 'url', 'link_header') and cursor_is = 'keyset'
    and fan_out in ('all', 'changed') and id_scope in ('global', 'parent')
    and order_direction in ('asc', 'desc') and order_moves in ('never', 'forward')
  ),
  constraint sync_streams_page_size_check check (page_size between 1 and 10000),
  constraint sync_streams_timeout_ms_check check (timeout_ms between 100 and 600000),
  constraint sync_streams_max_body_bytes_check check (max_body_bytes between 1 and 16777216)
);
comment on table public.sync_streams is
'Kinds of record: path, paging, where things stand in an answer, which SQL applies a page. Written
by declare_stream().';
comment on column public.sync_streams.completeness is
'counted: every page of one scan, distinct ids = the API''s total, total unmoved; may delete.
chained: pages that join, in order_path''s order, to a proven end; may delete. agreed: two scans in
a row, of which the later one shows all that the one before showed; may delete. feed: newest first,
read until the end or the mark of the last complete scan; never deletes. single: one answer holds
the whole list, or the one record; may delete. items: one request per record that the parent stream
staged. connection: one request that tells whose key it is (id_path, name_path).';
comment on column public.sync_streams.method is 'GET or POST.';
comment on column public.sync_streams.headers is
'Headers of its requests, beside Accept and the credential; values may hold templates.';
comment on column public.sync_streams.body is
'What a POST sends as JSON; values may hold templates. Null: no body.';
comment on column public.sync_streams.first_page is 'The number of the first page, 0 or 1.';
comment on column public.sync_streams.next_path is
'Where an answer names what comes next, which is {next} in the request or the URL itself.';
comment on column public.sync_streams.next_is is
'What next_path leads to: token, for {next}; url: the next request; link_header: no path, the header
Link with rel="next" says so.';
comment on column public.sync_streams.last_path is
'Which value of a page''s last record is {last}; null: its id.';
comment on column public.sync_streams.cursor_is is
'keyset: the API says that its cursor stands for a place in the order, so that nothing is missed
between two pages; null: it may be an offset.';
comment on column public.sync_streams.overlap is
'By how many records pages by {offset} overlap, at most half of a page as it is served; null: a
tenth of one, at least 1.';
comment on column public.sync_streams.more_path is 'Where an answer says whether more follows.';
comment on column public.sync_streams.more_is is 'The value there that means that more follows.';
comment on column public.sync_streams.next_absent_ends is
'Whether a full page without anything at next_path is the last one.';
comment on column public.sync_streams.short_page_ends is
'Whether a page with fewer than page_size records is the last one: not where a server filters after
paging.';
comment on column public.sync_streams.time_format is
'Of updated_at_path: iso, epoch (seconds) or epoch_ms.';
comment on column public.sync_streams.result_cap is
'How many records the API shows of a list at most; a total at or above it is none.';
comment on column public.sync_streams.deleted_when is
'Fields whose values say that a record is gone, {"status": "deleted"}; null: none does.';
comment on column public.sync_streams.fan_out is
'Below which parents children are read: all that live, or those that changed or were revived since;
changed reads below all at first and every full_scan_days.';
comment on column public.sync_streams.id_scope is
'Whether ids are unique in a workspace (global) or below one parent only (parent).';
comment on column public.sync_streams.order_direction is 'asc or desc.';
comment on column public.sync_streams.order_is_unique is
'Whether no two records have one order key; null: where that is the id.';
comment on column public.sync_streams.order_moves is
'never: a record''s order key stays; forward: it grows with every change, as updated_at does.';
comment on column public.sync_streams.since_format is
'How {since} is written: iso, epoch, epoch_ms or date.';
comment on column public.sync_streams.since_overlap is
'How many seconds before the last known change {since} lies.';
comment on column public.sync_streams.class_rules is
'As those of its source, and looked at before them.';
comment on column public.sync_streams.conditional is
'Whether requests carry what the last answer said of its version, so that an unchanged page costs no
body, unless it ends its list and may be full: of a counted list so is an only page.';
comment on column public.sync_streams.columns is
'Columns of its own table, {"name": "type"} or {"name": {"path", "type", "format"}}; null: records
go to synced_records or to target_table.';
comment on column public.sync_streams.parent_stream is
'Of items, and of lists of children, one below each of its records: the stream whose run must have
closed first. {parent.id} and the like in a request are fields of its record.';
comment on column public.sync_streams.order_path is
'Where a record says what its list is ordered by; null: its id. A feed has to be newest first.';
comment on column public.sync_streams.order_type is
'What order_path leads to: number, time or text.';
comment on column public.sync_streams.overlap_pages is
'Of a feed: pages read beyond the first one that lies below the mark, which shows nothing that was
first stored since the last complete scan.';
comment on column public.sync_streams.full_scan_days is
'How often a run ignores a feed''s mark or {since} and reads everything, and how often an unlisted
record is asked for.';
comment on column public.sync_streams.deep_page_limit is
'The last page the API serves by number; deeper ones are read by cursor.';
comment on column public.sync_streams.cursor_params is
'Parameters that ask for cursor mode; null: the API has none.';
comment on column public.sync_streams.cursor_codec is
'laravel_id: the cursor is base64 of {"id", "_pointsToNextItems"}, ids descending, so that it can be
built; null: opaque.';
comment on column public.sync_streams.revision is
'How often it was declared with another content: live runs begin again, what was missed is
forgotten.';
comment on column public.sync_streams.drop_paths is
'What of a record is stored nowhere: paths such as [["oauth", "access_token"]]. Cut after paging was
read and before anything else.';
comment on column public.sync_streams.max_body_bytes is
'A longer answer is refused: 8 MB, at most 16.';
comment on column public.sync_streams.is_default is
'Whether start_sync_job() without a list of streams, and the scheduled sync, read it.';
comment on column public.sync_streams.page_size is
'Records per page as the API serves them: {size} in a request, the step of {offset}, and what a page
is measured by where short_page_ends.';
comment on column public.sync_streams.item_path is
'Path of one record with {id} in it: asked before a record is deleted; 404 or 410 confirms.';
comment on column public.sync_streams.status_classes is 'Additions to the source''s classes.';
comment on column public.sync_streams.target_table is
'Where records live: registered with sync.register_target_table(), of one stream only unless it has
stream_id and every statement of the apply function filters by it.';
comment on column public.sync_streams.apply_function is
'f(sync.incoming_record[]) returns sync.changed_record[]: one set-based upsert.';
comment on column public.sync_streams.close_function is
'f(workspace id) returns void: statistics after a completed run.';
comment on column public.sync_streams.stage_function is
'Of an items stream: f(workspace id, ids of staged records) returns table (record_id text, item_key
text): which id to ask for, so that records with one key cost one request. Null: each its own.';
comment on column public.sync_streams.shown_function is
'Of an items stream: f(workspace ids, chunk ids, ids of staged records, side by side: several
records may have one chunk) returns table (chunk_id bigint, shown_id text): which records the stored
answer of each chunk shows, so that those need no request of their own. Null: none but its own.';
comment on column public.sync_streams.warn_function is
'Of an items stream: f(run id) returns text[]: what a run that closes warns of.';
create unique index sync_streams_connection_idx on public.sync_streams (source_id)
  where completeness = 'connection';
alter table public.sync_streams enable row level security;

create table public.sync_workspace_streams (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null references public.sync_streams (id),
  last_complete_sync_at timestamptz,
  last_complete_run_id bigint,
  last_sync_duration_ms bigint,
  record_count bigint,
  marks jsonb not null default '{}',
  primary key (workspace_id, stream_id)
);
comment on table public.sync_workspace_streams is
'When a stream of a workspace was last synced completely, how long that took, how many records there
are.';
comment on column public.sync_workspace_streams.record_count is
'Distinct ids that the API showed then.';
comment on column public.sync_workspace_streams.marks is
'Of a feed, where the next scan may stop. run_id and read_at: the last scan that was complete, of
newest_id: the first record of its list; full_scan_at: when everything was read last; short_by: how
many the API counted then that it did not show; of: of which address, owner and declaration all that
is, of others it says nothing. Of other lists: since: the latest change that the last complete run
saw, or its start; pages: how many it read, page_records: how many records its page 1 had.';
-- All columns of the key, as in other tables: where nothing is known of a table the planner may
-- take this one to find a row by its key.
create index sync_workspace_streams_stream_idx
  on public.sync_workspace_streams (stream_id, workspace_id);
alter table public.sync_workspace_streams enable row level security;

create table sync.target_tables (
  target regclass primary key,
  registered_at timestamptz not null default sync.now(),
  upsert_name text
);
comment on table sync.target_tables is
'Tables that streams may write to. Written by sync.register_target_table().';
comment on column sync.target_tables.upsert_name is
'The apply function that sync.write_upsert() made of it; null: it made none.';
alter table sync.target_tables enable row level security;

create type sync.incoming_record as (
  workspace_id bigint, stream_id bigint, record_id text, updated_at timestamptz, record jsonb,
  turn int, requested_at timestamptz, is_truth boolean, parent_id text, own_id text
);
comment on type sync.incoming_record is
'A record of a page, on its way to an apply function. turn: of which page of the call; requested_at:
when that was asked for, or earlier; is_truth: it is of a full scan, so that what it says counts
whatever its date is; parent_id: below which parent it was listed; own_id: its id as the API has it,
which record_id is too unless it is unique below its parent only.';

create type sync.changed_record
  as (workspace_id bigint, stream_id bigint, record_id text, change text, unfit text array);
comment on type sync.changed_record is
'What an apply function wrote. change: inserted, updated or revived; unfit: columns that are null
because its values do not fit them.';

create function sync.connection_path(p_source_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select path from public.sync_streams
    where source_id = p_source_id and completeness = 'connection');
end; $$;
comment on function sync.connection_path(bigint) is
$$Returns: where a source tells whose key it is, or null if it does not.$$;

create function sync.feed_identity(p_workspace public.sync_workspaces,
  p_stream public.sync_streams) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- Where the source does not tell whose a key is, another key may be another owner's.
  return jsonb_build_array(p_workspace.base_url, p_workspace.external_id, p_stream.revision,
    case when sync.connection_path(p_stream.source_id) is null
    then p_workspace.access_revision end);
end; $$;
comment on function sync.feed_identity(public.sync_workspaces, public.sync_streams) is
$$Returns: of what a feed's mark speaks: address, owner and declaration.$$;

revoke all on sequence public.sync_streams_id_seq from public, anon, authenticated, service_role;
revoke all on table
  public.sync_streams, public.sync_workspace_streams, sync.target_tables
from public, anon, authenticated, service_role;
grant select on table
  public.sync_streams, public.sync_workspace_streams
to authenticated, service_role;
grant select on table sync.target_tables to service_role;
create policy sync_streams_select_operator on public.sync_streams
for select to authenticated using ((select sync.is_operator()));
create policy sync_workspace_streams_select_operator on public.sync_workspace_streams
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.connection_path, sync.feed_identity
from public, anon, authenticated, service_role;
