-- Children: below each record of the parent's stream a list, read once the parent's run has closed.
-- Each list is a part of the run, planned in a window and proven by itself.
-- Stands on: streams, templates, slots, missing, close, deletions, kind_items, parent_rows,
--   part_scans, missing_below.

create function sync.takes_up_lists(p_run public.workspace_sync_runs, p_parent_id bigint)
  returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select 1 from public.polling_job_status as j
    join public.workspace_sync_runs as retried on retried.job_id = j.retry_of_job_id
      and retried.workspace_id = p_run.workspace_id and retried.stream_id = p_run.stream_id
    where j.id = p_run.job_id and retried.status = 'partial' and retried.ending is null
      and retried.parts_total > 0 and not exists (
        select 1 from public.workspace_sync_runs as parents
        where parents.workspace_id = p_run.workspace_id and parents.stream_id = p_parent_id
          and parents.job_id <> retried.job_id and (parents.id > retried.id
            or (parents.completed_at <= retried.started_at) is not true)));
end; $$;
comment on function sync.takes_up_lists(public.workspace_sync_runs, bigint) is
$$Returns: whether a run only has to read the lists that another left unproven: it is the retry of
one that came to each of its lists, and no other sync of the parents went on when it began, or began
since.$$;

create function sync.takes_all_parents(p_run public.workspace_sync_runs,
  p_stream public.sync_streams) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((
    select s.marks -> 'of' <> sync.feed_identity(w, p_stream) or case p_stream.fan_out
      when 'changed' then (s.marks ->> 'all_parents_at')::timestamptz
        < sync.now() - make_interval(days => p_stream.full_scan_days)
      else not sync.takes_up_lists(p_run, (sync.parent_of(p_stream)).id) end
    from public.sync_workspace_streams as s
    join public.sync_workspaces as w on w.id = s.workspace_id
    where s.workspace_id = p_run.workspace_id and s.stream_id = p_stream.id), true);
end; $$;
comment on function sync.takes_all_parents(public.workspace_sync_runs, public.sync_streams) is
$$Returns: whether a run reads the children of all parents that live, and not of those alone that
are staged: any but a retry does, where all are followed. Of those that follow what changed the
first run of an address, owner and declaration does, and one every full_scan_days.$$;

