begin;
\ir ../support/setup.psql
\ir ../support/workers.psql
select plan(8);

select tests.workspace('acme', 4);
select tests.workspace('zen', 2);
select tests.serve('acme', variadic array(select generate_series(1, 14)::bigint));
select tests.serve('zen', variadic array(select generate_series(101, 130)::bigint));
select tests.start('acme', 'zen');
select tests.work(2);
select tests.suspect('acme') from generate_series(1, 3);

select tests.take('one');
select is(tests.holds('one'), '{"acme": 1}', 'a worker holds a chunk alone');
select tests.advance('10 seconds');
select tests.give('one');
select tests.take('one', 2);
select is(tests.holds('one'), '{"acme": 1, "zen": 1}',
  'after 10 s of that it works for others, though another chunk must be alone');
select tests.give('one');
select tests.advance('9 seconds');
select is(tests.take('one', 2), 2::bigint, 'for as long');
select tests.give('one');
select tests.advance('2 seconds');
select tests.take('one', 2);
select is(tests.holds('one'), '{"acme": 1}', 'then it holds the next one alone');
select tests.advance('10 seconds');
select tests.give('one');
select tests.take('one');
select is(tests.holds('one') ? 'zen', true, 'and again works for others');
select tests.give('one');

-- Nobody else has work.
select cancel_sync_job((select id from public.polling_job_status));
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
select tests.start('acme');
select tests.work(1);
select tests.suspect('acme') from generate_series(1, 2);
select tests.take('one');
select tests.advance('10 seconds');
select is(tests.give('one'), 1::bigint, 'where nothing else is ready');
select is(tests.take('one'), 1::bigint, 'it goes on at once');
select is(tests.give('one'), 1::bigint, 'to the end');

select * from finish();
rollback;
