begin;
\ir ../support/setup.psql
select plan(6);

-- The job's end, of whatever name and stream; a null body is refused.
create function tests.end_job(p_name text, p_stream text, p_workspace text, p_body text)
  returns text language plpgsql as $$
declare
  v_job_id uuid;
begin
  perform tests.advance('1 minute');
  v_job_id := public.start_sync_job(p_name, array[p_stream], array[p_workspace]) ->> 'job_id';
  perform tests.complete(l, coalesce(p_body, '{}'), case when p_body is null then 401 else 200 end)
  from tests.claim() as l;
  return (select status from public.polling_job_status where id = v_job_id);
end; $$;
create function tests.not_completed() returns setof text language sql as $$
  select subject from sync.job_causes() where kind = 'job_not_completed' order by 1;
$$;

select tests.workspace('acme');
select tests.workspace('zen');
create temp table bodies as
select '{"data": [], "meta": {"total": 0, "last_page": 1}}'::text as empty,
  '{"data": {"workspace": {"id": 7, "name": "acme"}}}'::text as own;

select tests.end_job('keys check', 'connection', 'acme', null);
select is_empty('select * from tests.not_completed()', 'a refused key has an alert of its own');
select rotate_workspace_key('acme', '8|anotherkey');
select tests.accept_key('acme');

select tests.end_job('sync', 'replies', 'acme', null);
select tests.accept_key('acme');
select is(tests.end_job('sync', 'replies', 'zen', empty), 'completed', 'another of that name')
from bodies;
select results_eq('select * from tests.not_completed()', $$values ('sync')$$,
  'what the first left is left');
select is(tests.end_job('sync', 'sender_emails', 'acme', empty), 'completed', 'also')
from bodies;
select results_eq('select * from tests.not_completed()', $$values ('sync')$$,
  'by another stream of that workspace');
select tests.end_job('by hand', 'replies', 'acme', empty) from bodies;
select is_empty('select * from tests.not_completed()', 'until any job completes it');

select * from finish();
rollback;
