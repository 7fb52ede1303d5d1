-- Missing: which live rows a complete scan did not show, until that is decided or forgotten.
-- Stands on: targets, answers, record_parents.

create table sync.missing_records (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null references public.sync_streams (id),
  record_id text not null,
  missed_by_run_id bigint not null,
  missed_scans int not null default 1,
  is_confirmed boolean not null default false,
  answers int not null default 0,
  asked_at timestamptz,
  held_by_run_id bigint,
  last_seen_at timestamptz,
  primary key (workspace_id, stream_id, record_id)
);
comment on table sync.missing_records is
'Live rows that the last complete scan did not show: not deleted yet, or unlisted.';
comment on column sync.missing_records.missed_scans is
'Complete scans in a row that missed it; 0: the one that did was rejected.';
comment on column sync.missing_records.is_confirmed is
'Its own GET answered 404 or 410, or a second complete scan missed it too.';
comment on column sync.missing_records.answers is
'How often its own GET answered although a scan missed it. The first time rejects that scan, from
the second time on it is unlisted: it lives, and no scan has to show it.';
comment on column sync.missing_records.asked_at is
'When its own GET was last planned; an unlisted one is asked once per full_scan_days.';
comment on column sync.missing_records.held_by_run_id is
'The run that would have deleted it and waits for approve_deletions().';
comment on column sync.missing_records.last_seen_at is 'The last complete sync that saw it.';
create index missing_records_stream_idx
  on sync.missing_records (stream_id, workspace_id, record_id);
create index missing_records_held_idx on sync.missing_records (held_by_run_id)
  where held_by_run_id is not null;
alter table sync.missing_records enable row level security;
-- Old runs that still wait are found without a look at every run.
create index workspace_sync_runs_held_idx on public.workspace_sync_runs (workspace_id, stream_id)
  where deletions_waiting > 0;

alter table public.sync_workspace_streams add column emptied_at timestamptz;
comment on column public.sync_workspace_streams.emptied_at is
'Since when its list has been empty although it has live rows; null: it is not.';

create function sync.recount_held(p_workspace_id bigint, p_stream_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r set deletions_waiting = (
    select count(*) from sync.missing_records as m where m.held_by_run_id = r.id)
  from (
    select id from public.workspace_sync_runs
    where workspace_id = p_workspace_id and stream_id = p_stream_id and deletions_waiting > 0
    order by id for no key update
  ) as held
  where r.id = held.id;
end; $$;
comment on function sync.recount_held(bigint, bigint) is
$$What runs still hold back for approve_deletions(), after some of it was decided, superseded or
forgotten. Locks: runs that hold something, by id, after the missing records.$$;

create function sync.recount_held_by(p_run public.workspace_sync_runs) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_waiting bigint;
begin
  update public.workspace_sync_runs set deletions_waiting = (
    select count(*) from sync.missing_records where held_by_run_id = p_run.id)
  where id = p_run.id returning deletions_waiting into v_waiting;
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
  return v_waiting;
end; $$;
comment on function sync.recount_held_by(public.workspace_sync_runs) is
$$As recount_held(), after a run took something to hold back. The caller holds its lock. Returns:
how much it holds back.$$;

create function sync.forget_missing(p_workspace_id bigint, p_stream_id bigint default null,
  p_may_wait boolean default true) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if p_may_wait then
    perform 1 from sync.missing_records
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
    order by workspace_id, stream_id, record_id for update;
  end if;
  delete from sync.missing_records as m using (
    select workspace_id, stream_id, record_id from sync.missing_records
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
    order by workspace_id, stream_id, record_id for update skip locked
  ) as gone
  where m.workspace_id = gone.workspace_id and m.stream_id = gone.stream_id
    and m.record_id = gone.record_id;
  update public.sync_workspace_streams set emptied_at = null
  where (p_workspace_id is null or workspace_id = p_workspace_id)
    and (p_stream_id is null or stream_id = p_stream_id) and emptied_at is not null;
  perform sync.forget_missed_below(p_workspace_id, p_stream_id);
  perform sync.recount_held(r.workspace_id, r.stream_id) from (
    select distinct workspace_id, stream_id from public.workspace_sync_runs
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id) and deletions_waiting > 0
    order by workspace_id, stream_id) as r;
