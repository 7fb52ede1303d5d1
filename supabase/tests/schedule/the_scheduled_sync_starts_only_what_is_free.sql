begin;
\ir ../support/setup.psql
select plan(6);

select is(sync.start_scheduled_sync(), null, 'nothing while no workspace is active');
select declare_source('{"source_name": "crm"}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select register_workspace('elsewhere', 'https://crm.example', 'k', 'crm');
select is(sync.start_scheduled_sync(), null, 'nor while none that is active has accounts to sync');

select tests.workspace('acme');
select tests.serve('acme', 1);
select is(sync.start_scheduled_sync() ->> 'status', 'accepted', 'then it starts');
select results_eq($$
  select w.workspace_name, s.stream_name from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.sync_streams as s on s.id = r.stream_id
$$, $$values ('acme', 'sender_emails')$$, 'the accounts, of whoever has some');
select is(sync.start_scheduled_sync(), null, 'nothing while one runs');
select tests.work();
select is(sync.start_scheduled_sync() ->> 'status', 'accepted', 'and again when it has ended');

select * from finish();
rollback;
