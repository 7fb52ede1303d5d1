-- Parents of records: which parents' lists of children show a record, and how often they have
-- missed it since.

create table sync.record_parents (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null,
  parent_id text not null,
  record_id text not null,
  missed_scans int not null default 0,
  missed_by_run_id bigint,
  primary key (workspace_id, stream_id, parent_id, record_id)
) with (fillfactor = 90);
comment on table sync.record_parents is
'Below which parents children were listed: a record is missing when none of their lists shows it.
Without a foreign key to the stream, whose row every record would lock.';
comment on column sync.record_parents.stream_id is 'The stream of the children.';
comment on column sync.record_parents.parent_id is
'The parent''s record; empty: no list is known that showed the child.';
comment on column sync.record_parents.missed_scans is
'Complete scans of the parent''s list in a row that did not show it.';
comment on column sync.record_parents.missed_by_run_id is 'The run of the last of these.';
create index record_parents_record_idx
  on sync.record_parents (workspace_id, stream_id, record_id);
create index record_parents_missed_idx
  on sync.record_parents (workspace_id, stream_id, record_id) where missed_scans > 0;
alter table sync.record_parents enable row level security;

create table sync.emptied_lists (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null,
  parent_id text not null,
  emptied_at timestamptz not null,
  primary key (workspace_id, stream_id, parent_id)
);
comment on table sync.emptied_lists is
'Since when a parent''s list of children has been empty although it has live rows.';
alter table sync.emptied_lists enable row level security;

create function sync.note_parents(p_pages sync.page_in_hand[], p_records sync.incoming_record[])
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_turns int[] := array(select p.turn from unnest(p_pages) as p where p.part_id is not null);
begin
  insert into sync.record_parents as m (workspace_id, stream_id, parent_id, record_id)
  select distinct shown.workspace_id, shown.stream_id, shown.parent_id, shown.record_id
  from (
    select r.workspace_id, r.stream_id, r.parent_id, r.record_id from unnest(p_records) as r
    where r.turn = any (v_turns)
    union all
    -- A page that has not changed shows what it showed.
    select p.workspace_id, p.stream_id, p.parent_id, seen.id
    from unnest(p_pages) as p cross join unnest(p.seen_ids) as seen (id)
    where p.part_id is not null
  ) as shown
  where not exists (
    select 1 from sync.record_parents as x
    where x.workspace_id = shown.workspace_id and x.stream_id = shown.stream_id
      and x.parent_id = shown.parent_id and x.record_id = shown.record_id
      and x.missed_scans = 0 offset 0)
  order by 1, 2, 3, 4
  on conflict (workspace_id, stream_id, parent_id, record_id)
  do update set missed_scans = 0, missed_by_run_id = null;
end; $$;
comment on function sync.note_parents(sync.page_in_hand[], sync.incoming_record[]) is
$$Note below which parents pages of children showed their records. Locks: new and missed ones, by
key.$$;

create function sync.forget_emptied_lists(p_workspace_id bigint, p_stream_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from sync.emptied_lists as e using (
    select workspace_id, stream_id, parent_id from sync.emptied_lists
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
    order by workspace_id, stream_id, parent_id for update skip locked
  ) as gone
  where e.workspace_id = gone.workspace_id and e.stream_id = gone.stream_id
    and e.parent_id = gone.parent_id;
end; $$;
comment on function sync.forget_emptied_lists(bigint, bigint) is
$$Forget which lists of children became empty, of a workspace and stream; null means all. Locks:
these rows by SKIP LOCKED.$$;

create function sync.forget_missed_below(p_workspace_id bigint, p_stream_id bigint,
  p_run_id bigint default null, p_parent_ids text[] default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- What another holds at this moment is shown by a page.
  update sync.record_parents as m set missed_scans = 0, missed_by_run_id = null
  from (
    select workspace_id, stream_id, parent_id, record_id from sync.record_parents
    where missed_scans > 0 and (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
      and (p_run_id is null or missed_by_run_id = p_run_id)
      and (p_parent_ids is null or parent_id = any (p_parent_ids))
    order by workspace_id, stream_id, parent_id, record_id for no key update skip locked
  ) as missed
  where m.workspace_id = missed.workspace_id and m.stream_id = missed.stream_id
    and m.parent_id = missed.parent_id and m.record_id = missed.record_id;
  if p_run_id is null then
    perform sync.forget_emptied_lists(p_workspace_id, p_stream_id);
  end if;
end; $$;
comment on function sync.forget_missed_below(bigint, bigint, bigint, text[]) is
$$Forget what scans of children's lists missed: of a workspace and stream, or only what one run, or
its lists below some parents, missed. Null means all. Locks: these rows by SKIP LOCKED.$$;

create function sync.forget_parents_of_stream() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from sync.record_parents as m using (
    select b.workspace_id, b.stream_id, b.parent_id, b.record_id from sync.record_parents as b
    join public.sync_workspaces as w on w.id = b.workspace_id and w.source_id = new.source_id
    where b.stream_id = new.id
    order by b.workspace_id, b.stream_id, b.parent_id, b.record_id for update of b skip locked
  ) as gone
  where m.workspace_id = gone.workspace_id and m.stream_id = gone.stream_id
    and m.parent_id = gone.parent_id and m.record_id = gone.record_id;
  perform sync.forget_emptied_lists(null, new.id);
  return null;
end; $$;
comment on function sync.forget_parents_of_stream() is
$$Trigger: below other parents nothing is known to show a stream's records, and what no new list
shows is missing as any other. Locks: the records' parents by SKIP LOCKED.$$;
create trigger sync_streams_forget_parents after update on public.sync_streams
for each row when (new.parent_stream is distinct from old.parent_stream)
execute function sync.forget_parents_of_stream();

revoke all on table sync.record_parents, sync.emptied_lists
from public, anon, authenticated, service_role;
grant select on table sync.record_parents, sync.emptied_lists to authenticated, service_role;
create policy record_parents_select_operator on sync.record_parents
for select to authenticated using ((select sync.is_operator()));
create policy emptied_lists_select_operator on sync.emptied_lists
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.note_parents, sync.forget_emptied_lists, sync.forget_missed_below,
  sync.forget_parents_of_stream
from public, anon, authenticated, service_role;
