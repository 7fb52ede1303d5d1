begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('acme');
select tests.start('acme');
select is(tests.complete(l, tests.body(array[tests.record(1, '{
  "oauth": {"access_token": "planted\"1", "refresh_token": "planted-2", "expires_in": 60},
  "imap_password": "planted-3", "note": "her password is a word"}')], 1, 1)), 'completed',
  'a record that shows credentials') from tests.claim() as l;
select is_empty($$select 1 from sync.sender_emails as e where e::text like '%planted%'$$,
  'is stored without them');
select results_eq($$select raw -> 'oauth', raw ->> 'note' from sync.sender_emails$$, $$
  values ('{"access_token": null, "refresh_token": null, "expires_in": 60}'::jsonb,
    'her password is a word')
$$, 'all else stays');

select * from finish();
rollback;
