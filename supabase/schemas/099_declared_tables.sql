-- Declared tables: the table that a stream declares by columns, made, adopted or widened.
-- Stands on: declared_fields, targets, records.

create schema synced;
comment on schema synced is
'Tables that streams declare by columns. No API serves it unless the owner exposes it.';
revoke all on schema synced from public, anon, authenticated, service_role;
grant usage on schema synced to authenticated, service_role;

create function sync.declared_table(p_given jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_name text := coalesce(
    btrim(substring(p_given ->> 'target_table' from '^synced\.(.*)$'), '"'),
    btrim(regexp_replace(lower((p_given ->> 'source_name') || '_' || (p_given ->> 'stream_name')),
      '[^a-z0-9]+', '_', 'g'), '_'));
begin
  if (v_name ~ '^[a-z_][a-z0-9_]{0,46}$'
      and coalesce(p_given ->> 'target_table', 'synced.') ~ '^synced\.') is not true then
    perform sync.refuse_field('stream', p_given, 'target_table', 'with columns, a name of at most '
      '47 small letters, digits and "_" in the schema synced, such as synced.people; left out, it '
      'is made of the names of source and stream, if that gives one');
  end if;
  return 'synced.' || quote_ident(v_name);
end; $$;
comment on function sync.declared_table(jsonb) is
$$Returns: the name of the table that a declaration with columns has. Raises: SY006 no such name.$$;

create function sync.upsert_name(p_table text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select 'sync.apply_synced_' || replace(split_part(p_table, '.', 2), '"', '');
$$;
comment on function sync.upsert_name(text) is
$$Returns: the name of a declared table's apply function.$$;

create function sync.type_of_id(p_given jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case p_given ->> 'id_type' when 'text' then 'text' else 'bigint' end;
$$;
comment on function sync.type_of_id(jsonb) is
$$Returns: the type of a declared table's column id.$$;

create function sync.table_form(p_given jsonb)
  returns table (place bigint, name text, type text, rest text)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select row_number() over (order by f.part, f.n), f.name, f.type, f.rest
  from (
    select 1 as part, n, name, type, rest from (values
      (1, 'workspace_id', 'bigint',
        'not null references public.sync_workspaces (id) on delete cascade'),
      (2, 'parent_id', 'text', 'not null'),
      (3, 'id', sync.type_of_id(p_given), 'not null')) as k (n, name, type, rest)
    where k.name <> 'parent_id' or p_given ->> 'id_scope' = 'parent'
    union all
    select 2, row_number() over (order by d.name), d.name, d.type, ''
    from sync.declared_columns(p_given -> 'columns') as d
    union all
    select 3, n, name, type, rest from (values
      (1, 'raw', 'jsonb', 'not null'),
      (2, 'updated_at', 'timestamptz', ''),
      (3, 'last_changed_at', 'timestamptz', 'not null default sync.now()'),
      (4, 'deleted_at', 'timestamptz', ''),
      (5, 'unlisted_at', 'timestamptz', '')) as o (n, name, type, rest)
  ) as f;
$$;
comment on function sync.table_form(jsonb) is
$$Returns: the columns of a declared table, in order.$$;

create function sync.table_key(p_given jsonb) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case p_given ->> 'id_scope' when 'parent' then '{workspace_id,parent_id,id}'
    else '{workspace_id,id}' end::text[];
$$;
comment on function sync.table_key(jsonb) is
$$Returns: the columns of a declared table's key.$$;

create function sync.table_sql(p_table text, p_given jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select format('create table %s (%s,%s  primary key (%s)%s);%s', p_table, string_agg(
      format('%s  %I %s', chr(10), f.name, rtrim(f.type || ' ' || f.rest)), ',' order by f.place),
    chr(10), array_to_string(sync.table_key(p_given), ', '), chr(10), chr(10))
  from sync.table_form(p_given) as f;
$$;
comment on function sync.table_sql(text, jsonb) is
$$Returns: the statement that makes a declared table.$$;

create function sync.access_sql(p_table text, p_given jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select format($sql$comment on table %1$s is %3$s;
alter table %1$s enable row level security;
revoke all on table %1$s from public, anon, authenticated, service_role;
grant select on table %1$s to authenticated, service_role;
drop policy if exists %2$s on %1$s;
create policy %2$s on %1$s
for select to authenticated using ((select sync.is_operator()));
$sql$, p_table,
    quote_ident(replace(split_part(p_table, '.', 2), '"', '') || '_select_operator'),
    quote_literal(format('Records of the stream %s of the source %s, in the columns that its '
      'declaration names. updated_at is the API''s; deleted_at: gone from the API; raw: the record '
      'as it serves it.', p_given -> 'stream_name', p_given -> 'source_name')));
$$;
comment on function sync.access_sql(text, jsonb) is
$$Returns: the statements that say what a declared table is and who reads it: operators.$$;

create function sync.flaw_of_table(p_given jsonb, p_target regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select f.flaw from (
    select format('a column %I that is always generated', a.attname) as flaw, a.attnum as place
    from pg_catalog.pg_attribute as a
    join sync.table_form(p_given) as f on f.name = a.attname
    where a.attrelid = p_target and a.attidentity = 'a'
    union all
    select format('a column %I that takes no null', a.attname), a.attnum
    from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attnotnull and not a.attisdropped
      and (a.attname in ('updated_at', 'deleted_at', 'unlisted_at')
        or a.attnum > 0 and not a.atthasdef and a.attidentity = ''
        and a.attname not in (select f.name from sync.table_form(p_given) as f))
    union all
    select 'a key that is deferrable', null
    from pg_catalog.pg_index as i
    where i.indrelid = p_target and i.indisprimary and not i.indimmediate
  ) as f order by f.place limit 1;
$$;
comment on function sync.flaw_of_table(jsonb, regclass) is
$$Returns: what of a table, whose columns are of the declared types, refuses every record; null if
nothing does.$$;

create function sync.require_adoptable(p_given jsonb, p_target regclass) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_key text[] := array(
    select a.attname::text from pg_catalog.pg_index as i
    cross join unnest(i.indkey) with ordinality as k (attnum, n)
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = p_target and i.indisprimary order by k.n);
  v_wrong record;
  v_flaw text := sync.flaw_of_table(p_given, p_target);
begin
  if not exists (
    select 1 from pg_catalog.pg_class as c
    where c.oid = p_target and c.relkind = 'r' and pg_catalog.pg_has_role(c.relowner, 'usage')) then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('a table of the owner of Chunkwise, which %s is not', p_target));
  end if;
  select f.name, f.type, format_type(a.atttypid, a.atttypmod) as stands,
    d.name is not null as is_declared
  into v_wrong
  from sync.table_form(p_given) as f
  left join sync.declared_columns(p_given -> 'columns') as d on d.name = f.name
  left join pg_catalog.pg_attribute as a on a.attrelid = p_target and a.attname = f.name
    and not a.attisdropped
  where (a.attname is null and d.name is null) or a.atttypid <> f.type::regtype
    or a.attgenerated <> ''
  order by f.place limit 1;
  if not found and v_key = sync.table_key(p_given) and v_flaw is null then
    return;
  elsif not found and v_key = sync.table_key(p_given) then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('a table that records can be written to: %s has %s', p_target, v_flaw));
  elsif v_wrong.is_declared then
    perform sync.refuse_field('stream', p_given, 'columns', format('for %I the type %s, which it '
      'has in %s: a type does not change; declare a column of another name, or drop this one',
      v_wrong.name, v_wrong.stands, p_target));
  elsif v_wrong.name = 'id' and v_wrong.stands is not null then
    perform sync.refuse_field('stream', p_given, 'id_type', format('%s, as the ids in %s are; '
      'another target_table takes others',
      case v_wrong.stands when 'text' then 'text' else 'integer' end, p_target));
  elsif v_key <> sync.table_key(p_given) and v_wrong.name is null
    or v_wrong.name = 'parent_id' then
    perform sync.refuse_field('stream', p_given, 'id_scope', format('%s, as the key of %s is (%s); '
      'another target_table takes another',
      case when 'parent_id' = any (v_key) then 'parent' else 'global' end, p_target,
      array_to_string(v_key, ', ')));
  end if;
  perform sync.refuse_field('stream', p_given, 'target_table', format('a table that has %I as %s, '
    'which %s has %s', v_wrong.name, v_wrong.type, p_target,
    coalesce('as ' || v_wrong.stands, 'not')));
end; $$;
comment on function sync.require_adoptable(jsonb, regclass) is
$$Raises: SY006 unless a table that stands is one that the declaration would make, but for columns
that it lacks or has besides.$$;

create function sync.add_columns(p_given jsonb, p_target regclass) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_missing text[];
  v_additions text;
begin
  select array_agg(d.name order by d.name),
    string_agg(format('add column if not exists %I %s', d.name, d.type), ', ' order by d.name)
  into v_missing, v_additions
  from sync.declared_columns(p_given -> 'columns') as d
  where not exists (
    select 1 from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attname = d.name and not a.attisdropped);
  if v_missing is null then
    return '{}'::text[];
  end if;
  begin
    perform set_config('lock_timeout', '2s', true);
    execute format('alter table %s %s', p_target, v_additions);
  exception when lock_not_available then
    raise exception using errcode = '55P03',
      message = format('%s is in use: it did not get its columns %s', p_target,
        array_to_string(v_missing, ', ')),
      hint = 'Nothing was declared. Try again; a long query may hold the table.';
  end;
  return v_missing;
end; $$;
comment on function sync.add_columns(jsonb, regclass) is
$$Give a declared table the columns that it lacks. Returns: their names. Raises: 55P03 the table was
not free within 2 s. Locks: the table, all of it, before anything of a run.$$;

create function sync.make_table(p_given jsonb, p_source_id bigint) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_table text := sync.declared_table(p_given);
  v_upsert text := sync.upsert_name(v_table);
  v_target regclass := to_regclass(v_table);
  v_given jsonb := p_given || jsonb_build_object('target_table', v_table);
  v_added text[] := '{}'::text[];
  v_written regclass;
begin
  if coalesce(p_given ->> 'apply_function', v_upsert) <> v_upsert then
    perform sync.refuse_field('stream', p_given, 'apply_function',
      format('nothing where columns is given: %s is made of it', v_upsert));
  end if;
  select t.target into v_written
  from sync.target_tables as t join pg_catalog.pg_class as c on c.oid = t.target
  where t.upsert_name = v_upsert and t.target is distinct from v_target;
  if found then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('another name: %s would be made of it, and that writes %s', v_upsert, v_written));
  elsif v_target is null and to_regtype(v_table) is not null then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('another name: %s is a type', v_table));
  elsif v_target is null then
    execute sync.table_sql(v_table, v_given);
    v_target := to_regclass(v_table);
  else
    perform sync.require_adoptable(v_given, v_target);
  end if;
  if not exists (select 1 from sync.target_tables where target = v_target) then
    execute sync.access_sql(v_table, v_given);
    insert into sync.target_tables (target) values (v_target);
  end if;
  perform sync.require_target_table(v_given, p_source_id);
  v_added := sync.add_columns(v_given, v_target);
  return jsonb_build_object('target_table', v_table, 'apply_function', v_upsert,
    'added', to_jsonb(v_added));
end; $$;
comment on function sync.make_table(jsonb, bigint) is
$$Make the table that a stream declares, or adopt one that fits, and add what it lacks. Returns:
{"target_table", "apply_function", "added": columns}. Raises: SY006 a table of another form or
another stream's, 55P03 not free. Locks: the table, its registration.$$;

revoke all on function
  sync.declared_table, sync.upsert_name, sync.type_of_id, sync.table_form, sync.table_key,
  sync.table_sql, sync.access_sql, sync.flaw_of_table, sync.require_adoptable, sync.add_columns,
  sync.make_table
from public, anon, authenticated, service_role;
