begin;
\ir ../support/setup.psql
select plan(8);

select is(register_workspace('acme', 'https://bison.example', '7|firstkey', p_external_id => '41',
  p_max_concurrency => 3) - 'workspace_id',
  '{"workspace_name": "acme", "created": true}', 'the first time it is created');
select deactivate_workspace('acme');
select results_eq($$select is_active from public.sync_workspaces$$, $$values (false)$$,
  'deactivated');

select is(register_workspace('acme', 'https://other.example', '7|secondkey',
  p_replace => true) - 'workspace_id',
  '{"workspace_name": "acme", "created": false}', 'the second time it is changed');
select results_eq($$
  select workspace_name, base_url, external_id, is_active, max_concurrency, key_status
  from public.sync_workspaces
$$, $$values ('acme', 'https://other.example', '41', true, 3, 'unchecked')$$,
  'address and key are new, what was not named stays, it is active');
select results_eq($$
  select b.scope_key from public.sync_workspaces as w
  join public.sync_budgets as b on b.id = w.budget_id
$$, $$values ('other.example')$$, 'it draws on the budget of its new instance');

select declare_source('{"source_name": "per_key", "budget_scope": "key"}');
select register_workspace('zen', 'https://zen.example', 'k', 'per_key') from generate_series(1, 3);
select results_eq($$
  select b.scope_key from public.sync_budgets as b
  join public.sync_sources as s on s.id = b.source_id where s.source_name = 'per_key'
$$, $$select 'workspace:' || id from public.sync_workspaces where workspace_name = 'zen'$$,
  'registering again leaves no second budget');

select throws_ok($$select rotate_workspace_key('nobody', 'k')$$, 'SY002', null,
  'an unknown workspace has no key to rotate');
select throws_ok($$select deactivate_workspace('nobody')$$, 'SY002', null,
  'nor can it be deactivated');

select * from finish();
rollback;
