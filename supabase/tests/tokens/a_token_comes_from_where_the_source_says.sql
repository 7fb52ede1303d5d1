begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(24);

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
select throws_ok(format($$select tests.source(jsonb_build_object('auth', 'oauth2_client',
  'token_url', '/oauth/token', 'token_params', jsonb_build_object(%L, 'x')))$$, name), 'SY006', null,
  name || ' is not to be declared')
from unnest('{grant_type, GRANT_TYPE,refresh_token,password,code,assertion,
  client_assertion}'::text[]) as name;
select throws_ok($$select tests.source('{"token_auth": "basic"}')$$, 'SY006', null,
  'without OAuth2 there is no token request');
select throws_ok($$select tests.source('{"auth": "oauth2_client", "token_url": "/oauth/token",
  "token_auth": "header"}')$$, 'SY006', null, 'token_auth is form or basic');
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

-- By HTTP Basic: both parts are encoded as in a form first.
select tests.source('{"auth": "oauth2_refresh", "token_url": "/oauth/token",
  "token_auth": "basic"}');
select register_workspace('zen', 'https://zen.example', '{"client_id": "planted client",
  "client_secret": "planted:s/cret", "refresh_token": "planted-refresh"}', 'crm');
select start_sync_job('test 2', '{people}', '{zen}');
create temporary table basic as select l from tests.leases(10) as l
where l ->> 'workspace' = 'zen';
select is(tests.sent(l), 'POST https://zen.example/oauth/token grant_type=refresh_token '
  'header:Authorization=Basic '
  || encode(convert_to('planted%20client:planted%3As%2Fcret', 'UTF8'), 'base64')
  || ' form:refresh_token=planted-refresh', 'a client may say who it is by HTTP Basic') from basic;
select is(fail_chunk_job_safe((l ->> 'queue_id')::bigint, (l ->> 'lease_token')::bigint,
  'transient', 'HTTP 500: no ' || (select replace(c ->> 'value', 'Basic ', '')
    from jsonb_array_elements(l -> 'credentials') as c where c ->> 'in' = 'header')) ->> 'outcome',
  'retry', 'which an endpoint may repeat') from basic;
select is_empty($$select 1 from sync.token_requests where error_message like '%cGxhbnRlZ%'$$,
  'and nobody keeps');

select * from finish();
rollback;
