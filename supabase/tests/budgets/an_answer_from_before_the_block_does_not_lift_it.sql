begin;
\ir ../support/setup.psql
select plan(2);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.serve('acme', 1);
select tests.start('acme', 'zen');
create temp table held as select * from tests.claim(2);
select tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'rate_limited', 'HTTP 429', 30) from held where workspace = 'zen';
select is(tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease),
  'completed', 'a page sent before the 429 is applied')
from held where workspace = 'acme';
select results_eq($$select block_level, blocked_until - sync.now() from public.sync_budgets$$,
  $$values (1, interval '30 seconds')$$, 'the block stays');

select * from finish();
rollback;
