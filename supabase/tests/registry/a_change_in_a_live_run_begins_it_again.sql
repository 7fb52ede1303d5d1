begin;
\ir ../support/setup.psql
select plan(22);

select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
create temp table held (lease tests.lease);
prepare run as select status, ending, phase, scan from public.workspace_sync_runs
order by id desc limit 1;
prepare asked as select l -> 'request' ->> 'url', tests.params_of(l) ->> 'page', c ->> 'value'
from claim_next_chunk_job_safe('worker-1', 100, p_protocol => 2) as answer,
  jsonb_array_elements(answer -> 'leases') as l, jsonb_array_elements(l -> 'credentials') as c;

-- A run that has read a page, holds one and has one ready, and what changes then.
create function tests.change(p_sql text) returns void language plpgsql as $$
begin
  perform cancel_sync_job(id) from public.polling_job_status where status = 'running';
  perform tests.advance('1 hour');
  perform public.cleanup_stuck_chunks();
  perform tests.accept_key('acme');
  perform tests.start('acme');
  perform tests.work(1);
  truncate held;
  insert into held select l from tests.claim(1) as l;
  execute p_sql;
end; $$;

select tests.change($$select register_workspace('acme', 'https://new.example', '8|new',
  p_replace => true)$$);
select results_eq('run', $$values ('running', null, 'connect', 2)$$,
  'with another URL a run begins again');
select is(tests.complete(lease), 'cancelled', 'what is in flight is not applied') from held;
select is(tests.live_ids('acme'), '{1,2}', 'only what was there before is');
select results_eq('asked',
  $$values ('https://new.example/api/users', null::text, 'Bearer 8|new')$$,
  'the new URL is asked, with the new key');

select tests.change($$update client_registry set bison_instance = 'https://view.example'$$);
select results_eq('run', $$values ('running', null, 'connect', 2)$$,
  'through client_registry, too');
select is(tests.complete(lease), 'cancelled', 'and not applied') from held;

grant usage on schema tests to service_role;
select tests.change($$set local role service_role;
  update sync_workspaces set base_url = 'https://row.example'; reset role$$);
select results_eq('run', $$values ('running', null, 'connect', 2)$$, 'or by hand');
select is(tests.complete(lease), 'cancelled', 'and not applied') from held;

select tests.change($$update sync_workspaces set base_url = base_url, is_active = true$$);
select results_eq('run', $$values ('running', null, 'scan', 1)$$,
  'what is written and stays the same changes nothing');
select is(tests.complete(lease), 'completed', 'and is applied') from held;

select tests.change($$select rotate_workspace_key('acme', '9|another')$$);
select results_eq('run', $$values ('running', null, 'connect', 2)$$,
  'with another key it begins again');
select is(tests.complete(lease), 'cancelled', 'and nothing in flight is applied') from held;
select tests.work();
select results_eq('run', $$values ('completed', null, 'scan', 2)$$, 'and completes by itself');
select is(tests.live_ids('acme'), '{1,2,3,4,5,6}', 'with every account');

-- A source without a way to tell whose a key is, and another base path.
select declare_source('{"source_name": "crm", "base_path": "/v1"}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select register_workspace('crm', 'https://crm.example', '3|k', 'crm');
select tests.serve('crm', 1, 2, 3, 4);
select start_sync_job('crm', null, '{crm}');
select tests.work(1);
create temp table page as select l as lease from tests.claim() as l;
select declare_source('{"source_name": "crm", "base_path": "/v2"}');
select results_eq('run', $$values ('running', null, 'scan', 2)$$, 'nor does another base path mix');
select is(tests.complete(lease), 'cancelled', 'two addresses') from page;
select results_eq('asked', $$values ('https://crm.example/v2/people', '1', 'Bearer 3|k')$$,
  'from page 1');
select cancel_sync_job(id) from public.polling_job_status where status = 'running';

-- Another source.
select tests.change($$select 1$$);
select register_workspace('acme', 'https://crm.example', '8|crm', 'crm', p_replace => true);
select results_eq('run', $$values ('running', 'cancelled', 'scan', 1)$$,
  'a run of the source before is ending');
select is_empty('asked', 'nothing more of it is asked');
select is(tests.complete(lease), 'cancelled', 'nor applied') from held;
select results_eq('run', $$values ('cancelled', 'cancelled', 'scan', 1)$$, 'then it has ended');
select tests.advance('1 hour');
select results_eq($$select distinct status from polling_job_status where status = 'running'$$,
  $$select '' where false$$, 'and its job');

select * from finish();
rollback;
