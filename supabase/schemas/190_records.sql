-- Records: where pages go of streams without a typed table.
-- Stands on: streams.

create table public.synced_records (
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null,
  id text not null,
  raw jsonb not null,
  updated_at timestamptz,
  last_changed_at timestamptz not null default sync.now(),
  deleted_at timestamptz,
  unlisted_at timestamptz,
  primary key (workspace_id, stream_id, id)
);
comment on table public.synced_records is
'Records of streams that have no typed table. Without a foreign key to the stream, whose row every
record would lock: no verb and no role deletes streams.';
comment on column public.synced_records.raw is 'The record as the API serves it.';
comment on column public.synced_records.updated_at is
'The API''s, where the stream says where it stands.';
comment on column public.synced_records.deleted_at is
'Gone from the API, proven twice; null while it lives.';
comment on column public.synced_records.unlisted_at is
'Since when no list shows it although its own GET answers: archived or moved, but alive.';
create index synced_records_stream_idx on public.synced_records (stream_id, workspace_id, id);
alter table public.synced_records enable row level security;
insert into sync.target_tables (target) values ('public.synced_records');

create function sync.apply_synced_records(p_records sync.incoming_record[])
  returns sync.changed_record[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_hashjoin = on as $$
declare
  v_now timestamptz := sync.now();
  v_changed sync.changed_record[];
begin
  with incoming as (
    select distinct on (r.workspace_id, r.stream_id, r.record_id) r.workspace_id, r.stream_id,
      r.record_id, r.updated_at, r.record
    from unnest(p_records) as r
    order by r.workspace_id, r.stream_id, r.record_id, r.updated_at desc nulls last
  ), judged as (
    select i.workspace_id, i.stream_id, i.record_id,
      case when i.updated_at < e.updated_at then e.raw else i.record end as raw,
      greatest(i.updated_at, e.updated_at) as updated_at, e.id is null as is_new,
      e.deleted_at is not null as is_revival
    from incoming as i
    -- A plan made while the table was empty would read all of it; offset 0 keeps the look by key.
    left join lateral (
      select t.* from public.synced_records as t
      where t.workspace_id = i.workspace_id and t.stream_id = i.stream_id
        and t.id = i.record_id offset 0
    ) as e on true
    where e.id is null or e.deleted_at is not null
      or (e.raw <> i.record and (i.updated_at < e.updated_at) is not true)
  ), written as (
    insert into public.synced_records
      as t (workspace_id, stream_id, id, raw, updated_at, last_changed_at)
    select j.workspace_id, j.stream_id, j.record_id, j.raw, j.updated_at, v_now
    from judged as j
    order by j.workspace_id, j.stream_id, j.record_id
    on conflict (workspace_id, stream_id, id) do update set
      raw = excluded.raw, updated_at = excluded.updated_at, deleted_at = null,
      last_changed_at = case when t.raw <> excluded.raw then excluded.last_changed_at
      else t.last_changed_at end
    where (t.raw, t.deleted_at) is distinct
    from (excluded.raw, null::timestamptz) and (excluded.updated_at < t.updated_at) is not true
    returning t.workspace_id, t.stream_id, t.id
  )
  select array_agg(row(w.workspace_id, w.stream_id, w.id,
    case when j.is_new then 'inserted' when j.is_revival then 'revived' else 'updated' end
    )::sync.changed_record) into v_changed
  from written as w join judged as j on j.workspace_id = w.workspace_id
    and j.stream_id = w.stream_id and j.record_id = w.id;
  return v_changed;
end; $$;
comment on function sync.apply_synced_records(sync.incoming_record[]) is
$$Upsert records as one set; unchanged ones cost nothing, an older updated_at replaces nothing, a
deleted one that is seen lives again. Returns: what changed. Locks: rows in key order.$$;

revoke all on table public.synced_records from public, anon, authenticated, service_role;
grant select on table public.synced_records to authenticated, service_role;
create policy synced_records_select_operator on public.synced_records
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.apply_synced_records from public, anon, authenticated, service_role;
