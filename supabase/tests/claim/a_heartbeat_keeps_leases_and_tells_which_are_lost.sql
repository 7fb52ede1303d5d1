begin;
\ir ../support/setup.psql
select plan(8);

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

-- What is no chunk's.
create table tests.extended (n int);
create function tests.note_extended() returns trigger language plpgsql as $$
begin
  insert into tests.extended values (1);
  return null;
end; $$;
create trigger extended after update on sync.token_requests
for each row execute function tests.note_extended();
insert into sync.token_requests (id, workspace_id, budget_id, base_url, status, lease_token,
  lease_expires_at, started_at)
select 900, id, budget_id, base_url, 'processing', 5, sync.now() + interval '9 seconds', sync.now()
from public.sync_workspaces where workspace_name = 'acme';
select is(extend_chunk_leases('[{"queue_id": 900, "lease_token": 5},
  {"queue_id": 901, "lease_token": 5}, {"queue_id": 902, "lease_token": 5}]') -> 'lost', '[901, 902]', 'a token''s request is kept');
select is((select count(*) from tests.extended), 1::bigint, 'and extended once, whatever is lost');

select * from finish();
rollback;
