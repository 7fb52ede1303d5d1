begin;
\ir ../support/setup.psql
select plan(11);

select is(sync.start_scheduled_sync(), null, 'nothing while no workspace is active');
select declare_source('{"source_name": "crm"}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "is_default": false}');
select register_workspace('elsewhere', 'https://crm.example', 'k', 'crm');
select is(sync.start_scheduled_sync(), null, 'nor while none that is active has a default stream');

select tests.workspace('acme');
select tests.serve('acme', 1);
select is(sync.start_scheduled_sync() ->> 'status', 'accepted', 'then it starts');
select results_eq($$
  select w.workspace_name, s.stream_name from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.sync_streams as s on s.id = r.stream_id
$$, $$values ('acme', 'sender_emails')$$, 'the default streams, of whoever has some');
select is(sync.start_scheduled_sync(), null, 'nothing while one runs');
select tests.work();
select is(sync.start_scheduled_sync(), null, 'nor before the interval has passed');
select tests.advance('29 minutes');
select is(sync.start_scheduled_sync(), null, 'which is half an hour');
select tests.advance('1 minute');
select is(sync.start_scheduled_sync() ->> 'status', 'accepted', 'then it starts again');
select tests.work();

select set_setting('sync_interval_minutes', '5');
select tests.advance('5 minutes');
select is(sync.start_scheduled_sync() ->> 'status', 'accepted', 'a setting says how often');
select tests.work();
select set_setting('sync_interval_minutes', '0');
select tests.advance('1 year');
select is(sync.start_scheduled_sync(), null, 'or never');
select is((select count(*) from public.polling_job_status), 3::bigint, 'three in all');

select * from finish();
rollback;
