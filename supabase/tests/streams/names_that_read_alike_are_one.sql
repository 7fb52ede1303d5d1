begin;
\ir ../support/setup.psql
select plan(7);

select declare_source('{"source_name": "crm"}');
select declare_stream('{"source_name": "crm", "stream_name": "Deal notes", "path": "/a",
  "page_size": 1}');
select throws_ok(format($$select declare_source(jsonb_build_object('source_name', %L))$$, name),
  'SY006', null, format('%L reads as the source that there is', name))
from unnest(array['CRM', 'Crm', e'\uff43rm']) as name;
select throws_ok(format($$select declare_stream(jsonb_build_object('source_name', 'crm',
  'stream_name', %L, 'path', '/a', 'page_size', 1))$$, name),
  'SY006', null, format('%L as the stream', name))
from unnest(array['deal notes', 'Deal  notes']) as name;
select lives_ok($$select declare_stream('{"source_name": "crm", "stream_name": "Deal notes",
  "path": "/b", "page_size": 1}')$$, 'what there is may be declared anew');
select declare_source('{"source_name": "other"}');
select lives_ok($$select declare_stream('{"source_name": "other", "stream_name": "deal notes",
  "path": "/b", "page_size": 1}')$$, 'a stream of another source has names of its own');

select * from finish();
rollback;
