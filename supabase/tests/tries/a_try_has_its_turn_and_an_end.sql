begin;
\ir ../support/setup.psql
\ir ../support/tries.psql
select plan(7);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.start('zen');
create function tests.fail_it(p_message text) returns text language sql as $$
  select fail_chunk_job_safe(request_id, lease_token, 'released', p_message) ->> 'outcome'
  from sync.stream_tries;
$$;
create function tests.lease_one() returns text language sql as $$
  select l ->> 'workspace' from jsonb_array_elements(
    claim_next_chunk_job_safe('worker-1', 1, p_protocol => 2) -> 'leases') as l;
$$;

select tests.tried('{}', variadic '{}'::jsonb[]);
select is(tests.lease_one(), 'acme', 'a try has its turn, although a chunk is ready');
select is(tests.lease_one(), 'zen', 'and the chunk has its own');
select is(tests.fail_it(null), 'released', 'what was not sent is sent again');
select tests.lease_one();
create function tests.drop_it() returns text language plpgsql as $$
declare
  v_outcome text := tests.fail_it('no answer: the connection was closed');
begin
  perform tests.advance('2 seconds');
  perform tests.lease_one();
  return v_outcome;
end; $$;
select is(array[tests.drop_it(), tests.drop_it(), tests.drop_it()], '{retry,retry,failed}'::text[],
  'what met a closed connection, too, but three times at most');

select tests.tried('{}', variadic '{}'::jsonb[]);
select tests.lease_one();
select fail_chunk_job_safe(request_id, lease_token, 'rate_limited', 'HTTP 429: slow down',
  p_answer => '{"status": 429, "headers": {"retry-after": "40"}}') from sync.stream_tries;
select is((select due_at from sync.stream_tries), sync.now() + interval '40 seconds',
  'a refusal says when it is sent again');

select tests.tried('{}', variadic '{}'::jsonb[]);
update sync_sources set auth = 'none';
select remove_workspace('acme');
select is(tests.lease_one(), null, 'of a workspace that was removed nothing is asked for');
select is((select status from sync.stream_tries), 'failed', 'and its try has failed');

select * from finish();
rollback;
