begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.serve('acme', variadic array(select generate_series(1, 20)::bigint));
select tests.serve('zen', 1, 2, 3);
select tests.sync('acme');
select tests.sync('zen');
select tests.serve('acme', 1, 2, 3);
select tests.serve('zen', variadic '{}'::bigint[]);
select tests.sync('acme');
select tests.sync('zen');
prepare waiting as select w.workspace_name, r.deletions_waiting
  from public.workspace_sync_runs as r join public.sync_workspaces as w on w.id = r.workspace_id
  where r.deletions_waiting > 0 order by 1;
select results_eq('waiting',
  $$values ('acme', 17::bigint), ('zen', 3)$$, 'deletions of two workspaces wait');

select sync.forget_missing((select id from public.sync_workspaces where workspace_name = 'acme'));
select results_eq('waiting',
  $$values ('zen', 3::bigint)$$, 'forgotten of one, they wait for the other only');
select results_eq($$select w.workspace_name, count(*) from sync.missing_records as m
  join public.sync_workspaces as w on w.id = m.workspace_id group by 1$$,
  $$values ('zen', 3::bigint)$$, 'what was missed is forgotten with them');

select tests.advance('10 minutes');
select sync.forget_missing(null, (select id from public.sync_streams
  where stream_name = 'sender_emails'));
select tests.sync('zen');
select is(tests.live_ids('zen'), '{1,2,3}', 'so is since when a list is empty');
select results_eq('waiting',
  $$values ('zen', 3::bigint)$$, 'the wait begins anew');
select is((select count(*) from sender_emails where deleted_at is not null), 0::bigint,
  'nothing is deleted');

select * from finish();
rollback;
