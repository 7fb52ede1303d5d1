begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(5);

select tests.workspace('acme', 4);
update public.sync_streams set deep_page_limit = 4, page_size = 2 where stream_name = 'replies';
insert into tests.replies (id, root) select n * n, n * n from generate_series(1, 60) as n;
select is(tests.sync_replies('{replies}'), 'completed', 'pages, then cursors');
select is(cardinality(tests.asked('page%')), 4, 'no page is deeper than pages go');
select is((select count(distinct reading ->> 'chain') from public.chunked_sync_jobs
  where kind = 'cursor'), 4::bigint, 'four ranges, as many as slots');
select is((select count(*) from public.email_replies), 60::bigint,
  'no id is lost, however unevenly they lie');
select ok(60 + 6 + 4 * 2 >= (
  select count(*) from sync.seen_pages cross join unnest(record_ids) as id),
  'beside the overlap, ids are read twice at edges only');

select * from finish();
rollback;
