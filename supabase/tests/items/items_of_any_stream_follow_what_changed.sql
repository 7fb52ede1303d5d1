begin;
\ir ../support/setup.psql
select plan(9);

-- People of a source that the engine has never heard of; each has an address of its own.
select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 10}');
select declare_stream('{"source_name": "crm", "stream_name": "addresses", "path": "/people",
  "page_size": 1, "completeness": "items", "item_path": "/people/{id}/address",
  "parent_stream": "people", "is_default": false}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');

create function tests.answer(p_request jsonb, p_people jsonb) returns text language sql as $$
  select (case when p_request ->> 'url' like '%/address'
    then jsonb_build_object('street', p_request ->> 'url')
    else jsonb_build_object('data', p_people, 'meta', jsonb_build_object(
      'total', jsonb_array_length(p_people), 'last_page', 1)) end)::text;
$$;
-- One worker; returns the paths that it was given.
create function tests.sync_people(p_people jsonb, p_streams text[]) returns setof text
language plpgsql as $$
declare
  v_claim jsonb;
  v_lease jsonb;
begin
  perform start_sync_job('people', p_streams);
  loop
    v_claim := claim_next_chunk_job_safe('worker-1', 10, p_protocol => 2);
    exit when jsonb_array_length(v_claim -> 'leases') = 0;
    for v_lease in select * from jsonb_array_elements(v_claim -> 'leases') loop
      return next v_lease -> 'request' ->> 'url';
      perform complete_chunk_job_safe((v_lease ->> 'queue_id')::bigint,
        (v_lease ->> 'lease_token')::bigint, jsonb_build_object('status', 200, 'duration_ms', 1,
        'body', tests.answer(v_lease -> 'request', p_people)));
    end loop;
  end loop;
end; $$;

select is((select count(*) from tests.sync_people('[{"id": 1, "name": "Ann"}, {"id": 2, "name":
  "Bo"}]', '{people,addresses}')), 3::bigint, 'a page, and one request per new person');
select results_eq($$select record_id, item_key, processed_at is not null from sync.staged_items
  order by record_id$$, $$values ('1', '1', true), ('2', '2', true)$$,
  'each was staged under its own id, and is processed');
select results_eq($$select r.id from public.synced_records as r join public.sync_streams as s
  on s.id = r.stream_id where s.stream_name = 'addresses' order by 1$$,
  $$values ('1'), ('2')$$, 'and has its record');

select is((select count(*) from tests.sync_people('[{"id": 1, "name": "Ann"}, {"id": 2, "name":
  "Bo"}]', '{people,addresses}')), 1::bigint, 'where nothing changed nothing is asked');
select results_eq($$select url from tests.sync_people('[{"id": 1, "name": "Ann"}, {"id": 2, "name":
  "Bob"}]', '{people,addresses}') as url$$,
  $$values ('https://crm.example/people'), ('https://crm.example/people/2/address')$$,
  'only what changed is asked');
select is((select count(*) from tests.sync_people('[{"id": 1, "name": "Anna"}, {"id": 2, "name":
  "Bob"}]', '{people}')), 1::bigint, 'what changes while only the parent is synced');
select results_eq($$select record_id from sync.staged_items where processed_at is null$$,
  $$values ('1')$$, 'stays staged');
select results_eq($$select url from tests.sync_people('[]', '{addresses}') as url$$,
  $$values ('https://crm.example/people/1/address')$$, 'and is asked for by the next sync of it');
select results_eq($$select status from public.workspace_sync_runs group by 1$$,
  $$values ('completed')$$, 'every run is completed');

select * from finish();
rollback;
