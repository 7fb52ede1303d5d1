-- Items: one request per staged record, once its parent's run has closed; what comes with another
-- answer is not fetched.
-- Stands on: slots, answers, close.

create table sync.staged_items (
  id bigint generated always as identity primary key,
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null references public.sync_streams (id),
  record_id text not null,
  item_key text,
  chunk_id bigint,
  staged_at timestamptz not null default sync.now(),
  processed_at timestamptz
);
comment on table sync.staged_items is
'Records of a parent stream: new and changed ones that an items stream is to ask for, or whose
children are to be read; and those whose list of children was read, but not proven.';
comment on column sync.staged_items.stream_id is 'The stream of the items or children.';
comment on column sync.staged_items.record_id is 'The parent''s record.';
comment on column sync.staged_items.item_key is
'Which id is asked for: what the stream''s stage_function says, else the record''s own.';
comment on column sync.staged_items.chunk_id is
'The chunk that asks for it: one per key and run.';
comment on column sync.staged_items.processed_at is
'Null while it was not fetched; a failed one stays for the next job.';
create unique index staged_items_pending_idx
  on sync.staged_items (workspace_id, stream_id, record_id) where processed_at is null;
create index staged_items_next_idx on sync.staged_items (workspace_id, stream_id, id)
  where processed_at is null;
create index staged_items_record_idx on sync.staged_items (workspace_id, stream_id, record_id);
create index staged_items_chunk_idx on sync.staged_items (chunk_id);
create index staged_items_stream_idx on sync.staged_items (stream_id, workspace_id, record_id);
alter table sync.staged_items enable row level security;

create function sync.is_followed(p_stream public.sync_streams) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select 1 from public.sync_streams as child
    where child.source_id = p_stream.source_id and child.parent_stream = p_stream.stream_name
      and (child.completeness = 'items' or child.fan_out = 'changed'));
end; $$;
comment on function sync.is_followed(public.sync_streams) is
$$Returns: whether streams of items, or of children that follow what changed, have it as their
parent.$$;

