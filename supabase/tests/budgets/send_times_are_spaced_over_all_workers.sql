begin;
\ir ../support/setup.psql
select plan(7);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.workspace('oak');
select tests.workspace('elm');
select set_budget('email_bison', 4, null);
select tests.start('acme', 'zen', 'oak', 'elm');

select results_eq($$select workspace, send_after_ms from tests.claim(2, 'worker-1')$$,
  $$values ('acme', 0::bigint), ('zen', 250)$$,
  'at 4 requests a second one goes every 250 ms');
select results_eq($$select workspace, send_after_ms from tests.claim(2, 'worker-2')$$,
  $$values ('oak', 500::bigint), ('elm', 750)$$,
  'another worker''s go after them');

select set_budget('email_bison', 0.5, null);
select tests.workspace(name) from unnest('{ash,fir}'::text[]) as name;
select set_budget('email_bison', 0.5, null);
select start_sync_job('more', null, '{ash,fir}');
select results_eq($$select workspace, send_after_ms from tests.claim(2)$$,
  $$values ('ash', 0::bigint), ('fir', 2000)$$,
  'a claim reserves up to 2 s ahead');
select tests.workspace('yew');
select set_budget('email_bison', 0.5, null, 'bison.example');
update public.sync_budgets set next_send_at = sync.now() + interval '4 seconds';
select start_sync_job('last', null, '{yew}');
create temp table answer as select claim_next_chunk_job_safe('worker-1', p_protocol => 2) as answer;
select is((select answer -> 'leases' from answer), '[]', 'and never beyond');
select is((select (answer -> 'next_look_ms')::int from answer), 3000,
  'the answer says when to look again');
select tests.advance('3 seconds');
select results_eq($$select workspace, send_after_ms from tests.claim()$$,
  $$values ('yew', 1000::bigint)$$, 'then it is handed out');
select results_eq($$select sum(attempts), max(next_retry_at) from public.chunk_processing_queue$$,
  $$values (0::bigint, null::timestamptz)$$,
  'waiting for a budget burns no attempt');

select * from finish();
rollback;
