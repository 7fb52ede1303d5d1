begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme');
select tests.start('acme');
create temp table held as select l as lease from tests.claim() as l;
select is(tests.fail(lease, 'transient', 'HTTP 500', 5), 'retry', 'the first time') from held;
select is(tests.fail(lease, 'transient', 'HTTP 500', 5), 'retry', 'the second') from held;
select results_eq($$select attempts from public.chunk_processing_queue$$, $$values (1)$$,
  'it counts once');
select throws_ok($$select tests.fail(l, 'broken') from held, lateral (select (lease).*) as l$$,
  'SY006', null, 'there are four classes');
select throws_ok($$select fail_chunk_job_safe(queue_id, lease_token + 1, 'released')
  from (select (lease).* from held) as l$$, 'SY001', null,
  'another token is refused');

select * from finish();
rollback;
