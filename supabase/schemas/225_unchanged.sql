-- Unchanged pages: a 304 counts as the page that was read before.
-- Stands on: conditions, requests.

create function sync.request_key_of(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_chunk public.chunked_sync_jobs;
  v_base_url text;
begin
  select * into strict v_chunk from public.chunked_sync_jobs where id = p_page.queue_id;
  select base_url into strict v_base_url from public.sync_workspaces where id = p_page.workspace_id;
  return sync.request_key(v_chunk,
    sync.filled_request(v_chunk, p_stream, p_source, v_base_url));
end; $$;
comment on function sync.request_key_of(sync.page_in_hand, public.sync_streams,
  public.sync_sources) is $$Returns: by what the page of a chunk is known again.$$;

create function sync.read_unchanged(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_key constant text := sync.request_key_of(p_page, p_stream, p_source);
  v_chunk public.chunked_sync_jobs;
  v_etag sync.page_etags;
begin
  if p_stream.conditional and p_page.kind = 'page' then
    select * into strict v_chunk from public.chunked_sync_jobs where id = p_page.queue_id;
    v_etag := sync.known_version(v_chunk, p_stream, v_key, interval '1 hour');
  end if;
  if v_etag.request_key is null then
    raise exception using errcode = 'SY013',
      message = 'the API answers 304 to a request that had no condition',
      hint = 'It is tried again; if it stays, ask the API''s operator.';
  end if;
  v_page := jsonb_populate_record(p_page, v_etag.said);
  v_page.answer := '[]';
  v_page.seen_ids := v_etag.record_ids;
  v_page.records := cardinality(v_etag.record_ids);
  v_page.condition := jsonb_build_object('key', v_key);
  return v_page;
end; $$;
comment on function sync.read_unchanged(sync.page_in_hand, public.sync_streams,
  public.sync_sources) is
$$Returns: the page that a 304 stands for, as it was read before, with its ids in place of its
records. Raises: SY013 to a request without a condition.$$;

create function sync.said_by(p_page sync.page_in_hand, p_before sync.page_in_hand) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_before sync.page_in_hand := p_before;
begin
  v_page.body := null;
  v_before.body := null;
  v_page.answer := null;
  v_before.answer := null;
  return (
    select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(to_jsonb(v_page)) as s
    where s.value is distinct from to_jsonb(v_before) -> s.key);
end; $$;
comment on function sync.said_by(sync.page_in_hand, sync.page_in_hand) is
$$Returns: what reading a page gave beside its records.$$;

create function sync.may_be_full(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off as $$
begin
  return p_page.records >= p_stream.page_size or exists (
      select 1 from sync.seen_pages as s
      where s.run_id = p_page.run_id and s.scan = p_page.scan and s.page < p_page.page
        and cardinality(s.record_ids) between 1 and p_page.records)
    or exists (
      select 1 from sync.page_etags as e
      where e.stream_id = p_stream.id and e.stream_revision = p_stream.revision
        and e.said ->> 'ends' = 'false'
        and cardinality(e.record_ids) between 1 and p_page.records);
end; $$;
comment on function sync.may_be_full(sync.page_in_hand, public.sync_streams) is
$$Returns: whether a page may hold all that the API puts on one: as many records as are asked for,
or as a page of the stream has that is followed by others, because the API serves less.$$;

create function sync.has_version(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return p_page.unfit is null and coalesce(p_page.headers ?| '{etag,last-modified}', false)
    and case when p_page.ends then not sync.may_be_full(p_page, p_stream) else true end
    and (p_stream.completeness = 'counted' and p_page.page >= p_page.last_page
      and (p_page.records >= p_stream.page_size
        or (p_page.records > 0 and p_page.total <= p_page.page * p_page.records))) is not true;
end; $$;
comment on function sync.has_version(sync.page_in_hand, public.sync_streams) is
$$Returns: whether a page that was read is known again by its version: not one of which a value was
refused, nor one that ends the list and may be full: what follows it some day may show in no part of
it that the version is made of. Pages may be shorter than declared: the last page of a counted list
is full unless a page before it shows more; an only page may be.$$;

create function sync.note_versions(p_pages sync.page_in_hand[], p_records sync.incoming_record[])
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- What was not taken as it came has to come again.
  delete from sync.page_etags as e using unnest(p_pages) as p
  join public.sync_streams as st on st.id = p.stream_id
  where p.condition ? 'said' and e.workspace_id = p.workspace_id and e.stream_id = p.stream_id
    and e.request_key = p.condition ->> 'key'
    and not sync.has_version(p, st);
  update sync.page_etags as e set run_id = p.run_id from unnest(p_pages) as p
  where p.condition is not null and not p.condition ? 'said' and e.workspace_id = p.workspace_id
    and e.stream_id = p.stream_id and e.request_key = p.condition ->> 'key'
    and e.run_id <> p.run_id;
  insert into sync.page_etags as e (workspace_id, stream_id, request_key, etag, last_modified,
    run_id, stream_revision, access_revision, read_at, record_ids, said)
  select p.workspace_id, p.stream_id, p.condition ->> 'key', p.headers ->> 'etag',
    p.headers ->> 'last-modified', p.run_id, r.stream_revision, r.access_revision, sync.now(),
    coalesce(f.record_ids, '{}'), p.condition -> 'said'
  from unnest(p_pages) as p
  join public.workspace_sync_runs as r on r.id = p.run_id
  join public.sync_streams as st on st.id = p.stream_id
  left join (
    select i.turn, array_agg(i.record_id order by i.n) as record_ids
    from (
      select x.turn, x.record_id, row_number() over () as n from unnest(p_records) as x
    ) as i group by i.turn
  ) as f on f.turn = p.turn
  where p.condition ? 'said' and sync.has_version(p, st)
  order by p.workspace_id, p.stream_id, p.condition ->> 'key'
  on conflict (workspace_id, stream_id, request_key) do update set
    etag = excluded.etag, last_modified = excluded.last_modified, run_id = excluded.run_id,
    stream_revision = excluded.stream_revision, access_revision = excluded.access_revision,
    read_at = excluded.read_at, record_ids = excluded.record_ids, said = excluded.said;
end; $$;
comment on function sync.note_versions(sync.page_in_hand[], sync.incoming_record[]) is
$$Keep the versions of pages that were applied, with what they showed, and forget those that are
none any more. Locks: those rows.$$;

revoke all on function
  sync.request_key_of, sync.read_unchanged, sync.said_by, sync.may_be_full, sync.has_version,
  sync.note_versions
from public, anon, authenticated, service_role;
