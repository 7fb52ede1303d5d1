begin;
\ir ../support/setup.psql
select plan(15);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
create function tests.declare(p_name text, p_table text) returns jsonb language sql as $$
  select declare_stream(jsonb_build_object('source_name', 'crm', 'stream_name', p_name,
    'path', '/' || p_name, 'page_size', 2, 'target_table', p_table));
$$;
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

select * from finish();
rollback;
