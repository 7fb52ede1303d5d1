begin;
\ir ../support/setup.psql
select plan(24);

prepare workspaces as select w.workspace_name, s.source_name, w.base_url, w.external_id
from public.sync_workspaces as w join public.sync_sources as s on s.id = w.source_id order by w.id;

select register_workspace('acme', 'https://bison.example', '7|k');
select is(register_workspace(name, 'https://bison.example/', '7|k') ->> 'created', 'false',
  format('%L is acme', name))
from unnest(array['acme', 'Acme', ' acme ', e'\u00a0ACME', e'\uff41cme']) as name;
select results_eq('workspaces', $$values ('acme', 'email_bison', 'https://bison.example', null)$$,
  'there is one, as it was written first');
select register_workspace('Zoë', 'https://bison.example', '8|k');
select is(register_workspace(e'ZOE\u0308', 'https://bison.example', '8|k') ->> 'created', 'false',
  'however its letters are composed');
select register_workspace('Joe''s  Co - A', 'https://bison.example', '8|j');
select is(register_workspace(name, 'https://bison.example', '8|j') ->> 'created', 'false',
  format('%L is the same to a reader', name))
from unnest(array['Joe''s Co - A', e'joe’s  co – a']) as name;
select register_workspace('ΣΑΣ', 'https://bison.example', '8|s');
select is(register_workspace('σας', 'https://bison.example', '8|s') ->> 'created', 'false',
  'small letters that share a capital are one');
select remove_workspace(name, true) from unnest(array['joe''s co - a', 'σας']) as name;

select throws_ok($$select register_workspace('acme', 'https://other.example', '9|k')$$, 'SY019',
  null, 'a taken name is not moved to another URL');
select throws_ok($$select register_workspace('Acme ', 'https://other.example', '9|k')$$, 'SY019',
  null, 'however it is written');
select declare_source('{"source_name": "crm"}');
select throws_ok($$select register_workspace('acme', 'https://bison.example', '9|k', 'crm')$$,
  'SY019', null, 'nor to another source');
select is((select decrypted_secret from vault.decrypted_secrets as d
  join public.sync_workspaces as w on w.secret_id = d.id where w.workspace_name = 'acme'), '7|k',
  'its key is still its own');

select throws_ok($$select register_workspace('new', 'https://bison.example', 'k')$$, 'SY006', null,
  'with several sources one has to be named');
do $$
declare
  v_message text;
begin
  perform register_workspace('new', 'https://bison.example', 'k');
exception when sqlstate 'SY006' then
  get stacked diagnostics v_message = message_text;
  perform set_config('tests.message', v_message, true);
end; $$;
select ok(current_setting('tests.message') ~ 'crm' and current_setting('tests.message')
  ~ 'email_bison', 'and the error lists them');
select is(register_workspace('acme', 'https://bison.example', '7|k') ->> 'created', 'false',
  'a workspace that is there keeps its source');

select tests.accept_key('acme');
select register_workspace('acme', 'https://crm.example', '9|k', 'crm', p_replace => true);
select results_eq($$select workspace_name, base_url, external_id = id::text
  from public.sync_workspaces where workspace_name = 'acme'$$,
  $$values ('acme', 'https://crm.example', true)$$,
  'on request it moves, and the id that it was given stays');
update public.sync_workspaces set is_external_id_found = true where workspace_name = 'acme';
select register_workspace('acme', 'https://north.example', '9|k', p_replace => true);
select results_eq($$select external_id, is_external_id_found from public.sync_workspaces
  where workspace_name = 'acme'$$, $$values (null, false)$$,
  'one that was found by its key is looked for anew');

grant usage on schema tests to service_role;
set local role service_role;
select throws_ok($$update client_registry set workspace_name = 'ACME'$$, 'SY019', null,
  'nor is a name taken twice by renaming');
select throws_ok(format('update sync_workspaces set workspace_name = %L', name), 'SY006', null,
  format('%s is no name', what))
from (values (' ', 'a blank'), (e'a\u202eb', 'what turns the direction')) as bad (name, what);
select lives_ok($$update sync_workspaces set workspace_name = ' Acme Ltd. '
  where workspace_name = 'acme'$$, 'a workspace is renamed');
reset role;
select is(rotate_workspace_key('ACME LTD.', '10|k') ->> 'workspace_name', 'Acme Ltd.',
  'verbs find it by its name in any case');

select * from finish();
rollback;
