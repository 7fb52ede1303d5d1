begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme');
select tests.start('acme');
create function tests.rate_limit() returns interval language plpgsql as $$
declare
  v_lease tests.lease;
begin
  select * into v_lease from tests.claim();
  perform tests.fail(v_lease, 'rate_limited', 'HTTP 429');
  return (select rate_limited_until - sync.now() from public.sync_workspaces);
end; $$;
create temp table block (turn int generated always as identity, length interval);
do $$ begin
  for i in 1 .. 8 loop
    insert into block (length) select tests.rate_limit();
    perform tests.advance('61 seconds');
  end loop;
end $$;
select results_eq($$select length from block order by turn$$,
  $$values (interval '2 s'), (interval '4 s'), (interval '8 s'), (interval '16 s'),
  (interval '32 s'), (interval '60 s'), (interval '60 s'), (interval '60 s')$$,
  'each probe that meets a 429 without Retry-After doubles the block, up to the cap');
select results_eq($$select attempts, status from public.chunk_processing_queue$$,
  $$values (0, 'pending')$$, 'however often, no attempt is burnt');
select tests.fail(l, 'rate_limited', 'HTTP 429', 999999) from tests.claim() as l;
select is((select rate_limited_until - sync.now() from public.sync_workspaces),
  interval '15 minutes',
  'a wait is at most max_block_seconds, then it is probed');
select tests.advance('1 hour');
select tests.fail(l, 'rate_limited', 'HTTP 429', 0) from tests.claim() as l;
select is((select rate_limited_until - sync.now() from public.sync_workspaces),
  interval '60 s',
  'a Retry-After of 0 says no more than none: it would be asked again without a pause');

select * from finish();
rollback;
