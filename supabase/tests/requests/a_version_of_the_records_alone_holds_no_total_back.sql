begin;
\ir ../support/setup.psql
select plan(18);

select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null}');
select declare_stream('{"source_name": "crm", "stream_name": "things", "path": "/things",
  "page_size": 2, "conditional": true, "completeness": "counted"}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');

-- The API: its ETag is made of a page's records; the total stands beside them.
create table tests.answered (status int);
create function tests.read_things(p_stream text default 'things') returns text
  language plpgsql as $$
declare
  v_job_id uuid := (start_sync_job('test', array[p_stream]) ->> 'job_id')::uuid;
  v_lease jsonb;
  v_body text;
  v_etag text;
  v_status int;
begin
  delete from tests.answered;
  perform tests.advance('1 hour');
  loop
    v_lease := claim_next_chunk_job_safe('w', 1, p_protocol => 2) #> '{leases,0}';
    exit when v_lease is null;
    v_body := tests.page_body(case p_stream when 'parts' then 'below' else 'acme' end,
      (tests.params_of(v_lease) ->> 'page')::int);
    v_etag := format('"%s"', md5((v_body::jsonb -> 'data')::text));
    v_status := case when v_lease #>> '{request,headers,If-None-Match}' = v_etag
      then 304 else 200 end;
    insert into tests.answered values (v_status);
    perform complete_chunk_job_safe((v_lease ->> 'queue_id')::bigint,
      (v_lease ->> 'lease_token')::bigint, jsonb_build_object('status', v_status,
      'headers', jsonb_build_object('etag', v_etag),
      'body', case v_status when 304 then '' else v_body end));
  end loop;
  return (select status from public.polling_job_status where id = v_job_id);
end; $$;
create function tests.answers() returns text language sql as $$
  select string_agg(status::text, ' ' order by status) from tests.answered;
$$;
create function tests.ids_here() returns text language sql as $$
  select string_agg(id, ' ' order by id) from public.synced_records where deleted_at is null;
$$;

select tests.serve('acme', 1, 2, 3);
select tests.read_things();
select is(tests.read_things() || ': ' || tests.answers(), 'completed: 304 304',
  'what has not changed costs no body');
select tests.serve('acme', 1, 2, 3, 4);
select is(tests.read_things(), 'completed', 'a record more on the last page');
select is(tests.ids_here(), '1 2 3 4', 'is here');
select is(tests.answers(), '200 200 200 304',
  'for a scan that does not add up is read anew, whole');
select is(tests.read_things() || ': ' || tests.answers(), 'completed: 200 304',
  'a last page that is full is read each time');
select tests.serve('acme', 1, 2, 3, 4, 5);
select is(tests.read_things(), 'completed', 'a record more behind it');
select is(tests.ids_here(), '1 2 3 4 5', 'is here too');

-- Pages that are shorter than declared.
select declare_stream('{"source_name": "crm", "stream_name": "things", "path": "/things",
  "page_size": 50, "conditional": true, "completeness": "counted"}');
select tests.serve('acme', 1, 2, 3, 4);
select tests.read_things();
select tests.read_things();
select is(tests.answers(), '200 304', 'of pages that are shorter the last one may be full');
select tests.serve('acme', 1, 2, 3, 4, 5);
select is(tests.read_things(), 'completed', 'a record more');
select is(tests.ids_here(), '1 2 3 4 5', 'is here as well');

select tests.serve('acme', 1, 2);
select tests.read_things() from generate_series(1, 4);
select is(tests.read_things() || ': ' || tests.answers(), 'completed: 200',
  'an only page may be full, and is read each time');
select tests.serve('acme', 1, 2, 3);
select is(tests.read_things(), 'completed', 'a record more behind it');
select is(tests.ids_here(), '1 2 3', 'is here');
select tests.serve('acme', variadic '{}');
select tests.read_things() from generate_series(1, 4);
select is(tests.answers(), '304', 'an empty page is not full');

-- Lists below parents: each is scanned by itself.
select tests.serve('acme', 1);
select tests.read_things();
select declare_stream('{"source_name": "crm", "stream_name": "parts", "page_size": 2,
  "path": "/things/{parent.id}/parts", "parent_stream": "things", "conditional": true}');
select tests.serve('below', 11, 12, 13);
select tests.read_things('parts');
select is(tests.read_things('parts') || ': ' || tests.answers(), 'completed: 304 304',
  'a list below a parent costs no body either');
select tests.serve('below', 11, 12, 13, 14);
select is(tests.read_things('parts'), 'completed', 'a record more on its last page');
select is(tests.answers(), '200 200 200 304', 'has this list read anew, whole');
select is(tests.ids_here(), '1 11 12 13 14', 'and is here');

select * from finish();
rollback;
