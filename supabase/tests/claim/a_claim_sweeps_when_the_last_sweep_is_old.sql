begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('acme');
select tests.serve('acme', 1);
select tests.start('acme');
create temp table held as select * from tests.claim();
select tests.advance('19 seconds');
select is_empty($$select * from tests.claim()$$, 'a lease that holds is not taken back');
select tests.advance('6 seconds');
select results_eq($$select queue_id from tests.claim(1, 'worker-2')$$,
  $$select queue_id from held$$, 'one that ran out is, by the next claim');
select results_eq($$select swept_at, last_error from sync.sweep_state$$,
  $$values (sync.now(), null::text)$$, 'that claim swept');

select * from finish();
rollback;
