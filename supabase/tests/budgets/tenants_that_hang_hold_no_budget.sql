begin;
\ir ../support/setup.psql
\ir ../support/steps.psql
select plan(7);

-- Six workspaces of 4 pages beside such that answer their first page and then nothing any more.
select tests.workspace('hung ' || n, 8) from generate_series(1, 4) as n;
select tests.serve('hung ' || n, variadic array(
  select (1000 * n + i)::bigint from generate_series(1, 40) as i)) from generate_series(1, 4) as n;
select tests.workspace('quick ' || n, 8) from generate_series(1, 6) as n;
select tests.serve('quick ' || n, variadic array(
  select (10000 * n + i)::bigint from generate_series(1, 8) as i)) from generate_series(1, 6) as n;

create function tests.steps_until_quick_are_done(p_hung int) returns int language sql as $$
  select tests.steps_until_done(array(
    select w.workspace_name from public.sync_workspaces as w
    where w.workspace_name like 'quick %' or w.workspace_name = any (array(
      select 'hung ' || n from generate_series(1, p_hung) as n)) order by w.id), 'quick %', 6, 16,
    200);
$$;

create temp table took (hung int, in_flight int, steps int);
select set_budget('email_bison', null, 10);
insert into took select n, 10, tests.steps_until_quick_are_done(n)
from unnest('{0,1,2,4}'::int[]) as n;
select set_budget('email_bison', null, 5);
insert into took select n, 5, tests.steps_until_quick_are_done(n)
from unnest('{0,1}'::int[]) as n;
select set_budget('email_bison', 50, 10);
insert into took select n, 50, tests.steps_until_quick_are_done(n)
from unnest('{0,4}'::int[]) as n;
select diag(format('%s hung, %s in flight: %s steps', hung, in_flight, steps))
from took;
select is((select count(steps) from took), 8::bigint, 'those that answer come to an end');
select cmp_ok((select max(steps) from took where in_flight = 10), '<=',
  (select 2 * steps from took where in_flight = 10 and hung = 0),
  'beside four that hang in twice the time, as these hold four of ten places');
select cmp_ok((select max(steps) from took where in_flight = 5), '<=',
  (select 2 * steps from took where in_flight = 5 and hung = 0), 'so where five are in flight');
select cmp_ok((select max(steps) from took where in_flight = 50), '<=',
  (select 2 * steps from took where in_flight = 50 and hung = 0), 'and at a pace');
select set_budget('email_bison', null, 4);
select tests.start('hung 1', 'quick 1');
create temp table firsts as select * from tests.claim(2);
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
  from firsts;
create temp table held as select * from tests.claim(100);
select results_eq($$select workspace, count(*) from held group by 1 order by 1$$,
  $$values ('hung 1', 2::bigint), ('quick 1', 2::bigint)$$, 'two have half of four places each');
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
  from held where workspace = 'quick 1';
select tests.advance('1 second');
select results_eq($$select workspace, count(*) from tests.claim(100) group by 1$$,
  $$values ('quick 1', 1::bigint)$$, 'what is free goes to who has less');
select results_eq($$select workspace, count(*) from tests.claim(100) group by 1$$,
  $$values ('hung 1', 1::bigint)$$, 'and to anybody, when nobody else has a use for it');

select * from finish();
rollback;
