begin;
\ir ../support/setup.psql
select plan(19);

-- As README has it: nobody names an id. One key, one owner.
create function tests.own(p_id int) returns text language sql as $$
  select format('{"data": {"workspace": {"id": %s, "name": "W%s"}}}', p_id, p_id);
$$;
create function tests.owner_says(p_workspace text, p_id int) returns text language plpgsql as $$
declare
  v_job_id uuid := public.start_sync_job('sync', '{sender_emails}', array[p_workspace])
    ->> 'job_id';
begin
  perform tests.complete(l, tests.own(p_id)) from tests.claim() as l where l.record_id = 'users';
  perform tests.work();
  return (select status from public.polling_job_status where id = v_job_id);
end; $$;
prepare workspaces as select workspace_name, external_id, key_status, key_owner
from public.sync_workspaces order by id;

select register_workspace('acme', 'https://bison.example', '7|keyofacme');
select register_workspace('zen', 'https://bison.example', '8|keyofzen');
select set_budget('email_bison', null, null);
select tests.serve('acme', 1, 2, 3);
select tests.serve('zen', 101);
select is(tests.owner_says('acme', 41), 'completed', 'the first sync asks whose key it is');
select results_eq('workspaces', $$values ('acme', '41', 'accepted', '41 (W41)'),
  ('zen', null, 'unchecked', null)$$, 'that is the workspace from then on');
select is(tests.live_ids('acme'), '{1,2,3}', 'and goes on to the accounts');

select rotate_workspace_key('acme', '9|keyofzen');
select is(tests.owner_says('acme', 42), 'failed', 'with a key of another workspace it fails');
select is(tests.live_ids('acme'), '{1,2,3}', 'and writes nothing');
select results_eq($$select deletions_waiting from workspace_sync_runs where deletions_waiting > 0$$,
  $$select 0::bigint where false$$, 'nor recommends to delete what is its own');

select is(tests.owner_says('zen', 41), 'failed',
  'the key of a workspace that is registered under another name is refused');
select results_eq('workspaces', $$values ('acme', '41', 'other_workspace', '42 (W42)'),
  ('zen', null, 'other_workspace', '41 (W41)')$$, 'also by a workspace that has no id yet');
select is(tests.live_ids('zen'), '{}', 'nothing is written');
select ok((select error_message ~ '"?acme"?' from workspace_sync_runs order by id desc limit 1),
  'the run names whose it is');
select rotate_workspace_key('zen', '10|reallyzen');
select is(tests.owner_says('zen', 42), 'completed', 'its own key is taken');

-- Another instance, another source: the same number is somebody else.
select register_workspace('north', 'https://north.example', '1|k', p_external_id => '41');
select pass('an id of another instance is free');
select throws_ok($$select register_workspace('south', 'https://north.example', '2|k', null, '41')$$,
  'SY019', null, 'an id that is registered for that instance is not');
select throws_ok($$update client_registry set bison_workspace_id = '42'
  where workspace_name = 'acme'$$, 'SY019', null, 'nor by the view');
select is_empty($$select 1 from public.sync_workspaces where workspace_name = 'south'$$,
  'and no workspace is left');

-- A source that begins to tell whose keys are.
select declare_source('{"source_name": "crm"}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select register_workspace('crm', 'https://crm.example', '3|k', 'crm');
select tests.serve('crm', 1, 2, 3, 4);
select start_sync_job('crm', null, '{crm}');
select tests.work(1);
select declare_stream('{"source_name": "crm", "stream_name": "me", "path": "/me", "page_size": 1,
  "completeness": "connection", "id_path": ["id"], "is_default": false}');
select results_eq($$select phase, scan from workspace_sync_runs order by id desc limit 1$$,
  $$values ('connect', 2)$$, 'declared in the middle of a run, it is asked at once');
select is(tests.complete(l, '{"id": 5}'), 'completed', 'the answer is taken')
from tests.claim() as l;
select results_eq($$select external_id, key_status from public.sync_workspaces
  where workspace_name = 'crm'$$, $$values ('5', 'accepted')$$, 'and names the workspace');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "me too",
  "path": "/me", "page_size": 1, "completeness": "connection"}')$$, 'SY006', null,
  'a source tells that in one way only');

select * from finish();
rollback;
