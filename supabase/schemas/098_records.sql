-- Records: where pages go of streams without a typed table, and the one upsert that every target
-- table has.
-- Stands on: targets.

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

create type sync.judged_record as (
  workspace_id bigint, stream_id bigint, record_id text, updated_at timestamptz, record jsonb,
  fitting jsonb, change text, known_change timestamptz, unfit text array, parent_id text,
  own_id text
);
comment on type sync.judged_record is
'A record that is to be written. record: what becomes raw; fitting: that, or as much of it as fits
the columns; change: inserted, updated, revived, or gone, of a deleted one that says so itself;
known_change: last_changed_at of the row that it was compared with; unfit: columns that its values
do not fit; parent_id, own_id: of a table with parent_id in its key, what record_id is made of.';

create function sync.fit_records(p_target regclass, p_records sync.judged_record[])
  returns sync.judged_record[]
language plpgsql stable set search_path = pg_catalog, pg_temp
  set timezone = 'UTC' set datestyle = 'ISO, MDY' as $$
declare
  v_record sync.judged_record;
  v_fitted sync.judged_record[] := '{}'::sync.judged_record[];
  v_sql text := format('select jsonb_populate_record(null::%s, $1)', p_target);
  v_field record;
begin
  foreach v_record in array p_records loop
    begin
      execute v_sql using v_record.fitting;
    exception when data_exception then
      for v_field in select f.key, f.value from jsonb_each(v_record.fitting) as f loop
        begin
          execute v_sql using jsonb_build_object(v_field.key, v_field.value);
        exception when data_exception then
          v_record.fitting := v_record.fitting || jsonb_build_object(v_field.key, null);
          v_record.unfit := v_record.unfit || v_field.key;
        end;
      end loop;
    end;
    v_fitted := v_fitted || v_record;
  end loop;
  return v_fitted;
end; $$;
comment on function sync.fit_records(regclass, sync.judged_record[]) is
$$After a value did not fit its column: find all that do not, value by value. Returns: the records
with null for those in fitting, and their columns in unfit. Raises: 23xxx a domain refuses it.$$;

