begin;
\ir ../support/setup.psql
select plan(7);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.start('acme', 'zen');
select tests.fail(l, 'rate_limited', 'HTTP 429', 3600) from tests.claim() as l;
select tests.advance('1 second');
select tests.fail(l, 'rate_limited', 'HTTP 429', 3600) from tests.claim() as l;
select is_empty($$select * from tests.claim(100)$$, 'both wait, and the budget stops');
select throws_ok($$select unblock_budget('nothing')$$, 'SY003', null, 'no such source');
select throws_ok($$select unblock_budget('email_bison', 'nowhere')$$, 'SY006', null,
  'no such scope');
select is(unblock_budget('email_bison', 'bison.example'),
  '{"source": "email_bison", "budgets": 1, "workspaces_freed": 2}', 'one is lifted');
select results_eq($$select block_level, blocked_until, reduced_in_flight, learned_rate
  from public.sync_budgets$$,
  $$values (0, null::timestamptz, null::int, null::numeric)$$, 'with what it had learned');
select is((select count(*) from public.chunk_processing_queue where ready_seq is not null),
  2::bigint, 'what waited is ready at once');
select results_eq($$select workspace from tests.claim(100)$$, $$values ('acme'), ('zen')$$,
  'in its turn');

select * from finish();
rollback;
