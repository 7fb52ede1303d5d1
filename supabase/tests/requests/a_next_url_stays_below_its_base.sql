begin;
\ir ../support/setup.psql
select plan(32);

select declare_source('{"source_name": "crm", "base_path": "/v2", "auth_in": "query",
  "auth_name": "api_key", "auth_prefix": ""}');
create function tests.next_url(p_text text) returns text language sql as $$
  select sync.next_url('https://crm.example', p_text, so, 'https://crm.example/v2/a/b?page=1')
  from public.sync_sources as so where source_name = 'crm';
$$;

select is(tests.next_url(given), wanted, format('%s is taken', given)) from (values
  ('https://crm.example/v2/a?page=2', 'https://crm.example/v2/a?page=2'),
  ('HTTPS://CRM.example.:443/v2/a?page=2#x', 'https://crm.example/v2/a?page=2'),
  ('/v2/c?page=2', 'https://crm.example/v2/c?page=2'),
  ('?page=2', 'https://crm.example/v2/a/b?page=2'),
  ('c?page=2', 'https://crm.example/v2/a/c?page=2'),
  ('//crm.example/v2/a', 'https://crm.example/v2/a'),
  ('https://crm.example/v2', 'https://crm.example/v2'),
  ('/v2/a?q=ä b', 'https://crm.example/v2/a?q=%C3%A4%20b'),
  ('/v2/a?cursor=a%2Fb%3D&x=1', 'https://crm.example/v2/a?cursor=a%2Fb%3D&x=1'),
  ('/v2/a?api_key=7%7Ckey&page=2', 'https://crm.example/v2/a?page=2'),
  ('/v2/a?page=2&API%5Fkey=7&z', 'https://crm.example/v2/a?page=2&z'),
  ('/v2/a?api_key=7', 'https://crm.example/v2/a')) as t (given, wanted);

select throws_ok(format('select tests.next_url(%L)', given), 'SY010', null,
  format('%s is refused', left(given, 40)))
from unnest(array['', ' ', 'http://crm.example/v2/a', 'https://evil.example/v2/a',
  'https://crm.example:8443/v2/a', 'https://crm.example@evil.example/v2/a', '//evil.example/v2/a',
  'https://crm.example/v1/a', 'https://crm.example/v2x', '/v2/../admin', '/v2/%2e%2e/admin',
  '../../x', '/v2/..%2fadmin', e'/v2/a\r\nX: 1', '/v2/\..\admin', 'javascript:alert(1)',
  'ftp://crm.example/v2/a',
  'https://127.0.0.1/v2/a', 'https://crm.example.evil/v2/a', '/v2/' || repeat('a', 4100)]) as given;

select * from finish();
rollback;
