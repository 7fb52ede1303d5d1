begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(6);

create function tests.pages() returns table (pages bigint, step bigint, overlap bigint)
  language sql as $$
  select count(*), min((c.reading ->> 'offset')::bigint), max((c.reading ->> 'overlap')::bigint)
  from public.chunked_sync_jobs as c where c.run_id = (tests.last_run()).id;
$$;

update tests.habit set served = 20;
select tests.fill(1, 200);
select tests.chained('{"params": {"limit": "{size}", "offset": "{offset}"}, "page_size": 200,
  "order_path": ["id"]}');
select is(tests.sync_list(), 'completed', 'of 200 that are asked for 20 are served');
select results_eq('select * from tests.pages()', $$values (12::bigint, 18::bigint, 2::bigint)$$,
  'a tenth of these is shared: not a tenth of what was asked for, which is all of them');
select is(tests.sync_list(), 'completed', 'the next sync');
select results_eq('select * from tests.pages()', $$values (12::bigint, 18::bigint, 2::bigint)$$,
  'reads as many');

select tests.chained('{"params": {"limit": "{size}", "offset": "{offset}"}, "page_size": 200,
  "order_path": ["id"], "overlap": 50}');
select is(tests.sync_list(), 'completed', 'with more to share than is served');
select results_eq('select * from tests.pages()', $$values (20::bigint, 10::bigint, 10::bigint)$$,
  'half of a page is');

select * from finish();
rollback;
