begin;
\ir ../support/setup.psql
\ir ../support/tries.psql
select plan(15);

select tests.workspace('acme');
create function tests.rows(variadic p_ids int[]) returns jsonb language sql as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'day', id / 10)), '[]')
  from unnest(p_ids) as id;
$$;
create function tests.chain(p_more text default '{}') returns jsonb language sql as $$
  select '{"completeness": "chained", "order_path": ["id"], "order_direction": "asc",
    "params": {"after": "{last}"}, "more_path": ["more"]}'::jsonb || p_more::jsonb;
$$;
create function tests.page(p_rows jsonb, p_more jsonb default 'false') returns jsonb language sql
as $$
  select jsonb_build_object('data', p_rows, 'more', p_more);
$$;

select is(tests.complaints(tests.tried(tests.chain(), tests.page(tests.rows(1, 2), 'true'),
  tests.page(tests.rows(3)))), null, 'a chain in order');
select is((select lease #> '{request,params}' from tests.asked order by n desc limit 1),
  '[["after", "2"]]'::jsonb, 'page 2 is asked for by the last record of page 1');
select is(tests.complaints(tests.tried(tests.chain(), tests.page(tests.rows(2, 1)))),
  'page 1: order', 'the order does not hold');
select is(tests.complaints(tests.tried(tests.chain(), tests.page(tests.rows(5, 6), 'true'),
  tests.page(tests.rows(1, 2)))), 'page 2: order', 'page 2 begins before page 1 does');
select is(tests.complaints(tests.tried(tests.chain(), tests.page(tests.rows(1, 2), 'true'),
  tests.page(tests.rows(1, 2), 'true'))), 'page 2: repeats', 'page 2 is page 1 again');
select is(tests.complaints(tests.tried(tests.chain(), tests.page(tests.rows(1, 2), '"yes"'))),
  'page 1: answer', 'what says whether more follows says something else');

-- By a cursor.
select is(tests.complaints(tests.tried(tests.chain('{"params": {"cursor": "{next}"},
  "more_path": null, "next_path": ["next"], "cursor_is": "keyset"}'),
  jsonb_build_object('data', tests.rows(1, 2)))), 'page 1: answer',
  'a full page without a word of what comes next');
select is(tests.complaints(tests.tried(tests.chain('{"params": {"cursor": "{next}"},
  "more_path": null, "next_path": ["next"], "cursor_is": "keyset", "next_absent_ends": true}'),
  jsonb_build_object('data', tests.rows(1, 2)))), 'page 1: next',
  'the same, where that means the end');
select is(tests.tried(tests.chain('{"params": {"cursor": "{next}"}, "more_path": null,
  "next_path": ["next"], "cursor_is": "keyset"}'),
  jsonb_build_object('data', tests.rows(1, 2), 'next', 'abc')) #> '{steps,0,next}',
  '{"next": "abc"}', 'a cursor is told as it was found');

-- By offsets, which overlap.
select is(tests.complaints(tests.tried(tests.chain('{"params": {"offset": "{offset}"},
  "more_path": null}'), tests.page(tests.rows(1, 2)), tests.page(tests.rows(2, 3)))), null,
  'pages that share a record');
select is((select lease #> '{request,params}' from tests.asked order by n desc limit 1),
  '[["offset", "1"]]'::jsonb, 'as they are asked to');
select is(tests.complaints(tests.tried(tests.chain('{"params": {"offset": "{offset}"},
  "more_path": null}'), tests.page(tests.rows(1, 2)), tests.page(tests.rows(3, 4)))),
  'page 2: gap', 'pages that share none');
select is(tests.complaints(tests.tried(tests.chain('{"params": {"offset": "{offset}"},
  "more_path": null, "page_size": 5}'), tests.page(tests.rows(1, 2)),
  tests.page(tests.rows(2, 3)))), 'page 2: short', 'fewer are served than were asked for');
select is(tests.complaints(tests.tried(tests.chain('{"params": {"offset": "{offset}"},
  "more_path": null, "order_path": ["day"]}'), tests.page(tests.rows(1, 2)))),
  'page 1: ties', 'records that share their place');
select is(tests.complaints(tests.tried('{"completeness": "agreed", "next_is": "link_header",
    "conditional": true}',
  jsonb_build_object('data', tests.rows(1, 2)))), 'page 1: answer',
  'a full page without a header Link');

select * from finish();
rollback;
