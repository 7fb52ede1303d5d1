begin;
\ir ../support/setup.psql
select plan(21);

select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null,
  "status_classes": {"418": "transient", "999": "rate_limited"}, "class_rules": [
    {"status": 403, "header": "X-RateLimit-Remaining", "is": "0", "class": "rate_limited"},
    {"status": 403, "text": "try again", "class": "transient"},
    {"status": 404, "text": "no results", "class": "page"},
    {"path": ["ok"], "is": false, "class": "transient"},
    {"status": 200, "path": ["code", "0"], "is": 13, "class": "permanent"},
    {"status": 200, "header": "x-throttled", "is": "yes", "class": "rate_limited"}]}');
select declare_stream('{"source_name": "crm", "stream_name": "things", "path": "/things",
  "page_size": 2, "class_rules": [{"status": 403, "path": ["reason"], "is": "plan", "class":
  "permanent"}]}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');

-- What becomes of one chunk whose answer this is: the outcome, its code, and what comes after.
create function tests.verdict(p_class text, p_answer jsonb) returns text language plpgsql as $$
declare
  v_lease tests.lease;
  v_outcome jsonb;
begin
  perform start_sync_job('things');
  select l.* into v_lease from tests.claim() as l;
  v_outcome := case when p_class = 'page' then
    complete_chunk_job_safe(v_lease.queue_id, v_lease.lease_token, p_answer)
    else fail_chunk_job_safe(v_lease.queue_id, v_lease.lease_token, p_class,
      'HTTP ' || (p_answer ->> 'status') || ': no', p_answer => p_answer) end;
  delete from public.polling_job_status;
  update public.sync_workspaces set rate_limited_until = null, rate_limit_level = 0;
  update public.sync_budgets set blocked_until = null, block_level = 0, reduced_in_flight = null,
    learned_rate = null, probe_until = null;
  return concat_ws(' ', v_outcome ->> 'outcome', v_outcome ->> 'code');
end; $$;

select is(tests.verdict(class, answer::jsonb), wanted, format('%s is %s', answer, wanted))
from (values
  ('permanent', '{"status": 403, "headers": {"x-ratelimit-remaining": "0"}, "body": ""}',
    'delayed'),
  ('permanent', '{"status": 403, "headers": {"x-ratelimit-remaining": "9"}, "body": ""}', 'failed'),
  ('permanent', '{"status": 403, "body": "{\"a\": \"Try again later\"}"}', 'retry'),
  ('permanent', '{"status": 403, "body": "{\"reason\": \"plan\", \"a\": \"try again\"}"}',
    'failed'),
  ('transient', '{"status": 401, "body": ""}', 'failed'),
  ('permanent', '{"status": 418, "body": ""}', 'retry'),
  ('permanent', '{"status": 429, "body": ""}', 'delayed'),
  ('permanent', '{"status": 999, "body": ""}', 'delayed'),
  ('permanent', '{"status": 600, "headers": {}, "body": "{}"}', 'failed'),
  ('page', '{"status": 707, "body": "[]"}', 'failed SY010'),
  ('rate_limited', '{"status": 500, "body": ""}', 'retry'),
  ('permanent', '{"status": 304, "headers": {}, "body": ""}', 'retry'),
  ('permanent', '{"status": 200, "headers": {}}', 'failed'),
  ('permanent', '{"status": 500, "body": "{\"ok\": false}"}', 'retry'),
  ('permanent', '{"status": 404, "body": "No results"}', 'completed'),
  ('page', '{"status": 200, "body": "{\"ok\": false}"}', 'retry SY013'),
  ('page', '{"status": 200, "body": "{\"code\": [13]}"}', 'failed SY024'),
  ('page', '{"status": 200, "headers": {"x-throttled": "yes"}, "body": "[]"}', 'delayed SY021'),
  ('page', '{"status": 200, "body": "{\"ok\": true, \"data\": [{\"id\": 1, \"a\": \"try again\"}], '
    '\"meta\": {\"total\": 1, \"last_page\": 1}}"}', 'completed')) as t (class, answer, wanted);

select throws_ok(format('select fail_chunk_job_safe(1, 2, ''transient'', null, null, %L)', answer),
  'SY006', null, answer || ' is no answer')
from unnest('{"[]","{\"status\": 200, \"headers\": {\"X-A\": \"b\"}}"}'::text[]) as answer;

select * from finish();
rollback;
