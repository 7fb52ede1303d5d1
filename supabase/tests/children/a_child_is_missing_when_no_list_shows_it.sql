begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(16);

select tests.declare_leads();
select tests.campaign(1, 11, 12, 13);
select tests.campaign(2, 21, 22);
select is(tests.sync_children(), 'completed', 'all of two lists');
delete from tests.leads where id = 13;
select is(tests.sync_children('leads'), 'completed', 'a list misses one');
select is(tests.live_leads(), array['11', '12', '13', '21', '22'], 'which lives');
insert into tests.refused values (1, 404);
select is(tests.sync_children('leads'), 'partial', 'a list that was not read');
select is(tests.live_leads(), array['11', '12', '13', '21', '22'], 'has missed nothing');
truncate tests.refused;
select is(tests.sync_children('leads'), 'completed', 'the list misses it for the second time');
select is(tests.live_leads(), array['11', '12', '21', '22'], 'which proves that it is gone');

-- 12 moves below the other parent.
update tests.leads set campaign = 2 where id = 12;
select tests.sync_children('leads') from generate_series(1, 3);
select is(tests.live_leads(), array['11', '12', '21', '22'],
  'what another list shows is not missing');
select is((select count(*) from sync.missing_records), 0::bigint, 'and nothing is noted of it');

select tests.declare_leads('{"item_path": "/leads/{id}"}');
delete from tests.leads where id = 21;
select is(tests.sync_children('leads'), 'completed', 'where there is a path for it');
select is(tests.asked('lead %'), array['lead 21'], 'what is missing is asked for');
select is(tests.live_leads(), array['11', '12', '22'], 'and gone at once');

-- The list hides one that answers for itself.
update tests.leads set campaign = 9 where id = 12;
select is(tests.sync_children('leads'), 'completed', 'one that answers for itself');
select is(tests.asked(), array['lead 12', 'lead 12', 'leads of 1, page 1', 'leads of 2, page 1',
  'leads of 2, page 1'], 'has its list read again, and is asked once more');
select is(tests.live_leads(), array['11', '12', '22'], 'it is unlisted and lives');
select isnt((select unlisted_at from public.synced_records where id = '12'), null,
  'as its row says');

select * from finish();
rollback;
