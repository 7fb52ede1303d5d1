begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(4);

-- Rows that are there from before the stream had parents, which were never synced.
select tests.declare_leads();
insert into synced_records (workspace_id, stream_id, id, raw, last_changed_at)
select w.id as workspace_id, st.id as stream_id, n::text, jsonb_build_object('id', n), sync.now()
from sync_workspaces as w, sync_streams as st, generate_series(1, 3) as n
where st.stream_name = 'leads';
select is(tests.sync_children('leads'), 'partial', 'a run without any list is partial');
select is(tests.sync_children('leads'), 'partial', 'as is the next one');
select is(tests.live_leads(), array['1', '2', '3'], 'no list has missed anything');
select is((select count(*) from sync.missing_records), 0::bigint,
  'and nothing is noted as missing');

select * from finish();
rollback;
