begin;
\ir ../support/setup.psql
select plan(9);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select results_eq($$select field collate "default", type collate "default", first_id
  from stream_fields where stream_name = 'people' order by 1$$, $$values
  ('created_at', 'string', '1'), ('daily_limit', 'number', '1'), ('email', 'string', '1'),
  ('emails_sent_count', 'number', '1'), ('id', 'number', '1'), ('name', 'string', '1'),
  ('status', 'string', '1'), ('tags', 'array', '1'), ('type', 'string', '1'),
  ('updated_at', 'string', '1'), ('warmup_enabled', 'boolean', '1')$$,
  'each field of a record, its type, and who had it first');
create temp table before as select * from stream_fields;
select tests.sync('acme');
select set_eq('select * from stream_fields', 'select * from before', 'what is known is not news');

update tests.accounts set fields = '{"color": "red", "daily_limit": "20", "name": null}'
where id = 3;
select tests.sync('acme');
select set_eq($$select field, type, first_id from stream_fields
  except select field, type, first_id from before$$, $$values ('color', 'string', '3'),
  ('daily_limit', 'string', '3'), ('name', 'null', '3')$$,
  'a new field is shown, and a type that changed');
select is((select max(first_seen_at) from stream_fields), sync.now(), 'with its time');

select tests.serve('acme', 1, 2, 3);
update tests.accounts set fields = (
  select jsonb_object_agg('field_' || n, n) from generate_series(1, 600) as n) where id = 2;
select tests.sync('acme');
select is((select count(*) from stream_fields), 500::bigint, 'at most 500 a stream');
update tests.accounts set fields = jsonb_build_object(repeat('y', 5000), 1) where id = 1;
select lives_ok($$select tests.sync('acme')$$, 'a long name is no harm');
select is((select status from public.workspace_sync_runs order by id desc limit 1), 'completed',
  'nor are many');

select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "updated_at_path": ["seen_at"], "time_format": "epoch_ms"}');
select tests.serve('acme', 1, 2);
update tests.accounts set fields = '{"seen_at": 1700000000123}' where id = 1;
update tests.accounts set fields = '{"seen_at": "2023-11-14"}' where id = 2;
select tests.sync('acme');
select results_eq($$select id, updated_at from synced_records where id in ('1', '2') order by id$$,
  $$values ('1', '2023-11-14 22:13:20.123Z'::timestamptz), ('2', null)$$,
  'updated_at is read in its format, and null where it is none');
select is((select count(*) from public.workspace_sync_runs as r, unnest(r.warnings) as w
  where w ~ 'column updated_at .*record 2$'), 1::bigint, 'of which the run warns');

select * from finish();
rollback;
