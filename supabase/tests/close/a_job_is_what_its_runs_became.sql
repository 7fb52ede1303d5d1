begin;
\ir ../support/setup.psql
select plan(1);

select tests.workspace(w || j) from unnest('{a,b}'::text[]) as w, generate_series(1, 8) as j;
create function tests.end_run(p_lease tests.lease, p_how text) returns text language sql as $$
  select case p_how
    when 'completed' then tests.complete(p_lease, tests.body('{1}'::bigint[], 1, 1))
    when 'partial' then tests.complete(p_lease, tests.body('{1}'::bigint[], 2, 1))
    when 'failed' then tests.fail(p_lease, 'permanent', 'HTTP 401: Unauthenticated.')
    when 'cancelled' then tests.fail(p_lease, 'released') end;
$$;
create temp table plan (n int generated always as identity, a text, b text);
insert into plan (a, b) values ('completed', 'completed'), ('completed', 'partial'),
  ('completed', 'failed'), ('partial', 'partial'),
  ('partial', 'failed'), ('failed', 'failed'), ('completed', 'cancelled'),
  ('cancelled', 'cancelled');
select set_setting('max_scans', '1');
do $$
declare
  v_case record;
  v_lease tests.lease;
begin
  for v_case in select * from plan order by n loop
    perform start_sync_job('job ' || v_case.n, null, array['a' || v_case.n, 'b' || v_case.n]);
    for v_lease in select * from tests.claim(2) loop
      if (case left(v_lease.workspace, 1) when 'a' then v_case.a else v_case.b end) = 'cancelled'
        and (select cancel_requested_at is null from public.polling_job_status
        where job_name = 'job ' || v_case.n) then
        perform cancel_sync_job((select id from public.polling_job_status
          where job_name = 'job ' || v_case.n));
      end if;
      perform tests.end_run(v_lease,
        case left(v_lease.workspace, 1) when 'a' then v_case.a else v_case.b end);
    end loop;
  end loop;
end $$;
select results_eq($$
  select p.a, p.b, j.status, j.total_workspaces, j.workspaces_processed, j.total_accounts_synced,
    cardinality(j.warnings), j.error_message is not null,
    j.completed_at, j.duration_ms
  from plan as p join public.polling_job_status as j on j.job_name = 'job ' || p.n order by p.n
$$, $$
  select v.a, v.b, v.status, 2, v.processed, v.accounts::bigint, v.warnings, v.has_error,
    sync.now(), 0::bigint from (values
    ('completed', 'completed', 'completed', 2, 2, 0, false),
    ('completed', 'partial', 'partial', 1, 2, 1, false),
    ('completed', 'failed', 'partial', 1, 1, 0, true),
    ('partial', 'partial', 'partial', 0, 2, 2, false),
    ('partial', 'failed', 'partial', 0, 1, 1, true),
    ('failed', 'failed', 'failed', 0, 0, 0, true),
    ('completed', 'cancelled', 'cancelled', 1, 1, 0, false),
    ('cancelled', 'cancelled', 'cancelled', 0, 0, 0, false)
  ) as v (a, b, status, processed, accounts, warnings, has_error)
$$, 'completed if all are, failed if none is completed or partial, cancelled, else partial');

select * from finish();
rollback;
