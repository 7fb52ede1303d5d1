begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(13);

-- What the fake calls next is an offset: the stream claims that it is a keyset.
select tests.chained('{"params": {"cursor": "{next}"}, "next_path": ["next"],
  "cursor_is": "keyset"}');
select tests.fill(1, 30);
select is(tests.sync_list(), 'completed', 'a chain is complete where next is null');
select is(tests.requests(), 3::bigint, 'even if its last page is full');
select is(tests.ids_here(), tests.ids_there(), 'all is here');

-- Nothing is named as next where it should be.
update tests.habit set extra = '{"next": null}';
select tests.chained('{"params": {"cursor": "{next}"}, "next_path": ["more_of_it"],
  "cursor_is": "keyset"}');
select is(tests.sync_list(), 'failed', 'a full page that names no next one proves no end');
select is((select details ->> 'code' from public.chunk_events order by id desc limit 1), 'SY010',
  'it has the wrong shape');
select tests.chained('{"params": {"cursor": "{next}"}, "next_path": ["more_of_it"],
  "cursor_is": "keyset", "next_absent_ends": true}');
select is(tests.sync_list(), 'completed', 'unless the stream says that it does');
delete from tests.items where id > 3;
select tests.chained('{"params": {"cursor": "{next}"}, "next_path": ["more_of_it"],
  "cursor_is": "keyset"}');
select is(tests.sync_list(), 'completed', 'a page that is not full is the end without a next one');

-- Without the API's word the cursor has to be the last record's value.
update tests.items set id = id + 10;
update tests.habit set extra = '{}', served = 2;
select tests.chained('{"params": {"cursor": "{next}"}, "next_path": ["next"],
  "last_path": ["id"]}');
select is(tests.sync_list(), 'partial', 'a cursor that is not the last value proves nothing');
select matches((tests.last_run()).warnings[1], '^page 1 is not in order: its cursor is 2',
  'a warning names page and cursor');
select is((tests.last_run()).scan, 1, 'and no other scan is tried');
update tests.habit set extra = '{"next": 12}';
select tests.start_list();
select tests.read_list(1);
update tests.habit set extra = '{"next": null}';
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'one that is joins its pages');
select is((select reading from public.chunked_sync_jobs order by id desc limit 1), '{"next": 12}',
  'and keeps its type');

update tests.habit set extra = '{"next": {"page": 2}}';
select is(tests.sync_list(), 'failed', 'an object is no cursor');

select * from finish();
rollback;
