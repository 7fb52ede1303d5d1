begin;
\ir ../support/setup.psql
select plan(305);

select declare_source('{"source_name": "crm", "auth_in": "query", "auth_name": "key"}');
select declare_stream('{"source_name": "crm", "stream_name": "me", "path": "/me", "page_size": 1,
  "completeness": "connection"}');
create function tests.refusal(p_field text, p_fields jsonb) returns text language plpgsql as $$
begin
  perform declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
    "page_size": 50}'::jsonb || p_fields);
  return 'taken';
exception when others then
  return case when sqlstate = 'SY006' then sqlerrm else 'raised ' || sqlerrm end;
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
('order_path', '"date"'), ('order_path', '[]'), ('order_path', '[-1]'),
('order_type', '"text"'), ('order_type', '"time"'),
('order_direction', '"up"'), ('order_direction', '1'), ('order_is_unique', '"yes"'),
('order_is_unique', 'true'), ('order_moves', '"back"'),
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
('warn_function', '"public.nothing"'),
('path', '"/{page"'), ('path', '"/a}"'), ('path', '"/{nobody}"'), ('path', '"/{parent}"'),
('path', '"/{page|a}"'), ('path', '"/{page|[1]}"'), ('path', '"/{page|null}"'),
('path', '"/{parent.id}"'), ('path', '"/{since}"'), ('path', '"/{page}/{offset}"'),
('item_path', '"/people/{id}/{page}"'), ('item_path', '"/{parent.id}/people/{id}"'),
('item_path', '"/people/{id|x}"'),
('method', '"PUT"'), ('method', '"get"'), ('method', 'true'),
('params', '{"id": "{id}"}'), ('params', '{"a": "{page}", "b": "{last}"}'),
('params', '{"{page}": 1}'), ('params', '{"page": 1}'), ('params', '{"key": "a"}'),
('params', '{"q": "{viewer}"}'), ('params', '{"q": "{since|\"2020\"}"}'),
('params', '{"from": "{last|}"}'),
('headers', '["a"]'), ('headers', '{"X-A": 1}'), ('headers', '{"X A": "a"}'),
('headers', '{"X-A": "a\r\nHost: b"}'), ('headers', '{"X-A": "é"}'), ('headers', '{"X-A": ""}'),
('headers', '{"X-A": "a", "x-a": "b"}'), ('headers', '{"Host": "other.example"}'),
('headers', '{"content-length": "1"}'), ('headers', '{"Authorization": "Bearer a"}'),
('headers', '{"accept": "a/b"}'), ('headers', '{"If-None-Match": "a"}'),
('headers', '{"X-A": "{nobody}"}'), ('headers', '{"Cookie": "a=b"}'),
('body', '[]'), ('body', '"a"'), ('body', '{}'),
('first_page', '2'), ('first_page', '-1'), ('first_page', '"0"'),
('next_path', '"next"'), ('next_path', '[]'), ('next_path', '["next"]'),
('next_is', '"page"'), ('next_is', 'true'),
('last_path', '"id"'), ('last_path', '["id"]'),
('cursor_is', '"offset"'), ('cursor_is', '"keyset"'), ('cursor_is', 'true'),
('overlap', '0'), ('overlap', '10'), ('overlap', '"1"'),
('more_path', '"more"'), ('more_path', '[]'), ('more_is', '[]'), ('more_is', 'false'),
('next_absent_ends', '"yes"'), ('next_absent_ends', 'true'), ('short_page_ends', '1'),
('time_format', '"rfc"'), ('time_format', '"epoch"'),
('result_cap', '0'), ('result_cap', '"10000"'), ('result_cap', '49'),
('deleted_when', '"deleted"'), ('deleted_when', '{}'), ('deleted_when', '{"status": null}'),
('deleted_when', '{"status": ["a"]}'),
('fan_out', '"some"'), ('fan_out', '"changed"'), ('id_scope', '"source"'),
('id_scope', '"parent"'), ('parent_stream', '"me"'), ('parent_stream', '"people"'),
('since_format', '"rfc"'), ('since_format', '"epoch"'), ('since_overlap', '-1'),
('since_overlap', '5'), ('since_overlap', '"1 day"'),
('class_rules', '[{"text": "a"}]'), ('class_rules', '{}'),
('conditional', '"yes"'), ('conditional', '1'),
('columns', '[]'), ('columns', '{}'), ('columns', '{"a": "varchar"}'), ('columns', '{"A": "text"}'),
('columns', '{"raw": "jsonb"}'), ('columns', '{"id": "bigint"}'), ('columns', '{"xmin": "text"}'),
('columns', '{"a": {"path": ["a"]}}'), ('columns', '{"a": {"type": "text", "format": "epoch"}}'),
('columns', '{"a": {"type": "date", "format": "rfc"}}'), ('columns', '{"a": 1}'),
('columns', '{"a": {"type": "text", "path": "a"}}'), ('columns', '{"a": {"type": "text", "b": 1}}'),
('columns', jsonb_build_object(repeat('x', 64), 'text')), ('columns', '{"a b": "text"}'),
('stream_name', '"{page}"'), ('cursor_param', '"{next}"'), ('total_path', '["{page}"]');
insert into tests.wrong values
('id_type', '"text"', '{"completeness": "feed"}'),
('completeness', '"counted"', '{"next_is": "link_header"}'),
('order_path', '["id"]', '{"completeness": "single"}'),
('order_moves', '"forward"', '{"order_direction": "asc", "order_path": ["n"]}'),
('next_path', 'null', '{"next_is": "url"}'),
('completeness', '"chained"', '{}'), ('completeness', '"agreed"', '{}'),
('completeness', '"chained"', '{"params": {"p": "{page}"}}'),
('completeness', '"counted"', '{"params": {"c": "{next}"}, "next_path": ["next"]}'),
('page_param', '"p"', '{"completeness": "agreed", "params": {"p": "{page}"}}'),
('next_path', 'null', '{"completeness": "agreed", "params": {"c": "{next}"}}'),
('params', '{"c": "{next}"}',
  '{"completeness": "agreed", "next_is": "url", "next_path": ["next"]}'),
