begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme', 1);
select tests.serve('acme', 1, 2, 3, 4, 5);
create function tests.last_run()
  returns table (status text, scan int, expected_total bigint, distinct_ids bigint, warnings text[])
  language sql as $$
  select status, scan, expected_total, distinct_ids, warnings from public.workspace_sync_runs
  order by id desc limit 1;
$$;

select tests.start('acme');
select tests.work(1);
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
select tests.work();
select results_eq($$select * from tests.last_run()$$,
  $$values ('completed', 2, 6::bigint, 6::bigint,
  '{"scan 1: the total moved between 5 and 6"}'::text[])$$, 'a total that moved: scanned again');
select is(tests.live_ids('acme'), '{1,2,3,4,5,6}', 'and complete in the end');

select tests.start('acme');
select tests.work(1);
select tests.serve('acme', 2, 3, 4, 5, 6, 7);
select tests.work();
select results_eq($$select status, scan, distinct_ids from tests.last_run()$$,
  $$values ('completed', 2, 6::bigint)$$,
  'one removed and one added behind the reader: the count of distinct ids shows it');
select is(tests.live_ids('acme'), '{2,3,4,5,6,7}', 'what is gone went, nothing else');

select tests.start('acme');
select tests.complete(l, tests.body('{2,3}'::bigint[], 4, 3)) from tests.claim() as l;
select tests.complete(l, tests.body('{3,4}'::bigint[], 4, 2)) from tests.claim() as l;
select tests.complete(l, tests.body('{}'::bigint[], 4, 2)) from tests.claim() as l;
select results_eq($$select status, scan from tests.last_run()$$, $$values ('running', 2)$$,
  'a page past the end is an empty page, and a record on two pages makes the scan incomplete');
select is((select count(*) from public.chunk_events where event in ('failed', 'retry')), 0::bigint,
  'none of it is a failure');
select tests.work();
select is(tests.live_ids('acme'), '{2,3,4,5,6,7}', 'the scan that did not add up deleted nobody');
select results_eq($$select distinct status, error_message from public.polling_job_status$$,
  $$values ('completed', null)$$, 'all three jobs completed');

select * from finish();
rollback;
