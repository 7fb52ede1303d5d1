begin;
\ir ../support/setup.psql
select plan(9);

select declare_source('{"source_name": "crm", "base_path": "/v2", "requests_per_second": null,
  "max_in_flight": null}');
-- Counted, so that there is a page 1; what a chunk's reading holds is what a kind writes there.
create function tests.asked(p_fields jsonb, p_reading jsonb, p_page int default 3) returns jsonb
  language plpgsql as $$
declare
  v_lease jsonb;
begin
  perform declare_stream('{"source_name": "crm", "stream_name": "things", "path": "/things",
    "page_size": 100, "completeness": "counted"}');
  update public.sync_streams as s
  set (path, method, params, body, next_is, first_page, since_format) = (
    select r.path, r.method, r.params, r.body, r.next_is, r.first_page, r.since_format
    from jsonb_populate_record(null::public.sync_streams, jsonb_build_object('path', '/things',
      'method', 'GET', 'params', '{}'::jsonb, 'next_is', 'token', 'first_page', 1,
      'since_format', 'iso') || p_fields) as r)
  where stream_name = 'things';
  perform register_workspace('acme', 'https://crm.example', 'k', 'crm', p_replace => true);
  perform start_sync_job('things');
  update public.chunked_sync_jobs set page = p_page, reading = p_reading;
  v_lease := claim_next_chunk_job_safe('w', 1, p_protocol => 2) #> '{leases,0}';
  delete from public.polling_job_status;
  return (v_lease -> 'request') - '{reach,headers}'::text[];
end; $$;

select is(tests.asked('{"params": {"limit": "{size}", "sort": "id"}}', null),
  '{"method": "GET", "url": "https://crm.example/v2/things",
    "params": [["page", "3"], ["sort", "id"], ["limit", "100"]]}',
  'the short form page_param adds the page');
select is(tests.asked('{"first_page": 0, "params": {"p": "{page}"}}', null) -> 'params',
  '[["p", "2"]]', 'where {page} occurs it does not; pages may count from 0');
select is(tests.asked('{"params": {"limit": "{size}", "offset": "{offset}"}}', null) -> 'params',
  '[["limit", "100"], ["offset", "200"]]', 'an offset follows from the page');
select is(tests.asked('{"params": {"offset": "{offset}"}}', '{"offset": 190}') -> 'params',
  '[["offset", "190"]]', 'or is what the kind says');
select is(tests.asked('{"params": {"since": "{since|0}", "cursor": "{next}"},
    "since_format": "epoch", "updated_at_path": ["updated_at"]}',
  '{"since": "2026-01-01T00:00:00Z"}') -> 'params', '[["since", "1767225600"]]',
  '{since} is written as declared');
select is(tests.asked('{"params": {"since": "{since|0}", "cursor": "{next}"},
    "updated_at_path": ["updated_at"]}',
  '{"since": "2026-01-01T00:00:00Z", "next": "abc"}') -> 'params', '[["cursor", "abc"]]',
  '{next} takes the place of {since}');
select is(tests.asked('{"method": "POST", "path": "/search",
    "body": {"limit": "{size}", "after": "{last|0}", "note": "from {last|0}"}}', '{"last": 17}'),
  '{"method": "POST", "url": "https://crm.example/v2/search", "params": [],
    "body": {"limit": 100, "after": 17, "note": "from 17"}}', 'a body keeps types');
select is(tests.asked('{"path": "/lists/{parent.id}/things", "params": {"page": "{page}"}}',
  '{"parent": {"id": "x y"}}') ->> 'url', 'https://crm.example/v2/lists/x%20y/things',
  'a parent stands in a path');
select is(tests.asked('{"next_is": "link_header", "params": {"limit": "{size}"}}',
  '{"url": "https://crm.example/v2/things?page=2"}'),
  '{"method": "GET", "url": "https://crm.example/v2/things?page=2", "params": []}',
  'a next URL is the whole request');

select * from finish();
rollback;
