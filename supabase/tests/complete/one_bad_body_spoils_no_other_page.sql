begin;
\ir ../support/setup.psql
select plan(7);

create temp table bad (workspace text, body text, outcome text, code text);
insert into bad values
  ('cut', '{"data": [', 'retry', 'SY011'),
  ('html', '<html>Bad gateway</html>', 'retry', 'SY011'),
  ('empty', '', 'retry', 'SY011'),
  ('null', 'null', 'failed', 'SY010'),
  ('list', '[]', 'failed', 'SY010'),
  ('no data', '{"meta": {"total": 1, "last_page": 1}}', 'failed', 'SY010'),
  ('no total', '{"data": [], "meta": {"last_page": 1}}', 'failed', 'SY010'),
  ('no last page', '{"data": [], "meta": {"total": 1}}', 'failed', 'SY010'),
  ('bad total', '{"data": [], "meta": {"total": "many", "last_page": 1}}', 'failed', 'SY010'),
  ('too many pages', '{"data": [], "meta": {"total": 1, "last_page": 100001}}', 'failed', 'SY010'),
  ('no id', tests.body(array[tests.record(1), tests.record(2) - 'id'], 2, 1), 'failed', 'SY010'),
  ('text id', tests.body(array[tests.record(1) || '{"id": "secret-value-x"}'], 1, 1), 'failed',
  'SY010'),
  ('fraction id', tests.body(array[tests.record(1) || '{"id": 1.5}'], 1, 1), 'failed', 'SY010'),
  ('huge id', tests.body(array[tests.record(1) || '{"id": 99999999999999999999}'], 1, 1), 'failed',
    'SY010'),
  ('no object', '{"data": [1, "x"], "meta": {"total": 2, "last_page": 1}}', 'failed', 'SY010'),
  ('refused', tests.body(array[tests.record(1),
    tests.record(6) || '{"daily_limit": 98765432109, "name": "secret-value-y"}'], 2, 1), 'failed',
    'SY012'),
  ('failure', '{"success": false, "message": "Over quota, key 12|secretvalue99"}', 'retry',
    'SY013');
alter table sync.sender_emails add constraint few_mails_check check (daily_limit < 1000);
select tests.workspace(workspace) from bad;
select tests.workspace('acme');
select tests.serve('acme', 1, 2);
select start_sync_job();

create temp table held as select l as lease from tests.claim(100) as l;
create temp table answer as select complete_chunk_jobs_safe((
  select jsonb_agg(tests.answer(lease) || case when b.body is null then '{}'
    else jsonb_build_object('body', b.body) end order by (lease).queue_id)
  from held left join bad as b on b.workspace = (lease).workspace)) as answer;
create temp table outcome as
select (h.lease).workspace, o ->> 'outcome' as outcome, o ->> 'code' as code,
  o ->> 'message' as message
from answer, jsonb_array_elements(answer -> 'outcomes') as o
  join held as h on (h.lease).queue_id = (o ->> 'queue_id')::bigint;

select results_eq($$select workspace, outcome, code from outcome where workspace <> 'acme'
  order by workspace collate "C"$$,
  $$select workspace, outcome, code from bad order by workspace collate "C"$$,
  'each bad body has its outcome and code');
select results_eq($$select outcome, code from outcome where workspace = 'acme'$$,
  $$values ('completed', null)$$, 'the good page among them is completed');
select results_eq($$select workspace_name, id from sender_emails$$,
  $$values ('acme', 1::bigint), ('acme', 2)$$, 'its records are the only ones');
select results_eq($$
  select substring(message from 'sync\.sender_emails'), substring(message from 'record [0-9]+'),
    substring(message from 'few_mails_check')
  from outcome where workspace = 'refused'
$$, $$values ('sync.sender_emails', 'record 6', 'few_mails_check')$$,
  'a constraint that a user added stays an error; it names table, record and constraint');
select is_empty($$
  select message from outcome where message ~* 'secret-?value|98765432109'
  union all select details::text from public.chunk_events
  where details::text ~* 'secret-?value|98765432109'
  union all select error_message from public.chunk_processing_queue
  where error_message ~* 'secret-?value|98765432109'
  union all select error_message from public.workspace_sync_runs
  where error_message ~* 'secret-?value|98765432109'
$$, 'and never the value, nor a key');
select results_eq($$
  select r.status, count(*) from public.workspace_sync_runs as r group by 1 order by 1
$$, $$values ('completed', 1::bigint),
  ('failed', (select count(*) from bad where outcome = 'failed')),
  ('running', (select count(*) from bad where outcome = 'retry'))$$,
  'what can never be used fails its run, what may pass is tried again, the good one completes');
select results_eq($$
  select distinct q.attempts, q.status from public.chunk_processing_queue as q
  join held as h on (h.lease).queue_id = q.id
  join bad as b on b.workspace = (h.lease).workspace order by q.status
$$, $$values (1, 'failed'), (1, 'pending')$$, 'each burnt one attempt');

select * from finish();
rollback;
