begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
select tests.start('acme');
select tests.work(1);
create temp table poison as select id from public.chunked_sync_jobs where page = 2;
create function tests.lose() returns void language plpgsql as $$
begin
  perform claim_chunk_job_safe(id, 'worker-1', p_protocol => 2) from poison;
  perform tests.advance('21 seconds');
  perform cleanup_stuck_chunks();
end; $$;
do $$ begin for i in 1 .. 9 loop perform tests.lose(); end loop; end $$;
select results_eq($$select status, lease_losses, attempts from public.chunk_processing_queue
  join poison using (id)$$, $$values ('pending', 9, 0)$$,
  'nine kills in a row fail no page');
select tests.lose();
select results_eq($$select status, lease_losses, attempts from public.chunk_processing_queue
  join poison using (id)$$, $$values ('failed', 10, 0)$$,
  'the tenth does, and burns no attempt');
select results_eq($$select event from public.chunk_events join poison on poison.id = chunk_id
  order by chunk_events.id desc limit 2$$,
  $$values ('failed'), ('lease_lost')$$, 'the events say so');
select tests.work();
select results_eq($$select q.status, count(*) from public.chunk_processing_queue as q group by 1
  order by 1$$, $$values ('completed', 2::bigint), ('failed', 1)$$,
  'the other pages are read');
select results_eq($$select r.status, j.status from public.workspace_sync_runs as r
  join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('failed', 'failed')$$, 'the run fails');
select results_eq($$select page, attempts, lease_losses from failed_chunks$$, $$values (2, 0, 10)$$,
  'failed_chunks names the page');

select * from finish();
rollback;
