begin;
\ir ../support/setup.psql
select plan(8);

select register_workspace('acme', 'https://bison.example', '7|keyofacme', p_external_id => '41');
select set_budget('email_bison', null, null);
select tests.serve('acme', 1, 2);
select tests.start('acme');
create temp table asked as select l as lease from tests.claim(100) as l;
select results_eq($$select (lease).record_id, (lease).page from asked$$,
  $$values ('users', null::int)$$, 'before anything else it is asked whose key it is');
select is(tests.complete(lease, '{"data": {"workspace": {"id": 42, "name": "Other"}}}'),
  'completed', 'the answer is taken') from asked;
select is_empty($$select * from tests.claim(100)$$, 'no page is handed out');
select results_eq($$select r.status, w.key_status, w.key_owner, w.key_checked_at
  from public.workspace_sync_runs as r join public.sync_workspaces as w on w.id = r.workspace_id$$,
  $$values ('failed', 'other_workspace', '42 (Other)', sync.now())$$,
  'the run fails, and the workspace says whose key it has');
select is_empty($$select * from sync.sender_emails$$, 'nothing of the other workspace was written');

select rotate_workspace_key('acme', '8|theright');
select tests.sync('acme');
select results_eq($$select key_status, key_owner from public.sync_workspaces$$,
  $$values ('accepted', '41 (acme)')$$, 'with the right key it goes on');
select is(tests.live_ids('acme'), '{1,2}', 'to the accounts');
select tests.start('acme');
select results_eq($$select page from tests.claim(100)$$, $$values (1)$$,
  'a key that is known is not asked for again');

select * from finish();
rollback;
