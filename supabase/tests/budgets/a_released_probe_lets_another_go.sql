begin;
\ir ../support/setup.psql
select plan(2);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.start('acme', 'zen');
select tests.fail(l, 'rate_limited', 'HTTP 429', 5) from tests.claim() as l;
select tests.advance('6 seconds');
create temp table probe as select * from tests.claim(100);
select is((select count(*) from probe), 1::bigint, 'after the block one probe is handed out');
select tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'released') from probe;
select tests.advance('1 second');
select is((select count(*) from tests.claim(100, 'worker-2')), 1::bigint,
  'if its worker stops before sending it, another goes instead');

select * from finish();
rollback;
