begin;
\ir ../support/setup.psql
select plan(13);

create function tests.echo_of(p_listening jsonb, p_worker_id text default 'worker-1') returns bigint
  language sql as $$
  select (public.claim_next_chunk_job_safe(p_worker_id, 1, p_listening, 2)
    ->> 'echo_age_ms')::bigint;
$$;

select is(tests.echo_of(null), null, 'whoever does not listen is told of none');
select is((select echoed_at from sync.echo_state), '-infinity'::timestamptz, 'and none is sent');
select is(tests.echo_of('{"idle_finds": 0}'), 0::bigint, 'who listens has one sent');
select tests.advance('20 seconds');
select is(tests.echo_of('{}', 'worker-2'), 20000::bigint,
  'another that listens is told of the same one');
select tests.advance('39 seconds');
select is(tests.echo_of('{}'), 59000::bigint, 'none is sent before its time');
select tests.advance('1 second');
select is(tests.echo_of('{}'), 0::bigint, 'the next one follows after a minute');
select set_setting('echo_interval_seconds', '10');
select tests.advance('10 seconds');
select is(tests.echo_of('{}'), 0::bigint, 'or after what the setting says');
select tests.advance('-1 hour');
select is(tests.echo_of('{}'), 0::bigint, 'a clock that is set back holds none up');
select set_setting('echo_interval_seconds', '0');
select tests.advance('1 hour');
select is(tests.echo_of('{}'), null, 'or there are none');

-- What workers say of what they heard.
select results_eq(
  $$select worker_id, is_listening, idle_finds from public.worker_health order by 1$$,
  $$values ('worker-1', true, 0), ('worker-2', true, 0)$$, 'who listens is shown');
select tests.echo_of('{"idle_finds": 3}');
select results_eq($$select is_listening, idle_finds from public.worker_health
  where worker_id = 'worker-1'$$, 'values (true, 3)', 'and what it found without a hint, at once');
select tests.claim();
select results_eq($$select is_listening, idle_finds from public.worker_health
  where worker_id = 'worker-1'$$, 'values (false, 0)', 'who listens no more is none of them');

-- A Realtime that raises costs the claim nothing.
select set_setting('echo_interval_seconds', '60');
create or replace function sync.setting_seconds(p_name text) returns interval language plpgsql as $$
begin
  if p_name = 'echo_interval_seconds' then
    raise exception 'no';
  end if;
  return (select make_interval(secs => (value #>> '{}')::double precision) from public.sync_settings
    where name = p_name);
end; $$;
select lives_ok($$select public.claim_next_chunk_job_safe('worker-1', 1, '{}', p_protocol => 2)$$,
  'an echo that fails does not reach the claim');

select * from finish();
rollback;
