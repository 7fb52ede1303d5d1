begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(20);

select tests.declare('{"completeness": "agreed", "params": {"page": "{page}"}}');
select tests.fill(1, 25);
select is(tests.sync_list(), 'completed', 'two scans that agree are complete');
select results_eq($$select scan, page from public.chunked_sync_jobs order by id$$,
  $$values (1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4)$$,
  'each ends with an empty page');
select is(tests.ids_here(), tests.ids_there(), 'all is here');
select is((tests.last_run()).warnings, '{}', 'without a warning');

-- One goes while the first scan is read, so that another is passed over.
select tests.start_list();
select tests.read_list(1);
delete from tests.items where id = 25;
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'what a scan shows and the next does not');
select is((tests.last_run()).scan, 3, 'takes a third one');
select matches((tests.last_run()).warnings[1], '^scan 2: it does not show .* 1 \(25\)',
  'a warning names it');

-- One comes in between.
select tests.start_list();
select tests.read_list(1);
insert into tests.items (id, key) values (26, 26);
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'a record on two pages');
select matches((tests.last_run()).warnings[1], '^scan 1: record \d+ stands on two pages',
  'rejects its scan');

-- What came is new, and was read side by side.
insert into tests.items (id, key) values (27, 27);
select is(tests.sync_list(), 'completed', 'a list that has grown before');
select is((tests.last_run()).scan, 3, 'is compared once more if its pages were read side by side');
select tests.sync_list();
select is((tests.last_run()).scan, 2, 'and not if nothing is new');

-- It changes with every page.
select tests.start_list();
do $$
begin
  for v_page in 1 .. 40 loop
    delete from tests.items where id = (select max(id) from tests.items);
    exit when tests.read_list(1) = 0;
  end loop;
end; $$;
select is((tests.last_run()).status, 'partial', 'a list that never agrees is partial');
select is((tests.last_run()).scan, 4, 'after one scan more than max_scans');

-- What is missed has its own GET.
delete from tests.items;
delete from public.synced_records;
select tests.fill(1, 12);
select tests.declare('{"completeness": "agreed", "params": {"page": "{page}"},
  "item_path": "/items/{id}"}');
select tests.sync_list();
delete from tests.items where id = 3;
select is(tests.sync_list(), 'completed', 'what two scans missed');
select is((select array_agg(record_id) from public.chunked_sync_jobs where kind = 'confirmation'),
  '{3}'::text[], 'is asked for');
select is(tests.ids_here(), tests.ids_there(), 'and goes');

-- Named ends.
update tests.habit set extra = '{"meta": {"last_page": 2}}';
select is(tests.sync_list(), 'completed', 'a last page that is named');
select is(tests.requests(), 4::bigint, 'is the end');

-- An API that does not know the parameter.
update tests.habit set extra = jsonb_build_object('data',
  (select jsonb_agg(tests.item(i)) from tests.items as i where id > 4));
select tests.start_list();
select tests.read_list(2);
select is((select details ->> 'code' from public.chunk_events order by id desc limit 1), 'SY020',
  'a page that repeats the one before is no page');

select * from finish();
rollback;
