-- Missing below: which children no list shows any more, what holds them back, and who is asked.
-- Stands on: answers, record_parents, missing, parent_rows, part_scans.

create function sync.miss_in_lists(p_run public.workspace_sync_runs) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_parent public.sync_streams := sync.parent_of((
    select s from public.sync_streams as s where s.id = p_run.stream_id));
  v_unknown text[];
  v_gone text[];
begin
  -- Of what has no row there is no list: parents of another stream, as an old page noted them.
  if p_run.mark is null then
    execute sync.target_sql('select array(
      select b.parent_id from sync.record_parents as b
      where b.workspace_id = $1 and b.stream_id = $3 and b.parent_id <> ''''
      except
      select %3$s from %1$s as t where %2$s)', v_parent.id)
    into v_unknown using p_run.workspace_id, v_parent.id, p_run.stream_id;
    delete from sync.record_parents
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and parent_id = any (v_unknown);
  end if;
  with shown as materialized (
    select s.scan, x.id from sync.seen_pages as s cross join unnest(s.record_ids) as x (id)
    where s.run_id = p_run.id
  )
  update sync.record_parents as m
  set missed_scans = m.missed_scans + 1, missed_by_run_id = p_run.id
  from sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven'
    and m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and m.parent_id = p.parent_id and m.missed_by_run_id is distinct from p_run.id
    and not exists (select 1 from shown where shown.scan = p.scan and shown.id = m.record_id);
  execute sync.target_sql('select array(
    select %3$s from %1$s as t where %2$s and t.deleted_at is not null
    intersect
    select b.parent_id from sync.record_parents as b
    where b.workspace_id = $1 and b.stream_id = $3)', v_parent.id)
  into v_gone using p_run.workspace_id, v_parent.id, p_run.stream_id;
  update sync.record_parents set missed_scans = greatest(missed_scans, 2),
    missed_by_run_id = p_run.id
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
    and parent_id = any (v_gone);
  return v_gone;
end; $$;
comment on function sync.miss_in_lists(public.workspace_sync_runs) is
$$What lists that were proven did not show, they have missed; that a parent is gone was proven
twice, so its list has missed all it had. A run of all parents forgets lists of which there is no
parent. The caller holds the run's lock. Returns: the parents that are gone.$$;

create function sync.remember_emptied(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from sync.emptied_lists as e using sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven' and p.distinct_ids > 0
    and e.workspace_id = p_run.workspace_id and e.stream_id = p_run.stream_id
    and e.parent_id = p.parent_id;
  insert into sync.emptied_lists (workspace_id, stream_id, parent_id, emptied_at)
  select p_run.workspace_id, p_run.stream_id, p.parent_id, sync.now()
  from sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven' and p.distinct_ids = 0 and exists (
    select 1 from sync.record_parents as b
    where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.parent_id = p.parent_id)
  on conflict (workspace_id, stream_id, parent_id) do nothing;
end; $$;
comment on function sync.remember_emptied(public.workspace_sync_runs) is
$$Remember since when lists of children that had some have been empty. The caller holds the run's
lock.$$;

create function sync.miss_children(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_ids text[];
  v_scans int[];
  v_are_held boolean[];
begin
  -- Of what a list has shown since, only lists say that it is missing.
  if exists (
    select 1 from sync.record_parents
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id and parent_id = '')
  then
    delete from sync.record_parents as m
    where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
      and m.parent_id = '' and exists (
        select 1 from sync.record_parents as b
        where b.workspace_id = m.workspace_id and b.stream_id = m.stream_id
          and b.record_id = m.record_id and b.parent_id <> '');
  end if;
  -- What no list is known to show counts as missed by a run that proved every list, one at the
  -- least: without parents nothing was looked at.
  if p_run.mark is null and exists (
    select 1 from sync.run_parts where run_id = p_run.id and state = 'proven')
    and not exists (
      select 1 from sync.run_parts where run_id = p_run.id and state = 'unproven') then
    execute sync.target_sql('with unlisted as (
        select %3$s as id from %1$s as t where %2$s and t.deleted_at is null
        except
        select b.record_id from sync.record_parents as b
        where b.workspace_id = $1 and b.stream_id = $2 and b.parent_id <> ''''
      )
      insert into sync.record_parents as m
        (workspace_id, stream_id, parent_id, record_id, missed_scans, missed_by_run_id)
      select $1, $2, '''', id, 1, $3 from unlisted order by id
      on conflict (workspace_id, stream_id, parent_id, record_id) do update
      set missed_scans = m.missed_scans + 1, missed_by_run_id = $3
      where m.missed_by_run_id is distinct from $3', p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, p_run.id;
  end if;
  execute sync.target_sql('
    select array_agg(x.record_id order by x.record_id), array_agg(x.scans order by x.record_id),
      array_agg(x.is_held order by x.record_id)
    from (
      select b.record_id, min(b.missed_scans) as scans,
        coalesce(bool_or(e.emptied_at > $3::timestamptz), false) as is_held
      from sync.record_parents as b
      left join sync.emptied_lists as e on e.workspace_id = b.workspace_id
        and e.stream_id = b.stream_id and e.parent_id = b.parent_id
      where b.workspace_id = $1 and b.stream_id = $2 and b.record_id in (
        select m.record_id from sync.record_parents as m
        where m.workspace_id = $1 and m.stream_id = $2 and m.missed_scans > 0)
      group by b.record_id having min(b.missed_scans) > 0
    ) as x
    where x.record_id in (select %3$s from %1$s as t where %2$s and t.deleted_at is null)',
    p_run.stream_id)
  into v_ids, v_scans, v_are_held using p_run.workspace_id, p_run.stream_id,
    case when sync.setting('empty_list_minutes') > 0 then p_run.started_at
      - sync.setting('empty_list_minutes') * interval '1 minute' else 'infinity' end;
  delete from sync.missing_records as m
  where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and not exists (select 1 from unnest(v_ids) as missed (id) where missed.id = m.record_id);
  insert into sync.missing_records as m (workspace_id, stream_id, record_id, missed_by_run_id,
    missed_scans, is_confirmed, held_by_run_id, last_seen_at)
  select p_run.workspace_id, p_run.stream_id, x.id, p_run.id, x.scans, x.scans > 1 and not x.is_held,
    case when x.is_held then p_run.id end, (
      select last_complete_sync_at from public.sync_workspace_streams
      where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id)
  from unnest(v_ids, v_scans, v_are_held) as x (id, scans, is_held)
  where exists (
    select 1 from sync.record_parents as b
    where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.record_id = x.id and b.missed_by_run_id = p_run.id)
  order by x.id
  on conflict (workspace_id, stream_id, record_id) do update set
    missed_by_run_id = excluded.missed_by_run_id, missed_scans = excluded.missed_scans,
    is_confirmed = m.answers = 0 and excluded.is_confirmed, held_by_run_id = excluded.held_by_run_id;
  perform sync.recount_held_by(p_run);
end; $$;
comment on function sync.miss_children(public.workspace_sync_runs) is
$$Which live children no list shows that has shown them: confirmed where each of these has missed
them twice. Those of a list that only became empty are held back. The caller holds the run's
lock.$$;

create function sync.gone_below(p_run public.workspace_sync_runs, p_parent_ids text[])
  returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
begin
  return array(
    select b.record_id from sync.record_parents as b
    left join unnest(p_parent_ids) as gone (id) on gone.id = b.parent_id
    where cardinality(p_parent_ids) > 0
      and b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.record_id in (
        select m.record_id from sync.missing_records as m
        where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
          and m.is_confirmed)
    group by b.record_id having bool_and(gone.id is not null));
end; $$;
comment on function sync.gone_below(public.workspace_sync_runs, text[]) is
$$Returns: the children that are confirmed as gone with their parents: each of theirs is one of
these. The caller holds the run's lock.$$;

create function sync.ask_below(p_run public.workspace_sync_runs, p_ids text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_parent public.sync_streams;
  v_parent_ids text[];
  v_rows sync.live_row[];
  v_values jsonb;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  v_parent := sync.parent_of(v_stream);
  v_parent_ids := array(
    select coalesce((
      select min(b.parent_id) from sync.record_parents as b
      where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
        and b.record_id = x.id and b.parent_id <> ''), '')
    from unnest(p_ids) with ordinality as x (id, n) order by x.n);
  v_rows := array(
    select l from sync.live_rows(v_parent.id, p_run.workspace_id,
      array(select distinct id from unnest(v_parent_ids) as id where id <> '')) as l);
  select coalesce(jsonb_object_agg(v_rows[x.n].record_id, x.value), '{}') into v_values
  from unnest(sync.parent_values(v_parent, p_run.workspace_id, v_rows, sync.parent_paths(v_stream)))
    with ordinality as x (value, n);
  perform sync.queue_below(p_run, 'confirmation', array_fill(p_run.scan, array[cardinality(p_ids)]),
    array[]::int[], p_ids, array(
      select jsonb_strip_nulls(jsonb_build_object('parent_id', v_parent_ids[x.n],
        'parent', v_values -> v_parent_ids[x.n], 'id', case v_stream.id_scope
          when 'parent' then to_jsonb((sync.scoped_parts(x.id)).o_own_id) end))
      from unnest(p_ids) with ordinality as x (id, n) order by x.n));
end; $$;
comment on function sync.ask_below(public.workspace_sync_runs, text[]) is
$$Queue a request for each of some children, with what its templates need of its parent. The caller
holds the run's lock.$$;

create function sync.reject_below(p_run public.workspace_sync_runs, p_finding text)
  returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_part sync.run_parts;
  v_parent_ids text[] := array(
    select distinct b.parent_id from public.chunked_sync_jobs as c
    join sync.missing_records as m on m.workspace_id = p_run.workspace_id
      and m.stream_id = p_run.stream_id and m.record_id = c.record_id and m.answers = 1
    join sync.record_parents as b on b.workspace_id = m.workspace_id
      and b.stream_id = m.stream_id and b.record_id = m.record_id
      and b.missed_by_run_id = p_run.id
    where c.run_id = p_run.id and c.scan = p_run.scan and c.kind = 'confirmation');
  v_is_any_repeated boolean := false;
begin
  for v_part in
    select * from sync.run_parts
    where run_id = p_run.id and state = 'proven' and parent_id = any (v_parent_ids) order by id
  loop
    if v_part.attempt < sync.setting('max_scans') then
      perform sync.repeat_part(v_part, p_finding, null);
      update public.workspace_sync_runs set parts_ended = parts_ended - 1 where id = p_run.id;
      v_is_any_repeated := true;
    else
      perform sync.leave_unproven(v_part, p_run, p_finding);
    end if;
  end loop;
  perform sync.forget_missed_below(p_run.workspace_id, p_run.stream_id, p_run.id, v_parent_ids);
  perform sync.forget_shown_below(p_run);
  if v_is_any_repeated then
    update public.workspace_sync_runs
    set scan = greatest(scan, last_part_scan) + 1, phase = 'parts', window_turn = 0,
      begun_again = begun_again + greatest(scan, last_part_scan) - scan
    where id = p_run.id;
  end if;
  return v_is_any_repeated;
end; $$;
comment on function sync.reject_below(public.workspace_sync_runs, text) is
$$Children that their lists missed answered for themselves: what these lists missed is forgotten,
and they are read again. The caller holds the run's lock. Returns: whether any is.$$;

revoke all on function
  sync.miss_in_lists, sync.remember_emptied, sync.miss_children,
  sync.gone_below, sync.ask_below, sync.reject_below
from public, anon, authenticated, service_role;
