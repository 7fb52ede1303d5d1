begin;
\ir ../support/setup.psql
select plan(7);

select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null}');
select declare_stream('{"source_name": "crm", "stream_name": "things", "page_size": 2,
  "path": "/things", "params": {"page": "{page}"}}');
update public.sync_streams set path = '/lists/{parent.id}/things' where stream_name = 'things';
select declare_stream('{"source_name": "crm", "stream_name": "plain", "page_size": 2,
  "path": "/plain"}');
select register_workspace(name, 'https://crm.example', 'k', 'crm')
from unnest('{a,b,c}'::text[]) as name;
select start_sync_job('things', '{things,plain}');
update public.chunked_sync_jobs as c set reading = case w.workspace_name
  when 'a' then '{"parent": {"id": ".."}}' when 'b' then '{"parent": {"id": 7}}' end::jsonb
from public.workspace_sync_runs as r join public.sync_workspaces as w on w.id = r.workspace_id
join public.sync_streams as st on st.id = r.stream_id
where r.id = c.run_id and st.stream_name = 'things';
-- Two of one run: with the one the other ends.
insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, reading)
select parent_sync_job_id, run_id, kind, scan, 2, reading from public.chunked_sync_jobs
where reading #>> '{parent,id}' = '..';
insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id, status, slot, ready_seq)
select id, parent_sync_job_id, run_id, 'pending', 2, nextval('sync.ready_seq')
from public.chunked_sync_jobs where page = 2;

create temp table answer as select claim_next_chunk_job_safe('w', 100, p_protocol => 2) as answer;
select results_eq($$
  select l ->> 'workspace', l #>> '{request,url}'
  from answer, jsonb_array_elements(answer -> 'leases') as l order by 1, 2
$$, $$
  values ('a', 'https://crm.example/plain'), ('b', 'https://crm.example/lists/7/things'),
    ('b', 'https://crm.example/plain'), ('c', 'https://crm.example/plain')
$$, 'the others are leased');
select is((select answer ->> 'next_look_ms' from answer), '0', 'and there may be more behind them');
select results_eq($$
  select w.workspace_name, r.status from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id where r.status <> 'running' order by 1
$$, $$values ('a', 'failed'), ('c', 'failed')$$, 'their runs fail, of no fault of the others');
select is_empty($$
  select 1 from public.chunk_events where event = 'failed' and details ->> 'code' <> 'SY022'
$$, 'by a named error');
select is((select count(*) from public.chunk_processing_queue
  where status in ('failed', 'cancelled')), 3::bigint, 'nothing of them is left to do');

select start_sync_job('again', '{things}', '{a}');
update public.chunked_sync_jobs as c set reading = '{"parent": {"id": ".."}}'
from public.chunk_processing_queue as q where q.id = c.id and q.status = 'pending';
select results_eq($$
  select answer -> 'leases', answer ->> 'reason'
  from claim_chunk_job_safe((select max(id) from public.chunk_processing_queue), 'w', 2) as answer
$$, $$values ('[]'::jsonb, 'not_pending')$$, 'who asks for it by its id is told');
select results_eq($$select status, attempts from public.chunk_processing_queue
  where id = (select max(id) from public.chunk_processing_queue)$$,
  $$values ('failed', 1)$$, 'and it has failed');

select * from finish();
rollback;
