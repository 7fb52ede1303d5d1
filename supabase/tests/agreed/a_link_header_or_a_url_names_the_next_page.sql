begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(14);

-- Hands over the chunk that is ready: so many records from an id on, and what the API says besides.
create function tests.hand_over(p_first int, p_count int, p_said jsonb default '{}',
  p_link text default null) returns text language sql as $$
  select public.complete_chunk_job_safe(l.queue_id, l.lease_token, jsonb_build_object('status', 200,
    'body', (jsonb_build_object('data', (select coalesce(jsonb_agg(jsonb_build_object('id', n)), '[]')
      from generate_series(p_first, p_first + p_count - 1) as n)) || p_said)::text,
    'headers', jsonb_strip_nulls(jsonb_build_object('link', p_link)))) ->> 'outcome'
  from tests.claim(1) as l;
$$;
create function tests.next_request() returns text language sql as $$
  select reading ->> 'url' from public.chunked_sync_jobs order by id desc limit 1;
$$;

select tests.declare('{"completeness": "agreed", "next_is": "link_header", "page_size": 2}');
select tests.start_list();
select is(tests.hand_over(1, 2, '{}', '<https://lists.example/items?page=2>; rel="next", '
  '<https://lists.example/items?page=2>; rel="last"'), 'completed', 'a page with a next one');
select is(tests.next_request(), 'https://lists.example/items?page=2', 'leads there');
select is(tests.hand_over(3, 2, '{}', '<https://lists.example/items?page=1>; rel="prev"'),
  'completed', 'a full page whose links name no next one');
select is((tests.last_run()).scan, 2, 'is the end of the scan');
select is(tests.hand_over(1, 2, '{}', '</items?page=2>; rel=next'), 'completed',
  'links may be relative');
select is(tests.next_request(), 'https://lists.example/items?page=2',
  'and lead below the base URL');
select is(tests.hand_over(3, 1), 'completed', 'a page that is not full needs none');
select is((tests.last_run()).scan, 3, 'a scan that lost a record is compared with another one');
select is(tests.hand_over(1, 2), 'failed', 'a full page without any proves no end');
select tests.start_list();
select is(tests.hand_over(1, 2, '{}', '<https://elsewhere.example/items?page=2>; rel="next"'),
  'failed', 'a link to another host is followed by nobody');

select tests.declare('{"completeness": "chained", "order_path": ["id"], "order_direction": "asc",
  "next_is": "url", "next_path": ["links", "next"], "cursor_is": "keyset", "page_size": 2}');
select tests.start_list();
select is(tests.hand_over(1, 2, '{"links": {"next": "?after=2"}}'), 'completed',
  'a URL in the body');
select is(tests.next_request(), 'https://lists.example/items?after=2', 'is resolved');
select is(tests.hand_over(3, 2, '{"links": {"next": null}}'), 'completed', 'null is the end');
select is((tests.last_run()).status, 'completed', 'of a list that is complete');

select * from finish();
rollback;
