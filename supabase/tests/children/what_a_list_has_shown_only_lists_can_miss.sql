begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(5);

select tests.declare_leads();
select tests.campaign(1, 11, 12);
select is(tests.sync_children(), 'completed', 'a list with two records');
-- A row from before, of which no list is known; it is missed once, and shown again.
delete from sync.record_parents where record_id = '12';
select tests.campaign(1, 11);
select tests.sync_children('leads');
select results_eq($$select parent_id, missed_scans from sync.record_parents
  where record_id = '12'$$, $$values ('', 1)$$,
  'one that no list was known to show is missed by a run');
select tests.campaign(1, 11, 12);
select is(tests.sync_children('leads'), 'completed', 'then the list shows it');
select tests.campaign(1, 11);
select tests.sync_children('leads') from generate_series(1, 2);
select is(tests.live_leads(), '{11}'::text[], 'and misses it twice: it goes');
select is((select count(*) from sync.record_parents where record_id = '12'), 0::bigint,
  'and nothing of it is kept');

select * from finish();
rollback;
