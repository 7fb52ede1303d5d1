begin;
\ir ../support/setup.psql
select plan(21);

select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null}');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');
create domain tests.short_text as text check (length(value) < 40);
create function tests.stream(p_type text) returns void language plpgsql as $$
begin
  drop table if exists public.things;
  execute format('create table public.things (workspace_id bigint not null, id %s not null,
    name text, raw jsonb not null, updated_at timestamptz, last_changed_at timestamptz not null,
    deleted_at timestamptz, unlisted_at timestamptz, primary key (workspace_id, id))', p_type);
  delete from sync.target_tables where target not in (select oid from pg_class);
  perform sync.register_target_table('public.things');
  perform sync.write_upsert('sync.apply_things', 'public.things');
  perform declare_stream('{"source_name": "crm", "stream_name": "things", "path": "/things",
    "page_size": 10, "id_type": "text", "target_table": "public.things",
    "apply_function": "sync.apply_things"}');
end; $$;
create function tests.read_things(variadic p_ids text[]) returns text language plpgsql as $$
declare
  v_job_id uuid := (start_sync_job('things') ->> 'job_id')::uuid;
  v_lease tests.lease;
begin
  perform tests.advance('1 hour');
  select l.* into v_lease from tests.claim() as l;
  perform tests.complete(v_lease, tests.body(array(
    select jsonb_build_object('id', id, 'name', 'Thing ' || id) from unnest(p_ids) as id),
    cardinality(p_ids), 1));
  return (select status from public.polling_job_status where id = v_job_id) || ': ' || coalesce((
    select string_agg(right(t.id::text, 1), ' ' order by t.id) from public.things as t
    where deleted_at is null), '');
end; $$;
create function tests.read_numbered(p_form text, p_to int) returns text language sql as $$
  select tests.read_things(variadic array(
    select format(p_form, n) from generate_series(1, p_to) as n));
$$;

-- What a type gives back as it was written is synced and deleted as text is.
select tests.stream('uuid');
select is(tests.read_numbered('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1%s', 3),
  'completed: 1 2 3', 'ids in a column of type uuid');
select is(tests.read_numbered('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1%s', 2),
  'completed: 1 2 3', 'are missed');
select is(tests.read_numbered('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1%s', 2),
  'completed: 1 2', 'and go');
select tests.stream('tests.short_text');
select is(tests.read_numbered('A%s', 3), 'completed: 1 2 3',
  'in one of a domain');
select tests.read_numbered('A%s', 2);
select is(tests.read_numbered('A%s', 2), 'completed: 1 2', 'too');

-- What it would give back otherwise, no scan would find again.
create function tests.refused() returns text language sql as $$
  select split_part(error_message, ' refuses record ', 1) || ': '
    || (select count(*) from public.things where deleted_at is null)
  from public.chunk_processing_queue
  where error_message is not null order by created_at desc, id desc limit 1;
$$;
select is(tests.read_things('A1', 'A2', repeat('A', 41)), 'failed: 1 2',
  'what a check refuses is not written');
select is(tests.refused(), 'public.things: 2', 'and told');
select tests.stream('uuid');
select is(tests.read_numbered('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A1%s', 3),
  'failed: ', 'a uuid in capitals');
select is(tests.refused(), 'public.things: 0', 'is refused');
select tests.stream('varchar(3)');
select is(tests.read_things('abc1', 'abc2'), 'failed: ', 'ids that would be cut');
select is(tests.refused(), 'public.things: 0', 'are refused, and not one of them kept');
select is(tests.read_things('abc', 'abcd'), 'failed: ', 'of two that are cut to one');
select is(tests.refused(), 'public.things: 0', 'none is kept either');
select tests.stream('numeric');
select is(tests.read_things('7', '7.0'), 'failed: ', 'nor of two that a type takes for one');
select is(tests.refused(), 'public.things: 0', 'although it writes both as they are');

-- The same, of two lists of children in one call.
select tests.stream('numeric');
select declare_stream('{"source_name": "crm", "stream_name": "boxes", "path": "/boxes",
  "page_size": 10, "is_default": false}');
select declare_stream('{"source_name": "crm", "stream_name": "things", "page_size": 10,
  "path": "/boxes/{parent.id}/things", "parent_stream": "boxes", "id_type": "text",
  "target_table": "public.things", "apply_function": "sync.apply_things"}');
select start_sync_job('boxes', '{boxes}');
select tests.complete(l, tests.body('{1,2}'::bigint[], 2, 1)) from tests.claim() as l;
select start_sync_job('things', '{things}');
select results_eq($$select o ->> 'outcome', o ->> 'code' from (
    select complete_chunk_jobs_safe(jsonb_agg(jsonb_build_object('queue_id', l.queue_id,
      'lease_token', l.lease_token, 'status', 200, 'body', jsonb_build_object('data',
      jsonb_build_array(jsonb_build_object('id', case l.n when 1 then '7' else '7.0' end)),
      'meta', '{"total": 1, "last_page": 1}'::jsonb)::text) order by l.queue_id)) as answer
    from (select c.*, row_number() over (order by c.queue_id) as n from tests.claim(9) as c) as l
  ) as told cross join jsonb_array_elements(told.answer -> 'outcomes') as o order by 1$$,
  $$values ('completed', null), ('failed', 'SY012')$$,
  'of two below different parents one is told');
select is((select count(*) from public.things), 1::bigint, 'and the other one written');
select tests.stream('bigint');
select is(tests.read_things('7', '008'), 'failed: ', 'numbers with zeros before them');
select is(tests.refused(), 'public.things: 0', 'are refused');

-- Nor is one that cannot tell ids apart registered.
create collation tests.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create extension if not exists citext with schema extensions;
select throws_ok(format('select tests.stream(%L)', type), 'SY006', null,
  format('ids of the type %s are refused', type))
from unnest('{extensions.citext,text collate tests.any_case}'::text[]) as type;

select * from finish();
rollback;
