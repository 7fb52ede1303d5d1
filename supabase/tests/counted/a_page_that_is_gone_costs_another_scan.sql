begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(17);

-- Reads all that is ready; which page is gone, is answered so.
create function tests.read_without(p_status int, p_page int default null) returns void
  language plpgsql as $$
declare
  v_lease tests.lease;
begin
  loop
    select l.* into v_lease from tests.claim(1) as l;
    exit when v_lease.queue_id is null;
    if jsonb_array_length(tests.listed(v_lease.queue_id) -> 'data') = 0
      or v_lease.page = p_page then
      perform tests.complete(v_lease, '{"message": "There is no such page."}', p_status);
    else
      perform tests.complete(v_lease, tests.listed(v_lease.queue_id)::text);
    end if;
    v_lease := null;
  end loop;
end; $$;

-- Page 1 counts three pages; before the last one is read, it is gone.
select tests.declare('{"params": {"page": "{page}"}, "total_path": ["total"]}');
select set_setting('deletion_guard_rows', '1000');
select tests.fill(1, 21);
select tests.start_list();
select tests.read_list(1);
delete from tests.items where id = 21;
select tests.read_without(404);
select is((tests.last_run()).status, 'completed', 'a last page that goes fails nothing');
select is((tests.last_run()).scan, 2, 'the list is read again');
select is((tests.last_run()).distinct_ids, 20::bigint, 'and what it counts then is there');
select is((select count(*) from public.chunk_processing_queue where status = 'failed'), 0::bigint,
  'no chunk has failed');

-- It stays so: the API serves no page that deep. What is behind is not tried.
select tests.fill(21, 400);
select tests.start_list();
select tests.read_without(422, 3);
select is((tests.last_run()).status, 'failed', 'one that every scan is refused fails its run');
select is((tests.last_run()).scan, 3, 'after as many scans as there may be');
select cmp_ok((select count(*) from public.chunk_events where run_id = (tests.last_run()).id
  and event = 'completed'), '<=', 18::bigint, 'and no scan reads on behind it');
select is(cardinality((tests.last_run()).warnings), 2, 'each scan says what was answered');
select is((select count(*) from public.synced_records where deleted_at is not null), 0::bigint,
  'nothing is deleted');

-- Page 1 itself, and what is no answer of the API's.
select tests.start_list();
select is((select tests.complete(l, '<html>Not Found</html>', 404) from tests.claim(1) as l),
  'failed', 'a list that is gone fails its run');
select tests.start_list();
select tests.read_list(1);
select is((select tests.complete(l, '<html>Not Found</html>', 404) from tests.claim(1) as l),
  'retry', 'a page that is no JSON says nothing of the list');
select cancel_sync_job((tests.last_run()).job_id);
select tests.read_list();

-- A chain goes on from a record, or with a cursor, that the API does not know any more.
select tests.chained('{"params": {"after": "{last}"}, "order_path": ["key"], "more_path": ["more"],
  "order_is_unique": true}');
delete from tests.items where id > 25;
select tests.start_list();
select tests.read_list(1);
select is((select tests.complete(l, '{"message": "No such record: 16"}', 400)
  from tests.claim(1) as l), 'completed', 'the next page of a chain may be refused');
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'then it is read from its beginning');
select is((tests.last_run()).scan, 2, 'in another scan');
select tests.declare('{"completeness": "agreed", "params": {"cursor": "{next}"},
  "next_path": ["next"]}');
select tests.start_list();
select tests.read_list(1);
select is((select tests.complete(l, '{"message": "The cursor has expired."}', 400)
  from tests.claim(1) as l), 'completed', 'so may a cursor that expired');
select tests.read_list();
select is((tests.last_run()).status, 'completed', 'and two scans that agree prove the list');
select is((tests.last_run()).scan, 3, 'after the one that did not get to its end');

select * from finish();
rollback;
