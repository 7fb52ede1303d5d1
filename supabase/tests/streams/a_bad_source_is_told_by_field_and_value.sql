begin;
\ir ../support/setup.psql
select plan(100);

create function tests.refusal(p_given jsonb) returns text language plpgsql as $$
begin
  perform declare_source('{"source_name": "crm"}'::jsonb || p_given);
  return 'taken';
exception when others then
  return case when sqlstate = 'SY006' then sqlerrm else 'raised ' || sqlerrm end;
end; $$;
create table tests.wrong (field text, given jsonb, besides jsonb default '{}');
insert into tests.wrong (field, given) values
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
('status_classes', '{"404": null}'), ('status_classes', '{"200": "permanent"}'),
('status_classes', '{"2xx": "permanent", "200": "page"}'),
('status_classes', '{"2xx": "transient"}'),
('success_path', '"success"'), ('success_path', '[]'),
('message_path', '[["message"]]'), ('message_path', '{"a": 1}'),
('class_rules', '[{"text": "x", "class": "rate_limited"}]'), ('class_rules', '{}'),
('class_rules', '[{"text": "Too many", "class": "stop"}]'),
('class_rules', '[{"text": "Too many", "header": "x", "class": "transient"}]'),
('class_rules', '[{"header": "x-left", "class": "rate_limited"}]'),
('class_rules', '[{"header": "x-left", "is": 0, "class": "rate_limited"}]'),
('class_rules', '[{"path": "success", "is": false, "class": "transient"}]'),
('class_rules', '[{"path": ["success"], "is": null, "class": "transient"}]'),
('class_rules', '[{"status": [200], "text": "Too many", "class": "transient"}]'),
('class_rules', '[{"status": 99, "text": "Too many", "class": "transient"}]'),
('class_rules', '["Too many"]'),
('auth', '"digest"'), ('auth', '["key"]'), ('auth', '7'),
('auth_name', '"{page}"'), ('auth_prefix', '"{since|0}"'),
('token_url', '"oauth/token"'), ('token_url', '"http://auth.example/token"'),
('token_url', '"https://auth.example/token?a=b"'), ('token_url', '"https://me@auth.example/"'),
('token_url', '"/a/../token"'), ('token_url', '"https://auth.example/a/../b"'),
('token_url', '"https://auth.example/a//b"'), ('token_url', '"https://auth.example/%zz"'),
('token_url', '"https://auth.example/\\a"'), ('auth_prefix', '"Bearér "'),
('max_in_flight', '3.0'), ('source_name', '" crm"'), ('source_name', '"\u00a0"'),
('token_params', jsonb_build_object('a', repeat('x', 100001))),
 ('token_url', '{}'), ('token_url', '"/oauth/token"'),
('token_auth', '"header"'), ('token_auth', '"basic"'),
('token_params', '[]'), ('token_params', '{"scope": ["a"]}'), ('token_params', '{"scope": "a"}'),
('reset_header', '"x-reset"'), ('reset_header', '{"name": "x reset", "is": "epoch"}'),
('reset_header', '{"name": "x-reset"}'), ('reset_header', '{"name": "x-reset", "is": "soon"}'),
('reset_header', '{"name": 7, "is": "date"}'),
('reset_header', '{"name": "x-reset", "is": "date", "of": 1}'),
('retry_after_path', '"retry"'), ('retry_after_path', '[]'), ('retry_after_path', '{}');
insert into tests.wrong values
('token_url', 'null', '{"auth": "oauth2_client"}'),
('token_params', '{"client_id": "a"}', '{"auth": "oauth2_refresh", "token_url": "/token"}'),
('auth_in', '"query"', '{"auth": "basic"}'),
('auth_name', '"X-Api-Key"', '{"auth": "none"}');

select ok(said like format('source "%%": %s is %%', field)
  and said !~ '_check|constraint|invalid input' and length(said) < 1000
  and strpos(said, E'\n') = 0,
  format('%s as %s is refused, in one line that names it', field, left(given::text, 60)))
from (
  select field, given, tests.refusal(besides || jsonb_build_object(field, given)) as said
  from tests.wrong where field <> 'source_name') as w;
select ok(said like 'source %: source_name is %' and strpos(said, E'\n') = 0,
  format('source_name as %s is refused', left(given::text, 30)))
from (select given, tests.refusal(jsonb_build_object(field, given)) as said
  from tests.wrong where field = 'source_name') as w;
select is(tests.refusal(given::jsonb), 'taken', given || ' is taken')
from unnest(array[
  '{"auth": "oauth2_client", "token_url": "https://auth.example/token"}',
  '{"auth": "basic"}',
  '{"class_rules": [{"status": 403, "header": "x-left", "is": "0", "class": "rate_limited"},
    {"status": 200, "path": ["success"], "is": false, "class": "transient"}],
    "reset_header": {"name": "x-reset", "is": "epoch"}, "retry_after_path": ["retry_after"]}'
]) as given;
select set_eq($$select field from sync.declared_fields('source')$$,
  $$select attname::text from pg_catalog.pg_attribute
  where attrelid = 'public.sync_sources'::regclass and attnum > 0 and not attisdropped
    and attname <> all ('{id,paused_at,created_at}')$$,
  'what can be declared are the columns of a source');
select is_empty($$select field from sync.declared_fields('source')
  where field not in (select field from tests.wrong)$$, 'every field was tried');

select * from finish();
rollback;