end; $$;
comment on function sync.forget_missing(bigint, bigint, boolean) is
$$Forget what scans of a workspace missed and what its runs hold back for approve_deletions(): for
another key, URL, source or declaration what was missed says nothing. Null means every workspace, or
every stream. Who may not wait leaves what others hold to the run that begins next. Locks: missing
records by key, the workspace's streams, then runs that hold something. The caller holds the live
runs concerned, if any.$$;

create function sync.forget_missing_of_stream() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.forget_missing(null, new.id, false);
  return null;
end; $$;
comment on function sync.forget_missing_of_stream() is
$$Trigger: by another declaration what was missed says nothing. Runs that close lock what they
missed in their own order, so this waits for none of it. Locks: as forget_missing(), missing records
by SKIP LOCKED.$$;
create trigger sync_streams_forget_missing after update on public.sync_streams
for each row when (new.revision <> old.revision)
execute function sync.forget_missing_of_stream();

create function sync.target_sql(p_template text, p_stream_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select format(p_template, target_table, 't.workspace_id = $1 and '
      || case when sync.is_shared_target(to_regclass(target_table)) then 't.stream_id = $2'
      else '$2 is not null' end, case when sync.is_keyed_by_parent(to_regclass(target_table))
      then 'sync.scoped_id(t.parent_id, t.id::text)' else 't.id::text' end)
    from public.sync_streams where id = p_stream_id
  );
end; $$;
comment on function sync.target_sql(text, bigint) is
$$Returns: a statement on a stream's target table: %1$s is the table, to be called t, %2$s its rows
of workspace $1 and stream $2, %3$s the id of one.$$;

