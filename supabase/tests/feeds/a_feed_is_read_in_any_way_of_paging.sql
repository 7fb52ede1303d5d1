begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(39);

create function tests.feed(p_fields jsonb) returns void language sql as $$
  select tests.declare('{"completeness": "feed", "overlap_pages": 1, "order_path": ["key"]}'::jsonb
    || p_fields);
$$;
create function tests.way(p_way text, p_fields jsonb) returns setof text language plpgsql as $$
begin
  delete from tests.items;
  perform tests.feed(p_fields || jsonb_build_object('timeout_ms', 1000 + length(p_way)));
  delete from public.synced_records;
  perform tests.fill(1, 45);
  return next is(tests.sync_list(), 'completed', p_way || ': the first scan');
  return next is(tests.ids_here(), tests.ids_there(), p_way || ': reads everything');
  perform tests.fill(46, 48);
  return next is(tests.sync_list(), 'completed', p_way || ': the next one');
  return next is(array[tests.requests(), cardinality(tests.ids_here())], '{3,48}',
    p_way || ': reads to its mark, one page below it, and one more');
  return next is(tests.sync_list() || ' ' || tests.requests(), 'completed 2',
    p_way || ': and without news less');
end; $$;
select tests.way('cursor', '{"params": {"c": "{next}"}, "next_path": ["next"]}');
select tests.way('last id', '{"params": {"before": "{last}"}, "more_path": ["more"]}');
select tests.way('offset', '{"params": {"skip": "{offset}"}}');
select tests.way('page without a last one', '{"params": {"page": "{page}"}}');

-- Where the API answers 404 to what lies behind the last page.
create or replace function tests.read_list(p_chunks int default 1000) returns int
language plpgsql as $$
declare
  v_lease tests.lease;
  v_body jsonb;
  v_done int := 0;
begin
  while v_done < p_chunks loop
    v_lease := null;
    select l.* into v_lease from tests.claim(1) as l;
    exit when v_lease.queue_id is null;
    v_body := tests.listed(v_lease.queue_id);
    perform tests.complete(v_lease, case when v_body -> 'data' = '[]'
      then '{"message": "no such page"}' else v_body::text end,
      case when v_body -> 'data' = '[]' then 404 else 200 end);
    v_done := v_done + 1;
  end loop;
  return v_done;
end; $$;
delete from tests.items;
select tests.fill(1, 20);
select tests.feed('{"params": {"page": "{page}"}}');
delete from public.synced_records;
select is(tests.sync_list(), 'completed', 'a page that is not there is the end');
select is(cardinality(tests.ids_here()), 20, 'all before it is read');

-- Pages that begin at 0, and name the last one by its number or by how many there are.
select tests.feed('{"params": {"page": "{page}"}, "first_page": 0, "last_page_path": ["last"]}');
update tests.habit set extra = '{"last": 1}';
delete from public.synced_records;
select is(tests.sync_list(), 'completed', 'page 1 is the second one');
select is(cardinality(tests.ids_here()), 20, 'and is read');
select tests.feed('{"params": {"page": "{page}"}, "first_page": 0, "last_page_path": ["last"],
  "timeout_ms": 999}');
update tests.habit set extra = '{"last": 2}';
delete from public.synced_records;
select is(tests.sync_list(), 'completed', 'so is the last one of two');
select is(cardinality(tests.ids_here()), 20, 'both are read');
update tests.habit set extra = '{}';

-- A page that another one named is no end: the list has become shorter.
update tests.habit set extra = '{"last": 3}';
select tests.feed('{"params": {"page": "{page}"}, "last_page_path": ["last"]}');
select is(tests.sync_list(), 'partial', 'where the last page was named');
select matches((tests.last_run()).warnings[1], '^2 of 3 pages were read: HTTP 404 for page 3',
  'a page that is gone is named');
update tests.habit set extra = '{}';

-- The total of what is there counts.
select tests.feed('{"params": {"page": "{page}"}, "total_path": ["total"]}');
update tests.habit set extra = '{"total": 21}';
select is(tests.sync_list(), 'partial', 'a feed that shows less than the API counts is partial');
update tests.habit set extra = '{}';

-- Ids that are texts.
select throws_like($$select tests.feed('{"params": {"c": "{next}"}, "next_path": ["next"],
  "id_type": "text", "order_path": null}')$$, '%id_type is "text"; it takes integer%',
  'texts have no order');
select tests.feed('{"params": {"c": "{next}"}, "next_path": ["next"], "id_type": "text",
  "id_path": ["code"]}');
delete from public.synced_records;
update tests.items set fields = jsonb_build_object('code', 'evt_' || id);
select is(tests.sync_list(), 'completed', 'a feed of texts with an order of its own');
select is((select marks ->> 'newest_id' from public.sync_workspace_streams), 'evt_20',
  'has its mark');
insert into tests.items (id, key, fields) values (21, 21, '{"code": "evt_21"}');
select is(tests.sync_list(), 'completed', 'and is read to it');
select is((select count(*) from public.synced_records), 21::bigint, 'with what is new');

-- An API that filters after paging: its first two pages have no record.
create or replace function tests.read_list(p_chunks int default 1000) returns int
language plpgsql as $$
declare
  v_lease tests.lease;
  v_done int := 0;
begin
  while v_done < p_chunks loop
    v_lease := null;
    select l.* into v_lease from tests.claim(1) as l;
    exit when v_lease.queue_id is null;
    perform tests.complete(v_lease, (
      select case
        when c.reading ->> 'next' is null then '{"data": [], "next": -1}'
        when c.reading ->> 'next' = '-1' then '{"data": [], "next": 0}'
        else tests.listed(c.id)::text end
      from public.chunked_sync_jobs as c where c.id = v_lease.queue_id));
    v_done := v_done + 1;
  end loop;
  return v_done;
end; $$;
select tests.feed('{"params": {"c": "{next}"}, "next_path": ["next"]}');
delete from public.synced_records;
select tests.sync_list();
insert into tests.items (id, key) values (22, 22), (23, 23);
select is(tests.sync_list(), 'completed', 'pages without records are passed over');
select is(tests.ids_here(), tests.ids_there(), 'and what is new behind them is read');

-- What is not newest first, across pages.
update tests.items set key = 1000 where id = 3;
select is((select count(*) from tests.items), 23::bigint, 'twenty-three');
select tests.feed('{"params": {"c": "{next}"}, "next_path": ["next"], "order_path": ["id"]}');
select is(tests.sync_list(), 'partial', 'a feed that is not newest first is partial');
select ok((select marks -> 'full_scan_at' is null from public.sync_workspace_streams),
  'and read as a whole the next time');

select * from finish();
rollback;
