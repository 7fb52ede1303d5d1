begin;
\ir ../support/setup.psql
select plan(10);
select tests.forget_statistics();

select tests.workspace('acme', 64);
select set_setting('sweep_interval_seconds', '3600');
select tests.start('acme');
create temp table run as select id, job_id from public.workspace_sync_runs;
create function tests.queue(p_pages int4range, p_slot_of text, p_seq_of text) returns void
  language plpgsql as $$
begin
  execute format('with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page)
    select run.job_id, run.id, ''page'', 1, page
    from run, generate_series(%s, %s) as page order by page
    returning id, parent_sync_job_id, run_id, page)
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id, slot, ready_seq)
    select id, parent_sync_job_id, run_id, %s, %s from planned',
    lower(p_pages), upper(p_pages) - 1, p_slot_of, p_seq_of);
end; $$;

-- The statement as it stands in the function, under the settings that the claim declares.
create function tests.claim_statement() returns text language sql as $$
  select replace(substring(prosrc
  from '(select id from public\.chunk_processing_queue\s.*?skip locked)'), 'p_limit', '$1')
  from pg_proc where oid = 'sync.pick_ready_chunks(int,bigint[])'::regprocedure;
$$;
create function tests.plan_of_claim() returns jsonb language plpgsql as $$
declare
  v_setting text;
  v_plan json;
begin
  for v_setting in
    select unnest(proconfig) from pg_proc
    where oid in ('public.claim_next_chunk_job_safe(text,int,jsonb,int)'::regprocedure,
      'sync.pick_ready_chunks(int,bigint[])'::regprocedure)
  loop
    perform set_config(split_part(v_setting, '=', 1), split_part(v_setting, '=', 2), true)
    where v_setting like 'enable_%' or v_setting like 'plan_%' or v_setting like 'jit%';
  end loop;
  execute 'prepare claim (int) as ' || tests.claim_statement();
  execute 'explain (analyze, buffers, timing off, format json) execute claim (10)' into v_plan;
  execute 'deallocate claim';
  return v_plan -> 0 -> 'Plan';
end; $$;
create function tests.nodes(p_plan jsonb) returns setof jsonb language sql as $$
  with recursive node as (
    select p_plan as n union all select child.n from node,
      jsonb_array_elements(node.n -> 'Plans') as child (n)
  ) select n from node;
$$;
create function tests.verdict(p_plan jsonb)
  returns table (index_scans text[], has_bound boolean, sorts bigint, scans_more boolean,
  is_cheap boolean)
language sql as $$
  select array_agg(n ->> 'Index Name') filter
    (where n ->> 'Relation Name' = 'chunk_processing_queue'),
    bool_or(n ->> 'Index Cond' ~ '^\(ready_seq >= ') filter
    (where n ->> 'Relation Name' = 'chunk_processing_queue'),
    count(*) filter (where n ->> 'Node Type' ~ 'Sort|Bitmap'),
    bool_or(n ->> 'Node Type' = 'Seq Scan') filter
    (where n ->> 'Relation Name' = 'chunk_processing_queue'),
    (p_plan ->> 'Shared Hit Blocks')::int + (p_plan ->> 'Shared Read Blocks')::int < 60
  from tests.nodes(p_plan) as node (n);
$$;
create temp table expected as
select '{chunk_processing_queue_ready_idx}'::text[] as index_scans, true as has_bound,
  0::bigint as sorts, false as scans_more, true as is_cheap;

select ok(tests.claim_statement() is not null, 'the claim''s statement is found in its function');
select tests.queue('[2,100002)', 'null', 'null');
select tests.queue('[200001,200101)', 'page - 200000 + 100', $$nextval('sync.ready_seq')$$);
select is((select count(*) from public.chunk_processing_queue where slot is null), 100000::bigint,
  'with 100,000 waiting chunks and 100 ready ones,');
select results_eq($$select * from tests.verdict(tests.plan_of_claim())$$,
  $$select * from expected$$,
  'without statistics the claim reads the ready index from its bound, sorts nothing, is cheap');
analyze public.chunk_processing_queue;
select results_eq($$select * from tests.verdict(tests.plan_of_claim())$$,
  $$select * from expected$$, 'as it does with statistics');
select tests.queue('[300001,305001)', 'page - 300000 + 1000', $$nextval('sync.ready_seq')$$);
analyze public.chunk_processing_queue;
select results_eq($$select * from tests.verdict(tests.plan_of_claim())$$,
  $$select * from expected$$, 'and with 5,000 ready ones');

-- Turns that were claimed leave dead entries; the bound of the sweep skips them.
update public.chunk_processing_queue set ready_seq = null, next_retry_at = 'infinity'
  where slot between 1001 and 5500;
select is((select count(*) from public.chunk_processing_queue where ready_seq is not null),
  601::bigint, 'when 4,500 turns were taken');
update public.chunk_processing_queue set ready_seq = null, next_retry_at = 'infinity'
  where slot between 1 and 200;
select cleanup_stuck_chunks();
select results_eq($$select * from tests.verdict(tests.plan_of_claim())$$,
  $$select * from expected$$, 'their dead entries cost the claim nothing after a sweep');

-- What one round costs in rows read from the queue, whatever waits.
create temp table cost (what text, rows bigint);
insert into cost select 'before', tests.rows_read('{public.chunk_processing_queue}');
create temp table held as select l as lease from tests.claim(10) as l;
insert into cost select 'claim', tests.rows_read('{public.chunk_processing_queue}');
select complete_chunk_jobs_safe((select jsonb_agg(tests.answer(lease) || jsonb_build_object('body',
  tests.body('{}'::bigint[], 0, 1))) from held)) is not null;
insert into cost select 'complete', tests.rows_read('{public.chunk_processing_queue}');
select is((select count(*) from held), 10::bigint, 'ten are claimed and completed');
select cmp_ok((select max(rows) filter (where what = 'claim') - max(rows) filter
  (where what = 'before') from cost), '<', 1000::bigint,
  'a claim reads rows of what is ready, not of what waits');
select cmp_ok((select max(rows) filter (where what = 'complete') - max(rows) filter
  (where what = 'claim') from cost), '<', 1000::bigint,
  'so does a completion');

select * from finish();
rollback;
