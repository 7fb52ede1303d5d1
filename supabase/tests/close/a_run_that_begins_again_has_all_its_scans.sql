begin;
\ir ../support/setup.psql
select plan(4);

select tests.workspace('acme');
update public.sync_workspaces set external_id = '12';
select tests.serve('acme', 1, 2);
create temp table job as select tests.start('acme') as id;
-- Every page says that the API counts 3, and shows 2.
create function tests.read_short(p_calls int) returns void language plpgsql as $$
declare
  v_lease tests.lease;
begin
  for v_call in 1 .. p_calls loop
    select l.* into v_lease from tests.claim() as l;
    if v_lease.page is null then
      perform tests.complete(v_lease);
    else
      perform tests.complete(v_lease, tests.body('{1,2}'::bigint[], 3, 1));
    end if;
  end loop;
end; $$;
select tests.read_short(2);
select rotate_workspace_key('acme', '7|anotherkey1');
select tests.read_short(2);
select rotate_workspace_key('acme', '7|anotherkey2');
select tests.read_short(1);
select results_eq($$select r.status, r.scan, r.begun_again, cardinality(r.warnings)
  from public.workspace_sync_runs as r$$, $$values ('running', 5, 2, 4)$$,
  'after two scans and two new keys it reads its third scan');
select results_eq($$select (x ->> 'scan')::int from job,
  jsonb_array_elements(get_sync_job_progress(id) -> 'runs') as x$$, $$values (3)$$,
  'as its progress says');
select tests.read_short(1);
select results_eq($$select r.status, cardinality(r.warnings) from public.workspace_sync_runs as r$$,
  $$values ('partial', 5)$$, 'and is partial only after that');
select is((select warnings from public.workspace_sync_runs)[5] ~ '\m3\M', true,
  'with the number of its scans');

select * from finish();
rollback;
