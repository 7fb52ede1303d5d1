begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(15);

select tests.crm('acme');
select start_sync_job('test', '{people}', '{acme}');
select is(tests.fail_lease(l, 503, 'transient'), 'retry', 'a 5xx is tried again')
from tests.leases(1) as l;
select is((select count(*) from tests.leases(10)), 0::bigint, 'after a while');
select tests.advance('2 seconds');
select is(tests.end_lease(l, 200, '<html>planted-refresh-acme</html>'), 'retry', 'so is HTML')
from tests.leases(1) as l;
select tests.advance('4 seconds');
select is(tests.end_lease(l, 302, ''), 'retry', 'so is a redirect') from tests.leases(1) as l;
select tests.advance('8 seconds');
select is(tests.end_lease(l, 200, '{"access_token": "not \u0000one"}'), 'retry',
  'so is a token that no header carries')
from tests.leases(1) as l;
select tests.advance('16 seconds');
select is(public.fail_chunk_job_safe((l ->> 'queue_id')::bigint, (l ->> 'lease_token')::bigint,
  'transient', 'no answer within 30000 ms from acme.example') ->> 'outcome', 'retry',
  'so is no answer')
from tests.leases(1) as l;
select is(tests.asked_for_tokens(), 'pending (5)', 'it is one request');
select ok(due_at > sync.now() + interval '15 seconds', 'that waits longer each time')
from sync.token_requests;
select results_eq($$select attempts, status from chunk_processing_queue$$,
  $$values (0, 'pending')$$, 'no page loses an attempt');
select sync.check_health();
select results_eq($$select subject from sync_alerts where kind = 'token_failing'$$,
  $$values ('acme')$$, 'an alert names the workspace');
select is_empty($$select 1 from sync.token_requests where error_message like '%planted%'$$,
  'nothing of the answers is kept that repeats a secret');

select tests.crm('zen');
select start_sync_job('test 2', '{people}', '{zen}');
select tests.step(format('planted-access-%s', n)) from generate_series(1, 3) as n;
select is(tests.status_of('zen'), 'completed', 'another workspace goes on');

select tests.advance('11 minutes');
select cleanup_stuck_chunks();
select is(tests.status_of('acme'), 'failed', 'after ten minutes the run waits no longer');
select tests.advance('10 minutes');
select is((select count(*) from tests.leases(10)), 0::bigint,
  'what fails is not repeated for a workspace of which nothing runs');
select is((select status from sync.token_requests order by id limit 1), 'cancelled',
  'the request is over');

select * from finish();
rollback;
