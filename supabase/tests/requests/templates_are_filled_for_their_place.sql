begin;
\ir ../support/setup.psql
select plan(31);

create table tests.given as select '{"page": 3, "offset": 200, "size": 100, "last": 17,
  "next": null, "id": "a/ü", "parent": {"id": 7, "key": {"a": 1}}}'::jsonb as given;

select is(sync.filled_text(template, given), wanted::jsonb, format('%s is %s', template, wanted))
from tests.given, (values
  ('plain', '"plain"'), ('{size}', '100'), ('{id}', '"a/ü"'), ('{parent.id}', '7'),
  ('{parent.key}', '{"a": 1}'), ('page {page} of {size}', '"page 3 of 100"'),
  ('{next}', null), ('after {next}', null), ('{next|"first"}', '"first"'), ('{next|0}', '0'),
  ('{last|0}', '17'), ('{next|}', null), ('{parent.name|"none"}', '"none"'),
  ('{unknown}', '"{unknown}"'), ('{', '"{"'), ('', '""')) as t (template, wanted);

select is(sync.filled_json('{"limit": "{size}", "after": "{next}", "plain": [1, true, null],
    "filters": [{"id": {"gt": "{next}", "lt": "{last}"}}], "ids": ["{next}", 1]}', given),
  '{"limit": 100, "plain": [1, true, null], "filters": [{"id": {"lt": 17}}]}',
  'without a value the innermost property is left out, of a list the list''s')
from tests.given;
select is(sync.filled_json('{"a": "{last}", "b": "x{last}"}', '{"last": "{size}", "size": 5}'),
  '{"a": "{size}", "b": "x{size}"}', 'templates in data are data');
select is(sync.filled_path('/x/{parent.id}/{id}', given), '/x/7/a%2F%C3%BC',
  'in a path a value is part of one segment') from tests.given;
select is(sync.filled_headers('{"X-After": " {last} "}', given), '{"X-After": "17"}', 'a header')
from tests.given;

select throws_ok(format('select sync.filled_path(%L, %L)', '/x/{id}/y',
  jsonb_strip_nulls(jsonb_build_object('id', id))), 'SY022', null,
  format('no path has %s', coalesce(id::text, 'nothing')))
from unnest(array['null', '""', '".."', '"."', '"../admin"', '"a\\..\\b"', '[1]']::jsonb[]) as id;
select throws_ok($$select sync.filled_path('/x/.{id}', '{"id": "."}')$$, 'SY022', null,
  'nor one that two parts make');
select throws_ok(format('select sync.filled_headers(%L, %L)', '{"X-After": "{id}"}',
  jsonb_strip_nulls(jsonb_build_object('id', id))), 'SY022', null,
  format('no header has %s', coalesce(id::text, 'nothing')))
from unnest(array[null, to_jsonb(e'a\r\nX-Evil: 1'::text), to_jsonb('ü'::text)]) as id;

select * from finish();
rollback;
