begin;
\ir ../support/setup.psql
select plan(34);

-- What a restored project, or one that lost its Vault, is like.
create function tests.break_key(p_workspace text) returns void language plpgsql as $$
begin
  delete from vault.secrets where id = (select secret_id from public.sync_workspaces
    where workspace_name = p_workspace);
end; $$;
prepare keys as select workspace_name, key_status from public.sync_workspaces order by 1;
prepare waiting as select workspace_name, why from public.waiting_runs order by 1;
create function tests.alerts() returns setof text language sql as $$
  select sync.check_health();
  select kind || ' ' || subject from public.sync_alerts
  where resolved_at is null and kind like 'key%' order by 1;
$$;

select tests.workspace('acme', 2);
select tests.workspace('zen', 2);
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
select tests.serve('zen', 101, 102, 103);
select tests.start('acme', 'zen');
select tests.work(2);
select tests.break_key('acme');
create temp table answer as
select claim_next_chunk_job_safe('worker-1', 100, p_protocol => 2) as answer;
select results_eq($$select l.workspace from answer, tests.leases_of(answer) as l$$,
  $$values ('zen')$$, 'a claim gives leases for the others');
select is((select answer -> 'next_look_ms' from answer), '0',
  'and says to look again, for behind what it withheld there may be more');
select is((select count(distinct l -> 'credentials')
  from answer, jsonb_array_elements(answer -> 'leases') as l), 1::bigint,
  'with the credentials of these alone');
select results_eq('keys', $$values ('acme', 'unreadable'), ('zen', 'accepted')$$,
  'the key is known to be unreadable');
select results_eq('waiting', $$values ('acme', 'no_key')$$, 'its run waits, and says why');
select tests.complete(l) from answer, tests.leases_of(answer) as l;
select is(tests.work(), 0, 'the other has all it wants');
select is(tests.live_ids('zen'), '{101,102,103}', 'and is complete');
select results_eq('select * from tests.alerts()', $$values ('keys_unreadable vault')$$,
  'there is one alert');
select is((select max(attempts) from public.chunk_processing_queue), 0,
  'no attempt is burnt');
select is(claim_chunk_job_safe(id, 'worker-2', p_protocol => 2) ->> 'reason', 'paused',
  'nor is a chunk of it given to who names it')
from (select min(id) as id from public.chunk_processing_queue where slot is not null) as held;
select cleanup_stuck_chunks();
select is_empty('select * from tests.claim(100)', 'a sweep hands nothing of it out');

select rotate_workspace_key('acme', '8|again');
select results_eq('keys', $$values ('acme', 'unchecked'), ('zen', 'accepted')$$,
  'rotating gives it a key');
select isnt(tests.work(), 0, 'with which everything goes on');
select results_eq($$select status from public.polling_job_status$$, $$values ('completed')$$,
  'without help');
select is(tests.live_ids('acme'), '{1,2,3,4,5,6}', 'with every account');
select is_empty('select * from tests.alerts()', 'the alert is resolved');

-- Vault itself heals.
select tests.start('acme');
create temp table kept as select * from vault.secrets;
select tests.break_key('acme');
select is_empty('select * from tests.claim(100)', 'an empty Vault');
select is_empty('select * from tests.claim(100)', 'however often it is asked');
select results_eq('waiting', $$values ('acme', 'no_key')$$, 'is known');
select sync.write_secret('chunkwise/workspace/' || w.id, '8|again', 'as before')
from public.sync_workspaces as w where w.workspace_name = 'acme';
update public.sync_workspaces as w set secret_id = s.id from vault.secrets as s
where s.name = 'chunkwise/workspace/' || w.id and w.workspace_name = 'acme';
select cleanup_stuck_chunks();
select isnt(tests.work(), 0, 'a key that can be read again is used');
select results_eq($$select distinct status from public.polling_job_status$$,
  $$values ('completed')$$, 'by itself');

-- A run that begins without one, and one that waits in vain.
select tests.break_key('acme');
select tests.advance('1 hour');
select tests.start('acme', 'zen');
select tests.work();
select results_eq('waiting', $$values ('acme', 'no_key')$$, 'it waits');
select tests.advance('9 minutes');
select cleanup_stuck_chunks();
select results_eq($$select status from public.polling_job_status order by started_at desc limit 1$$,
  $$values ('running')$$, 'nine minutes later it still does');
select tests.advance('1 minute');
select cleanup_stuck_chunks();
select results_eq($$select j.status, w.workspace_name, r.status
  from public.polling_job_status as j join public.workspace_sync_runs as r on r.job_id = j.id
  join public.sync_workspaces as w on w.id = r.workspace_id
  where j.started_at > sync.now() - interval '30 minutes' order by 2$$,
  $$values ('partial', 'acme', 'failed'), ('partial', 'zen', 'completed')$$,
  'after ten it ends, so that the schedule''s next job begins for the others');
select tests.start('acme');
select is_empty('select * from tests.claim(100)', 'the next run waits in its turn');
select results_eq('waiting', $$values ('acme', 'no_key')$$, 'and says why at once');
select cancel_sync_job(id) from public.polling_job_status where status = 'running';

-- A whole fleet.
select tests.workspace('w' || n) from generate_series(1, 12) as n;
select tests.serve('w' || n, n) from generate_series(1, 12) as n;
delete from vault.secrets where name like 'chunkwise/workspace/%';
select start_sync_job('fleet');
select is((select count(*) from tests.claim(100)), 0::bigint, 'no request goes out without a key');
select results_eq('select * from tests.alerts()', $$values ('keys_unreadable vault')$$,
  'and there is one alert for all');
select ok((select message ~ '14' from public.sync_alerts where resolved_at is null
  and kind = 'keys_unreadable'), 'that counts them');

-- A failing request's text is masked all the same, and an empty secret is none.
select is(sync.mask_workspace_key('HTTP 500: Bearer abcdefgh', id), 'HTTP 500: Bearer ***',
  'texts are masked without it') from public.sync_workspaces where workspace_name = 'acme';
select is(sync.read_secret(vault.create_secret('', 'tests/empty')), null,
  'an empty secret is none');
select is(sync.read_secret(gen_random_uuid()), null, 'nor is one that is not there');
select is(sync.read_secret(null), null, 'nor is no id');
select lives_ok($$select rotate_workspace_key('w' || n, n || '|new') from generate_series(1, 12)
  as n$$, 'keys are handed over again');

select * from finish();
rollback;
