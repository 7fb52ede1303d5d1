begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(11);

-- The API serves fewer than the declaration says.
select tests.fill(1, 25);
select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"], "page_size": 20,
  "order_direction": "asc", "more_path": ["more"], "short_page_ends": true}');
select is(tests.sync_list(), 'completed', 'where the answer says that more follows');
select is(tests.ids_here(), tests.ids_there(), 'a short page is not the end');

select tests.declare('{"completeness": "agreed", "params": {"page": "{page}"}, "page_size": 20,
  "last_page_path": ["last"], "more_path": ["more"], "short_page_ends": true}');
update tests.habit set extra = '{"last": 1}';
select is(tests.sync_list(), 'completed', 'where it says that more follows and names a last page');
select is((tests.last_run()).distinct_ids, 25::bigint, 'nor is that page');
update tests.habit set extra = '{}';

select tests.declare('{"completeness": "agreed", "params": {"cursor": "{next}"}, "page_size": 20,
  "next_path": ["next"], "short_page_ends": true}');
select is(tests.sync_list(), 'completed', 'where it names the next page');
select is((tests.last_run()).distinct_ids, 25::bigint, 'a short page is not the end');
select is(tests.requests(), 6::bigint, 'and nothing is asked for after the last one');

-- It names a next page for ever: only an empty one is the end then.
create or replace function tests.listed(p_queue_id bigint) returns jsonb language sql as $$
  select jsonb_build_object('data', (
      select coalesce(jsonb_agg(tests.item(i) order by i.id), '[]') from tests.items as i
      where i.id > coalesce((c.reading ->> 'next')::int, 0)
        and i.id <= coalesce((c.reading ->> 'next')::int, 0) + 10),
    'next', coalesce((c.reading ->> 'next')::int, 0) + 10)
  from public.chunked_sync_jobs as c where c.id = p_queue_id;
$$;
select is(tests.sync_list(), 'completed', 'where it always names one');
select is((tests.last_run()).distinct_ids, 25::bigint, 'all is read');
select is(tests.requests(), 8::bigint, 'up to the first page that is empty');
select is(tests.ids_here(), tests.ids_there(), 'and nothing is deleted');

select * from finish();
rollback;
