-- Deletions: a record goes only after a complete scan missed it and its own GET, or a second
-- complete scan, says so too; never because a list became empty once.
-- Stands on: slots, missing, close.

create function sync.is_guarded(p_rows bigint, p_live bigint) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return p_rows > sync.setting('deletion_guard_rows')
    and p_rows > sync.setting('deletion_guard_share') * p_live;
end; $$;
comment on function sync.is_guarded(bigint, bigint) is
$$Returns: whether so many deletions, of so many live rows, need approve_deletions().$$;

create function sync.waiting_warning(p_run public.workspace_sync_runs, p_waiting bigint,
  p_reason text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return format('%s of %s would be deleted%s: waiting for approve_deletions(%s)', p_waiting,
    sync.counted(sync.count_live(p_run), 'row'), p_reason, p_run.id);
end; $$;
comment on function sync.waiting_warning(public.workspace_sync_runs, bigint, text) is
$$Returns: what a run says of the deletions that it holds back.$$;

create function sync.hold_missing(p_run_id bigint, p_only_confirmed boolean, p_reason text)
  returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  update sync.missing_records set held_by_run_id = p_run_id
  where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id and answers = 0
    and (is_confirmed or not p_only_confirmed);
  return sync.waiting_warning(v_run, sync.recount_held_by(v_run), p_reason);
end; $$;
comment on function sync.hold_missing(bigint, boolean, text) is
$$Hold back what a complete scan missed, or what of it is confirmed, but nothing that answered for
itself. The caller holds the run's lock. Returns: a warning with the numbers.$$;

create function sync.remember_empty_list(p_run public.workspace_sync_runs) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_emptied_at timestamptz;
begin
  if p_run.distinct_ids > 0 or not exists (
    select 1 from sync.missing_records
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id and answers = 0
  ) then
    update public.sync_workspace_streams set emptied_at = null
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and emptied_at is not null;
    return false;
  end if;
  insert into public.sync_workspace_streams as s (workspace_id, stream_id, emptied_at)
  values (p_run.workspace_id, p_run.stream_id, sync.now())
  on conflict (workspace_id, stream_id) do update
  set emptied_at = coalesce(s.emptied_at, excluded.emptied_at)
  returning emptied_at into v_emptied_at;
  return sync.setting('empty_list_minutes') > 0 and p_run.started_at
    < v_emptied_at + sync.setting('empty_list_minutes') * interval '1 minute';
end; $$;
comment on function sync.remember_empty_list(public.workspace_sync_runs) is
$$After a complete scan that was noted: whether it showed nothing of a list that has live rows, and
no run that began empty_list_minutes earlier did so too. Remembers since when. The caller holds the
run's lock. Returns: true: nothing may be deleted yet, however few rows there are.$$;

create function sync.pick_to_ask(p_run public.workspace_sync_runs, p_gone text[]) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_stream public.sync_streams;
  v_ids text[];
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  if v_stream.item_path is null then
    return null;
  end if;
  with asked as (
    update sync.missing_records as m set asked_at = sync.now()
    where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
      and m.missed_by_run_id = p_run.id and m.held_by_run_id is null
      and (m.answers < 2
        or m.asked_at <= sync.now() - make_interval(days => v_stream.full_scan_days))
      -- Two scans are a proof, the record's own word a better one.
      and not exists (select from unnest(p_gone) as gone (id) where gone.id = m.record_id)
    returning m.record_id
  )
  select array_agg(record_id order by record_id) into v_ids from asked;
  return v_ids;
end; $$;
comment on function sync.pick_to_ask(public.workspace_sync_runs, text[]) is
$$Choose whom to ask of what a run's scan missed and no run holds back: all but those of whom it is
known that they are gone. The caller holds the run's lock. Returns: them; null: nobody, or the
stream has no path for that. Locks: missing records that only this run writes.$$;

create function sync.ask_missing(p_run public.workspace_sync_runs, p_gone text[],
  out o_ids text[], out o_warning text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_missed bigint;
begin
  select count(*) into v_missed from sync.missing_records
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id and answers = 0
    and held_by_run_id is null;
  if v_missed > 0 and sync.is_guarded(v_missed, sync.count_live(p_run)) then
    o_warning := sync.hold_missing(p_run.id, false, '');
    return;
  end if;
  o_ids := sync.pick_to_ask(p_run, p_gone);
  if o_ids is null then
    o_warning := sync.delete_confirmed(p_run.id);
  end if;
end; $$;
comment on function sync.ask_missing(public.workspace_sync_runs, text[]) is
$$What becomes of what a run's complete scan missed, when that was noted; of some it is known that
they are gone, and nobody has to be asked. The caller holds the run's lock. Returns: the records to
ask for, where the stream has a path for that; or null, because there are none, and what was
confirmed is deleted, or because the guard holds it: then with a warning.$$;

create function sync.begin_confirmations(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_gone text[];
  v_asked record;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  -- In this order: an approval that has a missing record deletes before the revival looks, or
  -- finds it decided anew.
  perform sync.miss_records(v_run);
  perform sync.revive_shown(v_run, array[v_run.scan]);
  v_gone := sync.gone_ids(v_run);
  perform sync.miss_deleted(v_run, v_gone);
  if sync.remember_empty_list(v_run) then
    perform sync.close_run(p_run_id, 'completed', sync.hold_missing(p_run_id, false,
      ', for the list is empty; a later run that finds it so too may delete'));
    return;
  end if;
  v_asked := sync.ask_missing(v_run, v_gone);
  if v_asked.o_ids is null then
    perform sync.close_run(p_run_id, 'completed', v_asked.o_warning);
  else
    update public.workspace_sync_runs set phase = 'confirm' where id = p_run_id;
    perform sync.plan_chunks(p_run_id, 'confirmation', null, v_asked.o_ids);
    perform sync.refill_slots(p_run_id);
  end if;
end; $$;
comment on function sync.begin_confirmations(bigint) is
$$A complete scan: ask for each record it missed, where the stream has a path for that, or close at
once. A list that became empty, and what the guard would hold anyway, is not asked for one by one.
The caller holds the run's lock.$$;

create function sync.note_confirmations(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.missing_records as m set
    is_confirmed = p.http_status in (404, 410),
    answers = case when p.http_status in (404, 410) then 0 else m.answers + 1 end
  from unnest(p_pages) as p
  where p.kind = 'confirmation' and m.workspace_id = p.workspace_id
    and m.stream_id = p.stream_id and m.record_id = p.record_id;
end; $$;
comment on function sync.note_confirmations(sync.page_in_hand[]) is
$$404 or 410 confirms that a record is gone; any other page shows that it lives although the scan
missed it. Locks: rows that only the run of these chunks writes.$$;

create function sync.some_of(p_ids text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select format('%s (%s%s)', cardinality(p_ids), array_to_string(p_ids[1:10], ', '),
    case when cardinality(p_ids) > 10 then ', …' end);
$$;
comment on function sync.some_of(text[]) is $$Returns: how many ids, and the first ten.$$;

create function sync.judge_confirmations(p_run public.workspace_sync_runs) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_unlisted text[];
  v_living bigint;
begin
  select coalesce(array_agg(m.record_id order by m.record_id) filter (where m.answers > 1), '{}'),
    count(*) filter (where m.answers = 1)
  into v_unlisted, v_living
  from public.chunked_sync_jobs as c
  join public.chunk_processing_queue as q on q.id = c.id and q.status = 'completed'
  -- A plan made while no record was missing would read all of them for each; offset 0 keeps the
  -- look by key.
  cross join lateral (
    select x.record_id, x.answers from sync.missing_records as x
    where x.workspace_id = p_run.workspace_id and x.stream_id = p_run.stream_id
      and x.record_id = c.record_id offset 0
  ) as m
  where c.run_id = p_run.id and c.scan = p_run.scan and c.kind = 'confirmation';
  if cardinality(v_unlisted) > 0 then
    execute sync.target_sql('update %1$s as t set unlisted_at = sync.now()
      where %2$s and t.unlisted_at is null and t.deleted_at is null and %3$s = any ($3)',
      p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, v_unlisted;
    update public.workspace_sync_runs set warnings = warnings
      || format('unlisted: %s; they answer for themselves and stay', sync.some_of(v_unlisted))
    where id = p_run.id;
  end if;
  return case when v_living > 0
    then format('still there although it missed them: %s', v_living) end;
end; $$;
comment on function sync.judge_confirmations(public.workspace_sync_runs) is
$$What the confirmations say of a scan. A record that answers for itself for the second time is
unlisted from now on: archived or moved, but alive; the run names it. The caller holds the run's
lock. Returns: what speaks against the scan: records that it missed and that answered for the first
time; null if none did. Locks: target rows.$$;

create function sync.delete_confirmed(p_run_id bigint) returns text
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_run public.workspace_sync_runs;
  v_ids text[];
  v_live bigint;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select coalesce(array_agg(record_id), '{}') into v_ids from sync.missing_records
  where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id and is_confirmed;
  execute sync.target_sql('select count(*), coalesce(array_agg(%3$s)
    filter (where confirmed.id is not null), ''{}'')
    from %1$s as t left join unnest($3) as confirmed (id) on confirmed.id = %3$s
    where %2$s and t.deleted_at is null', v_run.stream_id)
  into v_live, v_ids using v_run.workspace_id, v_run.stream_id, v_ids;
  if sync.is_guarded(cardinality(v_ids), v_live) then
    return sync.hold_missing(p_run_id, true, '');
  end if;
  for v_from in 1 .. cardinality(v_ids) by 10000 loop
    perform sync.delete_records(v_run, v_ids[v_from:v_from + 9999]);
  end loop;
  return null;
end; $$;
comment on function sync.delete_confirmed(bigint) is
$$Delete what is confirmed as gone, unless that is more than 10 rows and more than 20 % of the live
ones. The caller holds the run's lock. Returns: a warning when the guard holds, or null.$$;

create function sync.take_over_held(p_run public.workspace_sync_runs, p_ids text[]) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.missing_records set held_by_run_id = p_run.id
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
    and (held_by_run_id <> p_run.id or record_id = any (p_ids));
  if not found then
    return null;
  end if;
  return sync.waiting_warning(p_run, sync.recount_held_by(p_run), '');
end; $$;
comment on function sync.take_over_held(public.workspace_sync_runs, text[]) is
$$Of a run that completes and did not look at everything: what older runs hold back, and it did not
decide, waits on for the approval of this one, for only the last complete run has any; so do these
records of its own. The caller holds the run's lock. Returns: a warning with all that it holds back,
or null if it took nothing.$$;

create function sync.delete_gone(p_run public.workspace_sync_runs) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids text[] := sync.gone_ids(p_run);
begin
  if cardinality(v_ids) > 0 then
    if sync.is_guarded(cardinality(v_ids), sync.count_live(p_run)) then
      perform sync.miss_deleted(p_run, v_ids);
    else
      perform sync.delete_records(p_run, v_ids);
      perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
      v_ids := '{}';
    end if;
  end if;
  return sync.take_over_held(p_run, v_ids);
end; $$;
comment on function sync.delete_gone(public.workspace_sync_runs) is
$$Of a run that did not read everything: delete what says itself that it is deleted, unless that is
more than the guard lets pass. Of what another run holds back it decides nothing: that waits on, for
the approval of this one. The caller holds the run's lock. Returns: a warning where something waits,
or null.$$;

create function sync.delete_records(p_run public.workspace_sync_runs, p_ids text[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_deleted bigint;
begin
  execute sync.target_sql('update %1$s as t set deleted_at = sync.now(), unlisted_at = null
    where %2$s and t.deleted_at is null and %3$s in (select unnest($3))', p_run.stream_id)
  using p_run.workspace_id, p_run.stream_id, p_ids;
  get diagnostics v_deleted = row_count;
  delete from sync.missing_records
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
    and record_id in (select unnest(p_ids));
  update public.workspace_sync_runs set
    records_deleted = records_deleted + v_deleted,
    deletions_waiting = (select count(*) from sync.missing_records where held_by_run_id = p_run.id)
  where id = p_run.id;
  return v_deleted;
end; $$;
comment on function sync.delete_records(public.workspace_sync_runs, text[]) is
$$Soft-delete live rows. Returns: how many. Locks: target rows, missing records, then the run.$$;

create function sync.approve_deletions(p_run_id bigint) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_newer_run_id bigint;
  v_ids text[];
begin
  perform sync.require_operator();
  perform sync.require_read_committed();
  select * into v_run from public.workspace_sync_runs where id = p_run_id;
  if v_run.id is null then
    raise exception using errcode = 'SY017', message = format('there is no run '
      '%s', coalesce(p_run_id::text, 'null')),
      hint = 'select id, warnings from workspace_sync_runs '
      'where deletions_waiting > 0 lists what waits.';
  end if;
  -- It waits for nobody: a record that a live run is writing, or deciding on, at this moment is
  -- left to that run, as is one that it has seen. What was missed with another key says nothing.
  select array_agg(record_id) into v_ids from (
    select record_id from sync.missing_records where held_by_run_id = p_run_id
      and exists (select 1 from public.sync_workspaces as w
        where w.id = v_run.workspace_id and w.access_revision = v_run.access_revision)
      and record_id not in (
        select seen.id from public.workspace_sync_runs as live
        join sync.seen_pages as s on s.run_id = live.id
        cross join unnest(s.record_ids) as seen (id)
        where live.workspace_id = v_run.workspace_id and live.stream_id = v_run.stream_id
          and live.status = 'running')
      order by record_id for update skip locked) as held;
  select last_complete_run_id into v_newer_run_id from public.sync_workspace_streams
  where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id
    and last_complete_run_id > p_run_id;
  if v_ids is null or v_newer_run_id is not null then
    raise exception using errcode = 'SY008',
      message = case when v_newer_run_id is null then format('no deletion of run %s is '
      'waiting', p_run_id)
                else format('run %s is newer and has decided anew', v_newer_run_id) end,
      hint = 'select id, warnings from workspace_sync_runs '
      'where deletions_waiting > 0 lists what waits.';
  end if;
  execute sync.target_sql('select array(select %3$s from %1$s as t
    where %2$s and t.deleted_at is null and %3$s = any ($3)
    order by t.id for no key update skip locked)', v_run.stream_id)
  into v_ids using v_run.workspace_id, v_run.stream_id, v_ids;
  return jsonb_build_object('run_id', p_run_id, 'deleted', sync.delete_records(v_run, v_ids));
end; $$;
comment on function sync.approve_deletions(bigint) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
approve_deletions() raises.$$;

create function public.approve_deletions(p_run_id bigint) returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '60s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.approve_deletions(p_run_id);
$$;
comment on function public.approve_deletions(bigint) is
$$Let the deletions happen that a run held back because they are more than 10 rows and more than 20
% of the workspace's live ones. Returns: {"run_id", "deleted"}. Raises: SY008 nothing waits or a
newer run decided, SY017 unknown run. Locks: missing records and target rows by SKIP LOCKED, then
the run.$$;

revoke all on function
  sync.is_guarded, sync.waiting_warning, sync.hold_missing, sync.remember_empty_list,
  sync.pick_to_ask, sync.ask_missing,
  sync.begin_confirmations,
  sync.note_confirmations, sync.some_of, sync.judge_confirmations, sync.delete_confirmed,
  sync.take_over_held, sync.delete_gone,
  sync.delete_records, sync.approve_deletions, public.approve_deletions
from public, anon, authenticated, service_role;
grant execute on function
  sync.approve_deletions, public.approve_deletions
to authenticated, service_role;
