begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(5);

select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"],
  "updated_at_path": ["at"], "time_format": "epoch"}');
insert into tests.items (id, key, fields) values (1, 1, '{"at": 1767225600}'),
  (2, 2, '{"at": "1767225600.5"}'), (3, 3, '{"at": "soon"}'), (4, 4, '{"at": 1e300}');
select is(tests.sync_list(), 'completed', 'seconds');
select results_eq($$select id, updated_at from public.synced_records order by id$$,
  $$values ('1', timestamptz '2026-01-01 00:00Z'), ('2', '2026-01-01 00:00:00.5Z'), ('3', null),
    ('4', null)$$, 'are times, or null');
select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"],
  "updated_at_path": ["at"], "time_format": "epoch_ms"}');
update tests.items set fields = '{"at": 1767225600123}';
select is(tests.sync_list(), 'completed', 'milliseconds');
select is((select updated_at from public.synced_records where id = '1'),
  timestamptz '2026-01-01 00:00:00.123Z', 'are too');
select is((select count(*) from public.workspace_sync_runs
  where array_to_string(warnings, ' ') like '%updated_at%'), 1::bigint,
  'what is no time is told');

select * from finish();
rollback;
