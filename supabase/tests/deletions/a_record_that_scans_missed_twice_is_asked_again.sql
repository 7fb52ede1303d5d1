begin;
\ir ../support/setup.psql
select plan(7);

-- Its scan is complete and misses a record, whose own GET fails.
create function tests.miss(p_seen bigint, p_missed bigint) returns text language plpgsql as $$
declare
  v_outcome text;
begin
  perform tests.serve('acme', variadic array(select generate_series(1, p_seen)));
  perform tests.start('acme');
  perform tests.work(2);
  select tests.fail(l, 'permanent', 'HTTP 403: Forbidden') into v_outcome from tests.claim() as l
  where l.record_id = p_missed::text;
  return v_outcome;
end; $$;

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3, 4);
select tests.sync('acme');
select is(tests.miss(3, 4), 'failed', 'a scan misses a record of which the API does not say more');
select tests.start('acme');
select tests.work(2);
select tests.serve('acme', 1, 2, 3, 4);
select results_eq($$select record_id from tests.claim() as l where tests.complete(l) is not null$$,
  $$values ('4')$$, 'missed again, by a swap, it is asked for again');
select tests.work();
select is(tests.live_ids('acme'), '{1,2,3,4}', 'it answers, and lives');
select results_eq($$select status, records_deleted from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('completed', 0::bigint)$$, 'in a scan that shows it');

select tests.miss(3, 4);
select is(tests.miss(3, 4), 'failed', 'where the API says nothing the second time either');
select is(tests.live_ids('acme'), '{1,2,3}', 'two complete scans in a row are the proof');
select is((select count(*) from sync.missing_records), 0::bigint, 'and nothing waits');

select * from finish();
rollback;
