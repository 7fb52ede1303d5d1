begin;
\ir ../support/setup.psql
select plan(29);

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
select is(sync.class_by_rules('[{"status": 403, "text": "slow down", "class": "rate_limited"}]',
  404, '{}', 'Slow down!', null), null, 'a rule with a status is for that status');

prepare declare_with as select declare_source(jsonb_build_object('source_name', 'x',
  'class_rules', $1::jsonb));
select throws_ok(format('execute declare_with(%L)', rule), 'SY006', null, rule || ' is refused')
from unnest(array['[{"text": "slow", "class": "slow"}]', '[{"text": "slow"}]',
  '[{"status": 403, "class": "page"}]', '[{"text": "slow", "class": "page", "status": "4xx"}]',
  '[{"header": "x", "class": "page"}]', '[{"header": "x", "is": 0, "class": "page"}]',
  '[{"path": [], "is": 1, "class": "page"}]', '[{"path": ["a"], "class": "page"}]',
  '[{"path": ["a"], "is": {}, "class": "page"}]', '[{"path": "a", "is": 1, "class": "page"}]',
  '[{"text": "slow", "is": 1, "class": "page"}]', '[{"text": 12345, "class": "page"}]',
  '[{"header": "x", "path": ["a"], "is": "1", "class": "page"}]',
  '[{"text": "slow", "class": "page", "colour": "red"}]', '["slow"]']) as rule;
select lives_ok($$execute declare_with('[{"text": "slow", "class": "page"},
  {"header": "X-A", "is": "0", "class": "transient", "status": 403},
  {"path": ["a", 0, "b"], "is": 7, "class": "permanent"}]')$$, 'rules of each form are taken');
select throws_ok($$execute declare_with('[{"text": "", "class": "rate_limited"}]')$$, 'SY006', null,
  'so is one that fits every text');
select throws_ok($$execute declare_with('{"text": "slow down", "class": "rate_limited"}')$$,
  'SY006', null, 'and what is no list');

select * from finish();
rollback;
