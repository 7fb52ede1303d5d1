begin;
\ir ../support/setup.psql
select plan(6);

select declare_source('{"source_name": "crm"}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select declare_stream('{"source_name": "crm", "stream_name": "notes", "path": "/notes",
  "page_size": 2, "completeness": "feed"}');
create function tests.declare_child(p_source text, p_parent text) returns jsonb language sql as $$
  select declare_stream(jsonb_build_object('source_name', p_source, 'stream_name', 'child',
    'path', '/x', 'page_size', 1, 'completeness', 'items', 'item_path', '/x/{id}',
    'parent_stream', p_parent));
$$;
select throws_ok($$select tests.declare_child('crm', 'nobody')$$, 'SY006', null,
  'a parent that does not exist');
select throws_ok($$select tests.declare_child('crm', 'people')$$, 'SY006', null,
  'one that is no feed');
select throws_ok($$select tests.declare_child('crm', 'notes')$$, 'SY006', null,
  'a feed whose records nobody stages');
select throws_ok($$select tests.declare_child('crm', 'replies')$$, 'SY006', null,
  'replies of another source');
select lives_ok($$select tests.declare_child('email_bison', 'replies')$$, 'replies are one');
select throws_ok($$select declare_stream('{"source_name": "email_bison", "stream_name": "replies",
  "path": "/replies", "page_size": 15}')$$, 'SY006', null,
  'a parent of items stays one');

select * from finish();
rollback;
