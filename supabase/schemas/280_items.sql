-- Items: one request per staged record, once its feed's run has closed; what comes with another
-- answer is not fetched.
-- Stands on: answers, close.

create function sync.read_item(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  if jsonb_typeof(p_page.answer) <> 'object' then
    perform sync.raise_shape('the answer is not a JSON object',
      'The item is tried again by the next job.');
  end if;
  v_page.answer := jsonb_build_array(p_page.answer);
  return v_page;
end; $$;
comment on function sync.read_item(sync.page_in_hand) is
$$Returns: the page with the whole answer as its one record. Raises: SY010.$$;

create function sync.queue_items(p_run_id bigint, p_limit int default 1000) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_run public.workspace_sync_runs;
  v_reply_ids bigint[];
  v_keys text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  v_reply_ids := array(
    select reply_id from public.thread_stage
    where workspace_id = v_run.workspace_id and processed_at is null
      and reply_id > coalesce(v_run.mark, '-9223372036854775808'::bigint)
    order by reply_id limit p_limit for no key update skip locked);
  if cardinality(v_reply_ids) = 0 then
    return false;
  end if;
  select array_agg(reply_id order by reply_id), array_agg(root_id::text order by reply_id)
  into v_reply_ids, v_keys from sync.thread_roots(v_run.workspace_id, v_reply_ids);
  perform sync.plan_chunks(p_run_id, 'item', null, array(
    select distinct k from unnest(v_keys) as k where not exists (
      select 1 from public.chunked_sync_jobs as c
      where c.run_id = p_run_id and c.scan = v_run.scan and c.kind = 'item' and c.page is null
        and c.record_id = k offset 0)));
  update public.thread_stage as s set
    thread_key = c.record_id, chunk_id = c.id,
    processed_at = case when q.status = 'completed'
      and s.staged_at <= coalesce(q.started_at, q.completed_at) then sync.now() end
  from unnest(v_reply_ids, v_keys) as staged (reply_id, thread_key)
  cross join lateral (
    select x.id, x.record_id from public.chunked_sync_jobs as x
    where x.run_id = p_run_id and x.scan = v_run.scan and x.kind = 'item' and x.page is null
      and x.record_id = staged.thread_key offset 0
  ) as c
  cross join lateral (
    select x.status, x.started_at, x.completed_at from public.chunk_processing_queue as x
    where x.id = c.id offset 0
  ) as q
  where s.workspace_id = v_run.workspace_id and s.reply_id = staged.reply_id
    and s.reply_id between v_reply_ids[1] and v_reply_ids[cardinality(v_reply_ids)]
    and s.processed_at is null;
  update public.workspace_sync_runs set
    mark = v_reply_ids[cardinality(v_reply_ids)],
    progress_total = case when cardinality(v_reply_ids) < p_limit
      then greatest(1, least(progress_total, planned_chunks)) else progress_total end
  where id = p_run_id;
  return true;
end; $$;
comment on function sync.queue_items(bigint, int) is
$$Queue the conversations of the next staged replies, those with the lowest ids: one chunk per
conversation and run. In parts, because a first sync stages more than one call may take. Returns:
whether there was anything. The caller holds the run's lock. Locks: staged rows by SKIP LOCKED; what
another holds is left to the next job.$$;

create function sync.open_items(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
begin
  perform 1 from public.workspace_sync_runs where id = p_run_id for no key update;
  update public.workspace_sync_runs as r set phase = 'items', progress_total = greatest(1, (
    select count(*) from public.thread_stage as s
    where s.workspace_id = r.workspace_id and s.processed_at is null))
  where id = p_run_id returning * into v_run;
  perform sync.advance_items(v_run);
end; $$;
comment on function sync.open_items(bigint) is
$$Queue the first conversations of what is staged, or close the run at once if nothing is. Locks:
the run.$$;

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
        expected_total = planned_chunks, warnings = warnings || sync.thread_warnings(id)
      where id = p_run.id;
      perform sync.close_run(p_run.id, case v_failed when 0 then 'completed' else 'partial' end,
        case when v_failed > 0 then format('%s conversations could not be fetched', v_failed) end);
      return;
    end if;
    exit when sync.fill_slots(p_run.id) > 0;
  end loop;
end; $$;
comment on function sync.advance_items(public.workspace_sync_runs) is
$$The next step of an items run of which nothing is live: queue more, or close.
Where what is staged came with answers already, the next sweep goes on. The caller holds its
lock.$$;

create function sync.note_items(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- Apart: to lock rows that are joined with pages would carry each page's body with each row.
  v_queue_ids bigint[] := array(select queue_id from unnest(p_pages) where kind = 'item');
begin
  update public.thread_stage as s set processed_at = sync.now()
  from (
    select t.id from public.chunk_processing_queue as q
    join public.thread_stage as t on t.chunk_id = q.id and t.staged_at <= q.started_at
    where q.id = any (v_queue_ids) and t.processed_at is null
    order by t.workspace_id, t.reply_id for no key update of t
  ) as done
  where s.id = done.id;
end; $$;
comment on function sync.note_items(sync.page_in_hand[]) is
$$Staged replies of fetched conversations are processed, but for those staged again after their
conversation was asked for. Locks: their rows in the order in which replies stage them.$$;

create function sync.joined_items(p_queue_ids bigint[])
returns table (queue_id bigint, joined bigint[])
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  -- In steps without doubles: of a long conversation every message leads to every other. Offset 0:
  -- one look by key for each, whatever the planner knows of the tables.
  return query
  with own as (
    select q.id, q.run_id, r.workspace_id from unnest(p_queue_ids) as given (id)
    join public.chunk_processing_queue as q on q.id = given.id
    join public.workspace_sync_runs as r on r.id = q.run_id
  ), threads as materialized (
    select distinct o.id, o.run_id, o.workspace_id, m.thread_id from own as o
    cross join lateral (
      select x.reply_id from public.thread_stage as x where x.chunk_id = o.id offset 0
    ) as mine
    cross join lateral (
      select x.thread_id from public.email_messages as x
      where x.workspace_id = o.workspace_id and x.reply_id = mine.reply_id offset 0
    ) as m
  ), shown as materialized (
    select distinct t.id, t.run_id, t.workspace_id, m.reply_id from threads as t
    cross join lateral (
      select x.reply_id from public.email_messages as x
      where x.workspace_id = t.workspace_id and x.thread_id = t.thread_id
        and x.reply_id is not null offset 0
    ) as m
  ), others as materialized (
    select distinct s.id, s.run_id, x.chunk_id from shown as s
    cross join lateral (
      select t.chunk_id from public.thread_stage as t
      where t.workspace_id = s.workspace_id and t.reply_id = s.reply_id offset 0
    ) as x
    where x.chunk_id <> s.id
  )
  select o.id, array_agg(o.chunk_id) from others as o
  cross join lateral (
    select x.run_id, x.status from public.chunk_processing_queue as x
    where x.id = o.chunk_id offset 0
  ) as q
  where q.run_id = o.run_id and q.status in ('pending', 'processing', 'completed')
  group by o.id;
end; $$;
comment on function sync.joined_items(bigint[]) is
$$Returns: of these chunks those whose answer came with staged replies of others of their run, and
these others: stored replies alone had not shown that they belong together.$$;

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
  update public.thread_stage as s set processed_at = sync.now()
  from (
    select t.id from public.chunk_processing_queue as q
    join public.thread_stage as t on t.chunk_id = any (v_covered) and t.staged_at <= q.started_at
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
$$Chunks whose conversation came with this answer end as covered if they are pending; an answer
that came after one that showed the same is an extra fetch. The caller holds the run's lock. Locks:
queue rows by SKIP LOCKED, then the staged rows of those it got, likewise.$$;

create function sync.cover_joined_items(p_pages sync.page_in_hand[]) returns void
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
comment on function sync.cover_joined_items(sync.page_in_hand[]) is
$$cover_items() for each page whose answer came with others. The caller holds the runs' locks.$$;

revoke all on function
  sync.read_item, sync.queue_items, sync.open_items, sync.advance_items, sync.note_items,
  sync.joined_items, sync.cover_items, sync.cover_joined_items
from public, anon, authenticated, service_role;
