begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.serve('zen', 1);
select tests.start('acme', 'zen');
create temp table outcome (turn int generated always as identity, outcome text, attempt int,
  wait interval);
do $$
declare
  v_lease tests.lease;
begin
  for i in 1 .. 3 loop
    select * into v_lease from tests.claim(100) where workspace = 'acme';
    insert into outcome (outcome, attempt, wait)
    select tests.fail(v_lease, 'transient', 'HTTP 502: Bad gateway'), v_lease.attempt, null;
    update outcome set wait = (select next_retry_at - sync.now() from public.chunk_processing_queue
    where id = v_lease.queue_id) where turn = i;
    perform tests.advance('15 seconds');
  end loop;
end $$;
select results_eq($$select outcome, attempt from outcome order by turn$$,
  $$values ('retry', 1), ('retry', 2), ('failed', 3)$$, 'three attempts');
select ok((select bool_and(wait between '0' and 2 * turn * interval '1 second') from outcome
  where wait is not null),
  'with a wait of at most 2 s and then 4 s between them');
select ok((select count(distinct wait) = 2 from outcome where wait > '0'), 'that is drawn by lot');
select results_eq($$select status, attempts, error_message from public.chunk_processing_queue
  where status = 'failed'$$,
  $$values ('failed', 3, 'HTTP 502: Bad gateway')$$, 'the chunk failed');
select tests.advance('1 minute');
select tests.work();
select results_eq($$
  select w.workspace_name, r.status, r.error_message from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id order by 1
$$, $$values ('acme', 'failed', 'HTTP 502: Bad gateway'), ('zen', 'completed', null)$$,
  'so did its run, and no other');
select results_eq($$select status from public.polling_job_status$$, $$values ('partial')$$,
  'the job is partial');

select tests.start('acme');
select tests.fail(l, 'transient', 'HTTP 503', 7.5) from tests.claim() as l;
select results_eq($$select next_retry_at - sync.now() from public.chunk_processing_queue
  where status = 'pending'$$, $$values (interval '7.5 seconds')$$,
  'a wait that the API names is kept');
select tests.advance('8 seconds');
select tests.fail(l, 'transient', 'HTTP 503', 0) from tests.claim() as l;
select results_eq($$select next_retry_at > sync.now() from public.chunk_processing_queue
  where status = 'pending'$$, $$values (true)$$, 'but for one of 0, which would be none');

select * from finish();
rollback;