create function sync.stage_items(p_changed sync.changed_record[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_hashjoin = on as $$
begin
  insert into sync.staged_items as s (workspace_id, stream_id, record_id)
  select distinct c.workspace_id, child.id, c.record_id from unnest(p_changed) as c
  join public.sync_streams as parent on parent.id = c.stream_id
  join public.sync_streams as child on child.source_id = parent.source_id
    and child.parent_stream = parent.stream_name
    and (child.completeness = 'items' or child.fan_out = 'changed')
  order by c.workspace_id, child.id, c.record_id
  on conflict (workspace_id, stream_id, record_id) where processed_at is null do update
  set staged_at = sync.now();
end; $$;
comment on function sync.stage_items(sync.changed_record[]) is
$$Stage changed records for the streams of items, and of children that follow what changed, whose
parents they are. Locks: staged rows in key
order.$$;

create function sync.read_items(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  if jsonb_typeof(p_page.answer) <> 'object' then
    perform sync.refuse_shape('the answer is not a JSON object',
      'The item is tried again by the next job.');
  end if;
  v_page.answer := jsonb_build_array(p_page.answer);
  return v_page;
end; $$;
comment on function sync.read_items(sync.page_in_hand) is
$$Returns: the page with the whole answer as its one record. Raises: SY010.$$;

create function sync.pick_staged(p_run public.workspace_sync_runs, p_limit int,
  out o_ids bigint[], out o_record_ids text[])
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
begin
  select array_agg(s.id order by s.id), array_agg(s.record_id order by s.id)
  into o_ids, o_record_ids
  from (
    select x.id, x.record_id from sync.staged_items as x
    where x.workspace_id = p_run.workspace_id and x.stream_id = p_run.stream_id
      and x.processed_at is null and x.id > coalesce(p_run.mark, 0)
    order by x.id limit p_limit for no key update skip locked
  ) as s;
end; $$;
comment on function sync.pick_staged(public.workspace_sync_runs, int) is
$$Returns: the next staged rows of a run and their records, side by side; null where there are none.
Locks: those rows by SKIP LOCKED; what another holds is left to the next job.$$;

create function sync.item_keys(p_run public.workspace_sync_runs, p_record_ids text[])
  returns text[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_hashjoin = on as $$
declare
  v_function text := (
    select stage_function from public.sync_streams where id = p_run.stream_id);
  v_keys text[] := p_record_ids;
begin
  if v_function is not null then
    execute format($sql$
      select array_agg(coalesce(k.item_key, given.id) order by given.n)
      from unnest($2) with ordinality as given (id, n)
      left join %s($1, $2) as k on k.record_id = given.id $sql$, v_function)
    into v_keys using p_run.workspace_id, p_record_ids;
  end if;
  return v_keys;
end; $$;
comment on function sync.item_keys(public.workspace_sync_runs, text[]) is
$$Returns: for each staged record, in their order, which id to ask for.$$;

create function sync.queue_items(p_run_id bigint, p_limit int default 1000) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_run public.workspace_sync_runs;
  v_staged record;
  v_keys text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  v_staged := sync.pick_staged(v_run, p_limit);
  if v_staged.o_ids is null then
    return false;
  end if;
  v_keys := sync.item_keys(v_run, v_staged.o_record_ids);
  perform sync.plan_chunks(p_run_id, 'item', null, array(
    select distinct k from unnest(v_keys) as k where not exists (
      select 1 from public.chunked_sync_jobs as c
      where c.run_id = p_run_id and c.scan = v_run.scan and c.kind = 'item' and c.page is null
        and c.record_id = k offset 0)));
  update sync.staged_items as s set
    item_key = c.record_id, chunk_id = c.id,
    processed_at = case when q.status = 'completed'
      and s.staged_at <= coalesce(q.started_at, q.completed_at) then sync.now() end
  from unnest(v_staged.o_ids, v_keys) as staged (id, item_key)
  cross join lateral (
    select x.id, x.record_id from public.chunked_sync_jobs as x
    where x.run_id = p_run_id and x.scan = v_run.scan and x.kind = 'item' and x.page is null
      and x.record_id = staged.item_key offset 0
  ) as c
  cross join lateral (
    select x.status, x.started_at, x.completed_at from public.chunk_processing_queue as x
    where x.id = c.id offset 0
  ) as q
  where s.workspace_id = v_run.workspace_id and s.stream_id = v_run.stream_id
    and s.id = staged.id and s.processed_at is null
    and s.id between v_staged.o_ids[1] and v_staged.o_ids[cardinality(v_staged.o_ids)];
  update public.workspace_sync_runs set
    mark = v_staged.o_ids[cardinality(v_staged.o_ids)],
    progress_total = case when cardinality(v_staged.o_ids) < p_limit
      then greatest(1, least(progress_total, planned_chunks)) else progress_total end
  where id = p_run_id;
  return true;
end; $$;
comment on function sync.queue_items(bigint, int) is
$$Queue what the next staged records ask for, those staged first: one chunk per key and run. In
parts, because a first sync stages more than one call may take. Returns: whether there was anything.
The caller holds the run's lock. Locks: staged rows by SKIP LOCKED; what another holds is left to
the next job.$$;

create function sync.item_warnings(p_run public.workspace_sync_runs) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_stream public.sync_streams := (
    select s from public.sync_streams as s where s.id = p_run.stream_id);
  v_warnings text[] := array(
    select format('%s: %s gone, the API answers %s (asked for %s)', v_stream.stream_name, count(*),
      e.details ->> 'http_status', (array_agg(c.record_id order by c.record_id))[1])
    from public.chunked_sync_jobs as c
    -- Offset 0: one look by key for each, whatever the planner knows of the tables.
    cross join lateral (
      select x.details from public.chunk_events as x
      where x.chunk_id = c.id and x.event = 'completed' offset 0
    ) as e
    where c.run_id = p_run.id and c.kind = 'item' and e.details ->> 'http_status' in ('404', '410')
    group by e.details ->> 'http_status' order by e.details ->> 'http_status');
  v_own text[];
begin
  if v_stream.warn_function is not null then
    execute format('select %s($1)', v_stream.warn_function) into v_own using p_run.id;
  end if;
  return v_warnings || v_own;
end; $$;
comment on function sync.item_warnings(public.workspace_sync_runs) is
$$Returns: which of a run's items are gone, with counts and one example each, and what the stream's
warn_function says.$$;

create function sync.begin_items(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
begin
  for v_run in
    select * from public.workspace_sync_runs where id = any (p_run_ids)
    order by id for no key update
  loop
    update public.workspace_sync_runs as r set phase = 'items', progress_total = greatest(1, (
      select count(*) from sync.staged_items as s
      where s.workspace_id = r.workspace_id and s.stream_id = r.stream_id
        and s.processed_at is null))
    where id = v_run.id returning * into v_run;
    perform sync.advance_items(v_run);
  end loop;
end; $$;
comment on function sync.begin_items(bigint[]) is
$$Queue the first part of what is staged for each run, or close it at once if nothing is. Locks:
the runs by id.$$;

create function sync.advance_items(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_failed bigint;
begin
  for v_part in 1 .. 20 loop
    if not sync.queue_items(p_run.id) then
      select count(*) into v_failed from public.chunk_processing_queue
      where run_id = p_run.id and status = 'failed';
      update public.workspace_sync_runs set
        expected_total = planned_chunks, warnings = warnings || sync.item_warnings(p_run)
      where id = p_run.id;
      perform sync.close_run(p_run.id, case v_failed when 0 then 'completed' else 'partial' end,
        case when v_failed > 0 then format('%s: %s could not be fetched', (
          select stream_name from public.sync_streams where id = p_run.stream_id), v_failed) end);
      return;
    end if;
    exit when sync.refill_slots(p_run.id) > 0;
  end loop;
end; $$;
comment on function sync.advance_items(public.workspace_sync_runs) is
$$The next step of an items run of which nothing is live: queue more, or close.
Where what is staged came with answers already, the next sweep goes on. The caller holds its
lock.$$;

create function sync.unstage_items(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- Apart: to lock rows that are joined with pages would carry each page's body with each row.
  v_queue_ids bigint[] := array(select queue_id from unnest(p_pages) where kind = 'item');
  v_found record;
  v_ids bigint[];
begin
  -- Offset 0: one look by key for each, whatever the planner knows of the tables; and found first,
  -- or it may look through all that is staged, because that has the order in which to lock.
  select array_agg(s.id order by s.workspace_id, s.stream_id, s.record_id) as ids,
    array_agg(q.started_at order by s.workspace_id, s.stream_id, s.record_id) as asked_at
  into v_found from unnest(v_queue_ids) as given (id)
  cross join lateral (
    select x.started_at from public.chunk_processing_queue as x where x.id = given.id offset 0
  ) as q
  cross join lateral (
    select x.id, x.workspace_id, x.stream_id, x.record_id from sync.staged_items as x
    where x.chunk_id = given.id and x.processed_at is null offset 0
  ) as s;
  -- By id alone: what else they are would offer indices that the id only comes last in.
  v_ids := array(
    select t.id from unnest(v_found.ids, v_found.asked_at) as f (id, asked_at)
    cross join lateral (
      select x.id from sync.staged_items as x
      where x.id = f.id and x.staged_at <= f.asked_at for no key update offset 0
    ) as t);
  update sync.staged_items set processed_at = sync.now() where id = any (v_ids);
end; $$;
comment on function sync.unstage_items(sync.page_in_hand[]) is
$$Staged records whose item was fetched are processed, but for those staged again after it was asked
for. Locks: their rows in the order in which they are staged.$$;

create type sync.shown_item as (queue_id bigint, stream_id bigint, shown_id text);
comment on type sync.shown_item is
'A staged record of a stream that a chunk''s stored answer shows.';

create function sync.shown_with(p_queue_ids bigint[]) returns setof sync.shown_item
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_asked record;
begin
  for v_asked in
    select st.id, st.shown_function, array_agg(s.workspace_id) as workspace_ids,
      array_agg(given.id) as queue_ids, array_agg(s.record_id) as record_ids
    from unnest(p_queue_ids) as given (id)
    -- Offset 0: one look by key for each, whatever the planner knows of the tables.
    cross join lateral (
      select x.workspace_id, x.stream_id, x.record_id from sync.staged_items as x
      where x.chunk_id = given.id offset 0
    ) as s
    join public.sync_streams as st on st.id = s.stream_id and st.shown_function is not null
    group by st.id, st.shown_function
  loop
    return query execute format('select chunk_id, $4, shown_id from %s($1, $2, $3)',
      v_asked.shown_function)
    using v_asked.workspace_ids, v_asked.queue_ids, v_asked.record_ids, v_asked.id;
  end loop;
end; $$;
comment on function sync.shown_with(bigint[]) is
$$Returns: which staged records the stored answers of these chunks show, as their streams'
shown_functions say.$$;

create function sync.joined_items(p_queue_ids bigint[])
returns table (queue_id bigint, joined bigint[])
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  -- Each by key: what one answer shows may lead to all the others.
  return query
  with others as materialized (
    select distinct s.queue_id, q.run_id, x.chunk_id from sync.shown_with(p_queue_ids) as s
    join public.chunk_processing_queue as q on q.id = s.queue_id
    join public.workspace_sync_runs as r on r.id = q.run_id
    cross join lateral (
      select t.chunk_id from sync.staged_items as t
      where t.workspace_id = r.workspace_id and t.stream_id = s.stream_id
        and t.record_id = s.shown_id offset 0
    ) as x
    where x.chunk_id <> s.queue_id
  )
  select o.queue_id, array_agg(o.chunk_id) from others as o
  cross join lateral (
    select x.run_id, x.status from public.chunk_processing_queue as x
    where x.id = o.chunk_id offset 0
  ) as q
  where q.run_id = o.run_id and q.status in ('pending', 'processing', 'completed')
  group by o.queue_id;
end; $$;
comment on function sync.joined_items(bigint[]) is
$$Returns: of these chunks those whose answer came with what others of their run ask for, and these
others: which belong together was not known when they were staged.$$;

create function sync.cover_items(p_page sync.page_in_hand, p_joined bigint[], p_in_call bigint[])
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_covered bigint[];
begin
  with pending as (
    select id from public.chunk_processing_queue
    where id = any (p_joined) and run_id = p_page.run_id and status = 'pending'
    order by id for no key update skip locked
  ), covered as (
    update public.chunk_processing_queue as q
    set status = 'completed', slot = null, ready_seq = null, next_retry_at = null, turn = null,
    line_budget_id = null,
    completed_at = sync.now()
    from pending where q.id = pending.id returning q.id
  )
  select coalesce(array_agg(id), '{}') into v_covered from covered;
  insert into public.chunk_events (chunk_id, run_id, event, details)
  select id, p_page.run_id, 'covered', jsonb_build_object('by_chunk', p_page.queue_id)
  from unnest(v_covered) as id;
  update sync.staged_items as s set processed_at = sync.now()
  from (
    select t.id from public.chunk_processing_queue as q
    join sync.staged_items as t on t.chunk_id = any (v_covered) and t.staged_at <= q.started_at
    where q.id = p_page.queue_id and t.processed_at is null for no key update of t skip locked
  ) as came
  where s.id = came.id;
  update public.workspace_sync_runs set
    chunks_completed = chunks_completed + cardinality(v_covered),
    extra_fetches = extra_fetches + exists (
      select 1 from public.chunk_processing_queue as q
      where q.id = any (array(select unnest(p_joined) except select unnest(v_covered)))
        and q.status = 'completed'
        and (q.id < p_page.queue_id or q.id <> all (p_in_call)))::int
  where id = p_page.run_id;
end; $$;
comment on function sync.cover_items(sync.page_in_hand, bigint[], bigint[]) is
$$Chunks whose item came with this answer end as covered if they are pending; an answer
that came after one that showed the same is an extra fetch. The caller holds the run's lock. Locks:
queue rows by SKIP LOCKED, then the staged rows of those it got, likewise.$$;

create function sync.plan_items(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.cover_items(x.page, x.joined, array(select queue_id from unnest(p_pages)))
  from (
    select p as page, j.joined from unnest(p_pages) as p
    join sync.joined_items(array(
      select queue_id from unnest(p_pages) where kind = 'item')) as j on j.queue_id = p.queue_id
    order by p.turn
  ) as x;
end; $$;
comment on function sync.plan_items(sync.page_in_hand[]) is
$$cover_items() for each page whose answer came with others. The caller holds the runs' locks.$$;

revoke all on sequence sync.staged_items_id_seq from public, anon, authenticated, service_role;
revoke all on table sync.staged_items from public, anon, authenticated, service_role;
grant select on table sync.staged_items to authenticated, service_role;
create policy staged_items_select_operator on sync.staged_items
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.is_followed, sync.stage_items, sync.read_items, sync.pick_staged, sync.item_keys,
  sync.queue_items,
  sync.item_warnings, sync.begin_items, sync.advance_items, sync.unstage_items, sync.shown_with,
  sync.joined_items, sync.cover_items, sync.plan_items
from public, anon, authenticated, service_role;
