begin;
\ir ../support/setup.psql
select plan(22);

select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7);
select tests.start('acme');
select tests.work(1);
create function tests.set_chunk(p_page int, p_change text) returns text language sql as $$
  select format('update public.chunk_processing_queue set %s
    where id = (select id from public.chunked_sync_jobs where page = %s)', p_change, p_page);
$$;
select throws_ok(tests.set_chunk(2, $$status = 'done'$$), '23514', null, 'an unknown status');
select throws_ok(tests.set_chunk(2, $$status = 'processing', ready_seq = null$$), '23514', null,
  'in flight without a lease');
select throws_ok(tests.set_chunk(2, $$slot = null$$), '23514', null, 'ready without a slot');
select throws_ok(tests.set_chunk(2, $$ready_seq = null$$), '23514', null,
  'in a slot, but neither ready nor delayed');
select throws_ok(tests.set_chunk(2, $$next_retry_at = now()$$), '23514', null, 'ready and delayed');
select throws_ok(tests.set_chunk(2, $$status = 'completed', ready_seq = null, slot = null$$),
  '23514', null, 'completed without a time');
select throws_ok(tests.set_chunk(1, $$slot = 2$$), '23514', null, 'completed in a slot');
select throws_ok(tests.set_chunk(3, $$slot = 1$$), '23505', null, 'two in one slot');
select throws_ok($$update public.chunk_events set details = '{}'$$, 'SY018', null,
  'events are append-only');
select throws_ok($$
  insert into public.workspace_sync_runs (job_id, workspace_id, stream_id,
    max_concurrency) select job_id, workspace_id, stream_id, 1
  from public.workspace_sync_runs
$$, '23505', null, 'two live runs of one workspace and stream');

-- Without any of these everything would stand still, without a word.
select throws_ok(format('%s %s', verb, state), 'SY018', null, format('%s %s', verb, state))
from unnest('{public.sync_settings,sync.sweep_state,sync.hint_state,sync.echo_state,
  sync.engine_locks,sync.heartbeats}'::text[]) as state, unnest('{delete from,truncate}'::text[])
  as verb;

select * from finish();
rollback;
