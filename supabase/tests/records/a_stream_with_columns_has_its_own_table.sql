begin;
\ir ../support/setup.psql
select plan(27);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
create function tests.declare(p_more jsonb default '{}') returns jsonb language sql as $$
  select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
    "page_size": 2, "updated_at_path": ["updated_at"], "columns": {
      "name": "text", "daily_limit": "integer", "tags": "jsonb", "created_at": "timestamptz",
      "sent": {"path": ["emails_sent_count"], "type": "bigint"},
      "first_at": {"path": ["stats", "first"], "type": "timestamptz", "format": "epoch"},
      "last_on": {"path": ["stats", "last"], "type": "date", "format": "epoch_ms"},
      "tag": {"path": ["tags", 0], "type": "text"},
      "score": "numeric", "half": "double precision", "is_on": "boolean", "uid": "uuid"}}'::jsonb
    || p_more);
$$;
select tests.declare();
select results_eq($$select target_table, apply_function from sync_streams
  where stream_name = 'people'$$, $$values ('synced.crm_people', 'sync.apply_synced_crm_people')$$,
  'its table is called after source and stream');
select results_eq($$select attname::text collate "default", format_type(atttypid, atttypmod)
  from pg_attribute where attrelid = 'synced.crm_people'::regclass and attnum > 0 order by attnum$$,
  $$values ('workspace_id', 'bigint'), ('id', 'bigint'),
  ('created_at', 'timestamp with time zone'), ('daily_limit', 'integer'),
  ('first_at', 'timestamp with time zone'), ('half', 'double precision'), ('is_on', 'boolean'),
  ('last_on', 'date'), ('name', 'text'), ('score', 'numeric'), ('sent', 'bigint'),
  ('tag', 'text'), ('tags', 'jsonb'), ('uid', 'uuid'),
  ('raw', 'jsonb'), ('updated_at', 'timestamp with time zone'),
  ('last_changed_at', 'timestamp with time zone'),
  ('deleted_at', 'timestamp with time zone'), ('unlisted_at', 'timestamp with time zone')$$,
  'it has what was declared, and what every table of records has');
select results_eq($$select relowner::regrole, relrowsecurity from pg_class
  where oid = 'synced.crm_people'::regclass$$,
  $$select nspowner::regrole, true from pg_namespace where nspname = 'sync'$$,
  'it is the owner''s, with row level security');
select results_eq($$select polname::text collate "default", polroles::regrole[] from pg_policy
  where polrelid = 'synced.crm_people'::regclass$$,
  $$values ('crm_people_select_operator', '{authenticated}'::regrole[])$$, 'for operators');
select is(has_table_privilege(r, 'synced.crm_people', p), r <> 'anon' and p = 'select',
  format('%s: %s', r, p))
from unnest('{anon,authenticated,service_role}'::text[]) as r,
  unnest('{select,insert,truncate}'::text[]) as p;
select is_empty('select * from sync.careless_grants()', 'nobody has more than that');

select register_workspace('acme', 'https://crm.example', 'k', 'crm');
select tests.serve('acme', 1, 2, 3);
update tests.accounts set fields = '{"stats": {"first": 1700000000, "last": "1700000000123"},
  "tags": ["a", "b"], "score": 1.25, "half": 0.5, "is_on": true, "id": 1, "raw": 7,
  "workspace_id": "x", "uid": "00000000-0000-0000-0000-000000000001"}' where id = 1;
select tests.sync('acme');
select results_eq($$select id, name, daily_limit, tags, created_at, sent, first_at, last_on, tag,
    score, half, is_on, uid, updated_at from synced.crm_people where id = 1$$,
  $$values (1::bigint, 'Account 1', 20, '["a", "b"]'::jsonb, '2026-01-01Z'::timestamptz,
    10::bigint, '2023-11-14 22:13:20Z'::timestamptz, '2023-11-14'::date, 'a', 1.25, 0.5::float8,
    true, '00000000-0000-0000-0000-000000000001'::uuid, '2026-02-01Z'::timestamptz)$$,
  'a record is in its columns, from where each stands');
select results_eq($$select id, first_at, tag, score, sent from synced.crm_people where id > 1
  order by id$$, $$values (2::bigint, null::timestamptz, null::text, null::numeric, 20::bigint),
  (3, null, null, null, 30)$$, 'what a record lacks is null');
select is_empty($$select * from public.synced_records$$, 'and nowhere else');

create temp table before as select xmin::text as version, * from synced.crm_people;
select tests.sync('acme');
select set_eq('select xmin::text as version, * from synced.crm_people', 'select * from before',
  'unchanged records cost no row version');
update tests.accounts set fields = '{"name": "Eve", "score": "many", "is_on": [1],
  "stats": {"first": "soon", "last": 1e300}, "uid": 1, "daily_limit": 99999999999}' where id = 2;
select tests.sync('acme');
select results_eq($$select name, score, is_on, first_at, last_on, uid, daily_limit, raw ->> 'score'
  from synced.crm_people where id = 2$$,
  $$values ('Eve', null::numeric, null::boolean, null::timestamptz, null::date, null::uuid,
    null::int, 'many')$$, 'a value that does not fit its column is null there, and raw keeps it');
select is((select count(*) from public.workspace_sync_runs as r, unnest(r.warnings) as w
  where w ~ 'column (score|is_on|first_at|last_on|uid|daily_limit) .*record 2$'), 6::bigint,
  'a warning names each column and the record');
select is((select status from public.workspace_sync_runs order by id desc limit 1), 'completed',
  'no run fails of it');

delete from tests.accounts where id = 3;
select tests.sync('acme');
select tests.sync('acme');
select results_eq($$select id from synced.crm_people where deleted_at is not null$$,
  'values (3::bigint)',
  'records are deleted there as anywhere');

select tests.declare();
select is((select revision from sync_streams where stream_name = 'people'), 1,
  'declared anew as it is nothing changes');
select tests.declare('{"columns": {"name": "text"}}');
select tests.serve('acme', 1, 2, 4);
select tests.sync('acme');
select results_eq($$select id, name, score, sent from synced.crm_people where id in (1, 4)
  order by id$$, $$values (1::bigint, 'Account 1', 1.25, 10::bigint), (4, 'Account 4', null, null)$$,
  'a column that is declared no more stays as it is, and is not filled any more');
select tests.declare('{"target_table": "synced.folk", "id_type": "text"}');
select results_eq($$select count(*), pg_typeof(min(id))::text from synced.folk$$,
  $$values (0::bigint, 'text')$$, 'another name is another table');
select is((select count(*) from synced.crm_people), 4::bigint, 'nothing is dropped');

-- The function that writes a table has variables, and a record may have fields of their names.
select declare_stream('{"source_name": "crm", "stream_name": "odd", "path": "/odd",
  "page_size": 2, "columns": {"v_now": "text", "v_judged": "text", "v_rows": "text",
  "p_records": "text", "excluded": "text", "t": "text", "user": "text", "name": "text"}}');
update tests.accounts set fields = fields || '{"v_now": "a", "v_judged": "b", "user": "c"}';
select tests.start('acme');
select tests.work();
select is((select count(*) from synced.crm_odd as o where o.v_now = 'a' and o.v_judged = 'b'
    and to_jsonb(o) ->> 'user' = 'c' and o.excluded is null),
  (select count(*) from tests.accounts), 'a column may have any name but ours');

select * from finish();
rollback;
