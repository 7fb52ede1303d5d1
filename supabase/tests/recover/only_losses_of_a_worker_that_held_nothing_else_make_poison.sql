begin;
\ir ../support/setup.psql
\ir ../support/workers.psql
select plan(9);

select set_setting('max_lease_losses', '2');
select tests.workspace('acme', 2);
select tests.workspace('zen', 1);
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
select tests.serve('zen', 101);
select tests.start('acme', 'zen');
create function tests.losses() returns table (workspace text, losses int, alone int)
language sql as $$
  select w.workspace_name, q.lease_losses, q.losses_alone from public.chunk_processing_queue as q
  join public.workspace_sync_runs as r on r.id = q.run_id
  join public.sync_workspaces as w on w.id = r.workspace_id order by 1;
$$;

-- Leases of one worker run out at different times: it died holding both all the same.
select is(tests.take('one', 1), 1::bigint, 'a worker claims a chunk');
select tests.advance('10 seconds');
select is(tests.take('one', 1), 1::bigint, 'and 10 s later another, and dies');
select tests.advance('10 seconds');
select is(cleanup_stuck_chunks(), 1, 'the first is taken back');
select tests.advance('10 seconds');
select is(cleanup_stuck_chunks(), 1, 'and 10 s later the second');
select results_eq($$select * from tests.losses()$$, $$values ('acme', 1, 0), ('zen', 1, 0)$$,
  'neither was all that the worker held');
select tests.take('two');
select tests.die('two');
select results_eq($$select * from tests.losses()$$, $$values ('acme', 2, 0), ('zen', 2, 0)$$,
  'nor were they when another died of one of them');

-- From now on they are alone, and only what kills its worker loses more leases.
create function tests.let_acme_kill(p_worker text) returns void language plpgsql as $$
begin
  perform tests.take(p_worker);
  if tests.holds(p_worker) ? 'zen' then
    perform tests.give(p_worker);
    perform tests.take(p_worker);
  end if;
  perform tests.die(p_worker);
end; $$;
select tests.let_acme_kill('three');
select results_eq($$select * from tests.losses()$$, $$values ('acme', 3, 1), ('zen', 2, 0)$$,
  'a loss of a worker that held nothing else counts');
select tests.let_acme_kill('four');
select results_eq($$select w.workspace_name, r.status from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id order by 1$$,
  $$values ('acme', 'failed'), ('zen', 'completed')$$,
  'after max_lease_losses of those its run fails, and no other');
select results_eq($$select workspace_name, lease_losses, attempts from failed_chunks$$,
  $$values ('acme', 4, 0)$$, 'failed_chunks names it');

select * from finish();
rollback;
