begin;
\ir ../support/setup.psql
select plan(14);

-- Account 4 is archived: it is neither listed nor counted, and its own GET answers. Account 5 goes.
select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3, 4, 5);
select tests.sync('acme');
select tests.serve('acme', 1, 2, 3, 4);
create function tests.sync_archived() returns bigint language plpgsql as $$
declare
  v_job_id uuid := tests.start('acme');
  v_lease tests.lease;
begin
  loop
    select l.* into v_lease from tests.claim() as l;
    exit when v_lease.queue_id is null;
    if v_lease.record_id is null then
      perform tests.complete(v_lease, tests.body(
        array(select id from tests.accounts where id <> 4 order by id),
        (select count(*) from tests.accounts where id <> 4), 1));
    else
      perform tests.complete(v_lease);
    end if;
  end loop;
  return (select id from public.workspace_sync_runs where job_id = v_job_id);
end; $$;
create function tests.asked_for() returns text[] language sql as $$
  select array_agg(record_id order by scan, record_id) from public.chunked_sync_jobs
  where kind = 'confirmation' and run_id = (select max(id) from public.workspace_sync_runs);
$$;

create temp table first_run as select tests.sync_archived() as id;
select results_eq($$select status, scan, records_deleted, cardinality(warnings)
  from public.workspace_sync_runs join first_run using (id)$$,
  $$values ('completed', 2, 1::bigint, 2)$$,
  'it rejects one scan, then the run completes and deletes what is gone beside it');
select is(tests.asked_for(), '{4,5,4,5}', 'both were asked for in both scans');
select ok((select r.warnings[2] ~ '\m4\M' from public.workspace_sync_runs as r
  join first_run as f on f.id = r.id), 'a warning names it');
select results_eq($$select id, unlisted_at, deleted_at from sender_emails where id > 3
  order by id$$,
  $$values (4::bigint, sync.now(), null), (5, null, sync.now())$$, 'it lives, as unlisted');

select tests.advance('1 day');
select tests.sync_archived();
select results_eq($$select status, scan, warnings from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('completed', 1, '{}'::text[])$$,
  'from then on it rejects no scan');
select is(tests.asked_for(), null, 'and is not asked for');

select tests.advance('6 days');
select tests.sync_archived();
select is(tests.asked_for(), '{4}', 'but once in full_scan_days');
select results_eq($$select status, scan, cardinality(warnings) from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('completed', 1, 1)$$, 'and named then');

select tests.advance('1 day');
select tests.sync('acme');
select results_eq($$select id from sender_emails where unlisted_at is not null$$,
  $$select 0::bigint where false$$, 'shown again, it is listed');
select is_empty($$select * from sync.missing_records$$, 'and nothing is remembered of it');

select tests.sync_archived();
select is(tests.asked_for(), '{4,4}', 'unlisted again, it is asked for again');
delete from tests.accounts where id = 4;
select tests.sync_archived();
select is(tests.live_ids('acme'), '{1,2,3,4}', 'that it went meanwhile is not asked every day');
select tests.advance('7 days');
select tests.sync_archived();
select is(tests.live_ids('acme'), '{1,2,3}', 'a week later its own GET says so');

-- That answered once, a record is deleted by its own GET only, not by scans that miss it.
select tests.serve('acme', 1, 2, 3);
select tests.start('acme');
select tests.complete(l, tests.body('{1,2}'::bigint[], 2, 1)) from tests.claim() as l;
select tests.complete(l) from tests.claim() as l;
select tests.complete(l, tests.body('{1,2}'::bigint[], 2, 1)) from tests.claim() as l;
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select tests.start('acme');
select tests.complete(l, tests.body('{1,2}'::bigint[], 2, 1)) from tests.claim() as l;
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select is(tests.live_ids('acme'), '{1,2,3}', 'two complete scans that missed it do not');

select * from finish();
rollback;
