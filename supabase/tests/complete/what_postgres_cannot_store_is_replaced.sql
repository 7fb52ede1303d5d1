begin;
\ir ../support/setup.psql
select plan(25);

select is(sync.mended(given), mended, given) from (values
  ('"a\u0000b\u0000\u0000"', '"a\ufffdb\ufffd\ufffd"'),
  ('"\\u0000 \\\\u0000 \\\u0000"', '"\\u0000 \\\\u0000 \\\ufffd"'),
  ('"\ud83d\ude00"', '"\ud83d\ude00"'), ('"\uD83D\uDE00"', '"\uD83D\uDE00"'),
  ('"\ud83d"', '"\ufffd"'), ('"\ud83dx\ude00"', '"\ufffdx\ufffd"'),
  ('"\ude00\ud83d"', '"\ufffd\ufffd"'), ('"\ud83d\ud83d\ude00"', '"\ufffd\ud83d\ude00"'),
  ('"\\ud83d\ude00"', '"\\ud83d\ufffd"'), ('"\u00e9\n\"\/"', '"\u00e9\n\"\/"')
  ) as example (given, mended);
select is((sync.mended(repeat('{"a": "x\u0000\ud83d"}', 20000))) ~ '(\\u0000|\\ud83d)', false,
  'however long it is');

select tests.workspace('acme', 1);
create function tests.sync_body(p_body text) returns text language plpgsql as $$
begin
  perform tests.start('acme');
  return (select tests.complete(l, p_body) from tests.claim() as l);
end; $$;
create function tests.bad_name(p_name text) returns text language sql as $$
  select replace(tests.body(array[tests.record(1), tests.record(2) || '{"name": "#"}'], 2, 1), '#',
    p_name);
$$;
select is(tests.sync_body(tests.bad_name('half \ud83d of it\u0000')), 'completed',
  'a page with both completes');
select results_eq($$select name, raw ->> 'name' from sync.sender_emails where id = 2$$,
  $$values (U&'half \FFFD of it\FFFD', U&'half \FFFD of it\FFFD')$$, 'with U+FFFD in their place');
select results_eq($$select cardinality(warnings), substring(warnings[1] from 'record (\w+)')
  from public.workspace_sync_runs order by id desc limit 1$$, $$values (1, '2')$$,
  'and a warning that names the record');
select is(tests.sync_body(tests.bad_name('half \ud83d of it\u0000')), 'completed', 'read again');
select results_eq($$select records_changed, warnings from public.workspace_sync_runs
  order by id desc limit 1$$, $$values (0::bigint, '{}'::text[])$$, 'it is unchanged');

select is(tests.sync_body(chr(65279) || tests.bad_name('x')), 'completed',
  'a byte order mark is skipped');

select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "id_type": "text"}');
select register_workspace('zen', 'https://crm.example', 'k', 'crm');
select tests.start('zen');
create temp table told as select o -> 'outcomes' -> 0 as outcome from tests.claim() as l,
  lateral complete_chunk_jobs_safe(jsonb_build_array(jsonb_build_object('queue_id', l.queue_id,
  'lease_token', l.lease_token, 'status', 200, 'body',
  '{"data": [{"id": "a"}, {"id": "b\u0000"}], "meta": {"total": 2, "last_page": 1}}'))) as o;
select results_eq($$select outcome ->> 'outcome', outcome ->> 'code',
  substring(outcome ->> 'message' from 'record 2') from told$$,
  $$values ('failed', 'SY010', 'record 2')$$, 'in an id it is none: the page fails');
select is_empty('select 1 from public.synced_records', 'nothing of it is written');
select tests.start('zen');
select is(tests.complete(l, U&'{"data": [{"id": "\FFFD"}], "meta": {"total": 1, "last_page": 1}}'),
  'completed', 'an API''s own U+FFFD is a character like any other') from tests.claim() as l;

-- A number of more digits than Postgres stores.
select is(sync.without_huge_numbers(
  '{"a": [-1.5E+200000,1e-20000, 1e400], "b": "1e200000 \" 1e200000", "c": 1e200000}'),
  '{"a": ["\ufffd","\ufffd", 1e400], "b": "1e200000 \" 1e200000", "c": "\ufffd"}',
  'numbers that no text holds');
select is(tests.sync_body(replace(tests.bad_name('1e200000'), '"daily_limit": 20',
  '"daily_limit": 1e200000')), 'completed', 'nor does a number keep a page from completing');
select results_eq($$select id, name, daily_limit, raw ->> 'daily_limit' from sync.sender_emails
  order by id$$, $$values (1::bigint, 'Account 1', null::bigint, U&'\FFFD'),
    (2, '1e200000', null, U&'\FFFD')$$, 'it is null in its column');
select is(tests.sync_body('<html>\u0000</html>'), 'retry', 'what is no JSON stays none');
select tests.advance('10 minutes');
select is((tests.complete(l, repeat('[', 100000))), 'retry',
  'nor is what is too deep to be read') from tests.claim() as l;

select * from finish();
rollback;
