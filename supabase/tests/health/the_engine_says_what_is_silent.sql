begin;
\ir ../support/setup.psql
select plan(24);
select set_setting('expect_realtime', 'false');

create function tests.causes() returns table (kind text, subject text) language sql as $$
  select kind, subject from sync.engine_causes() order by kind, subject;
$$;

update sync.heartbeats set beat_at = sync.now();
select is_empty('select * from tests.causes()', 'all is well');

-- pg_cron, and who looks when it does not.
select tests.advance('4 minutes');
select results_eq('select * from tests.causes()', $$values ('cron_silent', 'pg_cron')$$,
  'pg_cron was not heard of for three minutes');
select tests.claim();
select is_empty('select 1 from sync_alerts', 'health was checked four minutes ago');
select tests.advance('2 minutes');
select tests.claim();
select results_eq($$select kind, repeats from sync_alerts$$, $$values ('cron_silent', 0)$$,
  'after five a claim checks it');
select tests.advance('1 minute');
select tests.claim();
select results_eq($$select kind, repeats from sync_alerts$$, $$values ('cron_silent', 0)$$,
  'and not at every claim');
select sync.beat('cron');
select sync.check_health();
select is((select resolved_at from sync_alerts), sync.now(), 'its heartbeat resolves that');
select tests.advance('2 hours');
update sync.heartbeats set beat_at = sync.now() where name = 'cron';
select tests.claim();
select is((select count(*) from sync_alerts), 1::bigint, 'while it beats, claims do not check');

-- Realtime, which has no partition here: it raises nothing, and nobody hears of work.
select set_setting('expect_realtime', 'true');
select results_eq('select * from tests.causes()', $$values ('hints_silent', 'realtime')$$,
  'broadcasts are lost while a worker lives');
update sync.workers set first_seen_at = sync.now();
select is_empty('select * from tests.causes()', 'one that just began may not listen yet');
select tests.advance('2 minutes');
select is_empty('select * from tests.causes()', 'without a worker nobody misses them');
select tests.claim();
select set_setting('expect_realtime', 'false');
select is_empty('select * from tests.causes()', 'where nobody is meant to listen it is no alert');
select set_setting('expect_realtime', 'true');
create or replace function sync.takes_broadcasts() returns boolean language sql
return true;
select is_empty('select * from tests.causes()', 'nor where they are taken');

-- Workers that listen and hear nothing: an idle look found work, more than once in a row.
create function tests.listen(p_idle_finds int) returns jsonb language sql as $$
  select public.claim_next_chunk_job_safe('worker-1', 1,
    jsonb_build_object('idle_finds', p_idle_finds), p_protocol => 2);
$$;
select tests.listen(1);
select is_empty('select * from tests.causes()', 'once is none: a hint can come late');
select tests.listen(2);
select results_eq('select * from tests.causes()', $$values ('hints_silent', 'realtime')$$,
  'twice in a row is one');
select set_setting('expect_realtime', 'false');
select is_empty('select * from tests.causes()', 'where nobody is meant to listen it is no alert');
select set_setting('expect_realtime', 'true');
select sync.check_health();
select tests.listen(0);
select sync.check_health();
select results_eq($$select kind, resolved_at is not null from sync_alerts
  where subject = 'realtime'$$, $$values ('hints_silent', true)$$,
  'it is resolved when one is heard');
select tests.listen(2);
select tests.claim();
select is_empty('select * from tests.causes()', 'who listens no more misses nothing');

-- Hints that fail, by Realtime.
create or replace function sync.broadcast_work(p_pause interval) returns void language plpgsql as $$
begin
  raise exception 'no partition for 7|%', repeat('b', 40);
end; $$;
select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.start('acme');
select results_eq($$select message from sync.engine_causes()$$,
  $$values ('hints by Realtime fail: no partition for ***')$$, 'hints that fail are told, masked');
select tests.work();
select sync.tend_hints();
select results_eq('select * from tests.causes()', $$values ('hints_silent', 'realtime')$$,
  'for as long as none was heard of, also when nothing is ready');
update sync.hint_state set last_error = null;

-- Hints by POST, which pg_net never sends.
select register_worker_endpoint('https://worker.example/wake', 'wake-token-of-tests');
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at, outcome)
select 1, 1, n, 1, sync.now(), 'lost' from generate_series(1, 3) as n;
select results_eq('select * from tests.causes()', $$values ('hints_silent', 'pg_net')$$,
  'posts without any answer');
select tests.advance('3 hours');
update sync.heartbeats set beat_at = sync.now();
select results_eq('select * from tests.causes()', $$values ('hints_silent', 'pg_net')$$,
  'until one is answered');
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at, outcome)
values (1, 1, 4, 2, sync.now(), 'refused');
select is_empty('select * from tests.causes()', 'even if it is refused: that is endpoint_failing');

-- An endpoint that fails, and what it said.
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at)
select 1, (select id from worker_endpoints), -n, 1, sync.now() from generate_series(1, 3) as n;
insert into net._http_response (id, status_code, content, timed_out)
select -n, 401, 'who is wake-token-of-tests?', false from generate_series(1, 3) as n;
select sync.collect_hint_answers();
select sync.check_health();
select results_eq($$select kind, subject, message from sync_alerts where resolved_at is null$$, $$
  values ('endpoint_failing', 'https://worker.example/wake',
    '3 wake-ups in a row failed: (not shown: it repeats the key)')
$$, 'an endpoint that refuses; a health check lets it be');
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at)
values (1, (select id from worker_endpoints), -4, 1, sync.now());
insert into net._http_response (id, status_code, timed_out) values (-4, 202, false);
select sync.collect_hint_answers();
select is_empty('select 1 from sync_alerts where resolved_at is null', 'until it answers');

select * from finish();
rollback;
