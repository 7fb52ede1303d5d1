begin;
\ir ../support/setup.psql
select plan(8);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.workspace('never');
select tests.workspace('asleep');
select deactivate_workspace('asleep');
select tests.serve('acme', 1);
select tests.sync('acme');
select tests.advance('1 hour');
select tests.sync('zen');
select results_eq($$select workspace_name, stream, time_since_sync from stale_workspaces$$,
  $$values ('never', 'sender_emails', null::interval)$$,
  'a workspace that was never synced is stale');
select results_eq($$select workspace_name, last_complete_sync_at from missing_workspaces$$,
  $$values ('never', null), ('zen', sync.now())$$,
  'one without accounts is missing');
select tests.advance('23 hours 30 minutes');
select results_eq($$select workspace_name, time_since_sync from stale_workspaces$$,
  $$values ('never', null), ('acme', interval '24 hours 30 minutes')$$,
  'so is one without a complete sync in 24 hours');
select tests.start('acme');
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select results_eq($$select workspace_name from stale_workspaces$$, $$values ('never'), ('acme')$$,
  'a failed sync does not make it fresh');
select tests.start('acme');
select results_eq($$
  select last_run_status, last_error, last_ended_status, left(last_ended_error, 8)
  from workspace_health where workspace_name = 'acme' and stream = 'sender_emails'
$$, $$values ('running', null, 'failed', 'HTTP 403')$$,
  'while it runs again, what the last one ended with is still told');
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select set_setting('stale_after_hours', '48');
select results_eq($$select workspace_name from stale_workspaces$$, $$values ('never')$$,
  'the age is a setting');
select set_setting('stale_after_hours', '24');
select tests.sync('acme');
select results_eq($$select workspace_name from stale_workspaces$$, $$values ('never')$$,
  'a complete one does');
select results_eq($$
  select workspace_name, is_active, last_run_status, last_error, key_status, record_count
  from workspace_health where stream = 'sender_emails' order by workspace_name
$$, $$
  values ('acme', true, 'completed', null, 'accepted', 1::bigint),
    ('asleep', false, null, null, 'accepted', null),
    ('never', true, null, null, 'accepted', null), ('zen', true, 'completed', null, 'accepted', 0)
$$, 'workspace_health has them all');

select * from finish();
rollback;
