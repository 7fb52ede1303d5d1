begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(9);

select tests.crm('acme');
select try_stream('{"stream_name": "people"}', 'acme');
select is(tests.step('planted-access-1', 'planted-rotated-1'),
  'POST https://acme.example/oauth/token grant_type=refresh_token form:client_id=client-of-acme '
  'form:client_secret=planted-secret-acme form:refresh_token=planted-refresh-acme -> completed',
  'a try has an access token asked for');
select is(tests.step(), 'GET https://acme.example/people page=1 '
  'header:Authorization=Bearer planted-access-1 -> completed',
  'and goes on at once when it comes');
select is((select is_proven from sync.workspace_tokens), true, 'its 2xx proves the token');
select tests.advance('2 minutes');
select is(tests.fail_lease(l, 401, 'permanent'), 'delayed', 'a 401 on it only delays the try')
from tests.leases(1) as l;
select is(tests.step('planted-access-2'), 'POST https://acme.example/oauth/token '
  'grant_type=refresh_token form:client_id=client-of-acme form:client_secret=planted-secret-acme '
  'form:refresh_token=planted-rotated-1 -> completed', 'and has it renewed');
select is(tests.step(), 'GET https://acme.example/people page=2 '
  'header:Authorization=Bearer planted-access-2 -> completed', 'with the new one it is sent again');
select is((select status from sync.stream_tries), 'done', 'the try is done');

update sync.workspace_tokens set is_proven = false;
select try_stream('{"stream_name": "people"}', 'acme');
select is(tests.fail_lease(l, 401, 'permanent'), 'failed',
  'a 401 on a token that nothing has proven is for good') from tests.leases(1) as l;

update sync.workspace_tokens set refused_until = sync.now() + interval '1 hour',
  refusal = 'HTTP 400, invalid_grant', expires_at = sync.now();
select try_stream('{"stream_name": "people"}', 'acme');
select tests.leases(1);
select is((select error_message from sync.stream_tries order by id desc limit 1),
  'its grant is refused: HTTP 400, invalid_grant. rotate_workspace_key() sets another',
  'while a grant is refused a try says so and asks for nothing');

select * from finish();
rollback;
