-- Fields: which fields the records of a stream have, and of which types, as they were first seen.

create table sync.seen_fields (
  stream_id bigint not null references public.sync_streams (id),
  field text not null,
  type text not null,
  first_id text not null,
  first_seen_at timestamptz not null default sync.now(),
  primary key (stream_id, field, type)
);
comment on table sync.seen_fields is
'Fields of records at their top level, by the types that they had, at most 500 a stream.';
alter table sync.seen_fields enable row level security;

create function sync.unseen_fields(p_records sync.incoming_record[],
  p_changed sync.changed_record[]) returns sync.seen_fields[]
language plpgsql stable set search_path = pg_catalog, pg_temp
  set enable_hashjoin = on set enable_nestloop = off as $$
begin
  return array(
    with changed as materialized (
      select r.stream_id, r.record_id, r.record,
        row_number() over (partition by r.stream_id order by r.n) as n
      from unnest(p_changed) as c
      join unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
          record, turn, requested_at, is_truth, parent_id, own_id, n)
        on r.workspace_id = c.workspace_id and r.stream_id = c.stream_id
          and r.record_id = c.record_id
      where jsonb_typeof(r.record) = 'object'
    ), known as materialized (
      select f.stream_id, array_agg(distinct f.field) as fields, count(*) as count
      from sync.seen_fields as f
      where f.stream_id = any (array(select distinct c.stream_id from unnest(p_changed) as c))
      group by f.stream_id
    ), looked_at as (
      -- A field that is new shows in any record; whether a type is, 20 of them tell: to take all
      -- apart would cost as much as to write them.
      select c.stream_id, c.record_id, c.record, c.n, coalesce(k.count, 0) as count
      from changed as c left join known as k on k.stream_id = c.stream_id
      where coalesce(k.count, 0) < 500
        and (c.n <= 20 or c.record - coalesce(k.fields, '{}') <> '{}')
      order by c.n limit 100
    ), found as (
      select distinct on (l.stream_id, field, type) l.stream_id, left(e.key, 200) as field,
        jsonb_typeof(e.value) as type, l.record_id, l.count
      from looked_at as l cross join jsonb_each(l.record) as e (key, value)
      order by l.stream_id, field, type, l.n
    ), missing as (
      select f.*, f.count + row_number() over (partition by f.stream_id order by f.field, f.type)
        as place
      from found as f
      left join sync.seen_fields as s on s.stream_id = f.stream_id and s.field = f.field
        and s.type = f.type
      where s.stream_id is null
    )
    select row(m.stream_id, m.field, m.type, m.record_id, sync.now())::sync.seen_fields
    from missing as m where m.place <= 500);
end; $$;
comment on function sync.unseen_fields(sync.incoming_record[], sync.changed_record[]) is
$$Returns: fields and types of changed records that were not seen before.$$;

create function sync.note_fields(p_fields sync.seen_fields[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.seen_fields
  select f.* from unnest(p_fields) as f order by f.stream_id, f.field, f.type
  on conflict (stream_id, field, type) do nothing;
end; $$;
comment on function sync.note_fields(sync.seen_fields[]) is
$$Note fields that were not seen before. Locks: new rows, in key order.$$;

create view public.stream_fields with (security_invoker = true) as
select so.source_name, st.stream_name, f.field, f.type, f.first_id, f.first_seen_at
from sync.seen_fields as f
join public.sync_streams as st on st.id = f.stream_id
join public.sync_sources as so on so.id = st.source_id;
comment on view public.stream_fields is
'Which fields the records of a stream have, and of which JSON types: a type that came later shows
that the API changed. At most 500 a stream.';
comment on column public.stream_fields.source_name is 'The source.';
comment on column public.stream_fields.stream_name is 'The stream.';
comment on column public.stream_fields.field is 'A field of a record, its first 200 characters.';
comment on column public.stream_fields.type is
'string, number, boolean, array, object or null, as JSON has it.';
comment on column public.stream_fields.first_id is 'The record that first had it so.';
comment on column public.stream_fields.first_seen_at is 'When that was.';

create view public.column_fills with (security_invoker = true) as
select so.source_name, st.stream_name, st.target_table, c.columns, c.looked_at as rows_looked_at,
  c.unfit, c.began_at, c.completed_at
from sync.column_fills as c
join public.sync_streams as st on st.id = c.stream_id
join public.sync_sources as so on so.id = st.source_id;
comment on view public.column_fills is
'Columns that a stream''s table got when it had rows, and how far sweeps are with filling them.';
comment on column public.column_fills.source_name is 'The source.';
comment on column public.column_fills.stream_name is 'The stream.';
comment on column public.column_fills.target_table is 'Its table.';
comment on column public.column_fills.columns is 'The columns.';
comment on column public.column_fills.rows_looked_at is 'Rows done, with or without a value.';
comment on column public.column_fills.unfit is
'{column: id of the first record whose value does not fit it and is null there}.';
comment on column public.column_fills.began_at is 'When they were added.';
comment on column public.column_fills.completed_at is 'When all rows had them; null: not yet.';

revoke all on table sync.seen_fields, public.stream_fields, public.column_fills
from public, anon, authenticated, service_role;
grant select on table
  sync.seen_fields, sync.column_fills, public.stream_fields, public.column_fills
to authenticated, service_role;
create policy seen_fields_select_operator on sync.seen_fields
for select to authenticated using ((select sync.is_operator()));
create policy column_fills_select_operator on sync.column_fills
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.unseen_fields, sync.note_fields
from public, anon, authenticated, service_role;
