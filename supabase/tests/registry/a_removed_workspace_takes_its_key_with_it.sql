begin;
\ir ../support/setup.psql
select plan(32);

prepare secrets as select count(*) from vault.secrets where name like 'chunkwise/workspace/%';
prepare runs as select w.workspace_name, r.status, r.ending
from public.workspace_sync_runs as r join public.sync_workspaces as w on w.id = r.workspace_id
where r.job_id = (select id from public.polling_job_status order by started_at desc limit 1)
order by w.workspace_name;

select tests.workspace('acme', 2);
select tests.workspace('zen', 2);
select tests.serve('acme', 1, 2, 3);
select tests.serve('zen', 101, 102, 103);
select tests.start('acme', 'zen');
select tests.work();
select tests.advance('1 hour');
select tests.start('acme', 'zen');
select tests.work(2);
create temp table held as select l as lease from tests.claim(2) as l;
select sync.open_alert('stale_workspace', 'acme sender_emails', 'stale');
select sync.open_alert('key_refused', 'zen', 'refused');

select is(remove_workspace(' Acme ') - 'workspace_id',
  '{"workspace_name": "acme", "rows_deleted": 0, "is_finished": true}', 'a workspace is removed');
select results_eq('secrets', $$values (1::bigint)$$, 'its key is gone');
select results_eq('runs', $$values ('acme', 'running', 'cancelled'), ('zen', 'running', null)$$,
  'its live run is ending, the other goes on');
select is(tests.complete(lease), 'cancelled', 'what was in flight is not applied') from held
where (lease).workspace = 'acme';
select results_eq('runs', $$values ('acme', 'cancelled', 'cancelled'), ('zen', 'running', null)$$,
  'and with it the run has ended');
select is(tests.complete(lease), 'completed', 'the other''s is') from held
where (lease).workspace = 'zen';
select tests.work();
select results_eq($$select status from polling_job_status order by started_at desc limit 1$$,
  $$values ('partial')$$, 'the job ends with the other');
select is(tests.live_ids('acme'), '{1,2,3}', 'what was synced is kept, under its name');
select results_eq($$select subject from sync_alerts where resolved_at is null
  and subject ~ '^(acme|zen)'$$,
  $$values ('zen')$$, 'its alerts are resolved');

select results_eq($$select workspace_name from client_registry$$, $$values ('zen')$$,
  'it is registered no more');
select results_eq($$select distinct workspace_name from workspace_health$$, $$values ('zen')$$,
  'and nobody looks after it');
select throws_ok($$select rotate_workspace_key('acme', 'k')$$, 'SY002', null, 'it takes no key');
select throws_ok($$select start_sync_job('x', null, '{acme}')$$, 'SY002', null, 'nor is it synced');
select throws_ok($$select remove_workspace('acme')$$, 'SY002', null, 'nor removed twice');
select throws_ok($$select remove_workspace('nobody', true)$$, 'SY002', null,
  'nobody is not removed');
select throws_ok($$select register_workspace('acme', 'https://other.example', 'k')$$, 'SY019', null,
  'its name stands for what is kept');
select is(register_workspace('acme', 'https://bison.example', '7|again') ->> 'created', 'false',
  'the same workspace comes back');
select tests.accept_key('acme');
select tests.serve('acme', 2, 3, 4);
select tests.sync('acme');
select tests.sync('acme');
select results_eq($$select id, deleted_at is null from sender_emails where workspace_name = 'acme'
  order by id$$, $$values (1::bigint, false), (2, true), (3, true), (4, true)$$,
  'and goes on with its rows');

-- A removed workspace is none whose key another could have.
select remove_workspace('acme');
select lives_ok(format($$select register_workspace('acme again', 'https://bison.example', '7|again',
  p_external_id => %L)$$, external_id), 'its id is free')
from public.sync_workspaces where workspace_name = 'acme';

-- With its records.
select tests.start('zen');
create temp table zen as select l as lease from tests.claim() as l;
select is(remove_workspace('zen', true) - 'workspace_id',
  '{"workspace_name": "zen", "rows_deleted": 0, "is_finished": false}',
  'records wait for what is in flight');
select is(tests.complete(lease), 'cancelled', 'that ends') from zen;
select results_eq($$select count(*) from polling_job_status where status = 'cancelled'$$,
  $$values (1::bigint)$$, 'and its job, which had no other workspace, is cancelled');
select ok((a ->> 'is_finished')::boolean and (a ->> 'rows_deleted')::int >= 3, 'then they go')
from remove_workspace('zen', true) as a;
select is_empty($$select 1 from sync.sender_emails as e
  left join public.sync_workspaces as w on w.id = e.workspace_id where w.id is null
    or w.workspace_name = 'zen'$$, 'all of them');
select is_empty($$select 1 from public.sync_workspaces where workspace_name = 'zen'$$,
  'and the workspace');
select throws_ok($$select remove_workspace('zen', true)$$, 'SY002', null, 'that is that');
select is(register_workspace('zen', 'https://new.example', '8|k') ->> 'created', 'true',
  'its name is free');
select is((remove_workspace('acme', true) ->> 'is_finished')::boolean, true,
  'a workspace that was removed gives its records up later');

-- In parts.
select tests.workspace('large');
insert into sync.sender_emails (workspace_id, id, raw)
select w.id, n, '{}' from public.sync_workspaces as w, generate_series(1, 60000) as n
where w.workspace_name = 'large';
select is((remove_workspace('large', true) ->> 'is_finished')::boolean, false,
  'many rows go in parts');
select is((remove_workspace('large', true) ->> 'is_finished')::boolean, true, 'call by call');

-- By hand.
select results_eq('secrets', $$values (2::bigint)$$, 'two keys are left');
delete from public.sync_workspaces;
select results_eq('secrets', $$values (0::bigint)$$, 'a deleted workspace takes its key along');

select * from finish();
rollback;
