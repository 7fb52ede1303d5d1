begin;
\ir ../support/setup.psql
select plan(4);

-- 600 closed jobs of 2 runs of 40 chunks, of which 2 failed; one live job, partly done.
select tests.workspace('acme', 2);
select tests.workspace('zen', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
select tests.serve('zen', 1, 2, 3);
insert into polling_job_status (job_name, started_at, completed_at, status, chunks_completed,
  chunks_failed)
select 'old', at, at + interval '3 seconds', case n when 1 then 'partial' else 'completed' end,
  80, (n = 1)::int
from generate_series(1, 600) as n
cross join lateral (select sync.now() - n * interval '1 hour' as at) as t;
insert into workspace_sync_runs (job_id, workspace_id, stream_id, status, max_concurrency,
  planned_chunks, progress_total, chunks_completed, chunks_failed, started_at, completed_at)
select j.id, w.id as workspace_id, s.id as stream_id,
  case j.status when 'partial' then 'failed' else j.status end, 2, 40, 40, 40 - failed.n, failed.n,
  j.started_at, j.completed_at
from polling_job_status as j
cross join sync_workspaces as w
join sync_streams as s on s.source_id = w.source_id and s.stream_name = 'sender_emails'
cross join lateral (select (j.status = 'partial')::int as n) as failed
order by j.started_at, w.id;
insert into chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, created_at)
select r.job_id, r.id, 'page', 1, page, r.started_at
from workspace_sync_runs as r cross join generate_series(1, 40) as page order by r.id, page;
insert into chunk_processing_queue (id, parent_sync_job_id, run_id, status, created_at,
  completed_at)
select c.id, c.parent_sync_job_id, c.run_id,
  case when r.status = 'failed' and c.page = 40 then 'failed' else 'completed' end, c.created_at,
  c.created_at + interval '1 second'
from chunked_sync_jobs as c join workspace_sync_runs as r on r.id = c.run_id order by c.id;
insert into chunk_events (chunk_id, run_id, event, occurred_at)
select id, run_id, status, completed_at from chunk_processing_queue order by id;
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at, outcome)
select chunk_id, 1, id, 1, occurred_at, 'answered' from chunk_events;
insert into sync.hinted_claims (chunk_id, worker_id, verdict, occurred_at)
select chunk_id, 'worker', 'claimed', occurred_at from chunk_events;
analyze;
select cleanup_stuck_chunks();
select set_setting('sweep_interval_seconds', '3600');
select tests.start('acme', 'zen');
select tests.work(2);
select tests.claim();
analyze;
create temp table job as
select (select id from polling_job_status where status = 'running') as live,
  (select id from polling_job_status where status = 'partial') as closed,
  (select max(id) from chunk_processing_queue) as chunk;
grant select on job to authenticated;

create function tests.cost() returns table (question text, most_rows int, rows_read bigint)
language plpgsql as $$
declare
  v_before bigint;
  v_grown regclass[] := '{public.workspace_sync_runs,public.chunked_sync_jobs,
    public.chunk_processing_queue,public.chunk_events,sync.hints,sync.hinted_claims}';
begin
  for question, most_rows in
    values
      ('chunk_processing_status', 40),
      ('chunk_processing_status where parent_sync_job_id = (select live from job)', 40),
      ('chunk_processing_status where parent_sync_job_id = (select closed from job)', 0),
      ('sync_progress', 40),
      ('sync_progress order by updated_at desc limit 3', 40),
      ('sync_page_queue limit 100', 400),
      ('sync_page_queue where id = (select chunk from job)', 4),
      ('thread_processing_queue limit 100', 40),
      ('thread_processing_queue where id = (select chunk from job)', 4),
      ('failed_chunks limit 100', 40),
      ('failed_chunks where parent_sync_job_id = (select closed from job)', 40),
      ('failed_chunks where id = (select chunk from job)', 4),
      ('stale_workspaces', 0),
      ('missing_workspaces', 0),
      ('workspace_health', 40),
      ('queue_health', 40),
      ('worker_health', 40),
      ('waiting_runs', 40),
      ('hint_deliveries order by occurred_at desc limit 100', 200),
      ('hint_deliveries where chunk_id = (select chunk from job)', 4)
  loop
    v_before := tests.rows_read(v_grown);
    execute format('select count(x::text) from (select * from %s) as x', question);
    rows_read := tests.rows_read(v_grown) - v_before;
    return next;
  end loop;
end; $$;

create function tests.planned_relations(p_sql text) returns text[] language plpgsql as $$
declare
  v_plan jsonb;
begin
  execute 'explain (format json) ' || p_sql into v_plan;
  return (select array_agg(distinct name #>> '{}' order by name #>> '{}')
    from jsonb_path_query(v_plan, '$.**."Relation Name"') as name);
end; $$;

select cmp_ok((select count(*) from chunk_processing_queue), '>', 48000::bigint,
  'among the chunks of 600 closed jobs');
select is_empty('select * from tests.cost() where rows_read > most_rows',
  'every view reads what is live or was asked for');
select is(tests.planned_relations('select * from chunk_processing_status'),
  '{polling_job_status}', 'and the progress of jobs plans for jobs only');
select tests.act_as('authenticated', p_is_operator => true);
select is_empty('select * from tests.cost() where rows_read > most_rows',
  'an operator''s row level security lets none of them read more');
reset role;

select * from finish();
rollback;
