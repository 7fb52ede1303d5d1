begin;
\ir ../support/setup.psql
select plan(46);

create function tests.refusal(p_given jsonb) returns text language plpgsql as $$
begin
  perform declare_source('{"source_name": "crm"}'::jsonb || p_given);
  return 'taken';
exception when sqlstate 'SY006' then
  return sqlerrm;
end; $$;
create table tests.wrong (field text, given jsonb);
insert into tests.wrong values
('source_name', '""'), ('source_name', '7'), ('source_name', '"a\u0007b"'),
('source_name', to_jsonb(repeat('x', 6000))),
('base_path', '"api"'), ('base_path', '"/api/"'), ('base_path', '"/a/../b"'),
('base_path', '"/a/%2e%2E"'), ('base_path', '"//other.example"'), ('base_path', '"/a?b=c"'),
('base_path', '"/a#b"'), ('base_path', '"/a\r\nb"'), ('base_path', '"https://other.example"'),
('base_path', '"/a b"'), ('base_path', '"/a\\b"'), ('base_path', '"/%zz"'), ('base_path', '["/a"]'),
('auth_in', '"cookie"'), ('auth_in', 'true'),
('auth_name', '""'), ('auth_name', '"X Key"'), ('auth_name', '"X-Key\r\nHost"'),
('auth_name', '"Host"'), ('auth_name', '"content-length"'),
('auth_prefix', '"a\nb"'), ('auth_prefix', '1'),
('budget_scope', '"host"'), ('budget_scope', '{}'),
('requests_per_second', '"fast"'), ('requests_per_second', '0'), ('requests_per_second', '1e9'),
('max_in_flight', '"many"'), ('max_in_flight', '0'), ('max_in_flight', '1.5'),
('max_in_flight', '99999999999'),
('status_classes', '{"4xx": "ignore"}'), ('status_classes', '[]'),
('status_classes', '{"404": null}'),
('success_path', '"success"'), ('success_path', '[]'),
('message_path', '[["message"]]'), ('message_path', '{"a": 1}'),
('class_rules', '[{"text": "x", "class": "rate_limited"}]'), ('class_rules', '{}');

select ok(strpos(tests.refusal(jsonb_build_object(field, given)), ': ' || field || ' is ') > 0
  and tests.refusal(jsonb_build_object(field, given)) !~ '_check|constraint|invalid input'
  and length(tests.refusal(jsonb_build_object(field, given))) < 600
  and strpos(tests.refusal(jsonb_build_object(field, given)), E'\n') = 0,
  format('%s as %s is refused, in one line that names it', field, left(given::text, 30)))
from tests.wrong;
select set_eq($$select field from sync.declared_fields('source')$$,
  $$select attname::text from pg_catalog.pg_attribute
  where attrelid = 'public.sync_sources'::regclass and attnum > 0 and not attisdropped
    and attname <> all ('{id,paused_at,created_at}')$$,
  'what can be declared are the columns of a source');
select is_empty($$select field from sync.declared_fields('source')
  where field not in (select field from tests.wrong)$$, 'every field was tried');

select * from finish();
rollback;
