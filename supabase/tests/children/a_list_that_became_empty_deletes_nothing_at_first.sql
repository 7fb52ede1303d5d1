begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(8);

select tests.declare_leads('{"item_path": "/leads/{id}"}');
select tests.campaign(1, 11, 12);
select tests.campaign(2, 21);
select is(tests.sync_children(), 'completed', 'two lists');
select tests.campaign(1);
delete from tests.leads where id = 21;
insert into tests.leads values (2, 22);
select is(tests.sync_children('leads'), 'completed', 'one of them becomes empty');
select is(tests.asked('lead %'), array['lead 21'], 'what it had is not asked for one by one');
select is(tests.live_leads(), array['11', '12', '22'], 'and lives, while another list''s is gone');
select is((select deletions_waiting from public.workspace_sync_runs order by id desc limit 1),
  2::bigint, 'it waits for an approval');
select tests.advance('9 minutes');
select tests.sync_children('leads');
select is(tests.live_leads(), array['11', '12', '22'], 'or for a second look');
select tests.advance('2 minutes');
select tests.sync_children('leads');
select is(tests.live_leads(), array['22'], '10 minutes later');
select is((select count(*) from sync.missing_records), 0::bigint, 'and nothing is left of it');

select * from finish();
rollback;
