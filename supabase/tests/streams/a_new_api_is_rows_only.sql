begin;
\ir ../support/setup.psql
select plan(5);

select declare_source('{"source_name": "crm", "base_path": "/v2", "auth_in": "query",
  "auth_name": "api_key", "auth_prefix": ""}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "params": {"sort": "id"}, "page_param": "p",
  "page_size": 2, "records_path": ["result", "items"], "id_path": ["key"], "id_type": "text",
  "updated_at_path": ["changed"],
  "total_path": ["result", "count"], "last_page_path": ["result", "pages"],
  "item_path": "/people/{id}", "item_record_path": ["result"]}');
select register_workspace('acme', 'https://crm.example', 'thekey', 'crm');
select start_sync_job('people');

create temp table answer as select claim_next_chunk_job_safe('worker-1', p_protocol => 2) as answer;
select results_eq($$
  select l -> 'request', l ->> 'stream', l -> 'credentials'
  from answer, jsonb_array_elements(answer -> 'leases') as l
$$, $$
  values ('{"method": "GET", "url": "https://crm.example/v2/people",
    "params": [["p", "1"], ["sort", "id"]],
    "headers": {"Accept": "application/json"}, "reach": "public"}'::jsonb, 'people',
    '[{"in": "query", "name": "api_key", "value": "thekey"}]'::jsonb)
$$, 'the request is made from the rows');
select is(tests.complete(l, '{"result": {"count": 2, "pages": 1, "items": [
  {"key": "a/ü", "changed": "2026-01-01T00:00:00Z"}, {"key": "b", "changed": null}]}}'),
  'completed', 'the page is read by the rows')
from answer, tests.leases_of(answer) as l;
select results_eq($$select id, raw, updated_at from public.synced_records order by id$$, $$
  values ('a/ü', '{"key": "a/ü", "changed": "2026-01-01T00:00:00Z"}'::jsonb,
    '2026-01-01T00:00:00Z'::timestamptz),
    ('b', '{"key": "b", "changed": null}', null)
$$, 'its records stand in synced_records');

select start_sync_job('people');
select tests.complete(l, '{"result": {"count": 1, "pages": 1,
  "items": [{"key": "b", "changed": null}]}}') from tests.claim() as l;
select results_eq($$
  select l #>> '{request,url}', l #> '{request,params}', l #>> '{status_classes,404}'
  from jsonb_array_elements(claim_next_chunk_job_safe('worker-1', p_protocol => 2) -> 'leases') as l
$$, $$values ('https://crm.example/v2/people/a%2F%C3%BC', '[]'::jsonb, 'page')$$,
  'a missed record is asked for under its own path, encoded, where 404 is a page');
select is((select count(*) from public.synced_records where deleted_at is not null), 0::bigint,
  'until then it lives');

select * from finish();
rollback;
