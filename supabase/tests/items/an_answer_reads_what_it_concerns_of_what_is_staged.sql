begin;
\ir ../support/setup.psql
select plan(3);
select tests.forget_statistics();

-- Nothing here was ever analyzed; 3,000 replies are staged, each with its own conversation.
select tests.workspace('acme', 8);
insert into email_replies (workspace_id, id, raw)
select w.id, n, '{}' from sync_workspaces as w cross join generate_series(1, 3000) as n;
insert into sync.staged_items (workspace_id, stream_id, record_id)
select w.id as workspace_id, s.id as stream_id, n::text as record_id from sync_workspaces as w
join sync_streams as s on s.stream_name = 'conversation_threads'
cross join generate_series(1, 3000) as n order by n;
select start_sync_job('test', '{conversation_threads}');

create temp table leased as
select l from jsonb_array_elements(
  claim_next_chunk_job_safe('w', 8, p_protocol => 2) -> 'leases') as l;
create temp table cost as select tests.rows_read('{sync.staged_items}') as before;
create temp table answered as
select complete_chunk_jobs_safe((
  select jsonb_agg(jsonb_build_object('queue_id', l -> 'queue_id', 'lease_token',
    l -> 'lease_token', 'status', 200, 'body', jsonb_build_object('data', jsonb_build_array(
    jsonb_build_object('id', (l ->> 'queue_id')::int, 'text_body', 'Yes', 'raw_message_id',
    l ->> 'queue_id', 'from_email_address', 'a@example.com')))::text))
  from leased)) -> 'outcomes' as outcomes;
create temp table spent as select tests.rows_read('{sync.staged_items}') as spent;
select is((select count(*) from answered, jsonb_array_elements(outcomes) as o
  where o ->> 'outcome' = 'completed'), 8::bigint, 'eight conversations come');
select is((select count(*) from sync.staged_items where processed_at is not null), 8::bigint,
  'whose replies are done');
select cmp_ok(spent - before, '<', 300::bigint,
  'they read few of the 3,000 that are staged') from cost, spent;

select * from finish();
rollback;
