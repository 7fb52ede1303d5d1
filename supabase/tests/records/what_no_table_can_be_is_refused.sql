begin;
\ir ../support/setup.psql
select plan(30);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
create function tests.refusal(p_more jsonb) returns text language plpgsql as $$
begin
  perform declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
    "page_size": 2, "columns": {"name": "text"}}'::jsonb || p_more);
  return 'taken';
exception when others then
  return case when sqlstate = 'SY006' then sqlerrm else 'raised ' || sqlerrm end;
end; $$;
select is(tests.refusal('{}'), 'taken', 'a stream has its table');
select ok(tests.refusal(given) like 'stream "people": ' || field || ' is %; it takes %',
  format('%s is refused, naming %s', given, field))
from (values
  ('columns', '{"columns": {"name": "jsonb"}}'::jsonb),
  ('columns', '{"columns": {"name": {"type": "date", "format": "epoch"}}}'),
  ('id_type', '{"id_type": "text"}'),
  ('id_scope', '{"id_scope": "parent", "parent_stream": "x", "path": "/{parent.id}"}'),
  ('target_table', '{"target_table": "public.people"}'),
  ('target_table', '{"target_table": "sync.people"}'),
  ('target_table', '{"target_table": "synced.People"}'),
  ('target_table', '{"target_table": "synced.a; drop table x"}'),
  ('target_table', jsonb_build_object('target_table', 'synced.' || repeat('x', 48))),
  ('target_table', '{"target_table": "synced.crm_people", "columns": null}'),
  ('target_table', '{"target_table": "synced.records"}'),
  ('apply_function', '{"apply_function": "sync.apply_synced_records"}')
) as w (field, given);
select ok(tests.refusal(jsonb_build_object('stream_name', repeat('x', 60))) like
  'stream %: target_table is left out; it takes %', 'a long name gives no name of a table');
select is(tests.refusal('{"stream_name": "ж", "target_table": "synced.zh"}'), 'taken',
  'but one may be given');
select ok(tests.refusal('{"stream_name": "firms", "target_table": "synced.crm_people"}') like
  'stream "firms": target_table is "synced.crm\_people"; %',
  'two streams have no table in common');
select ok(tests.refusal('{"stream_name": "others", "target_table": "synced.crm_people"}') like
  'stream "others": target_table is %', 'also if one is named');

-- What the owner made by hand is adopted if it fits.
create table synced.made (workspace_id bigint not null, id bigint, name text, raw jsonb not null,
  updated_at timestamptz, last_changed_at timestamptz not null default now(),
  deleted_at timestamptz, unlisted_at timestamptz, color text, primary key (workspace_id, id));
create table synced.lacking (workspace_id bigint, id bigint, raw jsonb,
  primary key (workspace_id, id));
create table synced.keyless (like synced.made);
create table synced.mistyped (like synced.made including all);
alter table synced.mistyped alter column raw type text;
create view synced.seen as select * from synced.made;
create table synced.generated (like synced.made including all);
alter table synced.generated alter column id add generated always as identity;
create table synced.undeletable (like synced.made including all);
alter table synced.undeletable alter column deleted_at set not null;
create table synced.strict (like synced.made including all);
alter table synced.strict alter column color set not null;
create table synced.deferred (like synced.made, primary key (workspace_id, id) deferrable);
create type synced.typed as enum ('a');
create function tests.refused_table(p_name text) returns boolean language sql as $$
  select tests.refusal(jsonb_build_object('stream_name', 'made', 'target_table',
    'synced.' || p_name)) ~ '^stream "made": (target_table|id_scope) is ';
$$;
select ok(tests.refused_table(name), format('a table that is %s is not adopted', name))
from unnest('{lacking,keyless,mistyped,seen,generated,undeletable,strict,deferred,typed}'::text[])
  as name;
select is(tests.refusal('{"stream_name": "made", "target_table": "synced.made",
  "columns": {"name": "text", "size": "integer"}}'), 'taken', 'one that fits is adopted');
select has_column('synced', 'made', 'size', 'gets what it lacks');
select has_column('synced', 'made', 'color', 'and keeps what it has besides');
select is((select relrowsecurity from pg_class where oid = 'synced.made'::regclass), true,
  'its rows are for operators from then on');

select * from finish();
rollback;