('next_path', '["next"]', '{"completeness": "agreed", "next_is": "link_header"}'),
('order_path', 'null', '{"completeness": "chained", "params": {"a": "{last}"}}'),
('cursor_is', 'null', '{"completeness": "chained", "params": {"a": "{next}"},
  "next_path": ["next"], "order_path": ["id"]}'),
('cursor_is', 'null', '{"completeness": "chained", "next_is": "link_header",
  "order_path": ["id"]}'),
('last_path', '["date"]', '{"completeness": "chained", "params": {"a": "{last}"},
  "order_path": ["date"]}'),
('last_path', '["date"]', '{"completeness": "chained", "params": {"a": "{last}"},
  "order_path": ["id"], "order_is_unique": true}'),
('last_path', '["date"]', '{"completeness": "chained", "params": {"a": "{next}"},
  "next_path": ["next"], "order_path": ["date"]}'),
('last_path', '["date"]', '{"completeness": "agreed", "params": {"a": "{next}"},
  "next_path": ["next"]}'),
('first_page', '0', '{"completeness": "feed", "last_page_path": ["last"], "cursor_params": {},
  "next_cursor_path": ["next"]}'),
('overlap', '50', '{"completeness": "chained", "params": {"a": "{offset}"},
  "order_path": ["id"]}'),
('page_size', '1', '{"completeness": "chained", "params": {"a": "{offset}"},
  "order_path": ["id"]}'),
('order_direction', '"asc"', '{"completeness": "feed"}'),
('order_direction', '"desc"', '{"completeness": "chained", "params": {"a": "{last}"},
  "order_path": ["updated"], "updated_at_path": ["updated"], "order_type": "time"}'),
('order_direction', '"desc"', '{"completeness": "chained", "params": {"a": "{last}"},
  "order_path": ["n"], "order_moves": "forward"}'),
('order_moves', '"forward"', '{"completeness": "agreed", "params": {"a": "{page}"},
  "order_path": ["n"], "order_direction": "asc"}'),
('order_moves', '"forward"', '{"order_direction": "asc"}'),
('params', '{"since": "{since|0}", "p": "{page}"}', '{"completeness": "agreed"}'),
('params', '{"since": "{since|0}"}',
  '{"completeness": "feed", "updated_at_path": ["updated_at"]}'),
('params', '{"p": "{page}"}', '{"completeness": "single"}'),
('body', '{"a": [{"{page}": 1}]}', '{"method": "POST"}'),
('body', '{"a": ["{page}", "{offset}"]}', '{"method": "POST"}'),
('body', jsonb_build_object('a', repeat('x', 20001)), '{"method": "POST"}'),
('conditional', 'true', '{"method": "POST"}'),
('conditional', 'true', '{"completeness": "agreed", "updated_at_path": ["u"],
  "params": {"p": "{page}", "since": "{since|0}"}}'),
('result_cap', '1000', '{"completeness": "feed"}'),
('deleted_when', '{"status": "deleted"}', '{"completeness": "feed"}'),
('drop_paths', '[["status"]]', '{"deleted_when": {"status": "deleted"}}'),
('drop_paths', '[["made"]]', '{"completeness": "chained", "order_path": ["made", "at"],
  "params": {"offset": "{offset}"}}'),
