begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(12);

-- Whether a list of so many records, three to a key and some gone, is read whole twice.
create function tests.is_read(p_count int) returns boolean language plpgsql as $$
declare
  v_statuses text[];
begin
  insert into tests.items (id, key) select n, n / 3 from generate_series(1, p_count) as n
  where n % 7 <> 0 on conflict do nothing;
  v_statuses := array[tests.sync_list(), tests.sync_list()];
  return v_statuses = '{completed,completed}' and tests.ids_here() = tests.ids_there();
end; $$;

select tests.chained('{"params": {"offset": "{offset}"}, "order_path": ["key"],
  "order_direction": "asc"}');
select is((select array_agg(n order by n) from generate_series(14, 22) as n
  where not tests.is_read(n)), null, 'wherever the last keys are tied, the list is complete');
update tests.habit set turns = true;
select is((select array_agg(n order by n) from generate_series(23, 30) as n
  where not tests.is_read(n)), null, 'also where ties stand in another order in each answer');
select cmp_ok((tests.last_run()).scan, '=', 1, 'in one scan');

-- A last page of which the next one has to show all is asked again, once.
update tests.habit set turns = false;
delete from tests.items;
select set_setting('deletion_guard_rows', '1000');
select tests.fill(101, 109);
insert into tests.items (id, key) select n, 200 from generate_series(110, 112) as n;
select is(tests.sync_list(), 'completed', 'a short last page that is tied as a whole');
select results_eq($$select page, reading ->> 'offset', reading ? 'again'
  from public.chunked_sync_jobs where run_id = (tests.last_run()).id
  order by id desc limit 1$$,
  $$values (3, '8', true)$$, 'is asked once more');

-- It is no proof where it is as long as pages are: more of that key may come after it.
insert into tests.items (id, key) select n, 200 from generate_series(113, 125) as n;
select is(tests.sync_list(), 'partial', 'more tied records than a page has cannot be told apart');
select is((tests.last_run()).scan, 3, 'in any scan');
select matches(w, 'page_size.*order_path.*agreed', 'each of which names the ways out')
from unnest((tests.last_run()).warnings) as w;
select is((select count(*) from public.synced_records where deleted_at is not null
  and id::int > 100), 0::bigint, 'nothing is deleted');
select is((select count(*) from public.chunk_processing_queue where status = 'failed'), 0::bigint,
  'and nothing fails');

select * from finish();
rollback;
