begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3, 4);
select tests.start('acme');
select tests.work();
delete from sync.sender_emails where id = 1;
update tests.accounts set fields = '{"emails_sent_count": 43}' where id = 2;
delete from tests.accounts where id = 3;
select tests.advance(interval '1 hour');
create temporary table audit as select start_audit('{acme}') as answer;
select is(answer ->> 'status', 'accepted', 'an audit is a job') from audit;
select tests.work();

create temporary table found as
select run from audit
cross join jsonb_array_elements(get_audit((answer ->> 'job_id')::uuid) -> 'runs') as run;
select is(run - '{workspace,stream,scans,error_message,warnings}'::text[], '{
  "status": "completed", "api_total": 3, "distinct_ids": 3, "rows_before": 3, "rows_now": 3,
  "missing": ["1"], "stale": ["2"], "surplus": ["3"], "repeated": []}',
  'missing, stale and surplus accounts are named') from found;

select throws_ok($$select get_audit(gen_random_uuid())$$, 'SY007', null, 'a job that is not there');
select throws_ok($$select start_audit('{nobody}')$$, 'SY002', null,
  'a workspace that is not there');
select is(jsonb_array_length(get_audit(id) -> 'runs'), 0, 'a job that is no audit has none')
from polling_job_status where job_name = 'test';

select tests.advance(interval '1 hour');
update tests.accounts set fields = '{"emails_sent_count": 44}' where id = 1;
create temporary table unread as select start_audit('{acme}') ->> 'job_id' as job_id;
select tests.complete(l) from tests.claim() as l;
select is(get_audit(job_id::uuid) #> '{runs,0}' -> 'surplus', 'null',
  'what was not read yet may still be listed') from unread;
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select is((get_audit(job_id::uuid) #> '{runs,0}')
    - '{workspace,stream,scans,error_message,warnings,api_total,rows_now}'::text[], '{
  "status": "failed", "distinct_ids": 2, "rows_before": 3,
  "missing": [], "stale": ["1"], "surplus": null, "repeated": []}',
  'a failed run tells what it read, and nothing of the rest') from unread;
delete from polling_job_status where job_name = 'audit';
select is_empty('select * from sync.audits', 'it goes with its job');

select * from finish();
rollback;
