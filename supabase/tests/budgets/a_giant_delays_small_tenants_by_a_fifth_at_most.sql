begin;
\ir ../support/setup.psql
\ir ../support/steps.psql
select plan(4);

-- 25 workspaces of 3 pages, with and without one of 107.
select tests.workspace('giant', 8);
select tests.serve('giant', variadic array(select generate_series(1, 214)::bigint));
select tests.workspace('small ' || n, 8) from generate_series(1, 25) as n;
select tests.serve('small ' || n, variadic array(
  select (1000 * n + i)::bigint from generate_series(1, 6) as i)) from generate_series(1, 25) as n;

create function tests.steps_until_small_are_done(p_has_giant boolean) returns int
language sql as $$
  select tests.steps_until_done(array(
    select w.workspace_name from public.sync_workspaces as w
    where p_has_giant or w.workspace_name <> 'giant' order by w.id), 'small %', 24, 26, 400);
$$;

create temp table took (budget text, has_giant boolean, steps int);
select set_budget('email_bison', 5, 10);
insert into took select 'default', false, tests.steps_until_small_are_done(false);
insert into took select 'default', true, tests.steps_until_small_are_done(true);
select set_budget('email_bison', null, 32);
insert into took select 'in flight', false, tests.steps_until_small_are_done(false);
insert into took select 'in flight', true, tests.steps_until_small_are_done(true);
select is((select count(steps) from took), 4::bigint, 'all come to an end');
select diag(format('%s, giant %s: %s steps', budget, has_giant, steps)) from took;
select cmp_ok((select max(steps) from took where budget = 'default' and has_giant), '<=',
  (select ceil(1.2 * max(steps))::int from took where budget = 'default' and not has_giant),
  'at the default budget 24 of 25 are through as soon, within a fifth');
select cmp_ok((select max(steps) from took where budget = 'in flight' and has_giant), '<=',
  (select ceil(1.2 * max(steps))::int + 1 from took where budget = 'in flight' and not has_giant),
  'as where only what is in flight is limited');
select is((select max(attempts) from public.chunk_processing_queue), 0, 'and nothing is burnt');

select * from finish();
rollback;
