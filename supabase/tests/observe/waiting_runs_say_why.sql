begin;
\ir ../support/setup.psql
select plan(12);

create function tests.why() returns text language sql as $$
  select string_agg(why, ',' order by run_id) from waiting_runs;
$$;

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.start('acme');
select is(tests.why(), 'no_worker', 'nobody was ever heard of');

insert into sync.workers (worker_id) values ('w');
select is(tests.why(), 'turn', 'a worker is there and has not claimed it yet');
select pause_sync(p_workspace => 'acme');
select is(tests.why(), 'paused', 'its workspace is paused');
select is((select message from waiting_runs),
  'paused: chunkwise resume --workspace acme lifts that', 'and the command that helps is named');
select resume_sync(p_workspace => 'acme');
select pause_sync();
select is((select message from waiting_runs), 'paused: chunkwise resume lifts that',
  'everything is paused');
select resume_sync();

update sync_budgets set blocked_until = sync.now() + interval '1 minute';
select results_eq($$select why, waits_until - sync.now() from waiting_runs$$,
  $$values ('rate_limited', interval '1 minute')$$, 'the API limits the rate, and until when');
update sync_budgets set blocked_until = null;

select count(*) from claim_next_chunk_job_safe('w', p_protocol => 2);
select is_empty('select * from waiting_runs', 'what is in flight waits for nothing');
select fail_chunk_job_safe(q.id, q.lease_token, 'transient', 'HTTP 500: oops')
from chunk_processing_queue as q where status = 'processing';
select results_eq('select why, message from waiting_runs',
  $$values ('retry', '1 chunk is tried again: HTTP 500: oops')$$, 'a retry, and its error');
select ok((select waits_until > sync.now() from waiting_runs), 'and when it is due');


select tests.workspace('zen');
select set_budget('email_bison', null, 1);
select tests.advance(interval '1 hour');
select start_sync_job('other', null, '{zen}');
select claim_chunk_job_safe((select min(id) from chunk_processing_queue), 'w', p_protocol => 2)
  ->> 'claimed';
select count(*) from claim_next_chunk_job_safe('w', 10, p_protocol => 2);
select results_eq('select workspace_name, why, waits_until, message from waiting_runs', $$
  values ('zen', 'budget', null::timestamptz, 'its budget is used up: set_budget() allows more')
$$, 'one whose chunk the budget turned away failed at nothing');
select fail_chunk_job_safe(q.id, q.lease_token, 'transient', 'HTTP 500: oops')
from chunk_processing_queue as q where status = 'processing';
select is(tests.why(), 'retry,budget', 'and is told from one that did');

select tests.workspace('$(reboot) O''Hara');
select start_sync_job('third', null, array['$(reboot) O''Hara']);
select pause_sync(p_workspace => '$(reboot) O''Hara');
select is((select message from waiting_runs where why = 'paused'),
  $$paused: chunkwise resume --workspace '$(reboot) O'"'"'Hara' lifts that$$,
  'a shell expands nothing of a name');

select * from finish();
rollback;
