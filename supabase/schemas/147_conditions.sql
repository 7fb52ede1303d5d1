-- Conditions: what is kept of a page's version, so that one that has not changed costs no body.
-- Stands on: templates.

create table sync.page_etags (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null references public.sync_streams (id) on delete cascade,
  request_key text not null,
  etag text,
  last_modified text,
  run_id bigint not null,
  stream_revision int not null,
  access_revision bigint not null,
  read_at timestamptz not null,
  record_ids text[] not null,
  said jsonb not null,
  primary key (workspace_id, stream_id, request_key),
  constraint page_etags_version_check check (etag is not null or last_modified is not null)
);
comment on table sync.page_etags is
'Pages of streams with conditional: their versions as the API named them, and what they showed; a
304 counts as that page.';
comment on column sync.page_etags.request_key is
'Which request: without headers, and its place.';
comment on column sync.page_etags.run_id is
'The last run that read it, changed or not: only what the last complete run saw is known to be
here.';
comment on column sync.page_etags.read_at is
'When its body was last read: after full_scan_days it is again.';
comment on column sync.page_etags.said is
'What reading it gave beside its records: total, last page, first and last key, next.';
create index page_etags_stream_idx on sync.page_etags (stream_id, workspace_id, request_key);
create index page_etags_read_idx on sync.page_etags (read_at);
-- How short a page may be that is followed by others.
create index page_etags_followed_idx
  on sync.page_etags (stream_id, stream_revision, cardinality(record_ids))
  where said ->> 'ends' = 'false';
alter table sync.page_etags enable row level security;

create function sync.request_key(p_chunk public.chunked_sync_jobs, p_request jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return md5(concat_ws(' ', p_request - 'headers', p_chunk.page,
    p_chunk.reading - '{guess,beside,back,again,pages_below}'::text[]));
end; $$;
comment on function sync.request_key(public.chunked_sync_jobs, jsonb) is
$$Returns: by what a page is known again: its request without headers, and its place in the list.$$;

create function sync.known_version(p_chunk public.chunked_sync_jobs,
  p_stream public.sync_streams, p_request_key text, p_slack interval) returns sync.page_etags
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_etag sync.page_etags;
begin
  select e.* into v_etag from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.polling_job_status as j on j.id = r.job_id
  join sync.page_etags as e on e.workspace_id = r.workspace_id and e.stream_id = r.stream_id
    and e.request_key = p_request_key
  left join public.sync_workspace_streams as ws on ws.workspace_id = r.workspace_id
    and ws.stream_id = r.stream_id
  where r.id = p_chunk.run_id and j.kind = 'sync' and r.stream_id = p_stream.id
    and e.stream_revision = p_stream.revision and e.access_revision = w.access_revision
    -- What others of its records became between two complete runs is not known of it.
    and e.run_id in (r.id, ws.last_complete_run_id)
    and e.read_at > sync.now() - make_interval(days => p_stream.full_scan_days) - p_slack
    and p_stream.order_moves = 'never'
    -- A version may be one of the records alone, and the total beside them have moved, or the
    -- cursor of the next page: where a scan does not add up, the next one reads everything.
    and not case
      when r.parts_total is null then p_chunk.scan - r.begun_again > 1 and r.sound_scan is null
      else exists (
        select 1 from sync.run_parts as p
        where p.run_id = r.id and p.scan = p_chunk.scan and p.attempt > 1
          and p.sound_scan is null) end
    and not (r.is_full_scan
      and (p_stream.completeness = 'feed' or sync.has_template(p_stream, 'since')));
  return v_etag;
end; $$;
comment on function sync.known_version(public.chunked_sync_jobs, public.sync_streams, text,
  interval) is
$$Returns: what is known of the page that a chunk asks for; null in audits and full scans, of
another declaration, key or URL, where its body was not read for full_scan_days and the slack, and
of a list whose scan before did not add up.$$;

create function sync.condition_headers(p_etag sync.page_etags) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select jsonb_strip_nulls(jsonb_build_object('If-None-Match', p_etag.etag, 'If-Modified-Since',
    case when p_etag.etag is null then p_etag.last_modified end));
$$;
comment on function sync.condition_headers(sync.page_etags) is
$$Returns: the headers that ask for a page only if it is another than the known one.$$;

revoke all on table sync.page_etags from public, anon, authenticated, service_role;
revoke all on function
  sync.request_key, sync.known_version, sync.condition_headers
from public, anon, authenticated, service_role;
