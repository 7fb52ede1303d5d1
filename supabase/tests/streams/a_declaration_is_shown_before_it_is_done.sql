begin;
\ir ../support/setup.psql
select plan(14);

create function tests.crm(p_page_size int, p_more text default '{}') returns jsonb
language sql as $$
  select jsonb_build_object('about', '{"made_from": "a page"}'::jsonb,
    'source', '{"source_name": "crm", "base_path": "/v1"}'::jsonb,
    'streams', jsonb_build_array(
      jsonb_build_object('stream_name', 'people', 'path', '/people', 'page_size', p_page_size)
        || p_more::jsonb,
      '{"stream_name": "firms", "path": "/firms", "page_size": 10}'::jsonb));
$$;
create function tests.changes(p_answer jsonb) returns table (what text, name text, is_new boolean,
  fields jsonb)
language sql as $$
  select c ->> 'what', c ->> 'name', (c ->> 'is_new')::boolean, c -> 'fields'
  from jsonb_array_elements(p_answer -> 'changes') as c;
$$;

select results_eq($$select * from tests.changes(apply_declaration(tests.crm(50), true))$$, $$
  values ('source', 'crm', true,
      '[{"field": "base_path", "old": null, "new": "/v1"}]'::jsonb),
    ('stream', 'people', true, '[{"field": "path", "old": null, "new": "/people"},
      {"field": "page_size", "old": null, "new": 50}]'),
    ('stream', 'firms', true, '[{"field": "path", "old": null, "new": "/firms"},
      {"field": "page_size", "old": null, "new": 10}]')
$$, 'a trial names what is new with what was given');
select is_empty($$select from sync_sources where source_name = 'crm'$$, 'a trial leaves nothing');

select is(apply_declaration(tests.crm(50)) ->> 'is_applied', 'true', 'without a trial it is done');
select results_eq($$
  select stream_name, page_size from sync_streams join sync_sources as so on so.id = source_id
  where source_name = 'crm' order by stream_name
$$, $$values ('firms', 10), ('people', 50)$$, 'the streams are declared');
select is(apply_declaration(tests.crm(50)) -> 'changes', '[]'::jsonb, 'again nothing changes');
select is((select sum(revision) from sync_streams join sync_sources as so on so.id = source_id
  where source_name = 'crm'), 2::bigint, 'and no stream has another revision');

select results_eq($$
  select * from tests.changes(apply_declaration(tests.crm(60, '{"id_type": "text"}'), true))
$$, $$
  values ('stream', 'people', false, '[{"field": "page_size", "old": 50, "new": 60},
    {"field": "id_type", "old": "integer", "new": "text"}]'::jsonb)
$$, 'a change is told field by field');
select is((select page_size from sync_streams where stream_name = 'people'), 50,
  'the row is as it was');
select is(apply_declaration('{"source": {"source_name": "crm"}, "streams": []}', true)
  -> 'untouched', '["firms", "people"]'::jsonb, 'streams that are not named are told');

select throws_ok($$select apply_declaration(tests.crm(0))$$, 'SY006', null,
  'a stream that is refused');
select is((select page_size from sync_streams where stream_name = 'firms'), 10,
  'refuses the whole declaration');
select throws_ok($$select apply_declaration('{"source": {"source_name": "crm"}}')$$, 'SY006', null,
  'streams that are missing');
select throws_ok($$
  select apply_declaration('{"source": {"source_name": "crm"}, "streams": [], "stream": {}}')
$$, 'SY006', null, 'a part that is unknown');
select throws_ok($$
  select apply_declaration('{"source": {"source_name": "crm"}, "streams": [
    {"stream_name": "a", "path": "/a", "page_size": 1},
    {"stream_name": "a", "path": "/b", "page_size": 1}]}')
$$, 'SY006', null, 'a stream that stands there twice');

select * from finish();
rollback;
