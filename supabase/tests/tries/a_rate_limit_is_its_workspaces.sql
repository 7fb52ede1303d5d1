begin;
\ir ../support/setup.psql
\ir ../support/tries.psql
select plan(10);

select tests.workspace('acme');
create function tests.refuse(p_lease jsonb, p_seconds int) returns text language sql as $$
  select fail_chunk_job_safe((p_lease ->> 'queue_id')::bigint, (p_lease ->> 'lease_token')::bigint,
    'rate_limited', 'HTTP 429: slow down', p_answer => jsonb_build_object('status', 429,
      'headers', jsonb_build_object('retry-after', p_seconds::text))) ->> 'outcome';
$$;
create function tests.try_lease() returns jsonb language sql as $$
  select lease from tests.asked where lease ->> 'queue_id' = (
    select request_id::text from sync.stream_tries) order by n desc limit 1;
$$;

select tests.tried('{}', variadic '{}'::jsonb[]);
select tests.next_lease();
select is(tests.refuse(tests.try_lease(), 40), 'delayed', 'a 429 delays a try');
select results_eq($$select attempts, due_at from sync.stream_tries$$,
  $$select 0, sync.now() + interval '40 seconds'$$, 'for as long as it asks, without an attempt');
select is((select rate_limited_until from sync_workspaces), sync.now() + interval '40 seconds',
  'its workspace waits as long');
select ok((select reduced_in_flight is not null and reduced_at = sync.now() from sync_budgets
  where id = (select budget_id from sync_workspaces)), 'and its budget is reduced');

select tests.advance('41 seconds');
create temporary table again as select tests.next_lease() as lease;
select is((select count(*) from again where lease = tests.try_lease()), 1::bigint,
  'then it is sent again');
update sync_budgets set reduced_in_flight = 1;
select tests.hand_over(tests.try_lease(), tests.people(2, 1, 2));
select is((select rate_limited_until from sync_workspaces), null,
  'its answer says that the workspace waits no longer');
select is((select reduced_in_flight from sync_budgets
  where id = (select budget_id from sync_workspaces)), 2, 'and gives a place back');

-- By content.
update sync_sources set class_rules = '[{"status": 200, "path": ["busy"], "is": true,
  "class": "rate_limited"}, {"status": 409, "class": "rate_limited"}]';
select tests.tried('{}', variadic '{}'::jsonb[]);
select tests.next_lease();
select is((select complete_chunk_job_safe((l ->> 'queue_id')::bigint,
  (l ->> 'lease_token')::bigint, '{"status": 200, "body": "{\"busy\": true}"}') ->> 'outcome'
  from tests.try_lease() as l), 'delayed', 'so it is when only class_rules say so');
select tests.advance('10 minutes');
update sync_workspaces set rate_limited_until = null;
select tests.tried('{}', variadic '{}'::jsonb[]);
select tests.next_lease();
select is((select fail_chunk_job_safe((l ->> 'queue_id')::bigint, (l ->> 'lease_token')::bigint,
  'permanent', 'HTTP 409: busy', p_answer => '{"status": 409, "headers": {}, "body": "{}"}')
  ->> 'outcome' from tests.try_lease() as l), 'delayed', 'of whatever status');
select is((select status from sync.stream_tries), 'waiting', 'the try goes on');

select * from finish();
rollback;
