begin;
\ir ../support/setup.psql
select plan(4);

-- 25 workspaces of 3 pages, with and without one of 107, on a clock that stands still between
-- steps of 100 ms. A request takes 200 ms.
select tests.workspace('giant', 8);
select tests.serve('giant', variadic array(select generate_series(1, 214)::bigint));
select tests.workspace('small ' || n, 8) from generate_series(1, 25) as n;
select tests.serve('small ' || n, variadic array(
  select (1000 * n + i)::bigint from generate_series(1, 6) as i)) from generate_series(1, 25) as n;

create function tests.steps_until_small_are_done(p_has_giant boolean, p_most int) returns int
language plpgsql as $$
declare
  v_job_id uuid := tests.start(variadic array(
    select w.workspace_name from public.sync_workspaces as w
    where p_has_giant or w.workspace_name <> 'giant' order by w.id));
  v_leases tests.lease[];
begin
  for step in 1 .. p_most loop
    perform tests.claim(26);
    v_leases := array(
      select row(q.id, q.lease_token, w.workspace_name, c.page, null, 0, 1)::tests.lease
      from public.chunk_processing_queue as q
      join public.chunked_sync_jobs as c on c.id = q.id
      join public.workspace_sync_runs as r on r.id = q.run_id
      join public.sync_workspaces as w on w.id = r.workspace_id
      where q.status = 'processing' and q.requested_at + interval '200 ms' <= sync.now());
    perform public.complete_chunk_jobs_safe((select jsonb_agg(tests.answer(l))
      from unnest(v_leases) as l)) where cardinality(v_leases) > 0;
    if (select count(*) from public.workspace_sync_runs as r
      join public.sync_workspaces as w on w.id = r.workspace_id
      where r.job_id = v_job_id and w.workspace_name <> 'giant' and r.status = 'completed') >= 24
    then
      perform cancel_sync_job(v_job_id) from public.polling_job_status
      where id = v_job_id and status = 'running';
      perform tests.advance('1 minute');
      perform cleanup_stuck_chunks();
      perform cleanup_stuck_chunks();
      return step;
    end if;
    perform tests.advance('100 milliseconds');
  end loop;
end; $$;

create temp table took (budget text, has_giant boolean, steps int);
select set_budget('email_bison', 5, 10);
insert into took select 'default', false, tests.steps_until_small_are_done(false, 400);
insert into took select 'default', true, tests.steps_until_small_are_done(true, 400);
select set_budget('email_bison', null, 32);
insert into took select 'in flight', false, tests.steps_until_small_are_done(false, 400);
insert into took select 'in flight', true, tests.steps_until_small_are_done(true, 400);
select is((select count(steps) from took), 4::bigint, 'all come to an end');
select diag(format('%s, giant %s: %s steps', budget, has_giant, steps)) from took;
select cmp_ok((select max(steps) from took where budget = 'default' and has_giant), '<=',
  (select ceil(1.2 * max(steps))::int from took where budget = 'default' and not has_giant),
  'at the default budget 24 of 25 are through as soon, within a fifth');
select cmp_ok((select max(steps) from took where budget = 'in flight' and has_giant), '<=',
  (select ceil(1.2 * max(steps))::int + 1 from took where budget = 'in flight' and not has_giant),
  'as where only what is in flight is limited');
select is((select max(attempts) from public.chunk_processing_queue), 0, 'and nothing is burnt');

select * from finish();
rollback;
