begin;
\ir ../support/setup.psql
select plan(10);

select register_workspace('acme', 'https://bison.example', '7|firstkey', p_external_id => '41');
select declare_source('{"source_name": "other"}');
select register_workspace('elsewhere', 'https://other.example', 'k', 'other');

select results_eq($$select * from client_registry$$, $$
  values ('acme', '41', 'https://bison.example', true, null::timestamptz, null::bigint,
    null::bigint)
$$, 'the Email Bison workspaces, in the first user''s words');

set local role service_role;
select lives_ok($$update client_registry set is_active = false,
  bison_instance = 'https://new.example/' where workspace_name = 'acme'$$,
  'service_role changes it');
reset role;
select results_eq($$
  select w.is_active, w.base_url, b.scope_key from public.sync_workspaces as w
  join public.sync_budgets as b on b.id = w.budget_id
  where w.workspace_name = 'acme'
$$, $$values (false, 'https://new.example', 'new.example')$$,
  'the address is tidied and its budget follows');
select throws_ok($$update client_registry set bison_instance = 'http://bison.example'$$, 'SY015',
  null, 'an address is checked here too');
select throws_ok($$update client_registry set last_successful_sync_at = now()$$, '0A000', null,
  'what the engine knows is not written by hand');
select throws_ok($$insert into client_registry (workspace_name) values ('new')$$, 'SY018', null,
  'a workspace is not added without a key');
select hasnt_column('public', 'client_registry', 'api_key', 'the key is no column');

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select results_eq($$
  select workspace_name, last_successful_sync_at, last_sync_duration_ms, estimated_account_count
  from client_registry
$$, $$values ('acme', sync.now(), 0::bigint, 3::bigint)$$,
  'after a complete sync it says when, how long and how many');

prepare key_status as select key_status from public.sync_workspaces where workspace_name = 'acme';
select results_eq('key_status', $$values ('accepted')$$, 'and its key is accepted');
update client_registry set bison_workspace_id = '42' where workspace_name = 'acme';
select results_eq('key_status', $$values ('unchecked')$$,
  'with another id the key is compared anew before it writes a row');

select * from finish();
rollback;