create function sync.add_parts(p_run_id bigint, p_limit int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_parent public.sync_streams;
  v_rows sync.live_row[];
  v_staged_ids bigint[];
  v_record_ids text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  v_parent := sync.parent_of(v_stream);
  if v_run.mark is null then
    v_rows := array(
      select l from sync.live_rows(v_parent.id, v_run.workspace_id, null, v_run.parts_mark, p_limit)
        as l);
    v_record_ids := array(select x.record_id from unnest(v_rows) as x);
  else
    select o_ids, o_record_ids into v_staged_ids, v_record_ids
    from sync.pick_staged(v_run, p_limit);
    v_record_ids := coalesce(v_record_ids, '{}');
    v_rows := array(
      select l from sync.live_rows(v_parent.id, v_run.workspace_id, v_record_ids) as l);
    -- What is deleted has no list; its children go with it.
    update sync.staged_items as s set processed_at = sync.now()
    where s.id = any (v_staged_ids) and s.processed_at is null
      and s.record_id <> all (array(select x.record_id from unnest(v_rows) as x));
  end if;
  insert into sync.run_parts (run_id, scan, parent_id, parent)
  select v_run.id, greatest(v_run.scan, v_run.last_part_scan) + x.n, v_rows[x.n].record_id, x.value
  from unnest(sync.parent_values(v_parent, v_run.workspace_id, v_rows,
    sync.parent_paths(v_stream))) with ordinality as x (value, n)
  order by x.n
  on conflict (run_id, parent_id, attempt) do nothing;
  update public.workspace_sync_runs set
    last_part_scan = greatest(scan, last_part_scan) + cardinality(v_rows),
    has_more_parts = cardinality(v_record_ids) = p_limit,
    parts_mark = coalesce(v_record_ids[cardinality(v_record_ids)], parts_mark),
    mark = coalesce(v_staged_ids[cardinality(v_staged_ids)], mark)
  where id = v_run.id;
end; $$;
comment on function sync.add_parts(bigint, int) is
$$The next lists of a run: of parents that live, in the order of their table, or of those that are
staged, staged first first. The caller holds the run's lock. Locks: staged rows of parents that are
deleted.$$;

create function sync.plan_parts(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_ahead int;
  v_waiting bigint[];
  v_is_rest boolean;
begin
  select * into v_run from public.workspace_sync_runs
  where id = p_run_id and (status = 'running') is true and ending is null and phase = 'parts';
  if v_run.id is null then
    return;
  end if;
  perform sync.end_parts(v_run);
  v_ahead := sync.pages_ahead(v_run.max_concurrency);
  -- What waits was planned last: the bound skips index entries of what waited before.
  v_waiting := array(
    select id from public.chunk_processing_queue
    where (run_id, id) >= (p_run_id, coalesce(v_run.window_turn, 0)) and run_id = p_run_id
      and status = 'pending' and slot is null order by id);
  if cardinality(v_waiting) > v_ahead / 2 then
    return;
  end if;
  if v_run.has_more_parts and (
    select count(*) from sync.run_parts where run_id = p_run_id and state = 'waiting') < v_ahead
  then
    perform sync.add_parts(p_run_id, 1000);
  end if;
  v_waiting := v_waiting || sync.queue_parts(v_run, v_ahead - cardinality(v_waiting));
  select not (r.has_more_parts or exists (
    select 1 from sync.run_parts as p where p.run_id = r.id and (p.state = 'waiting'
      or (p.state = 'reading' and p.planned_pages < p.known_pages))))
  into v_is_rest from public.workspace_sync_runs as r where r.id = p_run_id;
  update public.workspace_sync_runs set window_turn = case when not v_is_rest then coalesce(
    v_waiting[greatest(1, cardinality(v_waiting) - v_run.max_concurrency - v_ahead / 2)], 0) end
  where id = p_run_id;
end; $$;
comment on function sync.plan_parts(bigint) is
$$End lists that were read, and queue the next pages of others, once half of those that waited are
used up: 100,000 parents do not make 100,000 chunks at once. The caller holds the run's lock, and
fills its slots.$$;

create function sync.plan_children(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
  v_part sync.run_parts;
  v_run public.workspace_sync_runs;
begin
  for v_page in
    select p.* from unnest(p_pages) as p
    join public.sync_streams as st on st.id = p.stream_id
      and st.completeness in ('chained', 'agreed')
    where p.kind = 'page' and p.ends is false and p.next is not null order by p.turn
  loop
    select * into v_part from sync.run_parts
    where id = v_page.part_id and state = 'reading' and known_pages = v_page.page;
    if found then
      select * into strict v_run from public.workspace_sync_runs where id = v_page.run_id;
      perform sync.plan_rest_of_part(v_part, v_run,
        v_page.page + case when v_page.is_past_pages then 0 else 1 end, v_page.next)
      where v_run.ending is null;
    end if;
  end loop;
  perform sync.cancel_part(p, 'a page is gone: the list is read again')
  from sync.run_parts as p
  where p.id in (select x.part_id from unnest(p_pages) as x where x.refusal is not null);
  update sync.run_parts as p set known_pages = greatest(p.known_pages, said.last_page),
    step = coalesce(p.step, said.step)
  from (
    select x.part_id, max(x.last_page) as last_page, max(x.records) filter (
      where x.page = 1 and x.records between 1 and st.page_size - 1
        and sync.position_of(st) = 'offset') as step
    from unnest(p_pages) as x
    join public.sync_streams as st on st.id = x.stream_id
      and st.completeness not in ('chained', 'agreed')
    where x.reveals_pages and not exists (
        select 1 from sync.seen_pages as s
        where s.run_id = x.run_id and s.scan = x.scan and s.refusal is not null)
    group by x.part_id
  ) as said
  where p.id = said.part_id and p.state = 'reading';
end; $$;
comment on function sync.plan_children(sync.page_in_hand[]) is
$$Know of the pages up to the last one that completed pages of lists name, or queue what comes after
them. Where one is gone, no other of its list is read. The caller holds the runs' locks.$$;

create function sync.begin_children(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_takes_all boolean;
  v_parents bigint;
begin
  for v_run in
    select * from public.workspace_sync_runs where id = any (p_run_ids)
    order by id for no key update
  loop
    select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
    v_takes_all := sync.takes_all_parents(v_run, v_stream);
    if v_takes_all then
      execute sync.target_sql('select count(*) from %1$s as t where %2$s and t.deleted_at is null',
        (sync.parent_of(v_stream)).id)
      into v_parents using v_run.workspace_id, (sync.parent_of(v_stream)).id;
    else
      select count(*) into v_parents from sync.staged_items
      where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id
        and processed_at is null;
    end if;
    delete from sync.run_parts where run_id = v_run.id;
    update public.workspace_sync_runs set phase = 'parts', parts_total = v_parents, parts_ended = 0,
      parts_mark = null, has_more_parts = true, window_turn = 0,
      mark = case when not v_takes_all then 0 end, known_pages = 0, planned_pages = 0,
      progress_total = greatest(1, v_parents)
    where id = v_run.id returning * into v_run;
    perform sync.advance_children(v_run);
  end loop;
end; $$;
comment on function sync.begin_children(bigint[]) is
$$The first lists of runs, or their end where no parent has any. Locks: the runs by id.$$;

create function sync.close_children(p_run_id bigint, p_warning text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_parts record;
  v_finding text;
  v_warning text := p_warning;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  select count(*) filter (where state in ('proven', 'unproven')) as lists,
    count(*) filter (where state = 'unproven') as unproven,
    sum(total) filter (where state = 'proven') as total,
    array_agg(parent_id order by id) filter (where state = 'unproven') as parent_ids,
    (array_agg(finding order by id) filter (where state = 'unproven'))[1] as finding
  into v_parts from sync.run_parts where run_id = p_run_id;
  v_finding := case
    when v_parts.unproven > 0 then format('%s of %s not read completely, below %s; the first: %s',
      v_parts.unproven, sync.counted(v_parts.lists, 'list was', 'lists were'),
      sync.some_of(v_parts.parent_ids), v_parts.finding)
    when v_parts.lists = 0 and v_run.mark is null and not exists (
      select 1 from public.sync_workspace_streams as s
      where s.workspace_id = v_run.workspace_id and s.stream_id = (sync.parent_of(v_stream)).id
        and s.last_complete_sync_at is not null)
    then format('there are no parents: %s was never synced completely', v_stream.parent_stream) end;
  if v_finding is null then
    v_warning := coalesce(sync.take_over_held(v_run, '{}'), v_warning);
  end if;
  update public.workspace_sync_runs set parts_total = v_parts.lists, parts_ended = v_parts.lists,
    progress_total = greatest(1, v_parts.lists), expected_total = v_parts.total, distinct_ids = (
      select count(distinct shown.id) from sync.run_parts as p
      join sync.seen_pages as s on s.run_id = p.run_id and s.scan = p.scan
      cross join unnest(s.record_ids) as shown (id)
      where p.run_id = p_run_id and p.state in ('proven', 'unproven')),
    warnings = warnings || case
      when v_warning is not null then array[v_warning]
      when deletions_waiting > 0 then array[format('%s of lists that became empty would be deleted: '
        'waiting for approve_deletions(%s), or a later run that finds them so too',
        sync.counted(deletions_waiting, 'row'), p_run_id)]
      else '{}' end
  where id = p_run_id;
  if v_run.mark is null then
    insert into public.sync_workspace_streams as s (workspace_id, stream_id, marks)
    select v_run.workspace_id, v_run.stream_id, jsonb_build_object('of',
      sync.feed_identity(w, v_stream), 'all_parents_at', v_run.started_at)
    from public.sync_workspaces as w where w.id = v_run.workspace_id and v_parts.lists > 0
    on conflict (workspace_id, stream_id) do update set marks = s.marks || excluded.marks;
    -- What is still staged of those that had no list is deleted.
    update sync.staged_items as s set processed_at = sync.now()
    where s.workspace_id = v_run.workspace_id and s.stream_id = v_run.stream_id
      and s.processed_at is null and s.staged_at <= v_run.started_at and not exists (
        select 1 from sync.run_parts as p
        where p.run_id = p_run_id and p.parent_id = s.record_id);
  end if;
  delete from sync.record_parents as b
  where b.workspace_id = v_run.workspace_id and b.stream_id = v_run.stream_id
    and b.missed_scans > 1 and not exists (
      select 1 from sync.missing_records as m
      where m.workspace_id = b.workspace_id and m.stream_id = b.stream_id
        and m.record_id = b.record_id);
  perform sync.close_run(p_run_id, case when v_finding is null then 'completed' else 'partial' end,
    v_finding);
end; $$;
comment on function sync.close_children(bigint, text) is
$$Close a run of children: completed if each of its lists is proven, else partial, with the numbers;
those that are count all the same. The caller holds its lock.$$;

create function sync.advance_children(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_finding text;
  v_gone_parents text[];
  v_gone text[];
  v_asked record;
  v_run public.workspace_sync_runs := p_run;
begin
  if p_run.phase = 'confirm' then
    v_finding := sync.judge_confirmations(p_run);
    if v_finding is null or not sync.reject_below(p_run, v_finding) then
      perform sync.close_children(p_run.id, sync.delete_confirmed(p_run.id));
      return;
    end if;
  end if;
  loop
    perform sync.plan_parts(p_run.id);
    if sync.refill_slots(p_run.id) > 0 then
      return;
    end if;
    select * into strict v_run from public.workspace_sync_runs where id = p_run.id;
    exit when v_run.window_turn is null;
  end loop;
  v_gone_parents := sync.miss_in_lists(v_run);
  perform sync.remember_emptied(v_run);
  perform sync.miss_children(v_run);
  perform sync.revive_shown(v_run, array(
    select scan from sync.run_parts where run_id = v_run.id and state = 'proven'));
  v_gone := sync.gone_ids(v_run);
  perform sync.miss_deleted(v_run, v_gone);
  v_asked := sync.ask_missing(v_run, v_gone || sync.gone_below(v_run, v_gone_parents));
  if v_asked.o_ids is null then
    perform sync.close_children(v_run.id, v_asked.o_warning);
  else
    update public.workspace_sync_runs set phase = 'confirm' where id = v_run.id;
    perform sync.ask_below(v_run, v_asked.o_ids);
    perform sync.refill_slots(v_run.id);
  end if;
end; $$;
comment on function sync.advance_children(public.workspace_sync_runs) is
$$The next step of a run of children of which nothing is live: more lists, what they missed, or its
end. The caller holds its lock.$$;

revoke all on function
  sync.takes_up_lists, sync.takes_all_parents, sync.add_parts, sync.plan_parts, sync.plan_children,
  sync.begin_children, sync.close_children, sync.advance_children
from public, anon, authenticated, service_role;
