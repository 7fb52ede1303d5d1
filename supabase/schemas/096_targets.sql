-- Targets: the tables that streams write to, and what each has to have.
-- Stands on: declared_fields.

create function sync.require_target_columns(p_target regclass) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_missing text;
begin
  select string_agg(concat_ws(' ', c.name, 'as ' || c.type), ', ' order by c.n) into v_missing
  from (values (1, 'workspace_id', 'bigint'), (2, 'id', null), (3, 'raw', 'jsonb'),
    (4, 'last_changed_at', 'timestamptz'), (5, 'deleted_at', 'timestamptz'),
    (6, 'unlisted_at', 'timestamptz')) as c (n, name, type)
  where not exists (
    select 1 from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attname = c.name and not a.attisdropped
      and a.atttypid = coalesce(c.type::regtype, a.atttypid));
  if v_missing is not null then
    raise exception using errcode = 'SY006',
      message = format('table %s lacks: %s', p_target, v_missing),
      hint = 'An apply function fills it; these are what closing needs.';
  elsif exists (
    select 1 from pg_catalog.pg_attribute as a
    join pg_catalog.pg_type as t on t.oid = a.atttypid
    join pg_catalog.pg_type as base on base.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
    left join pg_catalog.pg_collation as c on c.oid = a.attcollation
    where a.attrelid = p_target and a.attname = 'id' and not a.attisdropped
      and (base.typname = 'citext' or not c.collisdeterministic)) then
    raise exception using errcode = 'SY006',
      message = format('the column id of table %s takes different texts for one', p_target),
      hint = 'Two records would be one row. A column of type text tells all ids apart.';
  end if;
end; $$;
comment on function sync.require_target_columns(regclass) is
$$Raises: SY006 unless a table has the columns that closing needs, and tells all ids apart.$$;

create function sync.named_table(p_name text) returns regclass
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return to_regclass(p_name);
exception when data_exception or syntax_error_or_access_rule_violation then
  return null;  -- no name at all
end; $$;
comment on function sync.named_table(text) is
$$Returns: the table or other relation of a name, null if there is none or that is no name.$$;

create function sync.register_target_table(p_table text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_target regclass := sync.named_table(p_table);
begin
  if v_target is null or not exists (
    select 1 from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.oid = v_target and c.relkind in ('r', 'p')
      and n.nspname not in ('auth', 'vault', 'sync', 'information_schema')
      and n.nspname not like 'pg\_%'
  ) then
    raise exception using errcode = 'SY006',
      message = format('%L is no table that streams may write to', p_table),
      hint = 'Name an existing table with its schema; auth, vault and sync are closed.';
  end if;
  perform sync.require_target_columns(v_target);
  insert into sync.target_tables (target) values (v_target) on conflict (target) do nothing;
  return jsonb_build_object('target_table', sync.qualified_name(v_target));
end; $$;
comment on function sync.register_target_table(text) is
$$Let streams write to a table of one's own. Only the database's owner may: no role that speaks over
the API can execute it. Returns: {"target_table"}. Raises: SY006 no table, one of a closed schema,
one without the columns that closing needs, or whose ids are one in capitals and small letters.
Locks: its row.$$;

create function sync.qualified_name(p_table regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('%I.%I', n.nspname, c.relname)
  from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where c.oid = p_table;
$$;
comment on function sync.qualified_name(regclass) is
$$Returns: a table's name with its schema, however it was written.$$;

create function sync.is_shared_target(p_target regclass) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select 1 from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attname = 'stream_id' and not a.attisdropped);
end; $$;
comment on function sync.is_shared_target(regclass) is
$$Returns: whether rows of a target table say of which stream they are, so that streams may share
it.$$;

create function sync.is_keyed_by_parent(p_target regclass) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select 1 from pg_catalog.pg_index as i
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = p_target and i.indisprimary and a.attname = 'parent_id');
end; $$;
comment on function sync.is_keyed_by_parent(regclass) is
$$Returns: whether rows of a target table are kept apart by parent, with its id in a column.$$;

create function sync.holds_rows_of(p_one regclass, p_other regclass) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    with recursive kin (way, id) as (
      select 'up', p_one::oid union select 'down', p_one::oid
      union
      select k.way, case k.way when 'up' then i.inhparent else i.inhrelid end
      from kin as k join pg_catalog.pg_inherits as i
        on k.id = case k.way when 'up' then i.inhrelid else i.inhparent end
    )
    select exists (select 1 from kin where id = p_other));
end; $$;
comment on function sync.holds_rows_of(regclass, regclass) is
$$Returns: whether two tables are the same, or one is a partition of the other or inherits from it,
so that rows of one are rows of the other too.$$;

create function sync.require_target_table(p_stream jsonb, p_source_id bigint) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_name text := coalesce(p_stream ->> 'target_table', 'public.synced_records');
  v_target regclass := sync.named_table(v_name);
  v_owner record;
begin
  perform 1 from sync.target_tables where target = v_target for update;
  if not found then
    perform sync.refuse_field('stream', p_stream, 'target_table', 'a table that the database''s '
      'owner registered: select sync.register_target_table(''…'')');
  end if;
  perform sync.require_target_columns(v_target);
  select stream_name, target_table into v_owner from public.sync_streams
  where (source_id, stream_name) <> (p_source_id, p_stream ->> 'stream_name')
    and sync.holds_rows_of(to_regclass(target_table), v_target)
    and not (sync.is_shared_target(v_target) and sync.is_shared_target(to_regclass(target_table)))
  order by stream_name limit 1;
  if v_owner.stream_name is not null then
    perform sync.refuse_field('stream', p_stream, 'target_table', format('a table of its own, and '
      'the rows of this one are those of the stream %L, in %s; a table that streams share has a '
      'column stream_id, and every statement filters by it', v_owner.stream_name,
      v_owner.target_table));
  end if;
  return sync.qualified_name(v_target);
end; $$;
comment on function sync.require_target_table(jsonb, bigint) is
$$Returns: the name of a registered table that a stream may write to. Raises: SY006 not registered,
columns missing, or another stream's. Locks: its registration.$$;

revoke all on function
  sync.require_target_columns, sync.named_table, sync.register_target_table, sync.qualified_name,
  sync.is_shared_target, sync.is_keyed_by_parent, sync.holds_rows_of,
  sync.require_target_table
from public, anon, authenticated, service_role;
