begin;
\ir ../support/setup.psql
select plan(12);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
create temp table job as select id from public.polling_job_status;
grant select on job to authenticated;
create temp table screens (question text);
insert into screens values ('get_fleet()'), ('get_jobs_page()'), ('get_alerts_page()'),
  ('get_engine_page()'), ('get_sources_page()'), ('get_workspace_page(''acme'')'),
  ('get_held_deletions(1)'), ('get_job_page((select id from job))');
grant select on screens to authenticated;
create function tests.ask(p_question text) returns jsonb language plpgsql as $$
declare
  v_answer jsonb;
begin
  execute 'select public.' || p_question into v_answer;
  return v_answer;
end; $$;
create function tests.refusals() returns setof text language plpgsql as $$
declare
  v_question text;
begin
  for v_question in select question from screens loop
    begin
      perform tests.ask(v_question);
    exception when insufficient_privilege then
      return next v_question;
    end;
  end loop;
end; $$;

select tests.act_as('authenticated', p_is_operator => true);
select is((select count(*) from screens where tests.ask(question) ? 'as_of'), 8::bigint,
  'an operator gets each screen, with the time of the answer');
select is(tests.ask('get_workspace_page(''acme'')') #>> '{streams,0,rows_here}', '3',
  'a workspace shows how many rows are here');
select is(jsonb_array_length(tests.ask('get_workspace_page(''acme'')') #> '{streams,0,history}'),
  1, 'and its runs');
select throws_ok($$select public.get_workspace_page('nobody')$$, 'SY002', null,
  'an unknown workspace is named');
select throws_ok($$select public.get_job_page(gen_random_uuid())$$, 'SY007', null,
  'and so is an unknown job');
select results_eq($$
  select j ->> 'status', (j ->> 'run_count')::int, j #>> '{runs,0,workspace_name}'
  from (select public.get_job_page((select id from job)) as j) as a
$$, $$values ('completed', 1, 'acme')$$, 'a job shows its runs');
reset role;

select tests.act_as('authenticated');
select is((select count(*) from tests.refusals()), 8::bigint, 'another signed-in user gets none');
reset role;
select tests.act_as('anon');
select throws_ok($$select public.get_fleet()$$, '42501', null, 'an anonymous visitor neither');
reset role;

-- A part of a list says that there is more, and where it goes on.
insert into public.polling_job_status (job_name, status, started_at, completed_at)
select 'old', 'completed', sync.now() - n * interval '1 hour', sync.now() - n * interval '1 hour'
from generate_series(1, 1200) as n;
create function tests.all_jobs() returns setof uuid language plpgsql as $$
declare
  v_before timestamptz;
  v_page jsonb;
begin
  loop
    v_page := public.get_jobs_page(v_before, null, 500);
    return query select (j ->> 'job_id')::uuid from jsonb_array_elements(v_page -> 'jobs') as j;
    exit when not (v_page ->> 'has_more')::boolean;
    v_before := (v_page #>> '{jobs,-1,started_at}')::timestamptz;
  end loop;
end; $$;
select is((select count(distinct j) from tests.all_jobs() as j), 1201::bigint,
  'page by page every ended job comes once');
insert into public.sync_alerts (kind, subject, message, resolved_at)
select 'no_worker', 'n' || n, 'x', sync.now() from generate_series(1, 3) as n;
insert into public.sync_alerts (kind, subject, message)
values ('key_refused', 'acme', 'the API refuses its key');
select results_eq($$
  select a ->> 'alerts', a #>> '{open,0,workspace_name}', a #>> '{open,0,command}',
    jsonb_array_length(a -> 'ended'), a ->> 'has_more'
  from (select public.get_alerts_page(null, 2) as a) as x
$$, $$values ('1', 'acme', 'chunkwise keys rotate acme', 2, 'true')$$,
  'an alert comes with its workspace and what helps');
select is(public.get_engine_page() #>> '{queue,live_jobs}', '0', 'the engine shows the queue');
select isnt_empty($$
  select 1 from jsonb_array_elements(public.get_sources_page() -> 'sources') as s
  cross join jsonb_array_elements(s -> 'streams') as t where t ->> 'stream' = 'sender_emails'
$$, 'and sources their streams');

select * from finish();
rollback;
