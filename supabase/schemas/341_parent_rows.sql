-- Parent rows: which rows of a parent's stream there are, and what the lists below take of each.
-- Stands on: templates, targets, answers, missing.

create function sync.parent_of(p_stream public.sync_streams) returns public.sync_streams
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select s from public.sync_streams as s
    where s.source_id = p_stream.source_id and s.stream_name = p_stream.parent_stream);
end; $$;
comment on function sync.parent_of(public.sync_streams) is
$$Returns: the stream of a stream's parents.$$;

create type sync.live_row as (record_id text, raw jsonb);
comment on type sync.live_row is 'A row of a target table that is not deleted.';

create function sync.live_rows(p_stream_id bigint, p_workspace_id bigint, p_ids text[],
  p_after text default null, p_limit int default null) returns setof sync.live_row
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_target regclass := (
    select to_regclass(target_table) from public.sync_streams where id = p_stream_id);
  v_is_keyed boolean := sync.is_keyed_by_parent(v_target);
  v_sql text := 'select %3$s, t.raw from %1$s as t where %2$s and t.deleted_at is null';
begin
  -- By the key in its own type, so that each is looked up.
  v_sql := v_sql || case when v_is_keyed then '
    and ($3 is null or (t.parent_id, t.id::text) in (select p.o_parent_id, p.o_own_id
      from unnest($3) as x (id) cross join lateral sync.scoped_parts(x.id) as p))
    and ($4 is null or (t.parent_id, t.id) > (select p.o_parent_id, p.o_own_id::<type>
      from sync.scoped_parts($4) as p))
    order by t.parent_id, t.id limit $5'
    else '
    and ($3 is null or t.id = any ($3::<type>[])) and ($4 is null or t.id > $4::<type>)
    order by t.id limit $5' end;
  return query execute sync.target_sql(replace(v_sql, '<type>', (
    select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
    where attrelid = v_target and attname = 'id')), p_stream_id)
  using p_workspace_id, p_stream_id, p_ids, p_after, p_limit;
end; $$;
comment on function sync.live_rows(bigint, bigint, text[], text, int) is
$$Returns: live rows of a stream and workspace: those with some ids, or those behind one in the
order of the table's key, at most so many.$$;

create function sync.picked(p_record jsonb, p_paths text[]) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_picked jsonb := '{}'::jsonb;
  v_name text;
  v_path text[];
begin
  foreach v_name in array p_paths loop
    v_path := string_to_array(v_name, '.');
    for v_depth in 1 .. cardinality(v_path) - 1 loop
      v_picked := jsonb_set(v_picked, v_path[:v_depth],
        coalesce(v_picked #> v_path[:v_depth], '{}'));
    end loop;
    if p_record #> v_path is not null then
      v_picked := jsonb_set(v_picked, v_path, p_record #> v_path);
    end if;
  end loop;
  return v_picked;
end; $$;
comment on function sync.picked(jsonb, text[]) is
$$Returns: what stands in a record at some paths, written as a.b, in the same places.$$;

create function sync.parent_values(p_parent public.sync_streams, p_workspace_id bigint,
  p_rows sync.live_row[], p_paths text[]) returns jsonb[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_above public.sync_streams;
  v_deeper text[] := array(
    select substr(x.path, 8) from unnest(p_paths) as x (path)
    where x.path like 'parent.%' and p_parent.parent_stream is not null);
  v_ids text[];
  v_rows sync.live_row[];
  v_values jsonb := '{}'::jsonb;
begin
  if cardinality(v_deeper) > 0 then
    v_above := sync.parent_of(p_parent);
    v_ids := array(
      select (
        select min(b.parent_id) from sync.record_parents as b
        where b.workspace_id = p_workspace_id and b.stream_id = p_parent.id
          and b.record_id = x.record_id and b.parent_id <> '')
      from unnest(p_rows) with ordinality as x (record_id, raw, n) order by x.n);
    v_rows := array(
      select l from sync.live_rows(v_above.id, p_workspace_id,
        array(select distinct id from unnest(v_ids) as id where id is not null)) as l);
    select coalesce(jsonb_object_agg(v_rows[above.n].record_id, above.value), '{}') into v_values
    from unnest(sync.parent_values(v_above, p_workspace_id, v_rows, v_deeper))
      with ordinality as above (value, n);
  end if;
  return array(
    select sync.picked(x.raw, array(
        select path from unnest(p_paths) as path
        where path not like 'parent.%' or p_parent.parent_stream is null))
      || case when v_values ? v_ids[x.n::int]
        then jsonb_build_object('parent', v_values -> v_ids[x.n::int]) else '{}' end
    from unnest(p_rows) with ordinality as x (record_id, raw, n) order by x.n);
end; $$;
comment on function sync.parent_values(public.sync_streams, bigint, sync.live_row[], text[]) is
$$Returns: for each row of a parent's stream what templates take of it, and, under parent, of the
record above it.$$;

create function sync.parent_paths(p_stream public.sync_streams) returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select distinct array_to_string(t.path, '.')
    from sync.templates_in(concat_ws(' ', p_stream.path, p_stream.item_path, p_stream.params,
      p_stream.headers, p_stream.body)) as t where t.name = 'parent');
end; $$;
comment on function sync.parent_paths(public.sync_streams) is
$$Returns: what of its parent a stream's requests need, as a.b.$$;

revoke all on function
  sync.parent_of, sync.live_rows, sync.picked, sync.parent_values, sync.parent_paths
from public, anon, authenticated, service_role;
