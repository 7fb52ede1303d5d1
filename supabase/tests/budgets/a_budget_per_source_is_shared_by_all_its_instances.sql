begin;
\ir ../support/setup.psql
select plan(9);

select declare_source('{"source_name": "crm", "budget_scope": "source", "requests_per_second": 1,
  "max_in_flight": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 1}');
select register_workspace('acme', 'https://eu.crm.example', 'k1', 'crm');
select register_workspace('zen', 'https://us.crm.example', 'k2', 'crm');
select start_sync_job();
create temp table held as select * from tests.claim(100);
select results_eq($$select send_after_ms from held order by 1$$,
  $$values (0::bigint), (1000)$$, 'two instances go at one pace');
select results_eq($$select scope_key, count(*) from public.sync_budgets
  join public.sync_workspaces as w on w.budget_id = sync_budgets.id group by 1$$,
  $$values ('source', 2::bigint)$$, 'they share one budget');
select is(set_budget('crm', 5, 4, 'source') ->> 'budgets_changed', '1', 'which has a name to set');
select is(unblock_budget('crm', 'source') ->> 'budgets', '1', 'and to unblock');

select register_workspace('oak', 'https://eu.bison.example', '7|keyof oak',
  'email_bison');
select is((select count(*) from public.sync_budgets), 2::bigint,
  'another source has another budget');

select declare_source('{"source_name": "crm", "budget_scope": "instance"}');
select results_eq($$select w.workspace_name, b.scope_key from public.sync_workspaces as w
  join public.sync_budgets as b on b.id = w.budget_id order by 1$$,
  $$values ('acme', 'eu.crm.example'), ('oak', 'eu.bison.example'), ('zen', 'us.crm.example')$$,
  'declared anew, its workspaces draw on their instances'' budgets');
select declare_source('{"source_name": "crm", "budget_scope": "source"}');
select is((select count(distinct budget_id) from public.sync_workspaces as w
  join public.sync_sources as s on s.id = w.source_id where s.source_name = 'crm'), 1::bigint,
  'and back on one');

select throws_ok($$select declare_source('{"source_name": "crm", "budget_scope": "galaxy"}')$$,
  'SY006', null, 'another scope is refused');
select is((select budget_scope from public.sync_sources where source_name = 'crm'), 'source',
  'and changes nothing');

select * from finish();
rollback;
