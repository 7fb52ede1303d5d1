begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(18);

create function tests.register(p_auth text, p_secret text) returns jsonb language plpgsql as $$
begin
  perform public.declare_source(jsonb_build_object('source_name', 'crm', 'auth', p_auth)
    || case when p_auth like 'oauth2%' then '{"token_url": "/oauth/token"}' else '{}' end::jsonb);
  return public.register_workspace('acme', 'https://acme.example', p_secret, 'crm');
end; $$;
select throws_ok(format('select tests.register(%L, %L)', auth, secret), 'SY014', null,
  format('%s auth refuses what is %s', auth, what))
from (values
  ('none', 'a-key', 'any key'), ('key', ' ', 'empty'), ('key', e'two\nlines', 'two lines'),
  ('key', 'kéy', 'no header'), ('basic', 'planted', 'no user:password'),
  ('basic', e'user:pass\nword', 'two lines'), ('oauth2_client', 'planted', 'no JSON'),
  ('oauth2_client', '["client_id", "client_secret"]', 'no object'),
  ('oauth2_client', '{"client_id": "planted"}', 'without a client_secret'),
  ('oauth2_client', '{"client_id": "a", "client_secret": "b", "refresh_token": "c"}', 'more'),
  ('oauth2_refresh', '{"client_id": "a", "client_secret": "b"}', 'without a refresh_token'),
  ('oauth2_refresh', '{"client_id": 1, "refresh_token": "c"}', 'no text')
) as v (auth, secret, what);
select is_empty($$select 1 from sync_workspaces where workspace_name = 'acme'$$,
  'nothing is registered then');
create function tests.said(p_auth text, p_secret text) returns text language plpgsql as $$
declare
  v_message text;
  v_hint text;
begin
  perform tests.register(p_auth, p_secret);
  return null;
exception when others then
  get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
  return v_message || v_hint;
end; $$;
select unalike(tests.said(auth, secret), '%planted%',
  'a refusal of ' || auth || ' shows nothing of it')
from (values ('basic', 'planted'), ('oauth2_client', '{"planted-key": "planted", "client_id": ""}'))
  as v (auth, secret);

select lives_ok($$
  select tests.register('oauth2_refresh', '{"client_id": "a", "refresh_token": "c"}')$$, 'a public client has no client_secret');
select tests.register('basic', 'planted-user:päss:word');
select start_sync_job('test', '{people}', '{acme}');
select results_eq($$select tests.sent(l) from tests.leases(1) as l$$, $$values (
  'GET https://acme.example/people page=1 header:Authorization=Basic '
  || encode(convert_to('planted-user:päss:word', 'utf8'), 'base64'))$$,
  'basic auth goes as its header');
select cancel_sync_job(id) from polling_job_status;
select tests.advance('21 seconds');
select cleanup_stuck_chunks();
select tests.register('none', null);
select start_sync_job('test 2', '{people}', '{acme}');
select results_eq($$select tests.sent(l) from tests.leases(1) as l
  where l ->> 'stream' = 'people'$$, $$values ('GET https://acme.example/people page=1')$$,
  'without auth no credential goes, and none is missed');

select * from finish();
rollback;
