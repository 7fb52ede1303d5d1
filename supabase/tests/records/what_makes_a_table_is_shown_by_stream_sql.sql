begin;
\ir ../support/setup.psql
select plan(10);

select declare_source(jsonb_build_object('source_name', name))
from unnest('{crm,erp}'::text[]) as name;
create function tests.declare(p_source text, p_stream text) returns jsonb language sql as $$
  select declare_stream(jsonb_build_object('source_name', p_source, 'stream_name', p_stream,
    'path', '/people', 'page_size', 2, 'id_type', 'text',
    'columns', '{"name": "text", "at": {"path": ["a", "b''c"], "type": "date"}}'::jsonb));
$$;
select tests.declare('crm', 'people'), tests.declare('crm', 'firms'), tests.declare('erp', 'firms');
create view tests.shape as
select a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull, c.relrowsecurity,
  c.relacl::text, obj_description(c.oid) as comment, p.polname, p.polroles,
  pg_get_expr(p.polqual, p.polrelid) as allows, pg_get_indexdef(i.indexrelid) as key,
  f.prosrc, f.proacl::text as calls, f.proconfig
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace and n.nspname = 'synced'
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
left join pg_policy as p on p.polrelid = c.oid
left join pg_index as i on i.indrelid = c.oid and i.indisprimary
left join pg_proc as f on f.oid = to_regproc('sync.apply_synced_' || c.relname)
where c.relname = 'crm_people';
create temp table before as select * from tests.shape;
create temp table shown as select stream_sql('people') as sql;
drop table synced.crm_people cascade;
drop function sync.apply_synced_crm_people(sync.incoming_record[]);
do $$ begin execute (select sql from shown); end $$;
select isnt_empty('select * from before', 'a declared table is there');
select set_eq('select * from tests.shape', 'select * from before',
  'what is shown makes the same table, rights, policy and function');

select ok(stream_sql('replies') ~ 'create or replace function sync.upsert_email_replies\(',
  'of another table its generated function is shown');
select ok(stream_sql((
    select stream_name from sync_streams
    where apply_function = 'sync.apply_conversations')) ~ 'sync.apply_conversations\(',
  'of a function by hand its text');
select ok(stream_sql('firms', 'erp') ~ 'synced.erp_firms', 'each source has its own');
select throws_ok($$select stream_sql('firms')$$, 'SY006', null,
  'the source is asked for where several have such a stream');
select throws_ok($$select stream_sql('nobody')$$, 'SY003', null, 'an unknown stream');
select throws_ok($$select stream_sql('people', 'erp')$$, 'SY003', null, 'or of another source');

select is(sync.regenerate_upserts(), (select count(*)::int from sync.target_tables
  where upsert_name is not null and exists (select 1 from pg_class where oid = target)),
  'an upgrade makes every generated function anew');
select tests.act_as('authenticated', true);
select throws_ok($$select public.stream_sql('people')$$, '42501', null,
  'operators have no such verb');

select * from finish();
rollback;
