begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme');
select tests.start('acme');
create temp table outcome (turn int generated always as identity, outcome text);
do $$ begin
  for i in 1 .. 3 loop
    insert into outcome (outcome) select tests.complete(l, 'no json') from tests.claim() as l;
    perform tests.advance('61 seconds');
  end loop;
end $$;
select results_eq($$select outcome from outcome order by turn$$,
  $$values ('retry'), ('retry'), ('failed')$$, 'the third time is the last');
select results_eq($$select attempts, status, slot::int from public.chunk_processing_queue$$,
  $$values (3, 'failed', null::int)$$, 'the chunk failed');
select results_eq($$select r.status, j.status from public.workspace_sync_runs as r
  join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('failed', 'failed')$$, 'so did its run, and the job that had no other');
select results_eq($$select event, details -> 'attempt', details ->> 'code' from public.chunk_events
  order by id$$, $$
  values ('retry', '1'::jsonb, 'SY011'), ('retry', '2', 'SY011'), ('failed', '3', 'SY011')
$$, 'each attempt is an event');

select * from finish();
rollback;
