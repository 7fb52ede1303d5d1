begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(8);

select tests.crm('acme');
select start_sync_job('test', '{people}', '{acme}');
select tests.step();
select tests.step();
select tests.advance('3569 seconds');
select is(tests.sent(l), 'GET https://acme.example/people page=2 '
  'header:Authorization=Bearer planted-access-1',
  'a token serves until shortly before it expires')
from tests.leases(1) as l;
select tests.advance('30 seconds');
select cleanup_stuck_chunks();
select is(tests.sent(l), 'POST https://acme.example/oauth/token grant_type=refresh_token '
  'form:client_id=client-of-acme form:client_secret=planted-secret-acme '
  'form:refresh_token=planted-refresh-acme', 'then another is asked for first')
from tests.leases(10) as l;
select is((select count(*) from tests.leases(10)), 0::bigint, 'and its pages wait for that');
select is((select count(*) from public.chunk_processing_queue
  where status = 'pending' and next_retry_at is not null and attempts = 0), 1::bigint,
  'delayed, no attempt lost');
update sync.token_requests set outcome = null, lease_token = 7 where ended_at is null;
select is(complete_chunk_jobs_safe(jsonb_build_array(jsonb_build_object('queue_id', id,
  'lease_token', 7, 'status', 200, 'body', tests.token('planted-access-2', p_seconds => null))))
  #>> '{outcomes,0,outcome}', 'completed', 'the next one comes')
from sync.token_requests where ended_at is null;
select isnt_empty($$select 1 from public.chunk_processing_queue where ready_seq is not null$$,
  'which wakes them');
select is(tests.step(), 'GET https://acme.example/people page=2 '
  'header:Authorization=Bearer planted-access-2 -> completed', 'with the new token');
select results_eq('select generation, expires_at from sync.workspace_tokens',
  $$values (2::bigint, null::timestamptz)$$, 'one that does not say when it expires is kept');

select * from finish();
rollback;
