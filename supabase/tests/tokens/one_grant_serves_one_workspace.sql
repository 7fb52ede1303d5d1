begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(6);

select tests.crm('acme');
select throws_ok($$
  select register_workspace('zen', 'https://zen.example', tests.grant_of('acme'), 'crm')
$$, 'SY019', null, 'another workspace does not get the same grant');
select throws_ok($$
  select register_workspace('zen', 'https://zen.example', jsonb_set(tests.grant_of('acme')::jsonb,
    '{client_secret}', '"another"')::text, 'crm')
$$, 'SY019', null, 'also not with another client secret');
select lives_ok($$select tests.crm('zen')$$, 'one of its own it does');
select throws_ok($$select rotate_workspace_key('zen', tests.grant_of('acme'))$$, 'SY019', null,
  'nor by rotation');
select remove_workspace('acme');
select lives_ok($$select rotate_workspace_key('zen', tests.grant_of('acme'))$$,
  'a removed workspace gives its grant up');
select is((select count(*) from sync.workspace_tokens), 1::bigint, 'there is one');

select * from finish();
rollback;
