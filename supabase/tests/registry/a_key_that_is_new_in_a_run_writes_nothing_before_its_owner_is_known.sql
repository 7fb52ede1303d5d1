begin;
\ir ../support/setup.psql
select plan(19);

select register_workspace('acme', 'https://bison.example', '7|keyofacme', p_external_id => '41',
  p_max_concurrency => 2);
select set_budget('email_bison', null, null);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
create temp table held (turn int generated always as identity, lease tests.lease);
prepare asked as select (lease).record_id, (lease).page from held order by turn;
prepare run as select status, phase, scan from public.workspace_sync_runs order by id desc limit 1;

-- A run in the middle of which its workspace gets a key.
create function tests.meet_a_new_key(p_key text) returns void language plpgsql as $$
begin
  perform tests.start('acme');
  while tests.work(1) > 0 loop
    exit when exists (select 1 from public.workspace_sync_runs where status = 'running'
      and progress_total > 1);
  end loop;
  truncate held;
  insert into held (lease) select l from tests.claim(2) as l;
  perform public.rotate_workspace_key('acme', p_key);
end; $$;

select tests.start('acme');
select tests.work(2);
select is(tests.live_ids('acme'), '{1,2}', 'a run wrote page 1');
insert into held (lease) select l from tests.claim(2) as l;
select results_eq('asked', $$values (null, 2), (null, 3)$$, 'two pages are in flight');
select rotate_workspace_key('acme', '8|keyofzen');
select results_eq('run', $$values ('running', 'connect', 2)$$, 'with a new key it begins again');
select is_empty($$select * from tests.claim(100)$$, 'no page is handed out for that key');
select is(tests.complete(lease), 'cancelled', 'what was in flight is not applied') from held
  where (lease).page = 2;
select is((select key_status from public.sync_workspaces), 'unchecked', 'nor says it a thing');
delete from held where (lease).page = 2;
insert into held (lease) select l from tests.claim(100) as l;
select results_eq('asked', $$values (null, 3), ('users', null::int)$$,
  'whose key it is is asked in the slot that got free');
select is(tests.complete(lease, '{"data": {"workspace": {"id": 42, "name": "zen"}}}'), 'completed',
  'it is the key of another workspace') from held where (lease).page is null;
select is(tests.complete(lease), 'cancelled', 'a page that comes after that is not applied')
  from held where (lease).page = 3;
select results_eq('run', $$values ('failed', 'connect', 2)$$, 'the run fails');
select results_eq($$select key_status, tests.live_ids('acme') from public.sync_workspaces$$,
  $$values ('other_workspace', '{1,2}'::bigint[])$$, 'and wrote nothing more');

select rotate_workspace_key('acme', '7|keyofacme');
select tests.meet_a_new_key('9|alsoofacme');
select tests.complete(lease) from held;
select tests.work();
select results_eq('run', $$values ('completed', 'scan', 2)$$,
  'with a new key of its own a run completes without help');
select is(tests.live_ids('acme'), '{1,2,3,4,5,6,7,8}', 'and writes all there is');
select results_eq($$select chunks_completed, warnings, distinct_ids from public.workspace_sync_runs
  order by id desc limit 1$$,
  $$values (7::bigint, array['begun again: it had to be asked whose key it is'], 8::bigint)$$,
  'it read two pages of its first scan, and says why it began again');

select tests.meet_a_new_key('9|alsoofacme');
select results_eq('run', $$values ('running', 'scan', 1)$$, 'the same key again changes nothing');
select is(tests.complete(lease), 'completed', 'what is in flight is applied') from held;
select is((select key_status from public.sync_workspaces), 'accepted', 'and accepts it');

update public.sync_workspaces set external_id = '40';
select tests.work();
select results_eq('run', $$values ('completed', 'scan', 2)$$,
  'a run whose workspace gets another id begins again as well');

select * from finish();
rollback;
