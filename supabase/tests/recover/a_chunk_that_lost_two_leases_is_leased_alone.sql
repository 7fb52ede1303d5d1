begin;
\ir ../support/setup.psql
\ir ../support/workers.psql
select plan(13);

select tests.workspace('acme', 3);
select tests.serve('acme', variadic array(select generate_series(1, 14)::bigint));
select tests.start('acme');
select tests.work(1);

select is(tests.take('one'), 3::bigint, 'a worker holds three chunks, and dies');
select tests.die('one');
select is(tests.take('two'), 3::bigint, 'after one loss the next worker holds all three');
select tests.die('two');
select is(tests.take('three'), 1::bigint, 'after two, whoever holds nothing gets one of them');
select is(tests.take('three'), 0::bigint, 'and nothing beside it');
select is(tests.take('four'), 1::bigint, 'another worker gets the next');
select results_eq($$select worker_id, alone_with from public.worker_health
  where alone_with is not null order by 1$$,
  $$select worker, (lease).queue_id from tests.held order by 1$$,
  'the view of workers names what they hold alone');
select is(tests.take_named('three', (select id from public.chunk_processing_queue
  where ready_seq is not null)), 'alone', 'nor is anything named leased beside it');
select is(tests.give('three'), 1::bigint, 'the first completes');
select is(tests.take('three'), 1::bigint, 'its worker goes on with the third');
select is(tests.give('three') + tests.give('four'), 2::bigint, 'they complete');
select is(tests.take('three'), 3::bigint, 'what never lost a lease is leased as before');
select is(tests.give('three') + tests.work(), 3::bigint, 'until nothing is left');
select results_eq($$select status from public.polling_job_status$$, $$values ('completed')$$,
  'the job completes');

select * from finish();
rollback;
