begin;
\ir ../support/setup.psql
select plan(7);

-- Six workspaces of 4 pages beside such that answer their first page and then nothing any more, on
-- a clock that stands still between steps of 100 ms. A request takes 200 ms.
select tests.workspace('hung ' || n, 8) from generate_series(1, 4) as n;
select tests.serve('hung ' || n, variadic array(
  select (1000 * n + i)::bigint from generate_series(1, 40) as i)) from generate_series(1, 4) as n;
select tests.workspace('quick ' || n, 8) from generate_series(1, 6) as n;
select tests.serve('quick ' || n, variadic array(
  select (10000 * n + i)::bigint from generate_series(1, 8) as i)) from generate_series(1, 6) as n;

create function tests.steps_until_quick_are_done(p_hung int, p_most int)
  returns int language plpgsql as $$
declare
  v_job_id uuid := tests.start(variadic array(
    select w.workspace_name from public.sync_workspaces as w
    where w.workspace_name like 'quick %' or w.workspace_name = any (array(
      select 'hung ' || n from generate_series(1, p_hung) as n)) order by w.id));
  v_leases tests.lease[];
begin
  for step in 1 .. p_most loop
    perform tests.claim(16);
    v_leases := array(
      select row(q.id, q.lease_token, w.workspace_name, c.page, null, 0, 1)::tests.lease
      from public.chunk_processing_queue as q
      join public.chunked_sync_jobs as c on c.id = q.id
      join public.workspace_sync_runs as r on r.id = q.run_id
      join public.sync_workspaces as w on w.id = r.workspace_id
      where q.status = 'processing' and q.requested_at + interval '200 ms' <= sync.now()
        and (w.workspace_name like 'quick %' or c.page = 1));
    perform public.complete_chunk_jobs_safe((select jsonb_agg(tests.answer(l))
      from unnest(v_leases) as l)) where cardinality(v_leases) > 0;
    if (select count(*) from public.workspace_sync_runs as r
      join public.sync_workspaces as w on w.id = r.workspace_id
      where r.job_id = v_job_id and w.workspace_name like 'quick %' and r.status = 'completed') = 6
    then
      perform cancel_sync_job(v_job_id) from public.polling_job_status
      where id = v_job_id and status = 'running';
      perform tests.advance('10 minutes');
      perform cleanup_stuck_chunks();
      perform cleanup_stuck_chunks();
      return step;
    end if;
    perform tests.advance('100 milliseconds');
  end loop;
end; $$;

create temp table took (hung int, in_flight int, steps int);
select set_budget('email_bison', null, 10);
insert into took select n, 10, tests.steps_until_quick_are_done(n, 200)
from unnest('{0,1,2,4}'::int[]) as n;
select set_budget('email_bison', null, 5);
insert into took select n, 5, tests.steps_until_quick_are_done(n, 200)
from unnest('{0,1}'::int[]) as n;
select set_budget('email_bison', 50, 10);
insert into took select n, 50, tests.steps_until_quick_are_done(n, 200)
from unnest('{0,4}'::int[]) as n;
select diag(format('%s hung, %s in flight: %s steps', hung, in_flight, steps))
from took;
select is((select count(steps) from took), 8::bigint, 'those that answer come to an end');
select cmp_ok((select max(steps) from took where in_flight = 10), '<=',
  (select 2 * steps from took where in_flight = 10 and hung = 0),
  'beside four that hang in twice the time, as these hold four of ten places');
select cmp_ok((select max(steps) from took where in_flight = 5), '<=',
  (select 2 * steps from took where in_flight = 5 and hung = 0), 'so where five are in flight');
select cmp_ok((select max(steps) from took where in_flight = 50), '<=',
  (select 2 * steps from took where in_flight = 50 and hung = 0), 'and at a pace');
select set_budget('email_bison', null, 4);
select tests.start('hung 1', 'quick 1');
create temp table firsts as select * from tests.claim(2);
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
  from firsts;
create temp table held as select * from tests.claim(100);
select results_eq($$select workspace, count(*) from held group by 1 order by 1$$,
  $$values ('hung 1', 2::bigint), ('quick 1', 2::bigint)$$, 'two have half of four places each');
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
  from held where workspace = 'quick 1';
select tests.advance('1 second');
select results_eq($$select workspace, count(*) from tests.claim(100) group by 1$$,
  $$values ('quick 1', 1::bigint)$$, 'what is free goes to who has less');
select results_eq($$select workspace, count(*) from tests.claim(100) group by 1$$,
  $$values ('hung 1', 1::bigint)$$, 'and to anybody, when nobody else has a use for it');

select * from finish();
rollback;
