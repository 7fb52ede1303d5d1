begin;
\ir ../support/setup.psql
select plan(13);

create function tests.declare(p_fields jsonb) returns jsonb language sql as $$
  select declare_stream('{"source_name": "email_bison", "stream_name": "things", "path": "/things",
    "page_size": 10, "next_cursor_path": ["next"]}'::jsonb || p_fields);
$$;
select throws_ok(format('select tests.declare(jsonb_build_object(%L, %L::jsonb))', field, given),
  'SY006', null, format('%s as %s is refused', field, given))
from unnest('{params,cursor_params}'::text[]) as field, unnest(array[
  '["page"]', '"page=1"', '7', '{"page": [1]}', '{"page": {"from": 1}}']) as given;
select throws_ok($$select tests.declare('{"cursor_params": {}, "params": {"page": null}}')$$,
  'SY006', null, 'so is a parameter without a value');
select is_empty($$select 1 from public.sync_streams where stream_name = 'things'$$,
  'nothing of these is declared');
select lives_ok($$select tests.declare('{"completeness": "feed",
  "params": {"n": 100, "is_on": false, "name": "a"}, "cursor_params": {"mode": "cursor"}}')$$,
  'texts, numbers and truths are taken');

select * from finish();
rollback;
