begin;
\ir ../support/setup.psql
select plan(9);

select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3);
select public.start_sync_job('sync');
select tests.work();
select public.start_audit();
select tests.work();
select public.start_sync_job('keys', '{connection}');
select tests.work();
select public.start_sync_job('both', '{connection,sender_emails}');
select tests.work();

select results_eq($$select job_name, kind from public.polling_job_status order by job_name$$,
  $$values ('audit', 'audit'), ('both', 'sync'), ('keys', 'key_check'), ('sync', 'sync')$$,
  'a job says what it is');
select results_eq($$select job_name, kind from public.sync_progress order by job_name$$,
  $$select job_name, kind from public.polling_job_status order by job_name$$,
  'so does its progress');
select is(public.get_sync_job_progress(id) ->> 'kind', kind, 'also as JSON: ' || job_name)
from public.polling_job_status where job_name in ('audit', 'keys') order by job_name;

-- One account fewer: after page 1 and 2 it is asked for, and then is gone.
delete from tests.accounts where id = 3;
select public.start_sync_job('pages');
select tests.work(1);
create function tests.pages(p_job text) returns setof jsonb language sql as $$
  select run -> 'pages' || jsonb_build_object('chunks', run -> 'planned')
  from public.polling_job_status as j,
    jsonb_array_elements(public.get_sync_job_progress(j.id) -> 'runs') as run
  where job_name = p_job;
$$;
select results_eq($$select tests.pages('pages')$$,
  $$values ('{"planned": 1, "completed": 1, "chunks": 2}'::jsonb)$$,
  'a question for one record is no page, while a run is live');
select tests.work();
select results_eq($$select tests.pages('pages')$$,
  $$values ('{"planned": 1, "completed": 1, "chunks": 2}'::jsonb)$$, 'and when it has ended');
select results_eq($$select tests.pages('keys')$$,
  $$values ('{"planned": 0, "completed": 0, "chunks": 1}'::jsonb)$$,
  'nor is the question whose a key is');

insert into public.polling_job_status (job_name) values ('by hand');
select is(kind, 'sync', 'a row of a user''s own is a sync unless it says more')
from public.polling_job_status where job_name = 'by hand';
select throws_ok($$insert into public.polling_job_status (job_name, kind) values ('x', 'y')$$,
  '23514', null, 'another kind there is not');

select * from finish();
rollback;
