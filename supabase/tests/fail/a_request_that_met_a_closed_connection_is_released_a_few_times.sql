begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.serve('acme', 1);
select set_setting('max_unanswered', '2');
select tests.start('acme');
create temp table outcome (turn int generated always as identity, outcome text, attempt int);
create function tests.hang_up(p_message text) returns void language plpgsql as $$
declare
  v_lease tests.lease;
begin
  select * into v_lease from tests.claim();
  insert into outcome (outcome, attempt)
  values (tests.fail(v_lease, 'released', p_message), v_lease.attempt);
end; $$;

select tests.hang_up('no answer from bison.example: it had closed the connection')
from generate_series(1, 2);
select results_eq($$select outcome, attempt from outcome order by turn$$,
  $$values ('released', 1), ('released', 1)$$,
  'a request that met a closed connection is offered again, as the same attempt');
select results_eq($$select attempts, unanswered from public.chunk_processing_queue$$,
  $$values (0, 2)$$, 'and is counted');
select tests.hang_up(message) from unnest(array['the worker is stopping', null]) as message;
select results_eq($$select outcome, attempt from outcome where turn > 2 order by turn$$,
  $$values ('released', 1), ('released', 1)$$,
  'a request that was not sent is released however often');
select tests.hang_up('no answer from bison.example: it had closed the connection');
select results_eq($$select outcome from outcome where turn = 5$$, $$values ('retry')$$,
  'the third closed connection is a transient failure');
select results_eq($$select attempts, unanswered, next_retry_at > sync.now()
  from public.chunk_processing_queue$$, $$values (1, 3, true)$$, 'with an attempt and a backoff');
select tests.advance('1 minute');
select tests.work();
select results_eq($$select status from public.polling_job_status$$, $$values ('completed')$$,
  'the chunk may still complete');

select * from finish();
rollback;
