begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(3);

select tests.workspace('acme', 64);
update public.sync_streams set deep_page_limit = 4, page_size = 1, overlap_pages = 0
where stream_name = 'replies';
insert into tests.replies (id, root)
select 9223372036854775807 - 300 + n, n from generate_series(1, 300) as n;
select is(tests.sync_replies('{replies}'), 'completed', 'ids as large as they may be');
select ok((select count(distinct reading ->> 'chain') from public.chunked_sync_jobs
  where kind = 'cursor') > 32, 'are read in many ranges');
select is((select count(*) from public.email_replies), 300::bigint, 'none of them is lost');

select * from finish();
rollback;
