begin;
\ir ../support/setup.psql
select plan(10);

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
create function tests.refuse() returns trigger language plpgsql as $$
begin
  raise exception using errcode = current_setting('tests.sqlstate'),
    message = 'the registry is broken, key 7|keyof12345678';
end; $$;
create trigger refuse before insert or update on public.sync_workspace_streams
for each row execute function tests.refuse();
select set_config('tests.sqlstate', 'P0001', true);
select tests.start('acme');
select is(tests.complete(l), 'completed', 'the last page is completed') from tests.claim() as l;
select is(tests.live_ids('acme'), '{1,2}', 'its records are kept');
select results_eq($$select r.status, r.close_error, j.status from public.workspace_sync_runs as r
  join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('running', 'the registry is broken, key ***', 'running')$$,
  'the run notes why it could not close');
select cleanup_stuck_chunks();
select results_eq($$select status, is_slow_to_close from public.workspace_sync_runs$$,
  $$values ('running', false)$$, 'a sweep tries again');
drop trigger refuse on public.sync_workspace_streams;
select cleanup_stuck_chunks();
select results_eq($$select r.status, r.close_error, r.distinct_ids, j.status
  from public.workspace_sync_runs as r join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('completed', null::text, 2::bigint, 'completed')$$, 'and closes it when it can');
select is((select count(*) from public.chunk_events), 1::bigint, 'the page was applied once');

-- What "assert" raises and a time limit are caught by no "when others".
create function tests.assert() returns trigger language plpgsql as $$
begin
  assert false, 'nothing is registered here';
end; $$;
create trigger refuse before insert or update on public.sync_workspace_streams
for each row execute function tests.assert();
select tests.start('acme');
select is(tests.complete(l), 'completed', 'neither does what a trigger asserts')
from tests.claim() as l;
select lives_ok('select cleanup_stuck_chunks()', 'nor does that stop a sweep');
drop trigger refuse on public.sync_workspace_streams;
select cleanup_stuck_chunks();
create trigger refuse before insert or update on public.sync_workspace_streams
for each row execute function tests.refuse();
select set_config('tests.sqlstate', '57014', true);
select tests.start('acme');
select is(tests.complete(l), 'completed', 'nor does the call''s time limit take it')
from tests.claim() as l;
select results_eq($$select status, is_slow_to_close from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('running', true)$$,
  'the run is left to a sweep that has more time');

select * from finish();
rollback;
