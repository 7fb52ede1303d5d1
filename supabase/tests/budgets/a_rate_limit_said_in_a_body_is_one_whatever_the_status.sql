begin;
\ir ../support/setup.psql
select plan(14);

select tests.workspace(name) from unnest('{acme,zen,oak,elm}'::text[]) as name;
select tests.serve(name, 1, 2) from unnest('{acme,zen,oak,elm}'::text[]) as name;
select tests.start('acme', 'zen', 'oak', 'elm');
create temp table held as select * from tests.claim(4);
select tests.advance('1 second');
create function tests.held(p_workspace text) returns tests.lease language sql as $$
  select (queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease from held
  where workspace = p_workspace;
$$;

select is(tests.fail(tests.held('acme'), 'permanent',
  'HTTP 403: {"message": "Too many attempts."}', 30), 'delayed',
  'a 403 whose text says so is a rate limit');
select results_eq($$select attempts, status, next_retry_at - sync.now() from
  public.chunk_processing_queue where id = (select (tests.held('acme')).queue_id)$$,
  $$values (0, 'pending', interval '30 seconds')$$, 'it waits as the API asks');
select is((select rate_limited_until - sync.now() from public.sync_workspaces
  where workspace_name = 'acme'), interval '30 seconds', 'as does its workspace');
select is((select key_status from public.sync_workspaces where workspace_name = 'acme'),
  (select key_status from public.sync_workspaces where workspace_name = 'zen'),
  'nothing is said of its key');
select isnt((select reduced_in_flight from public.sync_budgets), null, 'the budget learns of it');
select is(tests.complete(tests.held('zen'), '{"message": "Too Many Attempts."}'), 'delayed',
  'so it is with a status of success');
select results_eq($$select attempts, status from public.chunk_processing_queue
  where id = (select (tests.held('zen')).queue_id)$$, $$values (0, 'pending')$$,
  'no attempt is burnt');
select ok((select rate_limited_until > sync.now() from public.sync_workspaces
  where workspace_name = 'zen'), 'its workspace waits');
select is(tests.complete(tests.held('oak'), 'Too Many Attempts.'), 'delayed',
  'and with a body that is no JSON');
select is(tests.complete(tests.held('elm')), 'completed', 'a page is a page');
select is(sync.is_rate_limit('[{"status": 403, "text": "slow down", "class": "rate_limited"}]', 404,
  'Slow down!'), false, 'a rule with a status is for that status');

prepare declare_with as select declare_source(jsonb_build_object('source_name', 'x',
  'class_rules', $1::jsonb));
select throws_ok($$execute declare_with('[{"text": "slow", "class": "stop"}]')$$, 'SY006', null,
  'a rule of an unknown class is refused');
select throws_ok($$execute declare_with('[{"text": "", "class": "rate_limited"}]')$$, 'SY006', null,
  'so is one that fits every text');
select throws_ok($$execute declare_with('{"text": "slow down", "class": "rate_limited"}')$$,
  'SY006', null, 'and what is no list');

select * from finish();
rollback;
