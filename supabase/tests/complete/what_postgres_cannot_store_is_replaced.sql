begin;
\ir ../support/setup.psql
select plan(34);

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
select is(sync.without_huge_numbers(format('[-1%1$s, 2%1$s,0.%1$s3, 4%1$se-9999, "5%1$s", 6.5]',
  repeat('0', 140000))), format('["\ufffd", "\ufffd","\ufffd", 4%1$se-9999, "5%1$s", 6.5]',
  repeat('0', 140000)), 'nor is one that is written out');
create function tests.is_stored(p_number text) returns boolean language plpgsql as $$
begin
  return p_number::jsonb is not null;
exception when numeric_value_out_of_range then
  return false;
end; $$;
select is(array[sync.is_huge_number(number), not tests.is_stored(number)], array[is_huge, is_huge],
  format('%s characters, of which the last are %s', length(number), right(number, 8)))
from (values (repeat('9', 131072), false), (repeat('9', 131073), true),
  (repeat('9', 130072) || 'e1000', false), (repeat('9', 130073) || 'E+1000', true),
  ('-0.' || repeat('9', 16383), false), ('0.' || repeat('9', 16384), true)
) as example (number, is_huge);
select is(tests.sync_body(replace(tests.bad_name('x'), '"daily_limit": 20',
  '"daily_limit": 1' || repeat('0', 140000))), 'completed', 'nor does such a one keep a page');
select is(tests.sync_body('<html>\u0000</html>'), 'retry', 'what is no JSON stays none');
select tests.advance('10 minutes');
create temp table deep as select repeat('[', 100000) || repeat(']', 100000) as body;
select throws_ok('select sync.read_json(jsonb_populate_record(null::sync.page_in_hand,
  to_jsonb(d))) from deep as d', '54001', null, 'what is too deep cannot be read');
select results_eq($$select o ->> 'outcome', o ->> 'code' from tests.claim() as l,
  complete_chunk_job_safe(l.queue_id, l.lease_token, jsonb_build_object('status', 200, 'body',
  (select body from deep))) as o$$, $$values ('retry', 'SY011')$$, 'and is no JSON either');

select * from finish();
rollback;
