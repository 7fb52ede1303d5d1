begin;
\ir ../support/setup.psql
select plan(28);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
create function tests.declare(p_name text, p_table text, p_function text default 'tests.writes')
  returns jsonb language sql as $$
  select declare_stream(jsonb_build_object('source_name', 'crm', 'stream_name', p_name,
    'path', '/' || p_name, 'page_size', 2, 'target_table', p_table,
    'apply_function', p_function));
$$;
create function tests.writes(p sync.incoming_record[]) returns sync.changed_record[] language sql
as 'select array[]::sync.changed_record[]';
create function tests.target_of(p_name text) returns text language sql as $$
  select target_table from public.sync_streams where stream_name = p_name;
$$;
create table public.people (workspace_id bigint, id bigint, raw jsonb, last_changed_at timestamptz,
  deleted_at timestamptz, unlisted_at timestamptz);
create table public.shared (stream_id bigint, like public.people);
create table public.bare (id bigint);
create table sync.people (like public.people);

select throws_ok($$select tests.declare('people', 'public.people')$$, 'SY006', null,
  'a table that the owner did not register');
select throws_ok($$select tests.declare('people', 'public.nobody')$$, 'SY006', null,
  'one that does not exist');
select throws_ok(format('select sync.register_target_table(%L)', name), 'SY006', null,
  name || ' cannot be registered')
from unnest('{public.nobody,public.bare,vault.secrets,auth.users,sync.people,pg_catalog.pg_class,
  public.sender_emails}'::text[]) as name;
select is(sync.register_target_table('PUBLIC.People'), '{"target_table": "public.people"}',
  'a table of one''s own can, however its name is written');
select sync.register_target_table('public.shared');

select tests.declare('people', '"public".people');
select is(tests.target_of('people'), 'public.people', 'it is one table under one name');
select throws_ok($$select tests.declare('firms', 'PUBLIC.PEOPLE')$$, 'SY006', null,
  'it belongs to one stream');
select throws_ok($$select tests.declare('accounts', 'sync.sender_emails')$$, 'SY006', null,
  'as do our own');
select lives_ok($$select tests.declare('people', 'public.people')$$,
  'which may be declared anew');
select lives_ok($$select tests.declare(n, 'public.shared') from unnest('{a,b}'::text[]) as n$$,
  'with stream_id it may have several');

-- The function that was made for another table would write to that one.
create function tests.refusal(p_table text, p_function text) returns text language plpgsql as $$
begin
  perform tests.declare('people', p_table, p_function);
  return 'taken';
exception when sqlstate 'SY006' then
  return sqlerrm;
end; $$;
select ok(tests.refusal('public.people', null) like
  'stream "people": apply_function is left out; it takes %public.people%',
  'a table of one''s own needs a function of its own');
select ok(tests.refusal('public.people', '"sync".apply_synced_records') like
  '%: apply_function is %', 'that of synced_records is none, however its name is written');
select declare_stream('{"source_name": "crm", "stream_name": "typed", "path": "/t", "page_size": 2,
  "columns": {"name": "text"}}');
select ok(tests.refusal('public.synced_records', 'sync.apply_synced_crm_typed') like
  '%: apply_function is %', 'nor is a declared table''s');
select is(tests.target_of('people'), 'public.people', 'the stream is as it was');

-- Rows of a partition, or of a table that inherits, are rows of the other too.
create table public.parted (workspace_id bigint, id bigint, raw jsonb, last_changed_at timestamptz,
  deleted_at timestamptz, unlisted_at timestamptz) partition by range (id);
create table public.part partition of public.parted for values from (0) to (100);
create table public.kin () inherits (public.people);
create table public.grandkin () inherits (public.kin);
select sync.register_target_table('public.' || name)
from unnest('{parted,part,kin,grandkin}'::text[]) as name;
select tests.declare('whole', 'public.parted');
select throws_ok($$select tests.declare('half', 'public.part')$$, 'SY006', null,
  'a partition of another stream''s table');
select throws_ok($$select tests.declare('heir', 'public.grandkin')$$, 'SY006', null,
  'a table that inherits from one');
select lives_ok($$select tests.declare('whole', 'public.part')$$, 'the same stream may move');
select throws_ok($$select tests.declare('half', 'public.parted')$$, 'SY006', null,
  'the table that another stream''s is a part of');

-- What is no name, or no table that closing could read.
create table public.mistyped (like public.people);
alter table public.mistyped alter column deleted_at type text;
select throws_ok(format('select sync.register_target_table(%L)', name), 'SY006', null,
  format('%L cannot be registered', name))
from unnest(array['', 'a b"', '...', null, 'public.mistyped']) as name;

select * from finish();
rollback;
