begin;
\ir ../support/setup.psql
select plan(2);

select declare_source('{"source_name": "plain", "auth": "basic"}');
select declare_source('{"source_name": "granted", "auth": "oauth2_client", "token_url": "/token",
  "token_auth": "basic"}');
select tests.act_as('authenticated', p_is_operator => true);
select results_eq($$select s ->> 'source_name', s ->> 'auth', s ->> 'token_url', s ->> 'token_auth'
  from jsonb_array_elements(public.get_sources_page() -> 'sources') as s
  where s ->> 'source_name' in ('plain', 'granted') order by 1$$,
  $$values ('granted', 'oauth2_client', '/token', 'basic'), ('plain', 'basic', null, 'form')$$,
  'the screen of the sources has how each of them signs in');
select is_empty($$select * from jsonb_array_elements(public.get_sources_page() -> 'sources') as s
  where not s ?& '{auth,auth_in,auth_name,token_url,token_auth}'$$, 'of every one');

select * from finish();
rollback;
