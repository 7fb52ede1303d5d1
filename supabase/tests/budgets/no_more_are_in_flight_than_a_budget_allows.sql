begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.workspace('oak');
select set_budget('email_bison', null, 2);
select tests.start('acme', 'zen', 'oak');

create temp table held as select * from tests.claim(100);
select results_eq($$select workspace from held$$, $$values ('acme'), ('zen')$$,
  'two of three are handed out');
select results_eq($$
  select count(*) filter (where status = 'processing'),
    count(*) filter (where next_retry_at is not null) from public.chunk_processing_queue
$$, $$values (2::bigint, 1::bigint)$$, 'the third left the claim''s index');
select tests.advance('1 second');
select is_empty($$select * from tests.claim(100)$$, 'as long as both are in flight it waits');
select tests.serve('acme', 1);
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
  from held where workspace = 'acme';
select tests.advance('1 second');
select results_eq($$select workspace from tests.claim(100)$$, $$values ('oak')$$,
  'one ends, one goes');
select is((select sum(attempts) from public.chunk_processing_queue), 0::bigint,
  'no attempt was burnt');

select set_budget('email_bison', null, null);
select tests.workspace('elm');
select start_sync_job('more', null, '{elm}');
select results_eq($$select workspace from tests.claim(100)$$, $$values ('elm')$$,
  'null means unlimited');

select * from finish();
rollback;
