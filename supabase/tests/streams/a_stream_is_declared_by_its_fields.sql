begin;
\ir ../support/setup.psql
select plan(13);

select declare_source('{"source_name": "crm"}');
select is(declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 50}') ->> 'stream_name', 'people',
  'a stream is declared');
select results_eq($$
  select completeness, page_param, records_path, id_path, id_type, total_path, last_page_path,
    item_path, target_table, apply_function
  from public.sync_streams where stream_name = 'people'
$$, $$
  values ('counted', 'page', '{data}'::text[], '{id}'::text[], 'integer', '{meta,total}'::text[],
    '{meta,last_page}'::text[], null::text,
    'public.synced_records', 'sync.apply_synced_records')
$$, 'what is left out has its default');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x",
  "path": "/x"}')$$, 'SY006', null, 'no page size');
select throws_ok($$select declare_stream('{"source_name": "no", "stream_name": "x", "path": "/x",
  "page_size": 1}')$$, 'SY003', null,
  'an unknown source');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "x",
  "page_size": 1}')$$, 'SY006', null,
  'a path without its slash');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 0}')$$, 'SY006', null,
  'an empty page');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1, "item_path": "/x"}')$$,
  'SY006', null, 'an item path without {id}');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1, "color": "red"}')$$,
  'SY006', null, 'an unknown field');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1, "id_type": "uuid"}')$$,
  'SY006', null, 'an unknown type of id');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1,
  "apply_function": "public.nothing"}')$$, 'SY006', null, 'an apply function that does not exist');
create function tests.apply_as_rows(sync.incoming_record[]) returns setof sync.changed_record
language sql as $$ select null::sync.changed_record where false $$;
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1,
  "apply_function": "tests.apply_as_rows"}')$$, 'SY006', null,
  'an apply function that returns something else');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1,
  "target_table": "public.sync_settings"}')$$, 'SY006', null,
  'a table without the columns that closing needs');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1,
  "close_function": "public.nothing"}')$$, 'SY006', null, 'a close function that does not exist');

select * from finish();
rollback;
