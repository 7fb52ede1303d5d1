begin;
\ir ../support/setup.psql
select plan(8);

create function tests.failing(variadic p_workspaces text[]) returns uuid language plpgsql as $$
declare
  v_job_id uuid := tests.start(variadic p_workspaces);
begin
  perform tests.fail(l, 'permanent', 'HTTP 403') from tests.claim(10) as l;
  perform tests.advance('30 minutes');
  return v_job_id;
end; $$;

create function tests.taken(p_job_id uuid) returns boolean language plpgsql as $$
begin
  perform public.retry_failed_chunks(p_job_id);
  raise exception using errcode = 'P0002';
exception
  when no_data_found then return true;
  when sqlstate 'SY008' or sqlstate 'SY004' then return false;
end; $$;

create function tests.retryable() returns text[] language sql as $$
  select array(select j.job_name from polling_job_status as j
    where get_retryable_jobs(array(select id from polling_job_status)) -> 'job_ids'
      @> to_jsonb(j.id) order by 1);
$$;

create function tests.taken() returns text[] language sql as $$
  select array(select job_name from polling_job_status where tests.taken(id) order by 1);
$$;

select tests.workspace('acme');
select tests.workspace('zen');
select tests.serve('acme', 1);
select tests.serve('zen', 2);
create temp table named as
select name, tests.failing('acme') as id from unnest('{a1,a2,a3}'::text[]) as name;
insert into named select 'both', tests.failing('acme', 'zen');
update polling_job_status as j set job_name = name from named where named.id = j.id;
select is(tests.retryable(), '{both}', 'of many failed jobs of a workspace, the newest');
select is(tests.retryable(), tests.taken(), 'the one that is taken');
select tests.sync('zen');
select is(tests.retryable(), '{}', 'none when one of its workspaces was synced since');
select is(tests.retryable(), tests.taken(), 'nor would it be taken');

select tests.failing('acme');
select is(tests.retryable(), '{test}', 'what failed again');
select deactivate_workspace('acme');
select is(tests.retryable(), '{}', 'not of an inactive workspace');
select is(tests.retryable(), tests.taken(), 'which is refused');
select is(get_retryable_jobs(array[gen_random_uuid()]), '{"job_ids": []}', 'nor an unknown job');

select * from finish();
rollback;
