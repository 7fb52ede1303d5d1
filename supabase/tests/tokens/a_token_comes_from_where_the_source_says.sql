begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(12);

create function tests.source(p_fields jsonb) returns jsonb language sql as $$
  select declare_source('{"source_name": "crm"}'::jsonb || p_fields);
$$;
select throws_ok($$select tests.source('{"auth": "oauth2_client"}')$$, 'SY006', null,
  'OAuth2 takes a token endpoint');
select throws_ok($$select tests.source('{"token_url": "/oauth/token"}')$$, 'SY006', null,
  'nothing else does');
select throws_ok(format($$
  select tests.source(jsonb_build_object('auth', 'oauth2_client', 'token_url', %L))$$, u), 'SY006', null, u || ' is none')
from unnest('{http://auth.example/token,https://10.0.0.1/token,https://auth.internal/token,
  https://auth.example/token?a=b,/oauth/../token}'::text[]) as u;
select throws_ok($$select tests.source('{"auth": "oauth2_client", "token_url": "/oauth/token",
  "token_params": {"client_secret": "x"}}')$$, 'SY006', null, 'no secret stands in a declaration');
select throws_ok($$select tests.source('{"auth": "basic", "auth_name": "X-Key"}')$$, 'SY006', null,
  'basic auth has its own header');

select tests.source('{"auth": "oauth2_client", "token_url": "https://login.example/token",
  "auth_in": "query", "auth_name": "access_token", "auth_prefix": "", "budget_scope": "key"}');
select register_workspace('acme', 'https://acme.example', '{"client_id": "planted-client",
  "client_secret": "planted-secret"}', 'crm');
select start_sync_job('test', '{people}', '{acme}');
select is(tests.step(), 'POST https://login.example/token grant_type=client_credentials '
  'form:client_id=planted-client form:client_secret=planted-secret -> completed',
  'client credentials go to another host, if the source names one');
select is((select b.scope_key from sync.token_requests as r
  join sync_budgets as b on b.id = r.budget_id), 'login.example', 'on a budget of that host');
select is(tests.step(), 'GET https://acme.example/people page=1 '
  'query:access_token=planted-access-1 -> completed', 'and the token where the source wants it');

select * from finish();
rollback;
