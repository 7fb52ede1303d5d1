begin;
\ir ../support/setup.psql
select plan(14);

create function tests.stalled() returns text language plpgsql as $$
begin
  update sync.heartbeats set beat_at = sync.now() where name = 'cron';
  perform sync.check_health();
  return (select message from public.sync_alerts
    where kind = 'job_stalled' and subject = 'test' and resolved_at is null);
end; $$;
create function tests.worker_lives() returns void language sql as $$
  select tests.claim(1, 'idle') where false;
  insert into sync.workers (worker_id, last_seen_at) values ('idle', sync.now())
  on conflict (worker_id) do update set last_seen_at = sync.now();
$$;

select tests.workspace('acme', 1);
select tests.serve('acme', 1, 2, 3, 4, 5);
select tests.start('acme');
select tests.advance('10 minutes');
select is(tests.stalled(), null, 'ten minutes are no stall');
select tests.advance('6 minutes');
select matches(tests.stalled(), 'has not moved since .* UTC: no worker is alive',
  'without a worker it starts to count with the job');
select is((select count(*) from sync_alerts where kind = 'no_worker' and resolved_at is null),
  1::bigint, 'which is an alert of its own');

select tests.complete(l) from tests.claim() as l;
select is(tests.stalled(), null, 'a chunk that ends resolves it');
select is_empty($$select 1 from sync_alerts where kind = 'no_worker' and resolved_at is null$$,
  'and so does the worker that was heard of');
select tests.advance('14 minutes');
select is(tests.stalled(), null, 'from then it counts anew');
select tests.advance('2 minutes');
select tests.worker_lives();
select matches(tests.stalled(), ': 1 chunk is ready and waits for their turn', 'ready');

select pause_sync(p_workspace => 'acme');
select matches(tests.stalled(), ': paused: chunkwise resume --workspace acme', 'paused');
select resume_sync(p_workspace => 'acme');

create temp table held as select * from tests.claim();
select tests.worker_lives();
select matches(tests.stalled(), ': 1 request is in flight', 'in flight');
select fail_chunk_job_safe(queue_id, lease_token, 'transient', 'HTTP 502', 3600) from held;
select matches(tests.stalled(), ': 1 chunk is tried again: HTTP 502, until 20.* UTC', 'delayed');
update sync_budgets set blocked_until = sync.now() + interval '30 minutes';
select matches(tests.stalled(), ': the API limits the rate of bison.example, until 20.* UTC',
  'rate limit');
update sync_budgets set blocked_until = null;

update sync_settings set value = '1000000' where name = 'max_job_duration_seconds';
select tests.advance('2 hours');
select cleanup_stuck_chunks();
select tests.worker_lives();
select matches(tests.stalled(), ': 1 chunk is ready', 'until it is tried again');
select is((select count(*) from sync_alerts where kind = 'job_stalled'), 2::bigint,
  'each stall is one alert, whatever its reason');
select cancel_sync_job((select id from polling_job_status where status = 'running'));
select is(tests.stalled(), null, 'a cancelled job stalls no more');

select * from finish();
rollback;
