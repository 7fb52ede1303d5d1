begin;
\ir ../support/setup.psql
select plan(9);

select throws_ok($$select import_client_registry()$$, 'SY006', null,
  'there is nothing to take over');

create schema legacy;
create table legacy.client_registry (
  id int primary key, workspace_name text, bison_workspace_id int, bison_instance text,
  bison_api_key text, is_active boolean default true, last_sync_duration_ms int);
insert into legacy.client_registry values
  (1, 'acme', 12, 'https://bison.example', '7|topsecretkey', true, 1),
  (2, 'zen', null, 'https://bison.example/', ' 8|anothersecret ', false, null),
  (3, 'old', 14, 'https://bison.example', null, true, null),
  (4, 'odd', 15, 'ftp://bison.example', '9|thirdsecret', true, null);

select throws_ok($$select import_client_registry(p_key_column => 'key')$$, 'SY006', null,
  'the column of the keys is not there');
select results_eq($$
  select a -> 'registered', (select array_agg(r ->> 'workspace_name')
    from jsonb_array_elements(a -> 'refused') as r)
  from import_client_registry() as a
$$, $$values ('["acme", "zen"]'::jsonb, '{odd,old}'::text[])$$,
  'who has a key and an address is registered, the others are named');
select results_eq($$
  select workspace_name, bison_workspace_id, bison_instance, is_active from client_registry
  order by 1
$$, $$values ('acme', '12', 'https://bison.example', true),
  ('zen', null, 'https://bison.example', false)$$, 'with id, address and whether it is active');
select results_eq($$
  select w.workspace_name, d.decrypted_secret collate "default" from public.sync_workspaces as w
  join vault.decrypted_secrets as d on d.id = w.secret_id order by 1
$$, $$values ('acme', '7|topsecretkey'), ('zen', '8|anothersecret')$$, 'Vault has the keys');
select is((select count(*) from legacy.client_registry where bison_api_key <> ''), 3::bigint,
  'they still stand in the table');

select is(import_client_registry(p_blank_keys => true) -> 'registered', '["acme", "zen"]',
  'it may be repeated');
select results_eq($$select id from legacy.client_registry where bison_api_key <> ''$$,
  $$values (4)$$, 'and blanks the keys that Vault has');

set local role anon;
select throws_ok($$select public.import_client_registry()$$, '42501', null, 'for services only');
reset role;

select * from finish();
rollback;
