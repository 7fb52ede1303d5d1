begin;
\ir ../support/setup.psql
select plan(7);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
create function tests.live_people() returns text[] language sql as $$
  select array_agg(id order by id) from public.synced_records where deleted_at is null;
$$;
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select is(tests.live_people(), '{1,2,3}', 'one complete scan that misses it deletes nothing');

select tests.start('acme');
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select is(tests.live_people(), '{1,2,3}', 'nor does an incomplete one after it');
select tests.sync('acme');
select is(tests.live_people(), '{1,2}', 'a second complete one does');
select is((select records_deleted from public.workspace_sync_runs order by id desc limit 1),
  1::bigint, 'and counts it');

select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select is(tests.live_people(), '{1,2,3}', 'it is revived when seen again');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select is(tests.live_people(), '{1,2,3}', 'seen between two misses, the misses are not in a row');
select tests.sync('acme');
select is(tests.live_people(), '{1,2}', 'a miss after a miss is');

select * from finish();
rollback;
