begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(8);

select tests.chained('{"params": {"offset": "{offset}"}, "order_path": ["id"],
  "total_path": ["total"], "result_cap": 30}');
select tests.fill(1, 29);
select is(tests.sync_list(), 'completed', 'a list below its cap is complete');
update tests.habit set extra = '{"total": 40}';
select is(tests.sync_list(), 'completed', 'a total at the cap or above it is none');
select is((tests.last_run()).warnings, '{}', 'and warns of nothing');
update tests.habit set extra = '{"total": 28}';
select tests.sync_list();
select is((tests.last_run()).warnings, '{"the API counts 28, its pages show 29"}',
  'another total warns');
select is((tests.last_run()).status, 'completed', 'and no more');

select tests.fill(30, 30);
select is(tests.sync_list(), 'partial', 'a list that reaches its cap may be longer');
select matches((tests.last_run()).warnings[1], '\{last\}', 'a warning says what helps');

select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"], "result_cap": 20}');
select is(tests.sync_list(), 'completed', 'a keyset reaches none: each page is a list of its own');

select * from finish();
rollback;