create function sync.filled(p_template text, p_values jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_text text := p_template;
  v_value record;
begin
  for v_value in select v.key, v.value from jsonb_each_text(p_values) as v loop
    v_text := replace(v_text, '<' || v_value.key || '>', v_value.value);
  end loop;
  return v_text;
end; $$;
comment on function sync.filled(text, jsonb) is
$$Returns: a template with every <key> replaced by its value.$$;

create function sync.epoch_time(p_text text, p_format text) returns timestamptz
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select to_timestamp(e.seconds::double precision) from (
    select p_text::numeric / case p_format when 'epoch_ms' then 1000 else 1 end
    where p_text ~ '^-?[0-9]{1,20}(\.[0-9]{1,20})?$'
  ) as e (seconds)
  -- The years 1 to 9999.
  where e.seconds between -62135596800 and 253402300799;
$$;
comment on function sync.epoch_time(text, text) is
$$Returns: a moment given in seconds (epoch) or milliseconds (epoch_ms); null if that is none.$$;

create function sync.epoch_value(p_value jsonb, p_format text) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when p_value = 'null' then p_value
    else coalesce(to_jsonb(sync.epoch_time(p_value #>> '{}', p_format)),
      to_jsonb('not ' || p_format)) end
  where p_value is not null;
$$;
comment on function sync.epoch_value(jsonb, text) is
$$Returns: a value in seconds or milliseconds as a column of a time takes it; what is none as a text
that fits no such column.$$;

create function sync.declared_columns(p_columns jsonb)
  returns table (name text, type text, path text[], format text)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select c.key, coalesce(c.value ->> 'type', c.value #>> '{}'),
    case when c.value ? 'path'
      then array(select jsonb_array_elements_text(c.value -> 'path')) else array[c.key] end,
    c.value ->> 'format'
  from jsonb_each(p_columns) as c order by c.key;
$$;
comment on function sync.declared_columns(jsonb) is
$$Returns: the columns that a stream declares: type, path in a record, format.$$;

create function sync.fitting_sql(p_record text, p_columns jsonb, p_besides text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  -- A call takes 100 arguments, that is 50 columns.
  select case when p_columns is null or bool_or(not c.is_elsewhere)
      then format('%s - %L::text[]', p_record, p_besides) else '''{}''::jsonb' end
    || coalesce(string_agg(c.addition, '' order by c.part) filter (where c.is_elsewhere), '')
  from (
    select d.is_elsewhere, d.part, format(' || jsonb_build_object(%s)', string_agg(format(
      '%L, %s', d.name, format(case when d.format is null then '%1$s #> %2$L'
        else 'sync.epoch_value(%1$s #> %2$L, %3$L)' end, p_record, d.path::text, d.format)), ', '
      order by d.name)) as addition
    from (
      select e.*, e.path <> array[e.name] or e.format is not null as is_elsewhere,
        (row_number() over (order by e.name) - 1) / 40 as part
      from sync.declared_columns(p_columns) as e
    ) as d
    group by d.is_elsewhere, d.part
  ) as c;
$$;
comment on function sync.fitting_sql(text, jsonb, text[]) is
$$Returns: the expression that takes a record's columns out of it: what stands at a path of its own
or is in another format, and its fields of the columns' names, but for those that are no such
columns.$$;

create function sync.is_gone(p_stream_id bigint, p_record jsonb) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((select p_record @> st.deleted_when from public.sync_streams as st
    where st.id = p_stream_id), false);
end; $$;
comment on function sync.is_gone(bigint, jsonb) is
$$Returns: whether a record says itself that it is deleted, as its stream has it (deleted_when).$$;

create function sync.upsert_sql(p_name text, p_target regclass, p_columns jsonb default null)
  returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_columns text[] := array(
    select attname::text from pg_catalog.pg_attribute
    where attrelid = p_target and attnum > 0 and not attisdropped order by attnum);
  v_is_below_parent boolean := sync.is_keyed_by_parent(p_target);
  v_key text[] := case when 'stream_id' = any (v_columns)
    then '{workspace_id,stream_id,id}'::text[]
    when v_is_below_parent then '{workspace_id,parent_id,id}' else '{workspace_id,id}' end;
  -- What a record of the API cannot set by itself.
  v_own text[] := string_to_array('workspace_id stream_id id raw updated_at '
    'last_changed_at deleted_at unlisted_at', ' ')
    || case when v_is_below_parent then '{parent_id}'::text[] else '{}' end;
  v_typed text[] := array(
    select c from unnest(v_columns) with ordinality as u (c, n)
    where c <> all (v_own) and (p_columns is null or p_columns ? c) order by n);
  v_besides text[] := v_own || array(
    select c from unnest(v_columns) with ordinality as u (c, n)
    where c <> all (v_own || v_typed) order by n);
  v_table text := sync.qualified_name(p_target);
  v_id_text text := case when v_is_below_parent then 'own_id' else 'record_id' end;
  v_id_type text := (
    select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
    where attrelid = p_target and attname = 'id');
  v_id text := format('%s::%s', v_id_text, v_id_type);
  v_alike text := $part$
  select format('%s and %s', min((r).<id_text>), max((r).<id_text>)) into v_unlike
  from (select unnest(p_records) as r offset 0) as x
  group by (r).workspace_id, (r).stream_id, <parent>(r).<id>
  having min((r).<id_text>) <> max((r).<id_text>) limit 1;
  if v_unlike is not null then
    raise exception 'the column id takes % for one: a column id of type text tells them apart',
      v_unlike;
  end if;$part$;
  v_cast text := $part$
  begin
    v_rows := array(
      select jsonb_populate_record(null::<table>, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  exception when data_exception then
    v_judged := sync.fit_records('<table>', v_judged);
    v_rows := array(
      select jsonb_populate_record(null::<table>, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  end;$part$;
  v_function text := $function$
create or replace function <name>(p_records sync.incoming_record[]) returns sync.changed_record[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_hashjoin = on
  set timezone = 'UTC' set datestyle = 'ISO, MDY' as $body$
-- A column may have the name of a variable.
#variable_conflict use_variable
declare
  v_now timestamptz := sync.now();
  v_judged sync.judged_record[];
<declared_rows>  v_changed sync.changed_record[];
  v_unlike text;
begin<alike>
  v_judged := array(
    select row(i.workspace_id, i.stream_id, i.record_id,
      case when judged.replaces then i.updated_at else e.updated_at end, becomes.record,
      case when jsonb_typeof(becomes.record) = 'object' then <fitting> else '{}' end,
      case when e.id is null then 'inserted' when e.deleted_at is null then 'updated'
      when sync.is_gone(i.stream_id, becomes.record) then 'gone' else 'revived' end,
      e.last_changed_at, '{}', <judged_parts>)::sync.judged_record
    from (
      select distinct on (r.workspace_id, r.stream_id, <r_parent>r.<id>)
        r.*, r.<id> as id
      from unnest(p_records) as r
      order by r.workspace_id, r.stream_id, <r_parent>r.<id>, r.updated_at desc nulls last,
        r.requested_at desc nulls last
    ) as i
    -- A plan made while the table was empty would read all of it; offset 0 keeps the look by key.
    left join lateral (
      select t.* from <table> as t where <same_row> offset 0
    ) as e on true
    cross join lateral (
      select case
        when e.id is null then true
        when i.requested_at < e.last_changed_at then i.updated_at > e.updated_at
        when i.is_truth or e.updated_at > v_now then true
        else (i.updated_at < e.updated_at) is not true
        end is true as replaces
    ) as judged
    cross join lateral (
      select case when judged.replaces then i.record else e.raw end as record
    ) as becomes
    -- A time that could not be read may be one by another declaration.
    where e.id is null or (judged.replaces and (e.raw is distinct from i.record
        or (e.updated_at is null and i.updated_at is not null)))
      or (e.deleted_at is not null and not sync.is_gone(i.stream_id, becomes.record))
    order by i.workspace_id, i.stream_id, <i_parent>i.id);
  if cardinality(v_judged) = 0 then
    return '{}'::sync.changed_record[];
  end if;<cast>
  with written as (
    insert into <table> as t (<columns>)
    select <values>
    from <rows> (j_workspace_id, j_stream_id, j_record_id, j_updated_at, j_record, j_fitting,
      j_change, j_known_change, j_unfit, j_parent_id, j_own_id<row_columns>)
    order by j_workspace_id, j_stream_id, <j_parent>j_<id>
    on conflict (<key>) do update set
      <assigned>,
      -- What says itself that it is deleted lives no more for being seen.
      deleted_at = case when t.deleted_at is not null and (<row_key>) in (
        select <judged_key> from unnest(v_judged) as k where k.change = 'gone')
      then t.deleted_at end,
      last_changed_at = case when t.raw is distinct from excluded.raw
      then excluded.last_changed_at else t.last_changed_at end
    -- Another may have written the row since it was compared: then only a later date counts. Rows
    -- that stood before their table was adopted may have no last change.
    where (<row_key>, coalesce(t.last_changed_at, '-infinity')) in (
        select <judged_key>, coalesce(k.known_change, '-infinity') from unnest(v_judged) as k)
      or (excluded.updated_at > t.updated_at and t.raw is distinct from excluded.raw)
    returning t.workspace_id, <stream_id> as stream_id, <written_id>
  )
  select array_agg(row(j.workspace_id, j.stream_id, j.record_id,
    case j.change when 'gone' then 'updated' else j.change end, j.unfit
    )::sync.changed_record) into v_changed
  from written as w join unnest(v_judged) as j on j.workspace_id = w.workspace_id
    and <same_id> and j.stream_id = coalesce(w.stream_id, j.stream_id);
  v_changed := coalesce(v_changed, '{}');
  if cardinality(v_changed) < cardinality(v_judged) then
    select format('%s, and has it as %s', j.<id_text>, e.id) into v_unlike
    from unnest(v_judged) as j
    cross join lateral (
      select t.id::text as id from <table> as t where <judged_row> offset 0
    ) as e
    where e.id <> j.<id_text> limit 1;
    if v_unlike is not null then
      raise exception 'the column id is given %: lists that show the one would miss the other; a '
        'column id of type text has every id as it is', v_unlike;
    end if;
  end if;
  -- What was not written another wrote since it was compared, or the table did not take it.
  if cardinality(v_changed) < cardinality(v_judged) and exists (
    select 1 from unnest(v_judged) as j
    left join lateral (
      select t.last_changed_at from <table> as t where <judged_row> offset 0
    ) as e on true
    where e.last_changed_at is not distinct from j.known_change and not exists (
      select 1 from unnest(v_changed) as c
      where (c.workspace_id, c.stream_id, c.record_id)
        = (j.workspace_id, j.stream_id, j.record_id))
  ) then
    raise exception 'a trigger on the table does not let it in as it is: one that returns null '
      'hides a record, and has to return new';
  end if;
  return v_changed;
end; $body$;
comment on function <name>(sync.incoming_record[]) is
'Upsert records as one set; unchanged ones cost nothing, a deleted one that is seen lives again,
unless it says itself that it is deleted. An answer that was requested before the row''s last change
replaces it only with a later date; one that was requested later is the truth in full scans, and in
others unless its date is older and the row''s is not in the future. A value that does not fit its
column makes that null. Made by sync.write_upsert(). Returns: what changed. Raises: 23xxx a
constraint, P0001 a trigger that lets a record vanish or a column id that is not as it was given, or
takes two for one. Locks: rows in key order.';
revoke all on function <name>(sync.incoming_record[])
from public, anon, authenticated, service_role;
$function$;
begin
  return sync.filled(v_function, jsonb_build_object(
    'name', p_name,
    'table', v_table,
    'fitting', sync.fitting_sql('becomes.record', p_columns, v_besides),
    'id', v_id,
    'id_text', v_id_text,
    'alike', case when v_id_type = 'text' then ''
      else sync.filled(v_alike, jsonb_build_object('id', v_id, 'id_text', v_id_text,
        'parent', case when v_is_below_parent then '(r).parent_id, ' else '' end)) end,
    'judged_parts', case when v_is_below_parent then 'i.parent_id, i.own_id' else 'null, null' end,
    'r_parent', case when v_is_below_parent then 'r.parent_id, ' else '' end,
    'i_parent', case when v_is_below_parent then 'i.parent_id, ' else '' end,
    'j_parent', case when v_is_below_parent then 'j_parent_id, ' else '' end,
    'written_id', case when v_is_below_parent then 't.parent_id, t.id::text as own_id'
      else 't.id::text as record_id' end,
    'same_id', case when v_is_below_parent then 'j.parent_id = w.parent_id and j.own_id = w.own_id'
      else 'j.record_id = w.record_id' end,
    'key', array_to_string(v_key, ', '),
    'same_row', (select string_agg(format('t.%1$s = i.%1$s', c), ' and ') from unnest(v_key) as c),
    'judged_row', (select string_agg(format('t.%I = j.%s', c, case c when 'id' then v_id else c end),
      ' and ') from unnest(v_key) as c),
    'row_key', 't.' || array_to_string(v_key, ', t.'),
    'judged_key', 'k.' || array_to_string(v_key[:cardinality(v_key) - 1], ', k.')
      || ', k.' || v_id,
    'stream_id', case when 'stream_id' = any (v_key) then 't.stream_id' else 'null::bigint' end,
    'columns', array_to_string(array(select quote_ident(c)
      from unnest(v_key || v_typed || '{raw,updated_at,last_changed_at}'::text[])
        with ordinality as u (c, n) order by n), ', '),
    'values', array_to_string(
      array(select 'j_' || c from unnest(v_key[:cardinality(v_key) - 1]) with ordinality as k (c, n)
        order by n)
      || ('j_' || v_id)
      || array(select 'r_' || n from unnest(v_columns) with ordinality as u (c, n)
        where c = any (v_typed) order by n)
      || '{j_record,j_updated_at,v_now}'::text[], ', '),
    'assigned', array_to_string(array(select format('%1$I = excluded.%1$I', c)
      from unnest(v_typed || '{raw,updated_at}'::text[]) with ordinality as u (c, n) order by n),
      ', '),
    'cast', case when v_typed <> '{}' then replace(v_cast, '<table>', v_table) else '' end,
    'declared_rows', case when v_typed <> '{}' then format('  v_rows %s[];', v_table) || chr(10)
      else '' end,
    'rows', case when v_typed <> '{}' then 'unnest(v_judged, v_rows) as x'
      else 'unnest(v_judged) as x' end,
    'row_columns', case when v_typed <> '{}' then (
      select string_agg(', r_' || n, '' order by n)
      from unnest(v_columns) with ordinality as u (c, n)) else '' end));
end; $$;
comment on function sync.upsert_sql(text, regclass, jsonb) is
$$Returns: the statement that makes a target table's apply function. Filled are the columns that a
stream declares, each from where it says; without such a declaration every column that is not ours,
from the record's field of that name. The table has updated_at.$$;

create function sync.write_upsert(p_name text, p_target regclass, p_columns jsonb default null)
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute sync.upsert_sql(p_name, p_target, p_columns);
  update sync.target_tables set upsert_name = p_name
  where target = p_target and upsert_name is distinct from p_name;
end; $$;
comment on function sync.write_upsert(text, regclass, jsonb) is
$$Make a registered table's apply function, see upsert_sql(). Every typed table and synced_records
have the same one, but for their columns. Locks: its registration.$$;

create function sync.regenerate_upserts() returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_table record;
  v_made int := 0;
begin
  for v_table in
    select t.target, t.upsert_name, (
      select st.columns from public.sync_streams as st
      where st.columns is not null and to_regclass(st.target_table) = t.target) as columns
    from sync.target_tables as t
    join pg_catalog.pg_class as c on c.oid = t.target
    where t.upsert_name is not null order by t.upsert_name
  loop
    perform sync.write_upsert(v_table.upsert_name, v_table.target, v_table.columns);
    v_made := v_made + 1;
  end loop;
  return v_made;
end; $$;
comment on function sync.regenerate_upserts() is
$$Make every generated apply function anew, which every migration ends with: they are the work of
upsert_sql(), and no part of a migration's text. Returns: how many.$$;

select sync.write_upsert('sync.apply_synced_records', 'public.synced_records');

revoke all on table public.synced_records from public, anon, authenticated, service_role;
grant select on table public.synced_records to authenticated, service_role;
create policy synced_records_select_operator on public.synced_records
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.fit_records, sync.filled, sync.epoch_time, sync.epoch_value, sync.declared_columns,
  sync.fitting_sql, sync.is_gone, sync.upsert_sql, sync.write_upsert, sync.regenerate_upserts
from public, anon, authenticated, service_role;
