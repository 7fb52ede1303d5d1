begin;
\ir ../support/setup.psql
select plan(7);

select tests.workspace('acme');
select tests.serve('acme', 1);
select tests.start('acme');

select results_eq(format('select answer -> ''leases'', answer #>> ''{error,code}'', '
  'answer -> ''versions'' from %s as answer', claim),
  $$values ('[]'::jsonb, 'SY023', chunkwise_version())$$, claim || ' gives none and says why')
from unnest(array['claim_next_chunk_job_safe(''old'', 10)',
  'claim_next_chunk_job_safe(''old'', 10, p_protocol => null)',
  'claim_next_chunk_job_safe(''new'', 10, p_protocol => 3)',
  'claim_chunk_job_safe((select min(id) from chunk_processing_queue), ''old'')']) as claim;
select is((select count(*) from chunk_processing_queue where status = 'pending'), 1::bigint,
  'nothing is lost of it');

-- A worker from before an upgrade ends what it holds as it always did.
create temp table held as select l as lease from tests.claim() as l;
select is(tests.fail((select lease from held), 'transient', 'HTTP 500: no', 7), 'retry',
  'what it had leased it may fail');
select tests.advance('8 seconds');
select is(tests.complete(l), 'completed', 'or complete') from tests.claim() as l;

select * from finish();
rollback;
