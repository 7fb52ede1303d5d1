begin;
\ir ../support/setup.psql
select plan(11);

select throws_ok($$select claim_next_chunk_job_safe('worker-1', 0)$$, 'SY006', null, 'no chunk');
select throws_ok($$select claim_next_chunk_job_safe('worker-1', 101)$$, 'SY006', null,
  'more than 100');
select throws_ok($$select claim_next_chunk_job_safe('worker-1', null)$$, 'SY006', null, 'no limit');
select throws_ok($$select claim_next_chunk_job_safe('')$$, 'SY006', null, 'no worker');
select throws_ok($$select claim_next_chunk_job_safe(repeat('w', 201))$$, 'SY006', null,
  'a worker id of more than 200 characters');
select throws_ok(format($$select claim_next_chunk_job_safe('w', 1, %L)$$, said), 'SY006', null,
  'no worker that listens says ' || said)
from unnest('{[],"{\"idle_finds\": -1}","{\"idle_finds\": \"many\"}"}'::text[]) as said;
select throws_ok($$select claim_chunk_job_safe(1, null)$$, 'SY006', null,
  'no worker for a named chunk');
select throws_ok($$select extend_chunk_leases('{}')$$, 'SY006', null, 'no list of leases');
select throws_ok($$select extend_chunk_leases('[{"queue_id": "x", "lease_token": 1}]')$$, 'SY006',
  null, 'a lease without numbers');

select * from finish();
rollback;
