begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(14);

select declare_stream('{"source_name": "crm", "stream_name": "people", "is_default": true,
  "path": "/people", "page_param": "page", "page_size": 1, "records_path": ["data"],
  "total_path": ["meta", "total"], "last_page_path": ["meta", "last_page"]}');
create function tests.answered(p_lease jsonb) returns text language sql as $$
  select tests.end_lease(p_lease, 200, tests.people(p_lease, 6));
$$;
select tests.crm('acme');
select start_sync_job('test', '{people}', '{acme}');
select tests.step();
select tests.advance('2 minutes');
create temporary table page_1 as select l from tests.leases(1) as l;
select tests.answered(l) from page_1;
select is((select is_proven from sync.workspace_tokens), true, 'a 2xx proves a token');

create temporary table old as select l from tests.leases(3) as l;
create function tests.old(p_page int) returns jsonb language sql as $$
  select l from old where tests.params_of(l) ->> 'page' = p_page::text;
$$;
select is(tests.fail_lease(tests.old(2), 401, 'permanent'), 'delayed',
  'a 401 on a proven token only delays its page');
select is((select attempts from chunk_processing_queue
  where id = (tests.old(2) ->> 'queue_id')::bigint), 0, 'no attempt is burnt');
select is(tests.fail_lease(tests.old(3), 401, 'permanent'), 'released',
  'the next 401 on it only has its page sent again');
select is(tests.step('planted-access-2'), 'POST https://acme.example/oauth/token '
  'grant_type=refresh_token form:client_id=client-of-acme form:client_secret=planted-secret-acme '
  'form:refresh_token=planted-refresh-acme -> completed', 'one token is asked for');
select is(tests.asked_for_tokens(), 'completed, completed', 'and one only');
select is(tests.fail_lease(tests.old(4), 401, 'permanent'), 'released',
  'a 401 on the one before says nothing of it');

create temporary table new as select l from tests.leases(3) as l;
create function tests.new(p_page int) returns jsonb language sql as $$
  select l from new where tests.params_of(l) ->> 'page' = p_page::text;
$$;
select is(tests.answered(tests.new(3)), 'completed', 'another page proves the new one');
select is(tests.fail_lease(tests.new(2), 401, 'permanent'), 'retry',
  'the same page refused again is a failure of its own');
select is((select attempts from chunk_processing_queue
  where id = (tests.new(2) ->> 'queue_id')::bigint), 1, 'that burns an attempt');
select is(tests.asked_for_tokens(), 'completed, completed', 'and asks for no further token');

update sync.workspace_tokens set is_proven = false;
select is(tests.fail_lease(tests.new(4), 401, 'permanent'), 'failed',
  'a 401 on a token that no answer has proven is for good');
select is(tests.status_of('acme'), 'failed', 'the run fails');
select is((select key_status from sync_workspaces where workspace_name = 'acme'), 'refused',
  'and the key is refused');

select * from finish();
rollback;
