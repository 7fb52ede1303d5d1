begin;
\ir ../support/setup.psql
select plan(18);

select tests.workspace('acme');
create table tests.got (lease jsonb);
create function tests.take() returns jsonb language sql as $$
  with taken as (
    insert into tests.got
    select l from jsonb_array_elements(
      claim_next_chunk_job_safe('worker-1', 10, p_protocol => 2) -> 'leases') as l
    returning lease
  ) select coalesce(jsonb_agg(lease), '[]') from taken;
$$;
create function tests.give(p_body jsonb, p_status int default 200) returns text
  language plpgsql as $$
declare
  v_lease jsonb := (select lease from tests.got);
begin
  delete from tests.got;
  return complete_chunk_job_safe((v_lease ->> 'queue_id')::bigint,
    (v_lease ->> 'lease_token')::bigint,
    jsonb_build_object('status', p_status, 'body', p_body::text)) ->> 'outcome';
end; $$;
create table tests.tried (id bigint, said jsonb);

insert into tests.tried (id) select (try_stream('{"stream_name": "people", "path": "/people",
  "page_size": 2, "item_path": "/people/{id}", "updated_at_path": ["at"]}', 'acme')
  ->> 'try_id')::bigint;
select is_empty($$select from sync_streams where stream_name = 'people'$$, 'nothing is declared');
select is(get_stream_try(id) ->> 'status', 'waiting', 'it waits for a worker') from tests.tried;
select is(tests.take() #>> '{0,request,url}', 'https://bison.example/api/people',
  'an ordinary claim hands out page 1');
select is((select lease #> '{request,params}' from tests.got), '[["page", "1"]]'::jsonb,
  'with the parameters that a sync sends');
select is((select lease #>> '{credentials,0,value}' from tests.got),
  'Bearer 7|keyof' || md5('acme'), 'and the workspace''s key');
select is(sync.in_flight_of((select budget_id from sync_workspaces where workspace_name = 'acme')),
  1::bigint, 'it draws on the budget');
select is(tests.give('{"data": [{"id": 1, "at": "2026-01-01T00:00:00Z", "name": "A"},
  {"id": 2, "at": "2026-01-02", "name": null}], "meta": {"total": 3, "last_page": 2}}'),
  'completed', 'its answer is taken');
select is(tests.take() #> '{0,request,params}', '[["page", "2"]]'::jsonb, 'page 2 follows');
select is(tests.give('{"data": [{"id": 3, "at": "2026-01-03"}],
  "meta": {"total": 3, "last_page": 2}}'), 'completed', 'and is taken');
select is(tests.take() #>> '{0,request,url}', 'https://bison.example/api/people/1',
  'then the first record by its own path');
select is(tests.give('{"data": {"id": 1, "at": "2026-01-01"}}'), 'completed', 'which is taken');
select is(tests.take(), '[]'::jsonb, 'no more is asked for');

update tests.tried set said = get_stream_try(id);
select is(said ->> 'status', 'done', 'it is done') from tests.tried;
select is(said -> 'complaints', '[]', 'and complains of nothing') from tests.tried;
select is(said -> 'planned', '{"completeness": "counted", "position": "page", "pages": 2,
  "records": 3}'::jsonb, 'what a sync would read is told') from tests.tried;
select is(said #> '{fields}', '[{"field": "at", "types": ["string"]},
  {"field": "id", "types": ["number"]}, {"field": "name", "types": ["null", "string"]}]'::jsonb,
  'fields are told with their types') from tests.tried;
select is(said #> '{steps,0,first_ids}', '["1", "2"]'::jsonb, 'and the first ids') from tests.tried;
select ok(said::text not like '%keyof%' and (select t::text from sync.stream_tries as t)
  not like '%2026-01-03%', 'no key is told, no record kept') from tests.tried;

select * from finish();
rollback;
