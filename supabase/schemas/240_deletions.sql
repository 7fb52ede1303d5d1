-- Deletions: a record goes only after a complete scan missed it and its own GET, or a second
-- complete scan, says so too.
-- Stands on: runs, access.

create table sync.missing_records (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null references public.sync_streams (id),
  record_id text not null,
  missed_by_run_id bigint not null,
  missed_scans int not null default 1,
  is_confirmed boolean not null default false,
  held_by_run_id bigint,
  last_seen_at timestamptz,
  primary key (workspace_id, stream_id, record_id)
);
comment on table sync.missing_records is
'Live rows that the last complete scan did not show: not deleted yet.';
comment on column sync.missing_records.missed_scans is 'Complete scans in a row that missed it.';
comment on column sync.missing_records.is_confirmed is
'Its own GET answered 404, or a second complete scan missed it too.';
comment on column sync.missing_records.held_by_run_id is
'The run that would have deleted it and waits for approve_deletions().';
comment on column sync.missing_records.last_seen_at is 'The last complete sync that saw it.';
create index missing_records_stream_idx on sync.missing_records (stream_id);
create index missing_records_held_idx on sync.missing_records (held_by_run_id)
  where held_by_run_id is not null;
alter table sync.missing_records enable row level security;

create function sync.target_sql(p_template text, p_stream_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select format(p_template, target_table, 't.workspace_id = $1 and '
      || case when target_table = 'public.synced_records' then 't.stream_id = $2'
      else '$2 is not null' end)
    from public.sync_streams where id = p_stream_id
  );
end; $$;
comment on function sync.target_sql(text, bigint) is
$$Returns: a statement on a stream's target table: %1$s is the table, to be called t, %2$s its rows
of workspace $1 and stream $2.$$;

