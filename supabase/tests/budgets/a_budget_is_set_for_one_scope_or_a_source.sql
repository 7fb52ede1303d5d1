begin;
\ir ../support/setup.psql
select plan(7);

select tests.workspace('acme');
select is(set_budget('email_bison', 3, 7), '{"source": "email_bison", "budgets_changed": 1}',
  'all of a source');
select results_eq($$select requests_per_second, max_in_flight from public.sync_sources
  where source_name = 'email_bison'
  union all select requests_per_second, max_in_flight from public.sync_budgets$$,
    $$values (3::numeric, 7), (3, 7)$$, 'future ones too');
select set_budget('email_bison', 9, null, 'bison.example');
select results_eq($$select requests_per_second, max_in_flight from public.sync_sources
  where source_name = 'email_bison'
  union all select requests_per_second, max_in_flight from public.sync_budgets$$,
    $$values (3::numeric, 7), (9, null)$$, 'or one');
select throws_ok($$select set_budget('nothing', 1, 1)$$, 'SY003', null, 'no such source');
select throws_ok($$select set_budget('email_bison', 0, 1)$$, 'SY006', null, 'nothing per second');
select throws_ok($$select set_budget('email_bison', 'NaN', 1)$$, 'SY006', null,
  'no number of requests that claims could not reckon with');
select throws_ok($$select set_budget('email_bison', 1, 1, 'nowhere')$$, 'SY006', null,
  'no such scope');

select * from finish();
rollback;
