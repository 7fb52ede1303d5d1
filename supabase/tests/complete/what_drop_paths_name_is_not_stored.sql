begin;
\ir ../support/setup.psql
select plan(9);

select tests.workspace('acme');
select tests.start('acme');
select is(tests.complete(l, tests.body(array[tests.record(1, '{
  "oauth": {"access_token": "planted\"1", "refresh_token": "planted-2", "expires_in": 60},
  "imap_password": "planted-3", "note": "her password is a word", "unsubscribe_token": "hers"}'),
  tests.record(2, '{"oauth": "none"}')], 2, 1)), 'completed',
  'a record that shows credentials') from tests.claim() as l;
select is_empty($$select 1 from sync.sender_emails as e where e::text like '%planted%'$$,
  'is stored without what its stream declares as such');
select results_eq($$select raw -> 'oauth', raw ->> 'note', raw ->> 'unsubscribe_token'
  from sync.sender_emails order by id$$, $$
  values ('{"expires_in": 60}'::jsonb, 'her password is a word', 'hers'), ('"none"', null, null)
$$, 'all else stays, whatever it is called');
select tests.start('acme');
select tests.complete(l, replace(tests.body(array[tests.record(1, '{
  "imap_password": "planted-4"}'), tests.record(2)], 2, 1), 'imap_', 'imap\u005f'))
from tests.claim() as l;
select is_empty($$select 1 from sync.sender_emails as e where e::text like '%planted%'$$,
  'nor does an escape in its name hide one');

-- A feed whose next cursor is called a token: it is read, and cut nowhere.
select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "notes", "path": "/notes",
  "page_size": 2, "completeness": "feed", "cursor_params": {"by": "token"},
  "cursor_param": "page_token", "next_cursor_path": ["next_page_token"],
  "drop_paths": [["next_page_token"], ["deep", "0", "secret"]]}');
select register_workspace('zen', 'https://crm.example', 'k', 'crm');
select start_sync_job('notes', '{notes}');
select tests.complete(l, '{"next_page_token": "t2", "data": [{"id": 3, "next_page_token": "x",
  "deep": [{"secret": 1, "plain": 2}]}, {"id": 2}]}')
from tests.claim() as l;
select results_eq($$select tests.params_of(l) ->> 'page_token'
  from jsonb_array_elements(claim_next_chunk_job_safe('worker-1', p_protocol => 2) -> 'leases') as l$$,
  $$values (null::text)$$, 'it goes on by cursor, from the top');
select tests.advance('1 minute');
select cleanup_stuck_chunks();
select tests.complete(l, '{"next_page_token": "t2", "data": [{"id": 3, "next_page_token": "x",
  "deep": [{"secret": 1, "plain": 2}]}, {"id": 2}]}')
from tests.claim() as l;
select results_eq($$select tests.params_of(l) ->> 'page_token'
  from jsonb_array_elements(claim_next_chunk_job_safe('worker-1', p_protocol => 2) -> 'leases') as l$$,
  $$values ('t2')$$, 'with the token that the answer named');
select results_eq($$select raw from public.synced_records order by id$$,
  $$values ('{"id": 2}'::jsonb), ('{"id": 3, "deep": [{"plain": 2}]}')$$,
  'of records the declared paths are cut');

select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1, "drop_paths": ["token"]}')$$, 'SY006', null, 'a path is a list of keys');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "x", "path": "/x",
  "page_size": 1, "id_path": ["key", "id"], "drop_paths": [["key"]]}')$$, 'SY006', null,
  'the id is not cut');

select * from finish();
rollback;