create function sync.note_missing(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_missing text[];
  v_last_seen_at timestamptz;
begin
  execute sync.target_sql('select array(
    select t.id::text from %1$s as t where %2$s and t.deleted_at is null
    except
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = $3 and s.scan = $4)', p_run.stream_id)
  into v_missing using p_run.workspace_id, p_run.stream_id, p_run.id, p_run.scan;
  select last_complete_sync_at into v_last_seen_at from public.sync_workspace_streams
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id;
  delete from sync.missing_records as m
  where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and not exists (select 1 from unnest(v_missing) as missed (id) where missed.id = m.record_id);
  insert into sync.missing_records as m (workspace_id, stream_id, record_id, missed_by_run_id,
    last_seen_at)
  select p_run.workspace_id, p_run.stream_id, missed.id, p_run.id, v_last_seen_at
    from unnest(v_missing) as missed (id) order by missed.id
  on conflict (workspace_id, stream_id, record_id) do update set
    missed_by_run_id = excluded.missed_by_run_id, missed_scans = m.missed_scans + 1,
      is_confirmed = true, held_by_run_id = null;
end; $$;
comment on function sync.note_missing(public.workspace_sync_runs) is
$$After a complete scan: which live rows it did not show; those that the complete scan before missed
too are confirmed.$$;

create function sync.revive_seen(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_ids text[];
begin
  execute sync.target_sql('select array(
    select t.id::text from %1$s as t where %2$s and t.deleted_at is not null
    intersect
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = $3 and s.scan = $4)', p_run.stream_id)
  into v_ids using p_run.workspace_id, p_run.stream_id, p_run.id, p_run.scan;
  if cardinality(v_ids) > 0 then
    execute sync.target_sql('update %1$s as t set deleted_at = null
      where %2$s and t.id::text in (select unnest($3))', p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, v_ids;
  end if;
end; $$;
comment on function sync.revive_seen(public.workspace_sync_runs) is
$$What a complete scan showed lives, also if it was deleted (by an approval) after its page had been
applied.$$;

create function sync.begin_confirmations(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_unconfirmed text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  -- In this order: an approval that has a missing record deletes before the revival looks, or
  -- finds it decided anew.
  perform sync.note_missing(v_run);
  perform sync.revive_seen(v_run);
  select array_agg(m.record_id order by m.record_id) into v_unconfirmed
  from sync.missing_records as m join public.sync_streams as s on s.id = m.stream_id
    and s.item_path is not null
  where m.workspace_id = v_run.workspace_id and m.stream_id = v_run.stream_id
    and not m.is_confirmed;
  if v_unconfirmed is null then
    perform sync.close_run(p_run_id, 'completed', sync.delete_confirmed(p_run_id));
  else
    update public.workspace_sync_runs set phase = 'confirm' where id = p_run_id;
    perform sync.plan_chunks(p_run_id, 'confirmation', null, v_unconfirmed);
    perform sync.fill_slots(p_run_id);
  end if;
end; $$;
comment on function sync.begin_confirmations(bigint) is
$$A complete scan: ask for each record it missed, where the stream has a path for that, or close at
once. The caller holds the run's lock.$$;

create function sync.note_confirmations(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.missing_records as m set is_confirmed = true
  from unnest(p_pages) as p
  where p.kind = 'confirmation' and p.http_status = 404
    and m.workspace_id = p.workspace_id and m.stream_id = p.stream_id and m.record_id = p.record_id;
  delete from sync.missing_records as m using unnest(p_pages) as p
  where p.kind = 'confirmation' and p.http_status <> 404
    and m.workspace_id = p.workspace_id and m.stream_id = p.stream_id and m.record_id = p.record_id;
end; $$;
comment on function sync.note_confirmations(sync.page_in_hand[]) is
$$404 confirms that a record is gone; any other page shows that it lives and the scan missed it.
Locks: rows that only the run of these chunks writes.$$;

create function sync.confirmation_finding(p_run_id bigint) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when count(*) > 0 then format('still there although it missed them: %s', count(*)) end
  from public.workspace_sync_runs as r
  join public.chunked_sync_jobs as c on c.run_id = r.id and c.scan = r.scan
    and c.kind = 'confirmation'
  join public.chunk_processing_queue as q on q.id = c.id and q.status = 'completed'
  -- A plan made while no record was missing would read all of them for each; offset 0 keeps the
  -- look by key.
  where r.id = p_run_id and not exists (
    select 1 from sync.missing_records as m
    where m.workspace_id = r.workspace_id and m.stream_id = r.stream_id
      and m.record_id = c.record_id offset 0);
$$;
comment on function sync.confirmation_finding(bigint) is
$$Returns: what the confirmations say against the scan: records it missed answered for themselves;
null if none did.$$;

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
  execute sync.target_sql('select count(*), coalesce(array_agg(t.id::text)
    filter (where confirmed.id is not null), ''{}'')
    from %1$s as t left join unnest($3) as confirmed (id) on confirmed.id = t.id::text
    where %2$s and t.deleted_at is null', v_run.stream_id)
  into v_live, v_ids using v_run.workspace_id, v_run.stream_id, v_ids;
  if cardinality(v_ids) > sync.setting('deletion_guard_rows')
    and cardinality(v_ids) > sync.setting('deletion_guard_share') * v_live then
    update sync.missing_records set held_by_run_id = p_run_id
    where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id and is_confirmed;
    update public.workspace_sync_runs set deletions_waiting = cardinality(v_ids)
    where id = p_run_id;
    return format('%s of %s rows would be deleted: waiting for approve_deletions(%s)',
      cardinality(v_ids), v_live, p_run_id);
  end if;
  perform sync.delete_records(v_run, v_ids) where cardinality(v_ids) > 0;
  return null;
end; $$;
comment on function sync.delete_confirmed(bigint) is
$$Delete what is confirmed as gone, unless that is more than 10 rows and more than 20 % of the live
ones. The caller holds the run's lock. Returns: a warning when the guard holds, or null.$$;

create function sync.delete_records(p_run public.workspace_sync_runs, p_ids text[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_deleted bigint;
begin
  execute sync.target_sql('update %1$s as t set deleted_at = sync.now()
    where %2$s and t.deleted_at is null and t.id::text in (select unnest($3))', p_run.stream_id)
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

create function sync.forget_seen_again(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_run public.workspace_sync_runs;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  if not exists (
    select 1 from sync.missing_records
    where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id
  ) then
    return;
  end if;
  delete from sync.missing_records as m using (
    select distinct seen.id from sync.seen_pages as s cross join unnest(s.record_ids) as seen (id)
    where s.run_id = v_run.id and (s.scan = v_run.scan or v_run.status <> 'completed')
  ) as shown
  where m.workspace_id = v_run.workspace_id and m.stream_id = v_run.stream_id
    and m.record_id = shown.id;
end; $$;
comment on function sync.forget_seen_again(bigint) is
$$What the last scan, or any scan of a run that did not complete, showed is not missing.$$;

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
  -- left to that run.
  select array_agg(record_id) into v_ids from (
    select record_id from sync.missing_records where held_by_run_id = p_run_id
      order by record_id for update skip locked) as held;
  select last_complete_run_id into v_newer_run_id from public.sync_workspace_streams
  where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id
    and last_complete_run_id <> p_run_id;
  if v_ids is null or v_newer_run_id is not null then
    raise exception using errcode = 'SY008',
      message = case when v_newer_run_id is null then format('no deletion of run %s is '
      'waiting', p_run_id)
                else format('run %s is newer and has decided anew', v_newer_run_id) end,
      hint = 'select id, warnings from workspace_sync_runs '
      'where deletions_waiting > 0 lists what waits.';
  end if;
  execute sync.target_sql('select array(select t.id::text from %1$s as t
    where %2$s and t.deleted_at is null and t.id::text = any ($3)
    order by t.id for no key update skip locked)', v_run.stream_id)
  into v_ids using v_run.workspace_id, v_run.stream_id, v_ids;
  return jsonb_build_object('run_id', p_run_id, 'deleted', sync.delete_records(v_run, v_ids));
end; $$;
comment on function sync.approve_deletions(bigint) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
approve_deletions() raises.$$;

create function public.approve_deletions(p_run_id bigint) returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '60s' as $$
  select sync.approve_deletions(p_run_id);
$$;
comment on function public.approve_deletions(bigint) is
$$Let the deletions happen that a run held back because they are more than 10 rows and more than 20
% of the workspace's live ones. Returns: {"run_id", "deleted"}. Raises: SY008 nothing waits or a
newer run decided, SY017 unknown run. Locks: missing records and target rows by SKIP LOCKED, then
the run.$$;

revoke all on table sync.missing_records from public, anon, authenticated, service_role;
grant select on table sync.missing_records to authenticated, service_role;
create policy missing_records_select_operator on sync.missing_records
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.target_sql, sync.note_missing, sync.revive_seen, sync.begin_confirmations,
  sync.note_confirmations, sync.confirmation_finding, sync.delete_confirmed, sync.delete_records,
  sync.forget_seen_again, sync.approve_deletions, public.approve_deletions
from public, anon, authenticated, service_role;
grant execute on function
  sync.approve_deletions, public.approve_deletions
to authenticated, service_role;
