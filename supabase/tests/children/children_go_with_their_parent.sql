begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(10);

select tests.declare_leads();
select tests.campaign(1, 11, 12);
select tests.campaign(n, n * 10, n * 10 + 1) from generate_series(2, 10) as n;
select is(tests.sync_children(), 'completed', 'ten parents with their children');
-- The second complete scan in a row that misses it deletes the parent.
delete from tests.campaigns where id = 1;
select tests.sync_children('campaigns') from generate_series(1, 2);
select is((select count(*) from public.synced_records where deleted_at is not null), 1::bigint,
  'a parent is deleted');
select is(tests.sync_children('leads'), 'completed', 'the next run of its children');
select is(tests.asked('leads of 1,%'), '{}', 'does not ask for its list');
select is((select array_agg(id order by id) from public.synced_records
  where deleted_at is not null and id <> '1'), array['11', '12'], 'and deletes what was below it');

-- More than 10 rows and more than 20 % wait for an approval.
delete from tests.campaigns where id between 2 and 7;
select tests.sync_children('campaigns') from generate_series(1, 2);
select is(tests.sync_children('leads'), 'completed', 'as many as the guard holds');
select is(cardinality(tests.live_leads()), 18, 'stay');
select is((select deletions_waiting from public.workspace_sync_runs order by id desc limit 1),
  12::bigint, 'and wait');
select is(approve_deletions((select max(id) from public.workspace_sync_runs)) ->> 'deleted', '12',
  'for an approval');
select is(cardinality(tests.live_leads()), 6, 'then they go');

select * from finish();
rollback;
