begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(9);

select tests.declare_leads();
select tests.campaign(1, 11, 12, 13);
select tests.campaign(2, 21);
select tests.campaign(3);
select start_sync_job('test');
select results_eq($$select st.stream_name, r.phase from public.workspace_sync_runs as r
  join public.sync_streams as st on st.id = r.stream_id order by 1$$,
  $$values ('campaigns', 'scan'), ('leads', 'parent')$$, 'children wait for their parents');
select is(tests.serve_children(), 5, 'one request per page of each list');
select is(tests.asked(), array['campaigns', 'leads of 1, page 1', 'leads of 1, page 2',
  'leads of 2, page 1', 'leads of 3, page 1'], 'below each parent that lives');
select is(tests.live_leads(), array['11', '12', '13', '21'], 'and all of it is there');
select results_eq($$select st.stream_name, r.status, r.expected_total, r.distinct_ids,
    r.parts_total, r.parts_ended from public.workspace_sync_runs as r
  join public.sync_streams as st on st.id = r.stream_id order by 1$$,
  $$values ('campaigns', 'completed', 3::bigint, 3::bigint, null, null),
    ('leads', 'completed', 4::bigint, 4::bigint, 3::bigint, 3::bigint)$$,
  'with the totals of its lists');
select is((select status from public.polling_job_status), 'completed', 'and the job is completed');

select is(tests.sync_children('leads'), 'completed', 'children are synced without their parents');
select is(tests.asked(), array['leads of 1, page 1', 'leads of 1, page 2', 'leads of 2, page 1',
  'leads of 3, page 1'], 'below the parents that were synced before');
select is((select r.records_changed from public.workspace_sync_runs as r
  order by r.id desc limit 1), 0::bigint, 'and nothing of it has changed');

select * from finish();
rollback;
