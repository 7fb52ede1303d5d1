begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select tests.advance('1 hour');
select tests.start('acme');
create temp table outcome (outcome text);
do $$ begin
  for i in 1 .. 3 loop
    insert into outcome select tests.complete(l, tests.body(array[2, 3]::bigint[], 40, 1))
    from tests.claim() as l;
  end loop;
end $$;
select results_eq($$select outcome, count(*) from outcome group by 1$$,
  $$values ('completed', 3::bigint)$$, 'three scans were read');
select results_eq($$select r.status, r.scan, r.expected_total, r.distinct_ids, r.warnings
  from public.workspace_sync_runs as r order by id desc limit 1$$, $$
  values ('partial', 3, 40::bigint, 2::bigint,
    array['scan 1: the API counts 40, its pages show 2',
    'scan 2: the API counts 40, its pages show 2',
    'after 3 scans: the API counts 40, its pages show 2'])
$$, 'then the run is partial, the numbers in its warnings');
select results_eq($$select status, workspaces_processed, total_accounts_synced,
  cardinality(warnings) from public.polling_job_status order by started_at desc limit 1$$,
  $$values ('partial', 0, 2::bigint, 1)$$, 'so is its job');
select is(tests.live_ids('acme'), '{1,2,3}', 'what it saw is kept, what it missed is not deleted');
select results_eq($$select last_complete_sync_at from public.sync_workspace_streams$$,
  $$values (sync.now() - interval '1 hour')$$,
  'the last complete sync is still the one before');
select set_setting('max_scans', '1');
select tests.start('acme');
select tests.complete(l, tests.body(array[2, 3]::bigint[], 40, 1)) from tests.claim() as l;
select results_eq($$select status, scan from public.workspace_sync_runs order by id desc limit 1$$,
  $$values ('partial', 1)$$, 'max_scans bounds it');

select * from finish();
rollback;
