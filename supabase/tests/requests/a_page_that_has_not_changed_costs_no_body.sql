begin;
\ir ../support/setup.psql
select plan(19);

select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null}');
create function tests.declare(p_fields jsonb default '{}') returns jsonb language sql as $$
  select declare_stream('{"source_name": "crm", "stream_name": "things", "path": "/things",
    "page_size": 2, "conditional": true, "item_path": "/things/{id}"}'::jsonb || p_fields);
$$;
select tests.declare();
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
select tests.serve('acme', 1, 2, 3);

-- The API: an ETag of each page's text; a 304 where it is the one that was asked about.
create table tests.answered (status int, condition text);
create function tests.read_things(p_kind text default 'sync') returns text language plpgsql as $$
declare
  v_job_id uuid := (case p_kind when 'audit' then start_audit('{acme}')
    else start_sync_job('things') end ->> 'job_id')::uuid;
  v_lease jsonb;
  v_body text;
  v_asked text;
  v_status int;
begin
  loop
    v_lease := claim_next_chunk_job_safe('w', 1, p_protocol => 2) #> '{leases,0}';
    exit when v_lease is null;
    v_asked := v_lease #>> '{request,headers,If-None-Match}';
    if tests.params_of(v_lease) ? 'page' then
      v_body := tests.page_body('acme', (tests.params_of(v_lease) ->> 'page')::int);
    else
      v_body := '{"message": "gone"}';
    end if;
    v_status := case when not tests.params_of(v_lease) ? 'page' then 404
      when v_asked = format('"%s"', md5(v_body)) then 304 else 200 end;
    insert into tests.answered values (v_status, v_asked);
    perform complete_chunk_job_safe((v_lease ->> 'queue_id')::bigint,
      (v_lease ->> 'lease_token')::bigint, jsonb_build_object('status', v_status,
      'headers', case when v_status <> 404 then jsonb_build_object('etag',
        format('"%s"', md5(v_body))) end, 'body', case v_status when 304 then '' else v_body end));
  end loop;
  return (select string_agg(status::text, ' ' order by status) from tests.answered)
    || (select ': ' || status from public.polling_job_status where id = v_job_id);
end; $$;
create function tests.again(p_kind text default 'sync') returns text language sql as $$
  select tests.advance('1 hour');
  delete from tests.answered;
  select tests.read_things(p_kind);
$$;
create function tests.ids_here() returns text language sql as $$
  select string_agg(id, ' ' order by id) from public.synced_records where deleted_at is null;
$$;

select is(tests.read_things(), '200 200: completed', 'the first time every page is read');
select is((select count(*) from sync.page_etags), 2::bigint, 'and its version kept');
select is(tests.again(), '304 304: completed', 'what has not changed costs no body');
select results_eq($$select distinct_ids, expected_total, records_seen, records_changed,
  pages_completed from public.workspace_sync_runs order by id desc limit 1$$,
  $$values (3::bigint, 3::bigint, 3::bigint, 0::bigint, 2::bigint)$$,
  'and counts as the pages that were read before');
update tests.accounts set fields = '{"name": "new"}' where id = 3;
select is(tests.again(), '200 304: completed', 'a page that has changed is read');
select is((select raw ->> 'name' from public.synced_records where id = '3'), 'new',
  'and written');
select tests.serve('acme', 1, 2);
select is(tests.again(), '200 404: completed', 'with another total no page is as it was');
select tests.serve('acme', 1, 2, 3);
select is(tests.again(), '200 200: completed',
  'a page that the last complete run did not see is read, though its version is known');
select is(tests.ids_here(), '1 2 3', 'so that what came back is here');
select is(tests.again(), '304 304: completed', 'then it is known again');

select is(tests.again('audit'), '200 200: completed', 'an audit reads all');
select tests.declare('{"params": {"sort": "id"}}');
select is(tests.again(), '200 200: completed', 'another declaration knows nothing of before');
select tests.advance('8 days');
select is(tests.again(), '200 200: completed', 'after full_scan_days all is read again');
select rotate_workspace_key('acme', 'another');
select is(tests.again(), '200 200: completed', 'so it is with another key');

-- What follows a full last page may be told outside of what the version is made of.
select tests.declare('{"completeness": "agreed", "params": {"page": "{page}"},
  "last_page_path": ["meta", "last_page"], "order_path": null}');
select tests.serve('acme', 1, 2, 3, 4);
select matches(tests.again(), 'completed$', 'a list whose last page is full');
select results_eq($$select distinct said -> 'ends' from sync.page_etags as e
  join public.sync_streams as s on s.id = e.stream_id and s.revision = e.stream_revision$$,
  $$values ('false'::jsonb)$$, 'keeps no version of that page');
select tests.declare('{"last_page_path": null, "completeness": "counted"}');
select tests.serve('acme', 1, 2, 3);

-- Nothing is kept of a page of which something was refused, nor where the API names no version.
alter table sync.page_etags add constraint none_is_kept check (false) not valid;
select tests.advance('8 days');
create function tests.answer_once(p_headers jsonb, p_status int default 200) returns text
  language plpgsql as $$
declare
  v_lease tests.lease;
begin
  perform start_sync_job('once', '{things}');
  select l.* into v_lease from tests.claim() as l;
  return complete_chunk_job_safe(v_lease.queue_id, v_lease.lease_token, jsonb_build_object('status',
    p_status, 'headers', p_headers, 'body', tests.page_body('acme', 1))) ->> 'outcome';
end; $$;
select is(tests.answer_once('{"date": "today"}'), 'completed', 'a page without a version');
select cancel_sync_job(id) from public.polling_job_status where status = 'running';
select is(tests.answer_once('{"etag": "x"}', 304), 'retry',
  'a 304 to a request without a condition is transient');
select is((select count(*) from sync.page_etags where etag = 'x'), 0::bigint,
  'and nothing of it kept');

select * from finish();
rollback;
