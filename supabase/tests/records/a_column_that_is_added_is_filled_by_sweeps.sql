begin;
\ir ../support/setup.psql
select plan(15);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
create function tests.declare(p_columns jsonb) returns jsonb language sql as $$
  select declare_stream(jsonb_build_object('source_name', 'crm', 'stream_name', 'people',
    'path', '/people', 'page_size', 2, 'columns', p_columns));
$$;
select tests.declare('{"name": "text"}');
select is_empty('select * from sync.column_fills', 'a new table has nothing to fill');
select register_workspace(name, 'https://crm.example', 'k' || name, 'crm')
from unnest('{acme,apex}'::text[]) as name;
select tests.serve('acme', 1, 2, 3), tests.serve('apex', 1, 2);
update tests.accounts set fields = '{"seen": 1700000000}' where id = 1;
update tests.accounts set fields = '{"seen": "never"}' where id = 2 and workspace_name = 'acme';
select tests.sync('acme'), tests.sync('apex');
create temp table before as select * from synced.crm_people;

select tests.declare('{"name": "text", "daily_limit": "integer",
  "seen": {"type": "timestamptz", "format": "epoch"}}');
select results_eq($$select columns, looked_at, completed_at from sync.column_fills$$,
  $$values ('{daily_limit,seen}'::text[], 0::bigint, null::timestamptz)$$,
  'what is added waits to be filled');
select is((select count(daily_limit) from synced.crm_people), 0::bigint, 'it is there at once');
select is(sync.fill_columns(2), 2, 'two rows a time');
select results_eq($$select looked_at, unfit, completed_at is null from sync.column_fills$$,
  $$values (2::bigint, '{"seen": "2"}'::jsonb, true)$$,
  'a value that does not fit is noted with its record');
select is(sync.fill_columns(2), 2, 'then the next');
select is(sync.fill_columns(2), 1, 'and the last');
select ok((select completed_at is not null from sync.column_fills), 'until all are');
select is(sync.fill_columns(2), 0, 'then there is nothing to do');
select results_eq($$select w.workspace_name, p.id, p.daily_limit, p.seen from synced.crm_people as p
  join sync_workspaces as w on w.id = p.workspace_id order by 1, 2$$,
  $$values ('acme', 1::bigint, 20, '2023-11-14 22:13:20Z'::timestamptz), ('acme', 2, 20, null),
    ('acme', 3, 20, null), ('apex', 1, 20, '2023-11-14 22:13:20Z'), ('apex', 2, 20, null)$$,
  'every row has it, from what it was made of');
select set_eq($$select workspace_id, id, name, raw, last_changed_at
  from synced.crm_people$$,
  $$select workspace_id, id, name, raw, last_changed_at from before$$,
  'and is otherwise as it was');

select tests.declare('{"name": "text", "daily_limit": "integer", "email": "text"}');
select cleanup_stuck_chunks();
select results_eq($$select count(email), min(columns::text)
  from synced.crm_people, sync.column_fills where completed_at is not null$$, $$values (5::bigint, '{email}')$$, 'the sweep fills them');
create temp table filled as select xmin::text as version, * from synced.crm_people;
select tests.declare('{"name": "text", "daily_limit": "integer", "email": "text",
  "nobody": "text"}');
select cleanup_stuck_chunks();
select set_eq($$select xmin::text as version, id, email from synced.crm_people$$,
  $$select version, id, email from filled$$, 'a row that has nothing for it is not written');
select tests.sync('acme');
select is((select status from public.workspace_sync_runs order by id desc limit 1), 'completed',
  'syncs go on');
select results_eq($$select columns from sync.column_fills$$, $$values ('{nobody}'::text[])$$,
  'a later addition is filled by itself');

select * from finish();
rollback;
