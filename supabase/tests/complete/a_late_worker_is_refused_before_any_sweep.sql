begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.serve('acme', 1);
select tests.start('acme');
create temp table late as select l as lease from tests.claim() as l;
select tests.advance('20 seconds');

select throws_ok($$select tests.complete(lease) from late$$, 'SY001', null,
  'its page is not applied');
select throws_ok($$select tests.fail(lease, 'permanent', 'x') from late$$, 'SY001', null,
  'nor can it fail the chunk');
select results_eq($$select complete_chunk_jobs_safe(jsonb_build_array(tests.answer(lease))) #>>
  '{outcomes,0,outcome}' from late$$,
  $$values ('refused')$$, 'a batch answers refused');
select is_empty($$select 1 from sender_emails union all select 1 from public.chunk_events$$,
  'nothing of it was written');

select is(cleanup_stuck_chunks(), 1, 'the sweep takes the chunk back');
select throws_ok($$select tests.complete(lease) from late$$, 'SY001', null,
  'after it too the late worker is refused');
select is(tests.complete(l), 'completed', 'the next holder completes it')
  from tests.claim(1, 'worker-2') as l;
select throws_ok($$select tests.complete(lease) from late$$, 'SY001', null,
  'and the late worker stays refused');

select * from finish();
rollback;
