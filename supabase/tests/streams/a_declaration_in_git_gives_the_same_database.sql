begin;
\ir ../support/setup.psql
select plan(8);

select declare_source('{"source_name": "crm"}');
create function tests.declare() returns jsonb language sql as $$
  select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
    "page_size": 2, "params": {"limit": "{size}", "after": "{last|0}"}, "completeness": "chained",
    "order_path": ["id"], "order_direction": "asc", "time_format": "epoch",
    "updated_at_path": ["at"], "deleted_when": {"state": "gone"},
    "columns": {"name": "text", "at": {"type": "timestamptz", "format": "epoch"}}}');
$$;
select tests.declare();
create view tests.shape as
select c.oid::regclass::text, a.attname, a.atttypid::regtype, p.polname, f.prosrc
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
join pg_policy as p on p.polrelid = c.oid
join pg_proc as f on f.oid = to_regproc('sync.apply_synced_' || c.relname)
where c.relnamespace = 'synced'::regnamespace and c.relkind = 'r';
create temp table before as select * from tests.shape;
create temp table rows_before as
select to_jsonb(st) - '{id,created_at}'::text[] as row from sync_streams as st;
create temp table exported as select get_declarations('crm') #> '{declarations,0}' as declaration;

select is((select declaration #> '{streams,0}' ? 'apply_function' from exported), false,
  'what is made is not part of it');
select is(apply_declaration(declaration) -> 'changes', '[]', 'what is given back changes nothing')
from exported;
select tests.declare();
select is((select revision from sync_streams where stream_name = 'people'), 1,
  'nor does the same once more');

-- A database where the table is there, as of a dump, and nothing else.
delete from sync_streams where stream_name = 'people';
delete from sync.target_tables where target = 'synced.crm_people'::regclass;
select lives_ok('select apply_declaration(declaration) from exported',
  'a table that stands is adopted');
select set_eq('select * from tests.shape', 'select * from before', 'as it is');
-- And one where nothing is.
delete from sync_streams where stream_name = 'people';
delete from sync.target_tables where target = 'synced.crm_people'::regclass;
drop table synced.crm_people cascade;
drop function if exists sync.apply_synced_crm_people(sync.incoming_record[]);
select lives_ok('select apply_declaration(declaration) from exported', 'one that is not is made');
select set_eq('select * from tests.shape', 'select * from before', 'just the same');
select set_eq($$select to_jsonb(st) - '{id,created_at}'::text[] from sync_streams as st$$,
  'select row from rows_before', 'and so are the rows');

select * from finish();
rollback;
