begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(12);

select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"],
  "order_direction": "asc"}');
select tests.fill(1, 25);
select is(tests.sync_list(), 'completed',
  'a keyset is complete when nothing comes after its last value');
select results_eq($$select c.page, c.reading from public.chunked_sync_jobs as c order by c.id$$,
  $$values (1, null::jsonb), (2, '{"last": 10}'), (3, '{"last": 20}'), (4, '{"last": 25}')$$,
  'each page is asked for by the last value of the one before');
select is(tests.ids_here(), tests.ids_there(), 'all is here');

-- What comes and goes while it is read moves nothing.
select tests.start_list();
select tests.read_list(2);
delete from tests.items where id between 8 and 22;
insert into tests.items (id, key) values (0, 0), (100, 100);
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'nothing that goes opens a gap');
select is((tests.last_run()).scan, 1, 'in one scan');
select ok(tests.ids_here() @> '{1,7,23,24,25,100}', 'and what stayed is here');

select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"],
  "order_direction": "asc", "more_path": ["more"]}');
select is(tests.sync_list(), 'completed',
  'where the answer says so, the last page is known as such');
select is(tests.requests(), 2::bigint, 'and nothing is asked for after it');

update tests.habit set extra = '{"more": null}';
select is(tests.sync_list(), 'failed',
  'an answer that does not say whether more follows has another shape');

update tests.habit set extra = '{"more": true}';
select is(tests.sync_list(), 'failed', 'as has one that says that more follows, and shows nothing');

-- The API forgets its parameter.
update tests.habit set extra = '{"more": true, "data": [{"id": 1, "key": 1}, {"id": 2, "key": 2}]}';
select tests.start_list();
select tests.read_list();
select tests.advance('1 hour');
select tests.read_list();
select tests.advance('1 hour');
select tests.read_list();
select is((tests.last_run()).status, 'failed',
  'a list that leads back to where it was ends the run');
select is((select count(*) from public.chunk_events where details ->> 'code' = 'SY020'), 3::bigint,
  'after its attempts');

select * from finish();
rollback;
