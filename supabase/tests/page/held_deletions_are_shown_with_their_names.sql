begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme');
select tests.serve('acme', variadic array(select generate_series(1, 30)::bigint));
select tests.sync('acme');
delete from tests.accounts where workspace_name = 'acme' and id > 10;
select tests.sync('acme');
create temp table held as
select (r ->> 'held_run_id')::bigint as run_id, r from
  jsonb_array_elements(public.get_fleet('acme') -> 'rows') as r;

select results_eq($$select r ->> 'state', r ->> 'act', r ->> 'deletions_waiting' from held$$,
  $$values ('awaiting approval', 'approve', '20')$$, 'the fleet says that they wait');
select results_eq($$
  select (d ->> 'count')::int, jsonb_array_length(d -> 'records'),
    d #>> '{records,0,id}', d #>> '{records,0,name}'
  from (select public.get_held_deletions((select run_id from held), null, 5) as d) as x
$$, $$values (20, 5, '11', 'a11@example.com')$$, 'each record is named');
create temp table pages as
select public.get_held_deletions((select run_id from held), null, 12) as one,
  public.get_held_deletions((select run_id from held), '22', 12) as two;
select is((select count(distinct d ->> 'id') from pages
  cross join jsonb_array_elements(one -> 'records' || (two -> 'records')) as d), 20::bigint,
  'the rest comes from behind the last one on');
select is(jsonb_array_length(public.get_workspace_page('acme') #> '{streams,0,held}'), 20,
  'the workspace shows them too');

select is(jsonb_array_length(public.get_held_deletions((select run_id from held), null, -1)
  -> 'records'), 1, 'a limit below 1 is 1');

select * from finish();
rollback;
