begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme', 2);
select tests.workspace('zen');
select tests.workspace('oak');
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7);
select tests.serve('zen', 1, 2, 3);
select tests.sync('acme');
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
create temp table job as select tests.start('acme', 'zen', 'oak') as id;
create temp table step (n int generated always as identity, percentage numeric, completed numeric,
  failed numeric, pending numeric, ended_runs bigint);
create function tests.look() returns void language sql as $$
  insert into step (percentage, completed, failed, pending, ended_runs)
  select s.progress_percentage, s.completed_chunks, s.failed_chunks, s.pending_chunks,
    (select count(*) from public.workspace_sync_runs as r
    where r.job_id = job.id and r.status <> 'running')
  from job join chunk_processing_status as s on s.parent_sync_job_id = job.id;
$$;
do $$
declare
  v_lease tests.lease;
begin
  perform tests.look();
  for i in 1 .. 100 loop
    select * into v_lease from tests.claim();
    exit when v_lease.queue_id is null;
    perform tests.look();
    if v_lease.workspace = 'oak' then
      perform tests.fail(v_lease, 'permanent', 'HTTP 403');
    elsif v_lease.workspace = 'acme' and v_lease.page = 3
      and (select c.scan from public.chunked_sync_jobs as c where c.id = v_lease.queue_id) = 1 then
      perform tests.complete(v_lease, tests.body('{5,9}'::bigint[], 8, 4));
    else
      perform tests.complete(v_lease);
    end if;
    perform tests.look();
  end loop;
end $$;
select results_eq($$select scan, phase, records_deleted from public.workspace_sync_runs
  order by id desc limit 1 offset 2$$,
  $$values (2, 'confirm', 2::bigint)$$, 'a run was scanned twice and asked for what it missed');
select is((select percentage from step order by n limit 1), null,
  'at first nobody knows how much there is');
select ok((select min(n) filter (where percentage is not null) > 3 from step),
  'not before every run''s total is known');
select is_empty($$
  select * from (select *, max(percentage) over (order by n) as highest,
    max(completed) over (order by n) as most,
    max(failed) over (order by n) as most_failed, max(ended_runs) over (order by n) as most_ended
    from step) as s
  where percentage < highest or percentage is null and highest is not null or completed < most
    or failed < most_failed or ended_runs < most_ended
$$, 'from then on neither the percentage nor an ended count ever falls');
select is_empty($$select * from step where percentage = 100 and ended_runs < 3$$,
  '100 is said at the end only');
select results_eq($$select percentage, completed, failed, pending from step
  order by n desc limit 1$$,
  $$select 83.3, chunks_completed::numeric, chunks_failed::numeric, 0::numeric
  from public.polling_job_status join job using (id)$$,
  'and the closed job keeps its totals; one of its runs failed, so it is not at 100');

select * from finish();
rollback;
