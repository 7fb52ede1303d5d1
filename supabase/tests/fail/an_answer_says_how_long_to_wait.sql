begin;
\ir ../support/setup.psql
select plan(21);

select declare_source('{"source_name": "epoch", "reset_header": {"name": "X-Reset", "is": "epoch"},
  "retry_after_path": ["error", "wait"]}');
select declare_source('{"source_name": "seconds", "reset_header": {"name": "x-reset", "is":
  "seconds"}}');
select declare_source('{"source_name": "date", "reset_header": {"name": "x-reset", "is": "date"}}');

select is(sync.wait_asked_for(so, headers::jsonb, body::jsonb, true), wanted,
  format('%s: %s %s', source, headers, body))
from (values
  ('epoch', '{"retry-after": "7"}', '{}', 7::numeric),
  ('epoch', '{"retry-after": "0.5"}', null, 0.5),
  ('epoch', '{"date": "Sun, 06 Nov 1994 08:49:37 GMT",
    "retry-after": "Sun, 06 Nov 1994 08:51:07 GMT"}', '{}', 90),
  ('epoch', '{"date": "Sun, 06 Nov 1994 08:49:37 GMT", "x-reset": "784111807"}', '{}', 30),
  ('epoch', '{"date": "Sun, 06 Nov 1994 08:49:37 GMT", "x-reset": "784111807", "retry-after": "2"}',
    '{}', 2),
  ('epoch', '{"date": "Sun, 06 Nov 1994 08:49:37 GMT", "x-reset": "1"}',
    '{"error": {"wait": 9}}', 9),
  ('epoch', '{"retry-after": "soon", "x-reset": "later"}', '{"error": {"wait": "9"}}', 9),
  ('epoch', '{"retry-after": "0"}', '{"error": {"wait": 9}}', 9),
  ('epoch', '{"retry-after": "infinity"}', '{"error": {"wait": true}}', null),
  ('epoch', '{"retry-after": "now"}', '[1]', null),
  ('epoch', null, null, null),
  ('seconds', '{"x-reset": "12"}', '{}', 12),
  ('seconds', '{"x-reset": "-12"}', '{"retry_after": 3}', 3),
  ('date', '{"date": "Sun, 06 Nov 1994 08:49:37 GMT", "x-reset": "Sun, 06 Nov 1994 08:50:37 GMT"}',
    '{}', 60),
  ('date', '{"x-reset": "9"}', '{}', null)) as t (source, headers, body, wanted)
join public.sync_sources as so on so.source_name = t.source;

-- The database's clock is the API's, where that does not tell its own.
select is(sync.wait_asked_for(so, jsonb_build_object('x-reset',
  ceil(extract(epoch from sync.now()))::bigint + 60), null, true) between 60 and 61, true,
  'in a minute')
from public.sync_sources as so where source_name = 'epoch';

-- Of any other answer that header only says when the present window ends.
select is(sync.wait_asked_for(so, headers::jsonb, null, false), wanted,
  'no rate limit: ' || headers)
from (values ('{"x-reset": "99999999999"}', null::numeric),
  ('{"x-reset": "99999999999", "retry-after": "7"}', 7)) as t (headers, wanted),
  public.sync_sources as so where so.source_name = 'epoch';

update public.sync_sources set reset_header = '{"name": "x-reset", "is": "seconds"}'
where source_name = 'email_bison';
select tests.workspace('acme');
select tests.start('acme');
create temp table broken as select fail_chunk_job_safe(l.queue_id, l.lease_token, 'transient',
  'HTTP 502: bad', p_answer => '{"status": 502, "headers": {"x-reset": "3000"}}') as outcome
  from tests.claim() as l;
select ok((select (outcome ->> 'look_again_ms')::bigint from broken) < 60000,
  'a failure is tried again after its own backoff');
select tests.advance('1 minute');
create temp table failed as select fail_chunk_job_safe(l.queue_id, l.lease_token, 'permanent',
  'HTTP 429: slow down', p_answer => '{"status": 429, "headers": {"retry-after": "86400"}}')
  as outcome from tests.claim() as l;
select is((select (outcome ->> 'look_again_ms')::bigint from failed),
  1000 * (select sync.setting('max_block_seconds'))::bigint, 'no longer than max_block_seconds');
select is((select rate_limited_until from public.sync_workspaces where workspace_name = 'acme'),
  sync.now() + sync.setting_seconds('max_block_seconds'), 'which its workspace waits');

select * from finish();
rollback;
