begin;
\ir ../support/setup.psql
select plan(5);

select set_setting('sweep_interval_seconds', '3600');
select tests.workspace('acme');
select tests.serve('acme', 1, 2);
select tests.start('acme');

select claim_chunk_job_safe(1000000 + n, 'receiver', 2) from generate_series(1, 2500) as n;
select cmp_ok((select count(*) from sync.hinted_claims), '<=', 1999::bigint,
  'however many ids of no chunk are asked for');
select results_eq($$
  select chunk_id, outcome, attempt from hint_deliveries order by chunk_id desc limit 1
$$, $$values (1002500::bigint, 'not_found', 1)$$, 'the last ones show');

select claim_chunk_job_safe(1002500, 'receiver', p_protocol => 2) from generate_series(1, 3) as n;
select results_eq($$select chunk_id, times from sync.hinted_claims where chunk_id = 1002500$$,
  $$values (1002500::bigint, 4)$$, 'and how often');

-- The same for a chunk that there is, asked for again and again.
select claim_chunk_job_safe(id, 'receiver', p_protocol => 2) from chunk_processing_queue
cross join generate_series(1, 5);
select results_eq($$
  select verdict, times from sync.hinted_claims
  where chunk_id = (select id from chunk_processing_queue) order by verdict
$$, $$values ('claimed', 1), ('not_pending', 4)$$, 'a chunk is one row per reason');
select tests.advance('21 seconds');
select cleanup_stuck_chunks();
select claim_chunk_job_safe(id, 'other', p_protocol => 2) from chunk_processing_queue;
select is((select count(*) from sync.hinted_claims where verdict = 'claimed'), 2::bigint,
  'but each time that it is claimed is noted');

select * from finish();
rollback;
