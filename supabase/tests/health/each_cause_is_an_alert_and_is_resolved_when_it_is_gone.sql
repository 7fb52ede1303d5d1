begin;
\ir ../support/setup.psql
select plan(18);
select set_setting('expect_realtime', 'false');

create function tests.open_alerts() returns table (kind text, subject text) language sql as $$
  select kind, subject from public.sync_alerts where resolved_at is null order by kind, subject;
$$;
create function tests.check_health() returns int language sql as $$
  update sync.heartbeats set beat_at = sync.now() where name = 'cron';
  select sync.check_health();
$$;

select is(tests.check_health(), 0, 'on an empty database nothing is wrong');

select tests.workspace('acme');
select tests.workspace('zen');
select tests.workspace('asleep');
select deactivate_workspace('asleep');
select tests.serve('acme', 1, 2, 3);
select tests.serve('zen', 1);
select tests.check_health();
select is_empty('select * from tests.open_alerts()', 'a new workspace has a day');
select tests.advance('25 hours');
select tests.check_health();
select results_eq('select * from tests.open_alerts()',
  $$values ('stale_workspace', 'acme sender_emails'), ('stale_workspace', 'zen sender_emails')$$,
  'then it is stale, though no job ever ran; replies are synced by nobody, so they are not');
select sync.check_health() from generate_series(1, 99);
select results_eq($$select count(*), min(repeats), max(repeats) from sync_alerts
  where kind = 'stale_workspace'$$, $$values (2::bigint, 99, 99)$$,
  'a hundred checks are one row each');

select tests.sync('zen');
select tests.check_health();
select results_eq('select * from tests.open_alerts()',
  $$values ('stale_workspace', 'acme sender_emails')$$, 'a complete sync resolves it');

-- A refused key.
select tests.advance('1 minute');
select tests.start('acme');
select complete_chunk_job_safe(l.queue_id, l.lease_token, '{"status": 401, "body": "{}"}')
from tests.claim() as l;
select tests.check_health();
select results_eq('select * from tests.open_alerts()', $$values ('job_not_completed', 'test'),
  ('key_refused', 'acme'), ('stale_workspace', 'acme sender_emails')$$,
  'a refused key and the job it failed');
select matches(message, '^never synced completely, .*; its last run ended failed',
  'the stale one says why') from sync_alerts where kind = 'stale_workspace' and resolved_at is null;
select rotate_workspace_key('acme', '8|anotherkey');
select tests.advance('1 minute');
select tests.sync('acme');
select tests.check_health();
select is_empty('select * from tests.open_alerts()', 'a good key mends all three');

-- A key of another workspace.
update sync_workspaces
set external_id = '5', key_owner = '7 (zen)', key_status = 'other_workspace'
where workspace_name = 'acme';
update sync_workspaces set key_status = 'refused' where workspace_name = 'asleep';
select tests.check_health();
select results_eq('select * from tests.open_alerts()',
  $$values ('key_of_other_workspace', 'acme')$$,
  'a key of another workspace; none of an inactive one');
update sync_workspaces set key_status = 'accepted', external_id = null
where workspace_name = 'acme';

-- Counts that disagree stay so until a scan adds up.
select tests.advance('1 minute');
select tests.start('acme');
do $$ begin
  for i in 1 .. 3 loop
    perform tests.complete(l, tests.body('{1}'::bigint[], 3, 1)) from tests.claim() as l;
  end loop;
end $$;
select tests.check_health();
select results_eq('select * from tests.open_alerts()', $$values
  ('counts_disagree', 'acme sender_emails'), ('job_not_completed', 'test')$$,
  'counts that disagree and the job that is partial');
select tests.advance('1 minute');
select tests.start('acme');
select tests.check_health();
select is((select count(*) from tests.open_alerts()), 2::bigint,
  'while the next run is live, both stay');
select tests.work();
select tests.check_health();
select is_empty('select * from tests.open_alerts()', 'its success resolves them');
select is((select count(*) from sync_alerts where kind = 'counts_disagree'), 1::bigint,
  'it was one alert');

-- Deletions that wait.
select tests.serve('acme', variadic array(select generate_series(1, 40)::bigint));
select tests.sync('acme');
select tests.serve('acme', 1);
select tests.sync('acme');
select tests.check_health();
select results_eq('select * from tests.open_alerts()',
  $$values ('deletions_waiting', 'acme sender_emails')$$, 'deletions that wait');
select approve_deletions((select last_complete_run_id from workspace_health
  where workspace_name = 'acme' and stream = 'sender_emails'));
select tests.check_health();
select is_empty('select * from tests.open_alerts()', 'an approval resolves it');

-- A job of the user's own, without runs.
insert into polling_job_status (job_name) values ('mine');
update polling_job_status set status = 'failed' where job_name = 'mine';
select tests.check_health();
select results_eq('select * from tests.open_alerts()', $$values ('job_not_completed', 'mine')$$,
  'a job that somebody else writes counts too');
select tests.advance('31 days');
select tests.sync('acme');
select tests.sync('zen');
select tests.check_health();
select is_empty('select * from tests.open_alerts()', 'for a month');

-- What another job completed.
select tests.advance('1 minute');
select tests.start('acme');
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select tests.advance('1 minute');
select start_sync_job('other', null, '{acme}');
select tests.work();
select tests.check_health();
select is_empty('select * from tests.open_alerts()',
  'or until another job completed what it did not');

select * from finish();
rollback;
