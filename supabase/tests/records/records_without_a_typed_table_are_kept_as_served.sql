begin;
\ir ../support/setup.psql
select plan(4);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "updated_at_path": ["updated_at"]}');
select declare_stream('{"source_name": "crm", "stream_name": "firms", "path": "/firms",
  "page_size": 2, "id_type": "text", "id_path": ["email"]}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
select tests.serve('acme', 1, 2);
create temp table job as select tests.start('acme') as id;
select tests.work();
select results_eq($$
  select s.stream_name, r.id, r.raw, r.updated_at from public.synced_records as r
  join public.sync_streams as s on s.id = r.stream_id order by 1, 2
$$, $$
  values ('firms', 'a1@example.com', tests.record(1), null::timestamptz),
    ('firms', 'a2@example.com', tests.record(2), null),
    ('people', '1', tests.record(1), '2026-02-01T00:00:00Z'),
    ('people', '2', tests.record(2), '2026-02-01T00:00:00Z')
$$, 'two streams share the table and do not meet');
create temp table before as select stream_id, id, xmin::text as row_xmin, ctid::text as row_ctid
  from public.synced_records;
select tests.start('acme');
select tests.work();
select results_eq($$select stream_id, id, xmin::text, ctid::text from public.synced_records
  order by 1, 2$$, $$select * from before order by 1, 2$$,
  'an unchanged record costs no row version');
update tests.accounts set fields = '{"name": "older", "updated_at": "2026-01-15T00:00:00Z"}'
  where id = 1;
update tests.accounts set fields = '{"name": "newer", "updated_at": "2026-03-15T00:00:00Z"}'
  where id = 2;
select tests.start('acme');
select tests.work();
select results_eq($$
  select s.stream_name, r.raw ->> 'name' from public.synced_records as r
  join public.sync_streams as s on s.id = r.stream_id order by 1, r.id
$$, $$
  values ('firms', 'older'), ('firms', 'newer'), ('people', 'older'), ('people', 'newer')
$$, 'a full scan is the truth, whatever date it carries');
select results_eq($$select status, total_workspaces, workspaces_processed, total_accounts_synced
  from public.polling_job_status join job using (id)$$,
  $$values ('completed', 1, 1, 4::bigint)$$, 'a workspace whose both streams completed is one');

select * from finish();
rollback;
