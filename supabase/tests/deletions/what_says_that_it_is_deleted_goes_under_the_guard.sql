begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(19);

select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"],
  "deleted_when": {"status": "deleted"}}');
select tests.fill(1, 30);
select tests.sync_list();
update tests.items set fields = '{"status": "deleted"}' where id in (3, 4);
select is(tests.sync_list(), 'completed', 'a run that sees what says that it is deleted');
select is(tests.ids_here(), array(select id from tests.items where fields = '{}' order by id),
  'deletes it');
select is((tests.last_run()).records_deleted, 2::bigint, 'as its row says');
select is((select raw ->> 'status' from public.synced_records where id = '3'), 'deleted',
  'with what it said last');

create temp table before as select id, xmin::text as version, deleted_at from public.synced_records;
select tests.sync_list();
select is((select count(*) from public.synced_records as r join before as b on b.id = r.id
  where r.xmin::text <> b.version), 0::bigint, 'seen again it costs no row version');
update tests.items set fields = '{"status": "deleted", "by": "me"}' where id = 3;
select tests.sync_list();
select is((select raw ->> 'by' from public.synced_records where id = '3'), 'me',
  'a change of it is written');
select is((select deleted_at from public.synced_records where id = '3'),
  (select deleted_at from before where id = '3'), 'and it stays deleted');
select is((tests.last_run()).records_deleted, 0::bigint, 'and is not deleted twice');
update tests.items set fields = '{"status": "open"}' where id = 3;
select tests.sync_list();
select ok(3 = any(tests.ids_here()), 'it lives again when it no longer says so');

-- The guard.
update tests.items set fields = '{"status": "deleted"}' where id between 10 and 25;
select is(tests.sync_list(), 'completed', 'many of them');
select is((tests.last_run()).deletions_waiting, 16::bigint, 'wait for approve_deletions()');
select is(cardinality(tests.ids_here()), 29, 'and live until then');
select is(approve_deletions((tests.last_run()).id) ->> 'deleted', '16', 'which deletes them');
select tests.sync_list();
select is(cardinality(tests.ids_here()), 13, 'and no run brings them back');

-- Runs that ask for what changed, and the total.
select tests.chained('{"params": {"since": "{since}", "after": "{last}"}, "order_path": ["id"],
  "updated_at_path": ["changed"], "deleted_when": {"status": "deleted"}}');
update tests.items
set fields = fields || jsonb_build_object('changed', sync.now() - interval '1 day');
select tests.sync_list();
select tests.advance('1 hour');
update tests.items set fields = jsonb_build_object('status', 'deleted', 'changed', sync.now())
  where id = 1;
select is(tests.sync_list(), 'completed', 'a run that asks for what changed');
select ok(not (tests.last_run()).is_full_scan and not 1 = any(tests.ids_here()), 'deletes it too');
update tests.habit set extra = '{"meta": {"total": 30}}';
select is(tests.sync_list(), 'completed', 'the API''s total counts them');
update tests.items set fields = jsonb_build_object('status', 'deleted', 'changed', sync.now())
  where id in (2, 5, 6, 7, 8, 9, 26, 27, 28, 29, 30);
select is(tests.sync_list(), 'completed', 'as many of them');
select is((tests.last_run()).deletions_waiting, 11::bigint, 'wait there, too');

select * from finish();
rollback;
