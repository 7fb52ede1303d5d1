begin;
\ir ../support/setup.psql
select plan(21);

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
select throws_ok(format('select register_workspace(%L, ''https://bison.example'', ''k'')', name),
  'SY006', null, what)
from (values (null, 'a null name'), ('  ', 'a blank name'), (e'\u2003\u3000', 'blanks of any kind'),
  (e'ac\nme', 'a line break in a name'), (e'ac\tme', 'a tab'), (e'ac\x7fme', 'a control character'),
  (e'ac\u202eme', 'a bidirectional override'), (e'ac\u2066me', 'a bidirectional isolate'),
  (e'ac\u200bme', 'a blank of no width'), (e'\ufeffacme', 'a byte order mark'),
  (e'\u3164', 'a filler that nobody sees')) as bad (name, what);
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
