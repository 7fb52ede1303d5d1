begin;
\ir ../support/setup.psql
select plan(101);

select declare_source('{"source_name": "crm"}');
select declare_stream('{"source_name": "crm", "stream_name": "me", "path": "/me", "page_size": 1,
  "completeness": "connection"}');
create function tests.refusal(p_field text, p_fields jsonb) returns text language plpgsql as $$
begin
  perform declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
    "page_size": 50}'::jsonb || p_fields);
  return 'taken';
exception when sqlstate 'SY006' then
  return sqlerrm;
end; $$;
create table tests.wrong (field text, given jsonb, besides jsonb default '{}');
insert into tests.wrong (field, given) values
('source_name', '7'),
('stream_name', '""'), ('stream_name', '"a\u202eb"'), ('stream_name', '["people"]'),
('is_default', '"yes"'), ('is_default', '1'),
('completeness', '"all"'), ('completeness', '"connection"'),
('path', '"people"'), ('path', '"/a/../b"'), ('path', '"/./a"'), ('path', '"/a//b"'),
('path', '"//other.example/a"'), ('path', '"https://other.example/a"'), ('path', '"/a?page=1"'),
('path', '"/a#b"'), ('path', '"/a\r\nb"'), ('path', '"/a\tb"'), ('path', '"/%2E%2e/a"'),
('path', '"/\\other.example"'), ('path', '"/{id}"'), ('path', '"/é"'), ('path', '"/%"'),
('path', to_jsonb('/' || repeat('x', 6000))), ('path', '7'), ('path', '""'),
('params', '[]'), ('params', '{"a": null}'), ('params', '{"a": {"b": 1}}'), ('params', '{"": 1}'),
('page_param', '""'), ('page_param', '1'),
('page_size', '0'), ('page_size', '10001'), ('page_size', '"50"'), ('page_size', '2.5'),
('page_size', '99999999999999999999'),
('records_path', '"data"'), ('records_path', '[1.5]'),
('id_path', '[]'), ('id_path', '"{id}"'), ('id_path', '[null]'),
('id_type', '"uuid"'),
('updated_at_path', '"updated_at"'), ('total_path', '{}'), ('last_page_path', 'true'),
('item_path', '"/people"'), ('item_path', '"people/{id}"'), ('item_path', '"/people/{id}/../x"'),
('item_path', '"/people/{id}?a=b"'), ('item_path', '"/people/{id}/{size}"'), ('item_path', '8'),
('item_record_path', '"data"'), ('name_path', '[{}]'),
('drop_paths', '["token"]'), ('drop_paths', '[[]]'), ('drop_paths', '"token"'),
('drop_paths', '[["id"]]'),
('parent_stream', '7'), ('parent_stream', '""'),
('order_path', '"date"'), ('order_path', '["date"]'),
('order_type', '"text"'), ('order_type', '"time"'),
('overlap_pages', '-1'), ('overlap_pages', '101'), ('full_scan_days', '0'),
('full_scan_days', '"weekly"'), ('deep_page_limit', '0'), ('deep_page_limit', '"none"'),
('cursor_params', '"cursor=1"'), ('cursor_param', '""'),
('next_cursor_path', '"next"'), ('next_cursor_path', '[]'),
('cursor_codec', '"base64"'), ('cursor_codec', '"laravel_id"'),
('status_classes', '{"ok": "page"}'), ('status_classes', '"page"'),
('timeout_ms', '99'), ('timeout_ms', '"30s"'), ('timeout_ms', '600001'),
('max_body_bytes', '0'), ('max_body_bytes', '16777217'), ('max_body_bytes', '"8 MB"'),
('target_table', '"auth.users"'), ('target_table', '"a b\""'), ('target_table', '1'),
('apply_function', '"public.nothing"'), ('apply_function', '"a b("'),
('close_function', '"public.nothing"'), ('close_function', '"a\"b"'),
('stage_function', '"public.nothing"'), ('shown_function', '"public.nothing"'),
('warn_function', '"public.nothing"');
insert into tests.wrong values
('id_type', '"text"', '{"completeness": "feed"}');

select ok(said like format('stream %%: %s is %%; it takes %%', field)
  and said !~ '_check|constraint|invalid input|out of range' and length(said) < 600
  and strpos(said, E'\n') = 0,
  format('%s as %s is refused, in one line that names it', field, left(given::text, 30)))
from (
  select field, given, tests.refusal(field, besides || jsonb_build_object(field, given)) as said
  from tests.wrong) as w;
select ok(tests.refusal(null, fields::jsonb) like format('%% %s is %%', field),
  fields || ' is refused')
from (values
  ('item_path', '{"completeness": "items", "parent_stream": "me"}'),
  ('parent_stream', '{"completeness": "items", "item_path": "/people/{id}"}'),
  ('parent_stream', '{"completeness": "items", "item_path": "/people/{id}", "parent_stream": "x"}')
) as w (field, fields);
select set_eq($$select field from sync.declared_fields('stream')$$,
  $$select attname::text from pg_catalog.pg_attribute
  where attrelid = 'public.sync_streams'::regclass and attnum > 0 and not attisdropped
    and attname <> all ('{id,source_id,revision,created_at}') union all select 'source_name'$$,
  'what can be declared are the columns of a stream');
select is_empty($$select field from sync.declared_fields('stream')
  where field not in (select field from tests.wrong)$$, 'every field was tried');
select is_empty($$select from sync_streams where stream_name = 'people'$$, 'nothing was declared');

select * from finish();
rollback;
