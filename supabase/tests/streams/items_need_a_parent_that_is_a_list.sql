begin;
\ir ../support/setup.psql
select plan(10);

select declare_source('{"source_name": "crm"}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select declare_stream('{"source_name": "crm", "stream_name": "notes", "path": "/notes",
  "page_size": 2, "completeness": "feed"}');
select declare_stream('{"source_name": "crm", "stream_name": "me", "path": "/me",
  "page_size": 1, "completeness": "connection"}');
create function tests.declare_child(p_source text, p_parent text) returns jsonb language sql as $$
  select declare_stream(jsonb_build_object('source_name', p_source, 'stream_name', 'child',
    'path', '/x', 'page_size', 1, 'completeness', 'items', 'item_path', '/x/{id}',
    'parent_stream', p_parent));
$$;
select throws_ok($$select tests.declare_child('crm', 'nobody')$$, 'SY006', null,
  'a parent that does not exist is refused');
select throws_ok($$select tests.declare_child('crm', 'me')$$, 'SY006', null,
  'one that is no list is refused');
select throws_ok($$select tests.declare_child('crm', 'replies')$$, 'SY006', null,
  'a stream of another source is refused');
select lives_ok($$select tests.declare_child('crm', 'people')$$, 'a counted stream is one');
select lives_ok($$select tests.declare_child('crm', 'notes')$$, 'and so is a feed');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "notes",
  "path": "/notes", "page_size": 2, "completeness": "connection"}')$$, 'SY006', null,
  'a parent of items stays one');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "people",
  "path": "/people", "page_size": 2, "stage_function": "sync.conversation_keys"}')$$, 'SY006', null,
  'a function that only items have is refused elsewhere');

select declare_stream('{"source_name": "crm", "stream_name": "lines", "page_size": 2,
  "path": "/people/{parent.id}/lines", "parent_stream": "people"}');
select declare_stream('{"source_name": "crm", "stream_name": "parts", "page_size": 2,
  "path": "/people/{parent.parent.id}/{parent.id}", "parent_stream": "lines"}');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "people",
  "path": "/people/{parent.id}", "page_size": 2, "parent_stream": "parts"}')$$, 'SY006', null,
  'parents do not lead back to their child');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "lines",
  "path": "/{parent.id}", "page_size": 2, "parent_stream": "lines"}')$$, 'SY006', null,
  'nor is a stream its own');
select is((select parent_stream from public.sync_streams where stream_name = 'parts'), 'lines',
  'lists of lists of lists are taken');

select * from finish();
rollback;
