begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
create function public.fail_to_close(p_workspace_id bigint) returns void language plpgsql as $$
begin
  raise exception 'statistics are broken, key 7|keyof12345678';
end; $$;
update public.sync_streams set close_function = 'public.fail_to_close';
select tests.start('acme');
select is(tests.complete(l), 'completed', 'the last page is completed') from tests.claim() as l;
select is(tests.live_ids('acme'), '{1,2}', 'its records are kept');
select results_eq($$select r.status, r.close_error, j.status from public.workspace_sync_runs as r
  join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('running', 'statistics are broken, key ***', 'running')$$,
  'the run notes why it could not close');
select cleanup_stuck_chunks();
select results_eq($$select status from public.workspace_sync_runs$$, $$values ('running')$$,
  'a sweep tries again');
create or replace function public.fail_to_close(p_workspace_id bigint) returns void
  language sql as 'select';
select cleanup_stuck_chunks();
select results_eq($$select r.status, r.close_error, r.distinct_ids, j.status
  from public.workspace_sync_runs as r join public.polling_job_status as j on j.id = r.job_id$$,
  $$values ('completed', null::text, 2::bigint, 'completed')$$, 'and closes it when it can');
select is((select count(*) from public.chunk_events), 1::bigint, 'the page was applied once');

select * from finish();
rollback;
