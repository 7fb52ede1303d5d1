begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(20);

-- The API: it serves fewer than are asked for; its ETag is made of a page's records, and what
-- follows them stands beside: a cursor, which is none any more where a new epoch began.
create table tests.answered (status int);
create table tests.api (served int, epoch int);
insert into tests.api values (2, 0);
create function tests.served_page(p_cursor int) returns jsonb language sql as $$
  select jsonb_build_object(
    'data', coalesce((
      select jsonb_agg(tests.item(i) order by i.key) from (
        select * from tests.items order by key offset p_cursor % 1000 limit a.served) as i), '[]'),
    'next', case when (select count(*) from tests.items) > p_cursor % 1000 + a.served
      then a.epoch * 1000 + p_cursor % 1000 + a.served end)
  from tests.api as a where p_cursor in (0, a.epoch * 1000 + p_cursor % 1000);
$$;
create function tests.read_versions() returns text language plpgsql as $$
declare
  v_job_id uuid := (start_sync_job('items', '{items}') ->> 'job_id')::uuid;
  v_lease jsonb;
  v_body jsonb;
  v_etag text;
  v_status int;
begin
  delete from tests.answered;
  perform tests.advance('1 hour');
  loop
    v_lease := claim_next_chunk_job_safe('w', 1, p_protocol => 2) #> '{leases,0}';
    exit when v_lease is null;
    v_body := tests.served_page(coalesce(tests.params_of(v_lease) ->> 'after', '0')::int);
    v_etag := format('"%s"', md5((v_body -> 'data')::text));
    v_status := case when v_body is null then 400
      when v_lease #>> '{request,headers,If-None-Match}' = v_etag then 304 else 200 end;
    insert into tests.answered values (v_status);
    perform complete_chunk_job_safe((v_lease ->> 'queue_id')::bigint,
      (v_lease ->> 'lease_token')::bigint, jsonb_build_object('status', v_status,
      'headers', jsonb_strip_nulls(jsonb_build_object('etag', v_etag)), 'body', case v_status
        when 200 then v_body::text when 304 then '' else '{"message": "no such cursor"}' end));
  end loop;
  return (select status from public.polling_job_status where id = v_job_id) || coalesce(': ' || (
    select string_agg(status::text, ' ' order by status) from tests.answered), '');
end; $$;
create function tests.declare_versions(p_fields jsonb default '{}') returns void language sql as $$
  select tests.chained('{"params": {"after": "{next}"}, "next_path": ["next"],
    "cursor_is": "keyset", "order_direction": "asc", "conditional": true}'::jsonb || p_fields);
$$;

select tests.declare_versions();
select tests.fill(1, 4);
select is(tests.read_versions(), 'completed: 200 200', 'two pages, shorter than declared');
select is(tests.read_versions(), 'completed: 200 304',
  'the last one is as long as the first: it is read each time');
select tests.fill(5, 5);
select is(tests.read_versions(), 'completed: 200 200 304', 'so that a record that follows it');
select is(tests.ids_here(), '{1,2,3,4,5}', 'is here');
select is(tests.read_versions(), 'completed: 304 304 304',
  'one that is shorter than those before it has a version');
select tests.fill(6, 6);
select is(tests.read_versions(), 'completed: 200 304 304', 'a record more on it');
select is(tests.ids_here(), '{1,2,3,4,5,6}', 'is here too');

-- A list of one page: how long a page is that others follow is known of the stream.
delete from tests.items;
select tests.fill(11, 12);
select tests.read_versions();
select is(tests.read_versions(), 'completed: 200', 'an only page that is as long has none');
select tests.fill(13, 13);
select is(tests.read_versions(), 'completed: 200 200', 'a record that follows it');
select is(tests.ids_here() @> '{11,12,13}', true, 'is here');
delete from tests.items where id > 11;
select tests.read_versions();
select is(tests.read_versions(), 'completed: 304', 'an only page that is shorter has one');
delete from tests.items;
select tests.read_versions();
select is(tests.read_versions(), 'completed: 304', 'as has an empty one');

-- Pages as long as they are asked for.
update tests.api set served = 10;
select tests.declare_versions('{"headers": {"X-Version": "2"}}');
select tests.fill(1, 12);
select tests.read_versions();
select is(tests.read_versions(), 'completed: 304 304', 'a last page that is short has a version');
delete from tests.items where id > 9;
select tests.read_versions();
select is(tests.read_versions(), 'completed: 304', 'so has an only one');
delete from tests.items;
select tests.fill(1, 20);
select tests.read_versions();
select is(tests.read_versions(), 'completed: 200 304', 'one of that length has none');

-- The cursor beside records that have not changed is another one now.
select tests.fill(21, 21);
select tests.read_versions();
select is(tests.read_versions(), 'completed: 304 304 304', 'three pages that have not changed');
update tests.api set epoch = 1;
select is(tests.read_versions(), 'completed: 200 200 200 304 400',
  'where the cursor of one is refused all are read again');
select is(tests.read_versions(), 'completed: 304 304 304', 'and known by the new ones');

-- An agreed list sends its conditions again in the scan that is compared.
select tests.declare_versions('{"completeness": "agreed", "cursor_is": null, "order_path": null}');
select tests.read_versions();
select is(tests.read_versions(), 'completed: 304 304 304 304 304 304',
  'two scans of what is known');
update tests.api set epoch = 2;
select matches(tests.read_versions(), '^completed: .*200 200 200.* 400$',
  'of which none counts that was refused a page');

select * from finish();
rollback;