create function sync.miss_records(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_missing text[];
  v_last_seen_at timestamptz;
begin
  execute sync.target_sql('select array(
    select %3$s from %1$s as t where %2$s and t.deleted_at is null
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
      is_confirmed = m.answers = 0 and m.missed_scans > 0, held_by_run_id = null;
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
end; $$;
comment on function sync.miss_records(public.workspace_sync_runs) is
$$After a complete scan: which live rows it did not show; those that the complete scan before missed
too are confirmed, unless their own GET has answered. What older runs hold back is superseded.$$;

create function sync.revive_shown(p_run public.workspace_sync_runs, p_scans int[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_ids text[];
begin
  execute sync.target_sql('select array(
    select %3$s from %1$s as t
    where %2$s and (t.deleted_at is not null or t.unlisted_at is not null)
      and (t.raw @> $5) is not true
    intersect
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = $3 and s.scan = any ($4))', p_run.stream_id)
  into v_ids using p_run.workspace_id, p_run.stream_id, p_run.id, p_scans, (
    select deleted_when from public.sync_streams where id = p_run.stream_id);
  if cardinality(v_ids) > 0 then
    execute sync.target_sql('update %1$s as t set deleted_at = null, unlisted_at = null
      where %2$s and %3$s in (select unnest($3))', p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, v_ids;
  end if;
end; $$;
comment on function sync.revive_shown(public.workspace_sync_runs, int[]) is
$$What complete scans of a run, or proven lists of children, showed lives, also if it was deleted
(by an approval) after its page had been applied, and is listed; but for what says itself that it is
deleted. The caller holds the run's lock. Locks: target rows.$$;

create function sync.count_live(p_run public.workspace_sync_runs) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_live bigint;
begin
  execute sync.target_sql('select count(*) from %1$s as t where %2$s and t.deleted_at is null',
    p_run.stream_id)
  into v_live using p_run.workspace_id, p_run.stream_id;
  return v_live;
end; $$;
comment on function sync.count_live(public.workspace_sync_runs) is
$$Returns: how many rows of a run's workspace and stream are not deleted.$$;

create function sync.count_here(p_run public.workspace_sync_runs) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_here bigint;
begin
  execute sync.target_sql('select count(*) from %1$s as t
    where %2$s and (t.deleted_at is null or t.raw @> $3)', p_run.stream_id)
  into v_here using p_run.workspace_id, p_run.stream_id, (
    select deleted_when from public.sync_streams where id = p_run.stream_id);
  return v_here;
end; $$;
comment on function sync.count_here(public.workspace_sync_runs) is
$$Returns: how many rows of a run's workspace and stream an API's total may count: those that live,
listed or not, and those that say themselves that they are deleted.$$;

create function sync.gone_ids(p_run public.workspace_sync_runs) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_deleted_when jsonb := (
    select deleted_when from public.sync_streams where id = p_run.stream_id);
  v_ids text[] := array[]::text[];
begin
  if v_deleted_when is not null then
    execute sync.target_sql('select coalesce(array_agg(%3$s order by t.id), ''{}'')
      from %1$s as t where %2$s and t.deleted_at is null and t.raw @> $3', p_run.stream_id)
    into v_ids using p_run.workspace_id, p_run.stream_id, v_deleted_when;
  end if;
  return v_ids;
end; $$;
comment on function sync.gone_ids(public.workspace_sync_runs) is
$$Returns: the live rows of a run's workspace and stream that say themselves that they are
deleted.$$;

create function sync.miss_deleted(p_run public.workspace_sync_runs, p_ids text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.missing_records as m (workspace_id, stream_id, record_id, missed_by_run_id,
    is_confirmed, last_seen_at)
  select p_run.workspace_id, p_run.stream_id, gone.id, p_run.id, true, sync.now()
  from unnest(p_ids) as gone (id) order by gone.id
  on conflict (workspace_id, stream_id, record_id) do update set
    missed_by_run_id = excluded.missed_by_run_id, is_confirmed = true, answers = 0,
    held_by_run_id = null;
end; $$;
comment on function sync.miss_deleted(public.workspace_sync_runs, text[]) is
$$Rows that say themselves that they are deleted count as missing and confirmed. The caller holds
the run's lock.$$;

create function sync.forget_shown_below(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = on set enable_hashjoin = off as $$
begin
  delete from sync.missing_records as m
  where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id and m.answers = 0
    and exists (
      select 1 from sync.record_parents as b
      where b.workspace_id = m.workspace_id and b.stream_id = m.stream_id
        and b.record_id = m.record_id and b.missed_scans = 0 offset 0);
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
end; $$;
comment on function sync.forget_shown_below(public.workspace_sync_runs) is
$$Children that a list shows are not missing, but for what answered for itself. The caller holds the
run's lock.$$;

create function sync.forget_shown(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
begin
  if exists (
    select 1 from sync.seen_pages
    where run_id = p_run.id and scan = p_run.scan and record_ids <> '{}'
  ) then
    delete from sync.missing_records as m using (
      select distinct seen.id from sync.seen_pages as s
      cross join unnest(s.record_ids) as seen (id)
      where s.run_id = p_run.id and s.scan = p_run.scan
    ) as shown
    where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
      and m.record_id = shown.id;
    update public.sync_workspace_streams set emptied_at = null
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and emptied_at is not null;
  end if;
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
end; $$;
comment on function sync.forget_shown(public.workspace_sync_runs) is
$$What a run's scan showed is not missing, and its list is not empty. The caller holds the run's
lock.$$;

create function sync.forget_unaccepted(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_run public.workspace_sync_runs;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  if v_run.parts_total is not null then
    perform sync.forget_missed_below(v_run.workspace_id, v_run.stream_id, v_run.id);
    perform sync.forget_shown_below(v_run);
    return;
  elsif v_run.phase = 'confirm' then
    delete from sync.missing_records
    where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id and answers = 0;
    update sync.missing_records set missed_scans = 0
    where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id;
  end if;
  perform sync.forget_shown(v_run);
end; $$;
comment on function sync.forget_unaccepted(bigint) is
$$A run's scan does not count: it was rejected, or its run ends without being complete. What it
missed is forgotten, but for what answered for itself; what it showed is not missing. The caller
holds the run's lock.$$;

revoke all on table sync.missing_records from public, anon, authenticated, service_role;
grant select on table sync.missing_records to authenticated, service_role;
create policy missing_records_select_operator on sync.missing_records
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.recount_held, sync.recount_held_by, sync.forget_shown, sync.forget_missing,
  sync.forget_missing_of_stream,
  sync.target_sql, sync.miss_records, sync.revive_shown,
  sync.count_live, sync.count_here, sync.gone_ids, sync.miss_deleted, sync.forget_shown_below,
  sync.forget_unaccepted
from public, anon, authenticated, service_role;
