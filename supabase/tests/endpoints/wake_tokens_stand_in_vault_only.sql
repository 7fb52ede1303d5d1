begin;
\ir ../support/setup.psql
select plan(17);

create function tests.tokens() returns text[] language sql as $$
  select array_agg(decrypted_secret order by name) from vault.decrypted_secrets
  where name like 'chunkwise/endpoint/%';
$$;

select is(register_worker_endpoint('https://one.example/wake', 'token-one-for-waking') ->> 'url',
  'https://one.example/wake', 'an endpoint is registered');
select is(tests.tokens(), '{token-one-for-waking}', 'its token is in Vault');
select is_empty($$select 1 from worker_endpoints as e where e::text like '%token-one%'$$,
  'and nowhere else');

-- The same URL again.
update worker_endpoints set is_active = false, consecutive_failures = 5, last_error = 'away',
  resting_until = sync.now() + interval '1 hour';
select register_worker_endpoint('https://one.example/wake', 'token-two-for-waking',
  '{sender_emails}');
select results_eq($$
  select streams, is_active, consecutive_failures, resting_until, last_error from worker_endpoints
$$, $$values ('{sender_emails}'::text[], true, 0, null::timestamptz, null::text)$$,
  'to register it again is a new start');
select is(tests.tokens(), '{token-two-for-waking}', 'and replaces its token');
select register_worker_endpoint('https://one.example/wake', 'token-three-for-waking');
select is(tests.tokens(), '{token-three-for-waking}', 'a token alone may be replaced');
select is((select streams from worker_endpoints), '{sender_emails}', 'its streams stay then');

select register_worker_endpoint('https://two.example/', 'token-of-the-second');
select isnt_empty($$select 1 from worker_endpoints where url = 'https://two.example/'$$,
  'a slash at the end is taken as it is');

select remove_worker_endpoint('https://one.example/wake');
select is(tests.tokens(), '{token-of-the-second}', 'with an endpoint goes its token');
select results_eq('select url from worker_endpoints', $$values ('https://two.example/')$$,
  'and it alone');

select throws_ok($$select remove_worker_endpoint('https://one.example/wake')$$, 'SY006', null,
  'an unknown URL');
select throws_ok($$select register_worker_endpoint('https://x.example', 'short')$$, 'SY014', null,
  'a short token');
select throws_ok($$select register_worker_endpoint('https://x.example', null)$$, 'SY014', null,
  'no token');
select throws_ok($$select register_worker_endpoint('https://x.example', 'token-one-for-waking',
  '{sender_emails,weather}')$$, 'SY003', 'there is no stream weather', 'an unknown stream');
select throws_ok($$select register_worker_endpoint('https://169.254.169.254/latest',
  'token-one-for-waking')$$, 'SY015', null, 'a private address');
select set_setting('allow_private_addresses', 'false');
select throws_ok($$select register_worker_endpoint('http://x.example', 'token-one-for-waking')$$,
  'SY015', null, 'a token is not sent in the clear');
select is((select count(*) from worker_endpoints), 1::bigint, 'what was refused is not there');

select * from finish();
rollback;
