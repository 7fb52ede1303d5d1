begin;
\ir ../support/setup.psql
\ir ../support/endpoints.psql
select plan(3);
select tests.forget_statistics();

select register_worker_endpoint('https://one.example', 'token-of-endpoint-one');
create function tests.rows_read_by_settling(p_hints int, p_answers int) returns bigint
language plpgsql set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
  v_tables regclass[] := '{sync.hints,net._http_response}'::regclass[];
  v_before bigint;
begin
  truncate sync.hints, net._http_response;
  insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at)
  select n, (select min(id) from public.worker_endpoints), n, 1, sync.now()
  from generate_series(1, p_hints) as n;
  insert into net._http_response (id, status_code, timed_out, created)
  select n, 200, false, clock_timestamp() from generate_series(1, p_answers) as n;
  v_before := tests.rows_read(v_tables);
  perform sync.collect_hint_answers();
  return tests.rows_read(v_tables) - v_before;
end; $$;

create temp table cost as
select tests.rows_read_by_settling(100, 500) as few, tests.rows_read_by_settling(400, 2000) as many;
select cmp_ok((select few from cost), '<', 500::bigint * 8,
  'never analyzed, 500 answers to 100 posts cost a few lookups each');
select cmp_ok((select many from cost), '<', 5 * (select few from cost),
  'four times as many cost four times as much');
select is((select count(*) from sync.hints where outcome = 'answered'), 400::bigint,
  'and each is settled');

select * from finish();
rollback;
