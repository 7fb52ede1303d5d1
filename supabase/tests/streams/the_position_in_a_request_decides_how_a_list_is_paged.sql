begin;
\ir ../support/setup.psql
select plan(21);

create function tests.position(p_fields jsonb) returns text language sql as $$
  select sync.position_of(jsonb_populate_record(null::public.sync_streams, '{"path": "/a",
    "params": {}, "headers": {}, "completeness": "agreed", "next_is": "token"}'::jsonb
    || p_fields));
$$;
select is(tests.position(fields::jsonb), position, fields || ': ' || position)
from (values
  ('{"params": {"p": "{page}"}}', 'page'),
  ('{"path": "/a/{page|1}"}', 'page'),
  ('{"params": {"limit": "{size}", "from": "{offset}"}}', 'offset'),
  ('{"body": {"filters": [{"id": {"gt": "{last|0}"}}]}}', 'last'),
  ('{"headers": {"X-Cursor": "c={next}"}}', 'next'),
  ('{"next_is": "url", "next_path": ["next"]}', 'url'),
  ('{"next_is": "link_header"}', 'link'),
  ('{"completeness": "counted"}', 'page'),
  ('{"completeness": "feed"}', 'page'),
  ('{"completeness": "counted", "params": {"from": "{offset}"}}', 'offset'),
  ('{"params": {"limit": "{size}", "since": "{since|0}", "a": "{parent.last}"}}', 'none'),
  ('{"params": {"q": "{ page }"}}', 'none'),
  ('{"completeness": "single"}', 'none')
) as t (fields, position);

select results_eq($$select said, name, path, flaw from sync.templates_in(
  'a{page}b{last|0}{since|"2020-01-01"}{parent.parent.id}{ x }{nobody}{id|[1]}{parent}')$$,
  $$values ('{page}', 'page', '{}'::text[], null::text),
    ('{last|0}', 'last', '{}', null),
    ('{since|"2020-01-01"}', 'since', '{}', null),
    ('{parent.parent.id}', 'parent', '{parent,id}', null),
    ('{nobody}', 'nobody', '{}', 'name'),
    ('{id|[1]}', 'id', '{}', 'default'),
    ('{parent}', 'parent', '{}', 'name')$$, 'templates are read in one place');
select results_eq($$select said, flaw from sync.templates_in(
  '{page {last|{"a": 1}} {size} {é} {{page}}')$$,
  $$values ('{size}', null::text), ('{page}', null), ('{page ', 'name'), ('{last|', 'name'),
    ('{é', 'name')$$, 'what begins as a template is one or has a flaw');
select is_empty($$select * from sync.templates_in('{"a": 1} { page } {} {1}')$$,
  'a brace that no letter follows is text');
create function tests.has(p_name text) returns boolean language sql as $$
  select sync.has_template(jsonb_populate_record(null::public.sync_streams, '{"path": "/a",
    "params": {"from": "{since|0}", "of": "{parent.id}"}, "body": {"n": ["{size}"]}}'), p_name);
$$;
select is(tests.has(name), has, format('{%s}: %s', name, has))
from (values ('since', true), ('parent', true), ('size', true), ('page', false), ('id', false))
  as t (name, has);

select * from finish();
rollback;
