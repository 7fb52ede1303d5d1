begin;
\ir ../support/setup.psql
select plan(9);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
create function tests.declare(p_more jsonb default '{}') returns jsonb language sql as $$
  select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
    "page_size": 2}'::jsonb || p_more);
$$;
select tests.declare();
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select is((select count(*) from sync.missing_records), 1::bigint, 'a scan missed one');
select tests.declare();
select is((select count(*) from sync.missing_records), 1::bigint,
  'declared anew as it was, nothing changes');
select is((select revision from public.sync_streams where stream_name = 'people'), 1,
  'nor its revision');
select tests.declare('{"params": {"sort": "id"}}');
select is((select revision from public.sync_streams where stream_name = 'people'), 2,
  'another content is another revision');
select is_empty($$select * from sync.missing_records$$, 'by which nothing is missing yet');

select tests.start('acme');
select tests.declare('{"params": {"sort": "name"}}');
select tests.work(1);
select results_eq($$select status, scan, begun_again, phase, stream_revision
  from public.workspace_sync_runs order by id desc limit 1$$,
  $$values ('running', 2, 1, 'scan', 3)$$, 'a live run begins again by the new one');
select tests.work();
select results_eq($$select status, scan, distinct_ids from public.workspace_sync_runs
  order by id desc limit 1$$, $$values ('completed', 2, 2::bigint)$$, 'and completes');
select is((select missed_scans from sync.missing_records), 1,
  'what it missed was missed once by this declaration');
select is((select count(*) from public.synced_records where deleted_at is null), 3::bigint,
  'and lives');

select * from finish();
rollback;
