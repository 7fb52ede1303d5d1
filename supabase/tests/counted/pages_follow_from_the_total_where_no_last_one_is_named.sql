begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(13);

select tests.declare('{"params": {"page": "{page}"}, "total_path": ["total"], "first_page": 0}');
select tests.fill(1, 25);
select is(tests.sync_list(), 'completed', 'a total and page 1 say how many pages there are');
select is(tests.requests(), 3::bigint, 'which are read');
select is(tests.ids_here(), tests.ids_there(), 'and hold all');
select tests.start_list();
select tests.read_list(1);
select is((select count(*) from public.chunk_processing_queue as q
  join public.chunked_sync_jobs as c on c.id = q.id
  where c.run_id = (tests.last_run()).id and q.status = 'pending'), 2::bigint, 'all at once');
select tests.read_list();

-- The API serves less, or more, than it is asked for.
update tests.habit set served = 4;
select is(tests.sync_list(), 'completed', 'pages are as long as they are received');
select is(tests.requests(), 7::bigint, 'by number');
select tests.declare('{"params": {"skip": "{offset}"}, "total_path": ["total"]}');
select is(tests.sync_list(), 'completed', 'and by offset');
select is((select array_agg((reading ->> 'offset')::int order by page) from public.chunked_sync_jobs
  where run_id = (tests.last_run()).id and page > 1), '{4,8,12,16,20,24}',
  'each begins where the one before ended');
select is(tests.ids_here(), tests.ids_there(), 'and all is here');

update tests.habit set extra = '{"total": "25"}';
select is(tests.sync_list(), 'completed', 'a total may stand in quotes');
update tests.habit set extra = '{"total": 25, "data": []}';
select is(tests.sync_list(), 'failed', 'a list of which page 1 shows none has another shape');

-- A total at the cap is none.
update tests.habit set extra = '{}';
select tests.declare('{"params": {"skip": "{offset}"}, "total_path": ["total"], "result_cap": 25}');
select is(tests.sync_list(), 'partial', 'a total at result_cap proves nothing');
select is((tests.last_run()).scan, 1, 'and no other scan is tried');

select * from finish();
rollback;
