begin;
\ir ../support/setup.psql
select plan(12);

select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null}');
select declare_stream('{"source_name": "crm", "stream_name": "tags", "path": "/tags",
  "page_size": 100, "completeness": "single", "records_path": ["tags"], "id_type": "text",
  "item_path": "/tags/{id}", "item_record_path": []}');
select declare_stream('{"source_name": "crm", "stream_name": "plan", "path": "/plan",
  "page_size": 1, "completeness": "single", "records_path": ["plan"], "id_type": "text"}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');

-- Answers every request of one sync: with the body of its stream, or what a tag's own GET says.
create function tests.sync_singles(p_stream text, p_body text, p_own text default null)
  returns text language plpgsql as $$
declare
  v_job_id uuid := start_sync_job(p_stream, array[p_stream]) ->> 'job_id';
  v_lease tests.lease;
begin
  loop
    select l.* into v_lease from tests.claim() as l;
    exit when v_lease is null;
    perform tests.complete(v_lease, case when exists (select from public.chunked_sync_jobs
      where id = v_lease.queue_id and kind = 'page') then p_body
      else coalesce(p_own, '{"message": "gone"}') end, case when exists (
      select from public.chunked_sync_jobs where id = v_lease.queue_id and kind = 'page')
      or p_own is not null then 200 else 404 end);
  end loop;
  return (select status from public.workspace_sync_runs where job_id = v_job_id);
end; $$;
create function tests.tags() returns text[] language sql as $$
  select coalesce(array_agg(id order by id), '{}') from public.synced_records
  where stream_id = (select id from public.sync_streams where stream_name = 'tags')
    and deleted_at is null;
$$;
create function tests.tags_body(variadic p_ids text[]) returns text language sql as $$
  select jsonb_build_object('tags', coalesce(jsonb_agg(jsonb_build_object('id', id)), '[]'))::text
  from unnest(p_ids) as id;
$$;

select is(tests.sync_singles('tags', tests.tags_body('a', 'b', 'c')), 'completed',
  'one answer completes the run');
select is(tests.tags(), '{a,b,c}', 'and all of it is there');
select results_eq($$select distinct_ids, expected_total, progress_total, pages_planned
  from public.workspace_sync_runs$$, $$values (3::bigint, 3::bigint, 1::bigint, 1::bigint)$$,
  'by one request, with its numbers');
select is(tests.sync_singles('tags', tests.tags_body('a', 'b')), 'completed',
  'what the answer no longer shows is asked for');
select is(tests.tags(), '{a,b}', 'and is deleted when it is gone');
select is(tests.sync_singles('tags', tests.tags_body('a'), '{"id": "b"}'), 'completed',
  'what answers for itself twice is unlisted');
select is(tests.tags(), '{a,b}', 'and lives');
select is(tests.sync_singles('tags', '{"tags": []}'), 'completed', 'a list that becomes empty');
select is(tests.tags(), '{a,b}', 'deletes nothing at first');
select is(tests.sync_singles('tags', '{"other": []}'), 'failed',
  'an answer without the list is of the wrong shape');
select is(tests.sync_singles('plan', '{"plan": {"id": "pro", "seats": 5}}'), 'completed',
  'one object is the one record');
select results_eq($$select r.id, r.raw ->> 'seats' from public.synced_records as r
  join public.sync_streams as st on st.id = r.stream_id and st.stream_name = 'plan'$$,
  $$values ('pro', '5')$$, 'and is stored as such');

select * from finish();
rollback;
