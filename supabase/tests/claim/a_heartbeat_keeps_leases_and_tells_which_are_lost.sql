begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.start('acme', 'zen');
create temp table held as select * from tests.claim(2);
create function tests.beat() returns jsonb language sql as $$
  select extend_chunk_leases((select jsonb_agg(jsonb_build_object('queue_id', queue_id,
    'lease_token', lease_token)) from held));
$$;

select tests.advance('15 seconds');
select is(tests.beat(), '{"lease_ms": 20000, "lost": [], "cancelled": [], "blocked_budgets": []}',
  'both are kept');
select results_eq($$select distinct lease_expires_at from public.chunk_processing_queue$$,
  $$values (sync.now() + interval '20 seconds')$$,
  'for another 20 s');
select results_eq($$select extend_chunk_leases(jsonb_build_array(jsonb_build_object('queue_id',
  queue_id, 'lease_token', 0))) -> 'lost' from held limit 1$$,
  $$select jsonb_build_array(queue_id) from held limit 1$$,
  'a token that is not the lease''s keeps nothing');
select cancel_sync_job((select id from public.polling_job_status));
select is(tests.beat() -> 'cancelled', (select jsonb_agg(queue_id order by queue_id) from held),
  'cancelled ones are told');

do $$ begin for i in 1 .. 30 loop perform tests.advance('19 seconds'); perform tests.beat();
  end loop; end $$;
select results_eq($$select distinct lease_expires_at - started_at
  from public.chunk_processing_queue$$, $$values (interval '10 minutes')$$,
  'no lease lives longer than 10 minutes in total');
select tests.advance('1 minute');
select is(tests.beat() -> 'lost', (select jsonb_agg(queue_id order by queue_id) from held),
  'then it is lost, also before any sweep');

select * from finish();
rollback;
