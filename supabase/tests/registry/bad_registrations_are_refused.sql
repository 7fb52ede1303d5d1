begin;
\ir ../support/setup.psql
select plan(10);

select throws_ok($$select register_workspace('acme', 'https://bison.example', '')$$, 'SY014', null,
  'an empty key');
select throws_ok($$select register_workspace('acme', 'https://bison.example', null)$$, 'SY014',
  null, 'no key');
select throws_ok($$select register_workspace('acme', 'https://bison.example', '   ')$$, 'SY014',
  null, 'a blank key');
select throws_ok($$select register_workspace('', 'https://bison.example', 'k')$$, 'SY006', null,
  'no name');
select throws_ok($$select register_workspace(repeat('a', 201), 'https://bison.example', 'k')$$,
  'SY006', null, 'a name of more than 200 characters');
select throws_ok($$select register_workspace('acme', 'https://bison.example', 'k',
  p_max_concurrency => 0)$$, 'SY006', null, 'no slots');
select throws_ok($$select register_workspace('acme', 'https://bison.example', 'k',
  p_max_concurrency => 65)$$, 'SY006', null, 'too many slots');
select throws_ok($$select register_workspace('acme', 'https://bison.example', 'k', 'nothing')$$,
  'SY003', null, 'an unknown source');
select throws_ok($$select register_workspace('acme', null, 'k')$$, 'SY015', null, 'no address');
select is_empty($$select 1 from public.sync_workspaces union all select 1 from vault.secrets$$,
  'nothing of it was kept');

select * from finish();
rollback;
