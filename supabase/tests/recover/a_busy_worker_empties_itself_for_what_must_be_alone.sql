begin;
\ir ../support/setup.psql
\ir ../support/workers.psql
select plan(19);

select tests.workspace('acme', 2);
select tests.workspace('zen', 6);
select tests.serve('acme', variadic array(select generate_series(1, 20)::bigint));
select tests.serve('zen', variadic array(select generate_series(101, 150)::bigint));
select tests.start('acme', 'zen');
select tests.work(2);
create temp table suspect as select null::bigint as id;

select is(tests.take('busy', 2), 2::bigint, 'a worker holds something');
update suspect set id = tests.suspect('acme');
select is(tests.take('busy'), 0::bigint, 'when a chunk must be alone, it gets nothing more');
select is(tests.take('other', 2), 2::bigint, 'another worker gets what else is ready');
select is(tests.take_named('other', (select id from suspect)), 'alone',
  'but not that chunk by its id');
select is(tests.give('other'), 2::bigint, 'it hands that over');
select is(tests.take_named('other', (select id from suspect)), null,
  'and then gets it by its id, holding nothing');
select is(tests.take('busy') > 0, true, 'so that the first one has no need to wait');
select is(tests.give('other'), 1::bigint, 'the chunk completes');
select tests.give('busy');

select tests.take('busy', 1);
update suspect set id = tests.suspect('acme');
select is(tests.take('busy'), 0::bigint, 'a worker that empties itself');
select is(tests.take('other', 1), 1::bigint, 'keeps others from doing so too');
select tests.give('busy');
select is(tests.take('busy'), 1::bigint, 'and when it holds nothing');
select results_eq($$select (lease).queue_id from tests.held where worker = 'busy'$$,
  $$select id from suspect$$, 'gets the chunk');
select tests.give('busy');
select tests.give('other');

create function tests.wait_and_keep_leases() returns void language sql as $$
  select tests.advance('15 seconds');
  select extend_chunk_leases(jsonb_agg(jsonb_build_object('queue_id', (lease).queue_id,
    'lease_token', (lease).lease_token))) from tests.held;
$$;
-- Whoever cannot empty itself, or dies meanwhile, holds up nobody.
select tests.take('busy', 1);
update suspect set id = tests.suspect('zen');
select is(tests.take('busy'), 0::bigint, 'a worker empties itself');
select tests.wait_and_keep_leases() from generate_series(1, 4);
select is(tests.take('busy', 1), 1::bigint, 'for a minute, and then works for others again');
select is(tests.take('third'), 1::bigint, 'another worker gets the chunk');
select results_eq($$select (lease).queue_id from tests.held where worker = 'third'$$,
  $$select id from suspect$$, 'alone');
select tests.give('third');
select tests.give('busy');

select tests.take('fourth', 1);
update suspect set id = tests.suspect('zen');
select is(tests.take('fourth'), 0::bigint, 'a worker empties itself');
select tests.advance('20 seconds');
select is(tests.take('third'), 1::bigint, 'and falls silent: another one gets the chunk');
select results_eq($$select (lease).queue_id from tests.held where worker = 'third'$$,
  $$select id from suspect$$, 'alone');

select * from finish();
rollback;
