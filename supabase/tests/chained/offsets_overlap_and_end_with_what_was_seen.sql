begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(12);

select tests.chained('{"params": {"limit": "{size}", "offset": "{offset}"}}');
select tests.fill(1, 35);
select is(tests.sync_list(), 'completed', 'a list is complete that was read to its end');
select is(tests.ids_here(), tests.ids_there(), 'all that it shows is here');
select results_eq($$select c.page, c.reading - 'guess'
  from public.chunked_sync_jobs as c order by c.id$$,
  $$values (1, null::jsonb), (2, '{"offset": 8, "overlap": 2}'),
    (3, '{"offset": 16, "overlap": 2}'), (4, '{"offset": 24, "overlap": 2}'),
    (5, '{"offset": 32, "overlap": 2}'), (6, '{"offset": 33, "overlap": 2}')$$,
  'each page begins before the last key of the one before, and the last one shows no other');

update tests.habit set served = 4;
select tests.fill(36, 50);
select is(tests.sync_list(), 'completed', 'also where the API serves less than it is asked for');
select is(tests.ids_here(), tests.ids_there(), 'nothing is passed over');

-- What goes between two pages takes the shared record with it: the list is read once more.
update tests.habit set served = 10;
select tests.start_list();
select tests.read_list(2);
delete from tests.items where id in (50, 49, 48);
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'pages that do not join are read again');
select is((tests.last_run()).scan, 2, 'in a second scan');
select is(tests.ids_here(), '{}'::bigint[] || tests.ids_there() || '{48,49,50}'::bigint[],
  'what it missed waits for a second scan to say so, as there is no own GET');

select is(tests.sync_list(), 'completed', 'the next sync');
select is(tests.ids_here(), tests.ids_there(), 'deletes it');

delete from tests.items where id > 1;
select set_setting('deletion_guard_rows', '1000');
select is(tests.sync_list(), 'completed', 'a list of one record is complete');
delete from tests.items;
select is(tests.sync_list(), 'completed', 'and an empty one');

select * from finish();
rollback;
