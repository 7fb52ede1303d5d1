-- The order of a list: the place of a page's records in it, what moved, and how far pages have to
-- overlap so that they join.
-- Stands on: targets, answers, missing.

create function sync.is_order_unique(p_stream public.sync_streams) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce(p_stream.order_is_unique,
    p_stream.order_path is null or p_stream.order_path = p_stream.id_path);
end; $$;
comment on function sync.is_order_unique(public.sync_streams) is
$$Returns: whether no two records of a list have the same place in its order.$$;

create function sync.in_order(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_page sync.page_in_hand := p_page;
  v_path text[] := coalesce(p_stream.order_path, p_stream.id_path);
  v_is_unique boolean := sync.is_order_unique(p_stream);
begin
  select (array_agg(k.number order by k.n))[1], (array_agg(k.number order by k.n desc))[1],
    (array_agg(k.word order by k.n))[1], (array_agg(k.word order by k.n desc))[1],
    (array_agg(k.flaw order by k.n) filter (where k.flaw is not null))[1]
  into v_page.first_key, v_page.last_key, v_page.first_text, v_page.last_text, v_page.disorder
  from (
    select r.n, r.number, r.word, case
      when r.number is null and r.word is null
      then format('record %s has no %s at %s', r.id, p_stream.order_type,
        array_to_string(v_path, '.'))
      when r.step * case p_stream.order_direction when 'asc' then 1 else -1 end < 0
      then format('record %s comes after %s', r.id, r.id_before)
      when r.step = 0 and v_is_unique and r.id <> r.id_before
      then format('records %s and %s have the same key', r.id_before, r.id) end as flaw
    from (
      select x.*, lag(x.id) over by_place as id_before, case p_stream.order_type
        when 'text' then (x.word > lag(x.word) over by_place)::int
          - (x.word < lag(x.word) over by_place)::int
        else sign(x.number - lag(x.number) over by_place) end as step
      from (
        select e.n, e.record #>> p_stream.id_path as id,
          case
            when p_stream.order_type = 'text' then null
            when p_stream.order_type = 'time'
            then extract(epoch from sync.time_or_null(e.record #>> v_path))
            when e.record #>> v_path ~ '^-?[0-9]{1,40}(\.[0-9]{1,40})?$'
            then (e.record #>> v_path)::numeric end as number,
          case when p_stream.order_type = 'text'
            and jsonb_typeof(e.record #> v_path) in ('string', 'number')
            then e.record #>> v_path end collate ucs_basic as word
        from jsonb_array_elements(p_page.answer) with ordinality as e (record, n)
      ) as x
      window by_place as (order by x.n)
    ) as r
  ) as k;
  return v_page;
end; $$;
comment on function sync.in_order(sync.page_in_hand, public.sync_streams) is
$$Returns: a page with what its first and its last record are ordered by, and its disorder: what on
it is not in the declared order, or has no place in it; null if all is.$$;

create function sync.moved_record(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_moved text;
begin
  execute replace(sync.target_sql('select i.id
    from (select e.record #>> $4 as id, e.record #> $5 as key
      from jsonb_array_elements($3) as e (record)) as i
    cross join lateral (
      select t.raw #> $5 as key from %1$s as t where %2$s and <same> offset 0) as known
    where known.key <> i.key limit 1', p_stream.id), '<same>', case
      when sync.is_keyed_by_parent(to_regclass(p_stream.target_table))
      then 't.parent_id = $6 and t.id = i.id::'
      when p_stream.id_scope = 'parent' then 't.id = sync.scoped_id($6, i.id)::'
      else 't.id = i.id::' end || (
      select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
      where attrelid = to_regclass(p_stream.target_table) and attname = 'id'))
  into v_moved using p_page.workspace_id, p_stream.id, p_page.answer, p_stream.id_path,
    coalesce(p_stream.order_path, p_stream.id_path), p_page.parent_id;
  return v_moved;
end; $$;
comment on function sync.moved_record(sync.page_in_hand, public.sync_streams) is
$$Returns: a record of a page whose place in the order is another than when it was written last, or
null.$$;

create function sync.least_overlap(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_path text[] := coalesce(p_stream.order_path, p_stream.id_path);
begin
  if sync.is_order_unique(p_stream) then
    return 1;
  end if;
  return (
    select p_page.records + 1 - coalesce(max(e.n)
      filter (where e.record #> v_path <> p_page.answer -> -1 #> v_path), 0)
    from jsonb_array_elements(p_page.answer) with ordinality as e (record, n));
end; $$;
comment on function sync.least_overlap(sync.page_in_hand, public.sync_streams) is
$$Returns: how many of a page's last records the next one has to show, so that it joins: one, or,
where keys are not unique, those with the last key and one before them.$$;

create function sync.may_end_list(p_records int, p_longest int) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_records < p_longest;
end; $$;
comment on function sync.may_end_list(int, int) is
$$Returns: whether a page that shows nothing new may be the end of a list that is read by offsets:
one as long as the longest page of its scan may have been cut where it shows what is new.$$;

create function sync.longest_tie(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select max(t.records) from (
      select count(*) as records from jsonb_array_elements(p_page.answer) as e (record)
      group by e.record #> coalesce(p_stream.order_path, p_stream.id_path)
    ) as t);
end; $$;
comment on function sync.longest_tie(sync.page_in_hand, public.sync_streams) is
$$Returns: how many records of a page share one key, at most.$$;

create function sync.tied_last(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_stream.last_path is null or p_stream.last_path = p_stream.id_path
    or p_stream.cursor_is is not null then
    return null;
  end if;
  return (
    select format('records %s and %s have the same value at %s, which asks for the next page: it '
      'would pass over one of two at the end of a page', min(r.record #>> p_stream.id_path),
      max(r.record #>> p_stream.id_path), array_to_string(p_stream.last_path, '.'))
    from jsonb_array_elements(p_page.answer) as r (record)
    group by r.record #> p_stream.last_path
    having count(distinct r.record #> p_stream.id_path) > 1 limit 1);
end; $$;
comment on function sync.tied_last(sync.page_in_hand, public.sync_streams) is
$$Returns: which records of a page share the value that asks for the next one, null if none do: no
scan would ever show a record that stands behind such a page.$$;

revoke all on function
  sync.is_order_unique, sync.in_order, sync.moved_record, sync.least_overlap, sync.longest_tie,
  sync.tied_last, sync.may_end_list
from public, anon, authenticated, service_role;
