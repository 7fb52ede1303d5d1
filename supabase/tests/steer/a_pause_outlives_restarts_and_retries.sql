begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme');
select tests.serve('acme', 1);
select pause_sync();
select tests.start('acme');
select is_empty($$select * from tests.claim(100)$$, 'a job that starts while paused waits');
select resume_sync();
create temp table held as select l as lease from tests.claim() as l;
select is((select count(*) from held), 1::bigint, 'until it is resumed');
select pause_sync();
select tests.fail(lease, 'transient', 'HTTP 500', 1) from held;
select tests.advance('2 seconds');
select is_empty($$select * from tests.claim(100)$$, 'a retry that falls due while paused waits');
select tests.advance('1 minute');
select cleanup_stuck_chunks();
select is_empty($$select * from tests.claim(100)$$, 'no sweep hands it out');
select resume_sync();
select is(tests.work(), 1, 'resumed, it is read');

select * from finish();
rollback;
