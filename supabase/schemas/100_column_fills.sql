-- Column fills: a declared table's apply function is made anew, and columns that it got when it had
-- rows are filled from raw.
-- Stands on: records, declared_tables.

create table sync.column_fills (
  stream_id bigint primary key references public.sync_streams (id),
  columns text[] not null,
  began_at timestamptz not null default sync.now(),
  last_key jsonb,
  looked_at bigint not null default 0,
  unfit jsonb not null default '{}',
  completed_at timestamptz
);
comment on table sync.column_fills is
'Columns that a table got when it had rows, or that are declared otherwise: sweeps fill them from
raw, by the key, in batches.';
comment on column sync.column_fills.last_key is 'Up to which row that is done; null: to none.';
comment on column sync.column_fills.looked_at is 'Rows that were looked at.';
comment on column sync.column_fills.unfit is
'{column: id of the first record whose value does not fit it and is null there}.';
create index column_fills_open_idx on sync.column_fills (stream_id) where completed_at is null;
alter table sync.column_fills enable row level security;

create function sync.write_columns(p_before public.sync_streams, p_stream public.sync_streams,
  p_added jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_target regclass := to_regclass(p_stream.target_table);
  v_has_rows boolean;
  -- Another path or format gives another value, and what was no column for a while has gaps.
  v_new text[] := array(
    select c.key from jsonb_each(p_stream.columns) as c
    where p_added ? c.key or p_before.target_table is distinct from p_stream.target_table
      or p_before.columns -> c.key is distinct from c.value
    order by c.key);
begin
  if p_added <> '[]' or to_regproc(p_stream.apply_function) is null
    or (p_before.columns, p_before.target_table) is distinct
      from (p_stream.columns, p_stream.target_table) then
    perform sync.write_upsert(p_stream.apply_function, v_target, p_stream.columns);
  end if;
  if v_new = '{}' then
    return;
  end if;
  execute format('select exists (select 1 from %s)', v_target) into v_has_rows;
  if v_has_rows then
    insert into sync.column_fills as f (stream_id, columns)
    values (p_stream.id, v_new)
    on conflict (stream_id) do update set
      columns = case when f.completed_at is null
        then array(select c from unnest(f.columns || excluded.columns) as c group by c order by c)
        else excluded.columns end,
      began_at = excluded.began_at, last_key = null, looked_at = 0, unfit = '{}',
      completed_at = null;
  end if;
end; $$;
comment on function sync.write_columns(public.sync_streams, public.sync_streams, jsonb) is
$$Make a declared table's apply function, where something of it changed, and have what was added,
or comes from elsewhere now, filled. Locks: its registration, its row of column_fills.$$;

create function sync.pick_rows(p_stream public.sync_streams, p_fill sync.column_fills, p_rows int)
  returns sync.judged_record[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  v_given jsonb := to_jsonb(p_stream);
  v_key text[] := sync.table_key(v_given);
  v_records sync.judged_record[];
begin
  execute format($sql$
    select array_agg(row(t.workspace_id, null, t.id::text, null, t.raw,
      case when jsonb_typeof(t.raw) = 'object' then %1$s else '{}' end,
      null, null, '{}', %2$s, null)::sync.judged_record)
    from (
      select * from %3$s as t where $1 is null or (%4$s) > (%5$s)
      order by %4$s limit $2 for no key update
    ) as t$sql$,
    sync.fitting_sql('t.raw', (
      select jsonb_object_agg(c.key, c.value) from jsonb_each(p_stream.columns) as c
      where c.key = any (p_fill.columns)), array(
      select a.attname::text from pg_catalog.pg_attribute as a
      where a.attrelid = to_regclass(p_stream.target_table) and a.attnum > 0
        and a.attname <> all (p_fill.columns))),
    case when 'parent_id' = any (v_key) then 't.parent_id' else 'null' end, p_stream.target_table,
    't.' || array_to_string(v_key, ', t.'),
    array_to_string(array(
      select format('($1 ->> %s)::%s', k.n - 1, case k.name when 'workspace_id' then 'bigint'
        when 'parent_id' then 'text' else sync.type_of_id(v_given) end)
      from unnest(v_key) with ordinality as k (name, n) order by k.n), ', '))
  into v_records using p_fill.last_key, p_rows;
  return coalesce(v_records, array[]::sync.judged_record[]);
end; $$;
comment on function sync.pick_rows(public.sync_streams, sync.column_fills, int) is
$$Returns: the next rows of a table whose new columns are to be filled, with what goes there. Locks:
those rows, in key order.$$;

create function sync.fill_rows(p_stream public.sync_streams, p_columns text[],
  p_records sync.judged_record[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set timezone = 'UTC' set datestyle = 'ISO, MDY' set enable_seqscan = off as $$
begin
  execute format($sql$
    update %1$s as t set %2$s
    from unnest($1) as j cross join lateral jsonb_populate_record(null::%1$s, j.fitting) as p
    where t.workspace_id = j.workspace_id and t.id = j.record_id::%3$s and %4$s
      and (%5$s) is distinct from (%6$s)$sql$,
    p_stream.target_table,
    (select string_agg(format('%1$I = p.%1$I', c), ', ') from unnest(p_columns) as c),
    sync.type_of_id(to_jsonb(p_stream)),
    case p_stream.id_scope when 'parent' then 't.parent_id = j.parent_id' else 'true' end,
    (select string_agg(format('t.%I', c), ', ' order by c) from unnest(p_columns) as c),
    (select string_agg(format('p.%I', c), ', ' order by c) from unnest(p_columns) as c))
  using p_records;
end; $$;
comment on function sync.fill_rows(public.sync_streams, text[], sync.judged_record[]) is
$$Write columns of rows that the caller holds. Raises: 22xxx a value that does not fit.$$;

create function sync.fill_columns(p_rows int) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_fill sync.column_fills;
  v_stream public.sync_streams;
  v_records sync.judged_record[];
  v_columns text[];
  v_last sync.judged_record;
begin
  select * into v_fill from sync.column_fills where completed_at is null
  order by stream_id limit 1 for no key update skip locked;
  if not found then
    return 0;
  end if;
  select * into strict v_stream from public.sync_streams where id = v_fill.stream_id;
  -- By a later declaration some may be no columns of it any more.
  v_columns := array(select c from unnest(v_fill.columns) as c where v_stream.columns ? c);
  if v_columns <> '{}' then
    v_fill.columns := v_columns;
    v_records := sync.pick_rows(v_stream, v_fill, p_rows);
    begin
      perform sync.fill_rows(v_stream, v_columns, v_records);
    exception when data_exception then
      v_records := sync.fit_records(v_stream.target_table, v_records);
      perform sync.fill_rows(v_stream, v_columns, v_records);
    end;
    v_last := v_records[cardinality(v_records)];
  end if;
  update sync.column_fills as f set
    looked_at = f.looked_at + coalesce(cardinality(v_records), 0),
    last_key = case when v_last.workspace_id is null then f.last_key
      when v_stream.id_scope = 'parent'
      then jsonb_build_array(v_last.workspace_id, v_last.parent_id, v_last.record_id)
      else jsonb_build_array(v_last.workspace_id, v_last.record_id) end,
    unfit = coalesce((
      select jsonb_object_agg(u.name, j.record_id order by j.n desc)
      from unnest(v_records) with ordinality as j (workspace_id, stream_id, record_id, updated_at,
        record, fitting, change, known_change, unfit, parent_id, own_id, n)
      cross join unnest(j.unfit) as u (name)), '{}') || f.unfit,
    completed_at = case when coalesce(cardinality(v_records), 0) < p_rows then sync.now() end
  where f.stream_id = v_fill.stream_id;
  return coalesce(cardinality(v_records), 0);
end; $$;
comment on function sync.fill_columns(int) is
$$Fill new columns of one table from what its rows were made of, at most so many rows; those that
hold it already cost no row version. Returns: rows looked at. Locks: the table's row of column_fills
by SKIP LOCKED, then rows in key order.$$;

revoke all on table sync.column_fills from public, anon, authenticated, service_role;
revoke all on function sync.write_columns, sync.pick_rows, sync.fill_rows, sync.fill_columns
from public, anon, authenticated, service_role;
