begin;
\ir ../support/setup.psql
select plan(3);

-- Two counted streams in one table, whose name is written in two ways.
select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2, "target_table": "PUBLIC.synced_records"}');
select declare_stream('{"source_name": "crm", "stream_name": "firms", "path": "/firms",
  "page_size": 2, "target_table": "public.\"synced_records\""}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
create function tests.sync_both(p_people bigint[], p_firms bigint[]) returns void
language plpgsql as $$
declare
  v_lease jsonb;
  v_ids bigint[];
begin
  perform public.start_sync_job('both');
  for v_lease in select l from jsonb_array_elements(
    public.claim_next_chunk_job_safe('worker-1', 2, p_protocol => 2) -> 'leases') as l
  loop
    v_ids := case when v_lease ->> 'stream' = 'people' then p_people else p_firms end;
    perform public.complete_chunk_jobs_safe(jsonb_build_array(jsonb_build_object(
      'queue_id', v_lease -> 'queue_id', 'lease_token', v_lease -> 'lease_token', 'status', 200,
      'body', tests.body(v_ids, cardinality(v_ids), 1))));
  end loop;
end; $$;
create function tests.live(p_stream text) returns text[] language sql as $$
  select array_agg(r.id order by r.id) from public.synced_records as r
  join public.sync_streams as s on s.id = r.stream_id
  where s.stream_name = p_stream and r.deleted_at is null;
$$;

select tests.sync_both('{1,2,3}', '{2,3,4}');
select tests.sync_both('{1,2}', '{2,3,4}');
select tests.sync_both('{1,2}', '{2,3,4}');
select is(tests.live('people'), '{1,2}', 'what two scans of one stream missed is deleted');
select is(tests.live('firms'), '{2,3,4}', 'of that stream, and not of the other');
select results_eq($$select target_table from public.sync_streams where stream_name in
  ('people', 'firms')$$, $$values ('public.synced_records'), ('public.synced_records')$$,
  'whose table is the same one');

select * from finish();
rollback;
