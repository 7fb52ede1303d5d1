begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(14);

select tests.chained('{"params": {"offset": "{offset}"}, "order_path": ["id"],
  "order_direction": "asc"}');
select tests.fill(1, 60);
select is(tests.sync_list(), 'completed', 'the first sync is a chain');
select is(tests.requests(), 8::bigint, 'of so many pages');

select tests.start_list();
select tests.read_list(1);
create temp table held as select l as lease from tests.claim(10) as l;
select is((select count(*) from held), 4::bigint,
  'after page 1 of the second one all slots have pages');
select is((select count(*) from public.chunked_sync_jobs
  where run_id = (tests.last_run()).id and reading ? 'beside'), 6::bigint,
  'as many are planned as the last sync saw');
-- They are answered in any order.
select tests.complete(lease, tests.listed((lease).queue_id)::text)
from held order by (lease).page desc;
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'whatever the order of the answers');
select is(tests.requests(), 8::bigint, 'with no more requests');

-- The list has grown: what is beyond is a chain.
select tests.fill(61, 90);
select is(tests.sync_list(), 'completed', 'a list that has grown is read to its end');
select is(tests.ids_here(), tests.ids_there(), 'nothing is passed over');
select is((select count(*) from public.chunked_sync_jobs
  where run_id = (tests.last_run()).id and not reading ? 'beside'), 4::bigint,
  'the rest of it is a chain');

-- It is shorter: pages past the end are none.
delete from tests.items where id > 25;
select set_setting('deletion_guard_rows', '1000');
select tests.start_list();
select tests.read_list(1);
do $$
declare
  v_lease tests.lease;
begin
  loop
    select l.* into v_lease from tests.claim(1) as l;
    exit when v_lease.queue_id is null;
    if jsonb_array_length(tests.listed(v_lease.queue_id) -> 'data') = 0 then
      perform tests.complete(v_lease, '{"message": "no such page"}',
        (array[400, 404, 422])[1 + v_lease.queue_id % 3]);
    else
      perform tests.complete(v_lease, tests.listed(v_lease.queue_id)::text);
    end if;
    v_lease := null;
  end loop;
end; $$;
select is((tests.last_run()).status, 'completed',
  'a page that is answered 400, 404 or 422 is past the end');
select is((tests.last_run()).scan, 1, 'and the scan counts');
select is((tests.last_run()).distinct_ids, 25::bigint, 'with what is left');
select is(tests.sync_list(), 'completed', 'the next sync reads what there is');

-- Something else answers in place of the API.
select tests.start_list();
select tests.read_list(1);
select is((select tests.complete(l, '<html>Not Found</html>', 404) from tests.claim(1) as l),
  'retry', 'a 404 that is no JSON says nothing of where the list ends');

select * from finish();
rollback;
