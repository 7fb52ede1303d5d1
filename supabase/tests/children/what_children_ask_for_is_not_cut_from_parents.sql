begin;
\ir ../support/setup.psql
select plan(6);

select declare_source('{"source_name": "crm"}');
create function tests.refusal(p_name text, p_more jsonb) returns text language plpgsql as $$
begin
  perform declare_stream(jsonb_build_object('source_name', 'crm', 'stream_name', p_name, 'path',
    '/' || p_name, 'page_size', 2) || p_more);
  return 'taken';
exception when sqlstate 'SY006' then
  return sqlerrm;
end; $$;
select tests.refusal('firms', '{"drop_paths": [["token"], ["links", "next"]]}');
select ok(tests.refusal('people', jsonb_build_object('parent_stream', 'firms') || more) like
  format('stream "people": %s is %%; it takes %%', field), field || ' takes what the parents keep')
from (values
  ('path', '{"path": "/firms/{parent.token}/people"}'::jsonb),
  ('params', '{"params": {"of": "{parent.links.next.id}"}}')) as w (field, more);
select is(tests.refusal('people', '{"parent_stream": "firms",
  "path": "/firms/{parent.id}/{parent.links.last}"}'), 'taken', 'what is kept may be asked for');
select ok(tests.refusal('firms', '{"drop_paths": [["links"]]}') like
  'stream "firms": drop_paths is %; it takes % {parent.links.last}%people%',
  'what children ask for is not cut later');
select is(tests.refusal('firms', '{"drop_paths": [["links", "first"]]}'), 'taken',
  'other fields may be');
select is((select drop_paths from sync_streams where stream_name = 'firms'),
  '[["links", "first"]]', 'and are');

select * from finish();
rollback;
