-- Items: one request per staged record, once its feed's run has closed; what comes with another
-- answer is not fetched.
-- Stands on: threads, observe.

create function sync.read_item(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql stable set search_path = '' as $$
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

create function sync.set_thread_keys(p_workspace_id bigint) returns text[]
language plpgsql set search_path = '' as $$
begin
  with recursive ancestors as (
    select s.id as stage_id, s.reply_id as id, r.parent_id, 1 as depth, array[s.reply_id] as path
    from public.thread_stage as s
    left join public.email_replies as r on r.workspace_id = s.workspace_id and r.id = s.reply_id
    where s.workspace_id = p_workspace_id and s.processed_at is null
    union all
    select a.stage_id, r.id, r.parent_id, a.depth + 1, a.path || r.id
    from ancestors as a
    join public.email_replies as r on r.workspace_id = p_workspace_id and r.id = a.parent_id
    where r.id <> all (a.path) and a.depth < 200
  ), roots as (
    select distinct on (stage_id) stage_id, id from ancestors order by stage_id, depth desc
  )
  update public.thread_stage as s set thread_key = roots.id::text from roots
  where s.id = roots.stage_id;
  return array(
    select distinct thread_key from public.thread_stage
    where workspace_id = p_workspace_id and processed_at is null and thread_key is not null
    order by thread_key);
end; $$;
comment on function sync.set_thread_keys(bigint) is
$$Follow parent_id through stored replies up to the root, for all of a workspace's staged replies.
Returns: the distinct roots.$$;

create function sync.open_items(p_run_id bigint) returns void
language plpgsql set search_path = '' as $$
declare
  v_run public.workspace_sync_runs;
  v_keys text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id for no key update;
  v_keys := sync.set_thread_keys(v_run.workspace_id);
  update public.workspace_sync_runs
  set phase = 'items', progress_total = greatest(cardinality(v_keys), 1),
  expected_total = cardinality(v_keys) where id = p_run_id;
  if cardinality(v_keys) = 0 then
    perform sync.close_run(p_run_id, 'completed', null);
    return;
  end if;
  perform sync.plan_chunks(p_run_id, 'item', null, v_keys);
  update public.thread_stage as s set chunk_id = c.id
  from public.chunked_sync_jobs as c
  where c.run_id = p_run_id and c.kind = 'item' and c.record_id = s.thread_key
    and s.workspace_id = v_run.workspace_id and s.processed_at is null;
  perform sync.fill_slots(p_run_id);
end; $$;
comment on function sync.open_items(bigint) is
$$Queue one chunk per conversation of what is staged, or close the run at once if nothing is. Locks:
the run, after its parent.$$;

create function sync.advance_items(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = '' as $$
declare
  v_failed bigint;
begin
  if p_run.phase = 'parent' then
    perform sync.open_items(p_run.id) where not exists (
      select 1 from public.workspace_sync_runs
      where id = p_run.parent_run_id and status = 'running');
    return;
  end if;
  select count(*) into v_failed from public.chunk_processing_queue
  where run_id = p_run.id and status = 'failed';
  update public.workspace_sync_runs set warnings = warnings || sync.thread_warnings(p_run.id)
  where id = p_run.id;
  if v_failed = 0 then
    perform sync.close_run(p_run.id, 'completed', null);
  else
    perform sync.close_run(p_run.id, 'partial', format('%s of %s items
      failed', v_failed, p_run.expected_total));
  end if;
end; $$;
comment on function sync.advance_items(public.workspace_sync_runs) is
$$The next step of an items run of which nothing is live: wait for the parent, open, or close. The
caller holds its lock.$$;

create function sync.note_items(p_pages sync.page_in_hand[]) returns void
language sql set search_path = '' as $$
  update public.thread_stage as s set processed_at = sync.now()
  from (
    select t.id from public.thread_stage as t
    join unnest(p_pages) as p on p.kind = 'item' and t.chunk_id = p.queue_id
    where t.processed_at is null order by t.id for no key update of t
  ) as done
  where s.id = done.id;
$$;
comment on function sync.note_items(sync.page_in_hand[]) is
$$Staged replies of fetched conversations are processed. Locks: their rows, by id.$$;

create function sync.joined_items(p_queue_id bigint) returns bigint[]
language sql stable set search_path = '' as $$
  select coalesce(array_agg(distinct other.chunk_id), '{}')
  from public.thread_stage as mine
  join public.email_messages as m on m.workspace_id = mine.workspace_id
    and m.reply_id = mine.reply_id
  join public.email_messages as shown on shown.workspace_id = m.workspace_id
    and shown.thread_id = m.thread_id
  join public.thread_stage as other on other.workspace_id = shown.workspace_id
    and other.reply_id = shown.reply_id
    and other.processed_at is null and other.chunk_id <> p_queue_id
  where mine.chunk_id = p_queue_id;
$$;
comment on function sync.joined_items(bigint) is
$$Returns: other chunks whose staged replies came with this chunk's answer: stored replies alone had
not shown that they belong together.$$;

create function sync.has_joined_items(p_queue_id bigint) returns boolean
language sql stable set search_path = '' as $$
  select cardinality(sync.joined_items(p_queue_id)) > 0;
$$;
comment on function sync.has_joined_items(bigint) is $$Returns: whether joined_items() has any.$$;

create function sync.cover_items(p_page sync.page_in_hand) returns void
language plpgsql set search_path = '' as $$
declare
  v_joined bigint[] := sync.joined_items(p_page.queue_id);
  v_covered bigint[];
begin
  with pending as (
    select id from public.chunk_processing_queue
    where id = any (v_joined) and run_id = p_page.run_id and status = 'pending'
    order by id for no key update skip locked
  ), covered as (
    update public.chunk_processing_queue as q
    set status = 'completed', slot = null, ready_seq = null, next_retry_at = null,
    completed_at = sync.now()
    from pending where q.id = pending.id returning q.id
  )
  select coalesce(array_agg(id), '{}') into v_covered from covered;
  insert into public.chunk_events (chunk_id, run_id, event, details)
  select id, p_page.run_id, 'covered', jsonb_build_object('by_chunk', p_page.queue_id)
  from unnest(v_covered) as id;
  update public.thread_stage set processed_at = sync.now()
  where chunk_id = any (v_covered) and processed_at is null;
  update public.workspace_sync_runs set
    chunks_completed = chunks_completed + cardinality(v_covered),
    extra_fetches = extra_fetches + cardinality(v_joined) - cardinality(v_covered)
  where id = p_page.run_id and cardinality(v_joined) > 0;
end; $$;
comment on function sync.cover_items(sync.page_in_hand) is
$$Chunks whose conversation came with this answer end as covered if they are pending; those on their
way are counted as extra fetches. The caller holds the run's lock. Locks: queue rows by SKIP LOCKED,
then the staged rows of those it got.$$;

create view public.thread_processing_queue with (security_invoker = true) as
select
  q.id, (select min(s.id) from public.thread_stage as s where s.chunk_id = q.id) as thread_stage_id,
  q.parent_sync_job_id as sync_job_id,
  case when q.status = 'completed' then q.completed_at end as processed_at, q.created_at,
  q.status, q.attempts, q.next_retry_at, q.started_at, q.run_id, c.record_id as thread_key
from public.chunk_processing_queue as q
join public.chunked_sync_jobs as c on c.id = q.id
where c.kind = 'item';
comment on view public.thread_processing_queue is
'Thread chunks; processed_at is set at completion. Read only: claim_chunk_job_safe() and
claim_next_chunk_job_safe() hand them out.';

create trigger thread_processing_queue_write instead of insert or update or delete
  on public.thread_processing_queue
for each row execute function sync.refuse_queue_write();

select public.declare_stream('{
  "source_name": "email_bison", "stream_name": "conversation_threads", "is_default": false,
  "completeness": "items", "path": "/replies",
  "page_size": 1, "parent_stream": "replies", "item_path": "/replies/{id}/conversation-thread",
  "target_table": "public.email_threads",
  "apply_function": "sync.apply_conversations"}');

revoke all on table public.thread_processing_queue from public, anon, authenticated, service_role;
grant select on table public.thread_processing_queue to authenticated;
grant select, insert, update, delete on table public.thread_processing_queue to service_role;
revoke all on function sync.read_item, sync.set_thread_keys, sync.open_items, sync.advance_items,
  sync.note_items, sync.joined_items,
sync.has_joined_items, sync.cover_items from public, anon, authenticated, service_role;