('parent_stream', '"x"', '{"completeness": "feed", "path": "/{parent.id}"}'),
('parent_stream', '"x"', '{"path": "/a/{parent.id}"}'),
('parent_stream', '"me"', '{"path": "/a/{parent.id}"}'),
('overlap_pages', '1', '{}'), ('next_is', '"url"', '{"completeness": "single"}'),
('cursor_params', '{}', '{"next_cursor_path": ["n"], "params": {"a": "{offset}"}}'),
('cursor_param', '"mode"', '{"next_cursor_path": ["n"], "cursor_params": {"mode": "cursor"}}'),
('deep_page_limit', '5', '{"params": {"a": "{offset}"}}'),
('next_cursor_path', 'null', '{"cursor_params": {}, "completeness": "feed"}');

-- What a program may make of a number, a name or a long list.
insert into tests.wrong (field, given) values
('page_size', '50.0'), ('page_size', '1e131000'), ('first_page', '1.0'), ('timeout_ms', '100.0'),
('stream_name', '" people"'), ('stream_name', '"people "'), ('stream_name', '"\u00a0"'),
('stream_name', '"a\u3000b"'), ('parent_stream', '" "'),
('params', jsonb_build_object('a', repeat('x', 100001))), ('params', '{"a": 1e100001}'),
('deleted_when', jsonb_build_object('a', repeat('x', 100001))),
('records_path', jsonb_build_array(repeat('x', 100001))),
('class_rules', (select jsonb_agg('{"text": "too many", "class": "transient"}'::jsonb)
  from generate_series(1, 3000))),
('headers', (select jsonb_object_agg('X-' || n, 'a') from generate_series(1, 10000) as n)),
-- Templates that are not closed, or have no value in the first request.
('params', '{"p": "{page"}'), ('params', '{"p": "{page|{\"a\": 1}}"}'), ('params', '{"p": "{é}"}'),
('params', '{"q": "a {b {c"}'),
('params', '{"a": 1}'), ('columns', '{"token": "text"}'),
('columns', '{"t": {"path": ["a", "b"], "type": "text"}}'),
('deep_page_limit', '5'), ('cursor_params', '{"by": "cursor"}');
update tests.wrong set besides = '{"completeness": "connection"}'
where (field, given) = ('params', '{"a": 1}');
update tests.wrong set besides = '{"drop_paths": [["token"], ["a"]]}'
where field = 'columns' and given in ('{"token": "text"}',
  '{"t": {"path": ["a", "b"], "type": "text"}}');
update tests.wrong set besides = '{"next_cursor_path": ["next"]}'
where (field, given) = ('cursor_params', '{"by": "cursor"}');
insert into tests.wrong values
('path', '"/a/{next}"', '{"completeness": "agreed", "next_path": ["n"]}'),
('path', '"/a/{last}"', '{"completeness": "agreed"}'),
('path', '"/a/{last|\"\"}"', '{"completeness": "agreed"}'),
('path', '"/a/{last|\"..\"}"', '{"completeness": "agreed"}'),
('path', '"/a/{since}"', '{"updated_at_path": ["u"]}'),
('path', '"/a/{since|0}"', '{"updated_at_path": ["u"], "completeness": "agreed",
  "params": {"n": "{next}"}, "next_path": ["n"]}'),
('headers', '{"X-After": "{last}"}', '{"completeness": "agreed"}'),
('headers', '{"X-After": "{last|\"é\"}"}', '{"completeness": "agreed"}'),
('headers', '{"X-After": "{last|\"a\\r\\nb\"}"}', '{"completeness": "agreed"}'),
('headers', '{"X-Page": "{page}"}', '{"completeness": "agreed", "item_path": "/a/{id}"}'),
('headers', '{"X-Size": "{size}"}', '{"completeness": "connection"}'),
('path', '"/me/{size}"', '{"completeness": "connection"}'),
('params', '{"a": 1}', '{"completeness": "items", "parent_stream": "x", "item_path": "/a/{id}"}'),
('method', '"POST"', '{"completeness": "connection"}'),
('body', jsonb_build_object('a', (repeat('[', 60) || repeat(']', 60))::jsonb),
  '{"method": "POST"}'),
('body', jsonb_build_object('a', (repeat('[', 4000) || repeat(']', 4000))::jsonb),
  '{"method": "POST"}'),
('order_type', '"text"', '{"completeness": "feed", "order_path": ["n"]}'),
('close_function', '"pg_catalog.pg_advisory_lock"', '{}'),
('close_function', '"tests.closes"', '{}'),
('apply_function', '"sync.apply_sender_emails"', '{}');
create procedure tests.closes(bigint) language sql as 'select 1';

select ok(said like format('stream %%: %s is %%; it takes %%', field)
  and said !~ '_check|constraint|invalid input|out of range' and length(said) < 1000
  and strpos(said, E'\n') = 0,
  format('%s as %s is refused, in one line that names it', field, left(given::text, 60)))
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
