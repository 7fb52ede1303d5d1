begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(12);

select tests.declare_leads();
select tests.campaign(1, 11, 12);
select tests.campaign(2, 21, 22, 23);
select tests.campaign(3, 31);
insert into tests.refused values (2, 404);
select is(tests.sync_children(), 'partial', 'a list that answers 404 makes the run partial');
select is(tests.live_leads(), array['11', '12', '31'], 'the others count');
select results_eq($$select parent_id, state from sync.run_parts order by parent_id$$,
  $$values ('1', 'proven'), ('2', 'unproven'), ('3', 'proven')$$, 'each by itself');
select is((select count(*) from unnest(tests.last_warnings()) as w
  where w like '1 of 3 lists%below 1 (2)%'), 1::bigint, 'the numbers are told, and the parent');
select is((select last_complete_sync_at from public.sync_workspace_streams as s
  join public.sync_streams as st on st.id = s.stream_id where st.stream_name = 'leads'), null,
  'it is no complete sync');
select is((select status from public.polling_job_status), 'partial', 'nor is its job');

truncate tests.refused;
select is(tests.sync_children(), 'completed', 'the next run has them all');
-- A list that shows less than the API counts.
insert into tests.leads (campaign, id, fields) values (1, 13, '{"id": 12}');
select is(tests.sync_children('leads'), 'partial', 'a list that does not add up is partial');
select is(tests.asked('leads of 1, page 1'), array_fill('leads of 1, page 1'::text, array[3]),
  'it is read again, as often as a list may be');
select is(tests.asked('leads of 3%'), array['leads of 3, page 1'], 'and only it');

insert into tests.refused values (3, 401);
select is(tests.sync_children('leads'), 'failed', 'a refused key fails the run');
select is((select count(*) from public.chunk_processing_queue
  where status in ('pending', 'processing')), 0::bigint, 'with all of it');

select * from finish();
rollback;
