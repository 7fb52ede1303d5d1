begin;
\ir ../support/setup.psql
select plan(8);

-- Of three workspaces on one budget one is refused whatever it asks.
select tests.workspace(name, 4) from unnest('{refused,oak,elm}'::text[]) as name;
select set_budget('email_bison', 5, 10);
select tests.serve('refused', 1);
select tests.serve(name, variadic array(select generate_series(1, 100)))
from unnest('{oak,elm}'::text[]) as name;
create temp table wait (n int generated always as identity, seconds numeric);

create function tests.steps_until_others_are_done(p_most int) returns int language plpgsql as $$
declare
  v_lease tests.lease;
begin
  for step in 1 .. p_most loop
    perform tests.claim(20);
    for v_lease in
      select q.id, q.lease_token, w.workspace_name, c.page, null, 0, 1
      from public.chunk_processing_queue as q
      join public.chunked_sync_jobs as c on c.id = q.id
      join public.workspace_sync_runs as r on r.id = q.run_id
      join public.sync_workspaces as w on w.id = r.workspace_id
      where q.status = 'processing' and q.requested_at + interval '200 ms' <= sync.now()
      order by q.id
    loop
      if v_lease.workspace = 'refused' then
        perform tests.fail(v_lease, 'rate_limited', 'HTTP 429', 1);
        insert into wait (seconds) select extract(epoch from rate_limited_until - sync.now())
        from public.sync_workspaces where workspace_name = 'refused';
      else
        perform tests.complete(v_lease);
      end if;
    end loop;
    if (select count(*) = 2 from public.workspace_sync_runs where status = 'completed') then
      return step;
    end if;
    perform tests.advance('100 milliseconds');
  end loop;
end; $$;

select tests.start('refused', 'oak', 'elm');
create temp table first as select max(ready_seq) as turn from public.chunk_processing_queue;
-- 100 pages at 5/s are 200 steps.
select cmp_ok(tests.steps_until_others_are_done(400), '<', 300,
  'the others are through about as soon as without it');
select is((select array_agg(seconds order by n) from (select * from wait order by n limit 6) as w),
  '{1,1,1,2,4,8}'::numeric[], 'it waits as it is told, and longer where that was too short');
select is((select block_level from public.sync_budgets where scope_key = 'bison.example'), 0,
  'the budget did not stop');
select cmp_ok((select turn from public.chunk_processing_queue as q
    join public.workspace_sync_runs as r on r.id = q.run_id where r.status = 'running'), '>',
  (select turn from first), 'it stands behind those that came later');

-- A budget that stopped for all is probed by who was not refused.
select tests.advance('2 minutes');
update public.sync_budgets set block_level = 1, blocked_until = sync.now() - interval '1 second'
where scope_key = 'bison.example';
select start_sync_job('more', '{sender_emails}', '{oak}');
create temp table probe as select * from tests.claim(20);
select is((select array_agg(workspace) from probe), '{oak}',
  'of a budget that stopped the one that was not refused asks first');
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
from probe;
select tests.advance('1 second');
create temp table again as select * from tests.claim(20) where workspace = 'refused';
select is((select count(*) from again), 1::bigint, 'nobody is kept from asking for good');

-- Whoever was not refused may get no answer at all, or be far behind in the line.
select tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'rate_limited', 'HTTP 429', 1) from again;
select tests.advance('2 minutes');
select start_sync_job('even more', '{sender_emails}', '{oak,elm}');
update public.chunk_processing_queue as q set ready_seq = 1, turn = null, next_retry_at = null,
  line_budget_id = null
from again where q.id = again.queue_id;
update public.sync_budgets set block_level = 1, blocked_until = sync.now(), probe_until = null
where scope_key = 'bison.example';
create temp table silent as select * from tests.claim(20);
select is((select count(*) filter (where workspace <> 'refused') from silent), 1::bigint,
  'it leaves them the first look');
select tests.fail((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease,
  'transient', 'no answer') from silent;
select tests.advance('2.1 seconds');
select is((select array_agg(workspace) from tests.claim(20)), '{refused}',
  'and asks when they had two seconds');

select * from finish();
rollback;
