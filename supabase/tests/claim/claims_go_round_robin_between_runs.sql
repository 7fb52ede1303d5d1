begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('giant', 3);
select tests.workspace('small', 2);
select tests.serve('giant', variadic array(select generate_series(1, 20)::bigint));
select tests.serve('small', 101, 102, 103, 104, 105, 106, 107, 108);
select tests.start('giant', 'small');
select tests.work(2);

create temp table claimed (turn int generated always as identity, workspace text, page int);
create function tests.one_by_one(p_count int) returns void language plpgsql as $$
declare
  v_lease tests.lease;
begin
  for i in 1 .. p_count loop
    select * into v_lease from tests.claim();
    insert into claimed (workspace, page) values (v_lease.workspace, v_lease.page);
    perform tests.complete(v_lease);
  end loop;
end; $$;
select tests.one_by_one(9);
select results_eq($$select workspace, count(*) from claimed group by 1 order by 1$$,
  $$values ('giant', 6::bigint), ('small', 3)$$,
  'both get their turns');
select results_eq($$select max(page) from claimed where workspace = 'small'$$, $$values (4)$$,
  'the small one is through');
select is((select max(n) from (
  select count(*) as n from (select turn - row_number() over (order by turn) as stretch from claimed
  where workspace = 'giant') as s group by stretch
) as stretches), 3::bigint, 'a giant never gets more than its slots in a row before it');
select is(tests.work(), 3, 'the giant''s other pages follow');
select results_eq($$select status, total_accounts_synced from public.polling_job_status$$,
  $$values ('completed', 28::bigint)$$, 'the job completes');

select * from finish();
rollback;
