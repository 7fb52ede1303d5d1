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
  ('nul', tests.body(array[tests.record(1) || '{"name": "secret-value-#"}'], 1, 1), 'failed',
  'SY012'),
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
  ('huge number', tests.body(array[tests.record(5)
    || '{"emails_sent_count": 98765432109876543210}'], 1, 1), 'failed', 'SY012'),
  ('text number', tests.body(array[tests.record(1),
    tests.record(6) || '{"daily_limit": "secret-value-y"}'], 2, 1), 'failed', 'SY012'),
  ('no time', tests.body(array[tests.record(7) || '{"updated_at": "secret-value-z"}'], 1, 1),
    'failed', 'SY012'),
  ('failure', '{"success": false, "message": "Over quota, key 12|secretvalue99"}', 'retry',
    'SY013');
update bad set body = replace(body, '#', '\u0000') where workspace = 'nul';
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
  select substring(message from 'sync\.sender_emails\.\w+'), substring(message from 'record [0-9]+')
  from outcome
  where workspace in ('huge number', 'text number', 'no time') order by workspace
$$, $$
  values ('sync.sender_emails.emails_sent_count', 'record 5'),
    ('sync.sender_emails.updated_at', 'record 7'),
    ('sync.sender_emails.daily_limit', 'record 6')
$$, 'a data error names table, column and record');
select is_empty($$
  select message from outcome where message ~* 'secret-?value|98765432109876543210'
  union all select details::text from public.chunk_events
  where details::text ~* 'secret-?value|98765432109876543210'
  union all select error_message from public.chunk_processing_queue
  where error_message ~* 'secret-?value|98765432109876543210'
  union all select error_message from public.workspace_sync_runs
  where error_message ~* 'secret-?value|98765432109876543210'
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
