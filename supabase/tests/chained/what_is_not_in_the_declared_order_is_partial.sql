begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(14);

select tests.chained('{"params": {"after": "{last}"}, "last_path": ["key"], "order_is_unique": true,
  "more_path": ["more"]}');
select tests.fill(1, 12);
update tests.items set fields = '{"key": 3}' where id = 9;
select is(tests.sync_list(), 'partial', 'a list that is not descending is not');
select matches((tests.last_run()).warnings[1], '^page 1 is not in order: record 8 comes after 9',
  'a warning names page and records');
select is(cardinality(tests.ids_here()), 12, 'what it showed is here');
update tests.items set fields = '{}';
select is(tests.sync_list(), 'partial',
  'a record with another place than before moved, though order_moves is never');
select matches((tests.last_run()).warnings[1], 'record 9 has another place', 'it is named');
select is(tests.sync_list(), 'completed', 'when none did, it is complete');

update tests.items set fields = '{"key": 7}' where id = 6;
delete from public.synced_records;
select is(tests.sync_list(), 'partial', 'two records with one key, where keys are unique');
update tests.items set fields = '{"key": null}' where id = 6;
delete from public.synced_records;
select is(tests.sync_list(), 'partial', 'a record without a place in the order');

-- Texts go by their bytes, as the API is said to sort them.
delete from tests.items;
delete from public.synced_records;
insert into tests.items (id, key, fields) values (1, 1, '{"name": "Z"}'), (2, 2, '{"name": "a"}'),
  (3, 3, '{"name": "ä"}');
select tests.chained('{"params": {"after": "{last}"}, "order_path": ["name"], "order_type": "text",
  "order_direction": "asc"}');
select is(tests.sync_list(), 'completed', 'capitals come before other letters');
select tests.chained('{"params": {"after": "{last}"}, "order_path": ["name"],
  "order_type": "text"}');
update tests.habit set served = 1;
select is(tests.sync_list(), 'completed', 'also descending, from page to page');

-- Times, however they are written.
delete from tests.items;
delete from public.synced_records;
insert into tests.items (id, key, fields) values
  (1, 1, '{"at": "2026-01-01T10:00:00Z"}'), (2, 2, '{"at": "2026-01-01T12:30:00+02:00"}'),
  (3, 3, '{"at": "2026-01-01T11:00:00Z"}');
select tests.chained('{"params": {"after": "{last}"}, "order_path": ["at"], "order_type": "time",
  "order_direction": "asc"}');
select is(tests.sync_list(), 'completed', 'times are compared as times');
update tests.items set fields = '{"at": "2026-01-01T09:00:00Z"}' where id = 2;
delete from public.synced_records;
select is(tests.sync_list(), 'partial', 'page by page');
select matches((tests.last_run()).warnings[1], 'page 2 begins before the end of page 1',
  'the pages are named');
select is((tests.last_run()).scan, 3, 'after all scans that it may have');

select * from finish();
rollback;
