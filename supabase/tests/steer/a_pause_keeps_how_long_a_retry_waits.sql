begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.serve('acme', 1);
select tests.start('acme');
select tests.fail(l, 'transient', 'HTTP 503', 60) from tests.claim() as l;
select pause_sync();
select resume_sync();
select is_empty($$select * from tests.claim(100)$$, 'paused and resumed, it waits on');
select tests.advance('61 seconds');
create temp table held as select l as lease from tests.claim() as l;
select is((select count(*) from held), 1::bigint, 'as long as without the pause');

select tests.fail(lease, 'transient', 'HTTP 503', 60) from held;
select pause_sync();
select tests.advance('61 seconds');
select cleanup_stuck_chunks();
select is((select next_retry_at from public.chunk_processing_queue), 'infinity',
  'due while paused, it is held');
select resume_sync();
truncate held;
insert into held select l from tests.claim() as l;
select is((select count(*) from held), 1::bigint, 'until it is resumed');

select tests.fail(lease, 'rate_limited', 'HTTP 429', 60) from held;
select pause_sync(p_workspace => 'acme');
select resume_sync(p_workspace => 'acme');
select is((select next_retry_at - sync.now() from public.chunk_processing_queue),
  interval '60 seconds', 'what the API asked for stays too');
select tests.advance('61 seconds');
select is(tests.work(), 1, 'and then it is read');

select * from finish();
rollback;
