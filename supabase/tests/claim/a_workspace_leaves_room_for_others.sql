begin;
\ir ../support/setup.psql
\ir ../support/workers.psql
select plan(11);

select tests.workspace(name, slots) from (values ('giant', 16), ('slow 1', 8), ('slow 2', 8),
  ('fast 1', 3), ('fast 2', 3), ('fast 3', 3)) as w (name, slots);
select tests.serve(name, variadic array(select generate_series(1, pages * 2)::bigint))
from (values ('giant', 17), ('slow 1', 40), ('slow 2', 40), ('fast 1', 10), ('fast 2', 10),
  ('fast 3', 10)) as w (name, pages);

-- One claim.
select tests.start('giant', 'fast 1');
select tests.take('one', 1);
select tests.give('one');
select tests.take('one', 1);
select tests.give('one');
select results_eq($$select w.workspace_name, count(*) from public.chunk_processing_queue as q
  join public.workspace_sync_runs as r on r.id = q.run_id
  join public.sync_workspaces as w on w.id = r.workspace_id
  where q.ready_seq is not null group by 1 order by 1$$,
  $$values ('fast 1', 3::bigint), ('giant', 16)$$, 'a giant has as much ready as there is room');
select is(tests.take('one', 16), 16::bigint, 'a worker is filled');
select is(tests.holds('one'), '{"giant": 13, "fast 1": 3}',
  'with all of the other workspace first');
select tests.give('one', 'fast%');
select tests.take('one', 3);
select is(tests.holds('one'), '{"giant": 13, "fast 1": 3}',
  'and again, though the giant''s other chunks have older turns');
select tests.give('one');
select tests.take('one', 2);
select is(tests.holds('one'), '{"giant": 1, "fast 1": 1}', 'half and half is the least');
select tests.give('one');
select tests.work();

-- Two that do not answer.
select tests.start('slow 1', 'slow 2', 'fast 1', 'fast 2', 'fast 3');
select tests.work(2);
create function tests.fill(p_worker text) returns jsonb language plpgsql as $$
begin
  perform tests.take(p_worker, least(100, 16 - (select count(*) from tests.held
    where worker = p_worker)::int));
  return tests.holds(p_worker);
end; $$;
do $$ begin
  perform tests.fill('one');
  for i in 1 .. 40 loop
    perform tests.give('one', 'fast%');
    exit when tests.fill('one')::text not like '%fast%';
  end loop;
end $$;
select results_eq($$select w.workspace_name, r.status from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  where w.workspace_name <> 'giant' and r.job_id = (
  select id from public.polling_job_status where status = 'running') order by 1$$,
  $$values ('fast 1', 'completed'), ('fast 2', 'completed'), ('fast 3', 'completed'),
  ('slow 1', 'running'), ('slow 2', 'running')$$,
  'while they hold their leases, the others are read to the end');
select is(tests.holds('one'), '{"slow 1": 8, "slow 2": 8}',
  'when nobody else has work, they fill it');
select start_sync_job('another', null, '{fast 1}');
select is(tests.take('two', 1), 1::bigint, 'another worker, with little room');
select is(tests.holds('two'), '{"fast 1": 1}', 'takes the oldest turn');
select tests.give('one');
select tests.give('two');
select tests.work();
select results_eq($$select distinct status from public.polling_job_status$$,
  $$values ('completed')$$, 'all completes');
select is_empty($$select 1 from public.chunk_processing_queue where attempts > 0$$,
  'without an attempt burnt');

select * from finish();
rollback;
