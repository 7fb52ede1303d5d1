begin;
\ir ../support/setup.psql
select plan(16);

-- Rows that the table takes one by one, and not beside each other.
select declare_source('{"source_name": "crm", "requests_per_second": null, "max_in_flight": null}');
select register_workspace('acme', 'https://crm.example', 'thesecret', 'crm',
  p_max_concurrency => 8);
create function tests.stream(p_type text, p_more text default '') returns void
  language plpgsql as $$
begin
  drop table if exists public.things;
  execute format('create table public.things (workspace_id bigint not null, id %s not null,
    name text %s, raw jsonb not null, updated_at timestamptz, last_changed_at timestamptz not null,
    deleted_at timestamptz, unlisted_at timestamptz, primary key (workspace_id, id))',
    p_type, p_more);
  delete from sync.target_tables where target not in (select oid from pg_class);
  perform sync.register_target_table('public.things');
  perform sync.write_upsert('sync.apply_things', 'public.things');
  perform declare_stream('{"source_name": "crm", "stream_name": "things", "path": "/things",
    "page_size": 2, "id_type": "text", "target_table": "public.things",
    "apply_function": "sync.apply_things"}');
end; $$;
create table tests.pages (page int primary key, ids text[], names text[]);
create function tests.thing_page(p_page int) returns text language sql as $$
  select tests.body(array(
    select jsonb_build_object('id', t.id, 'name', coalesce(t.name, 'Thing ' || t.id))
    from unnest(p.ids, p.names) as t (id, name)), 9, 5)
  from tests.pages as p where p.page = p_page;
$$;

-- All pages but the first are handed over in one call, with one of another source.
select tests.workspace('zen');
create table tests.outcomes (page int, outcome text, code text, message text);
create function tests.read_things() returns text language plpgsql as $$
begin
  perform tests.serve('zen', 1);
  delete from tests.outcomes;
  perform tests.advance('1 hour');
  perform start_sync_job('things', '{things}');
  perform tests.complete(l, tests.thing_page(1)) from tests.claim() as l;
  perform start_sync_job('zen', '{sender_emails}', '{zen}');
  insert into tests.outcomes
  select page, o ->> 'outcome', o ->> 'code', o ->> 'message' from (
    select array_agg(case l.workspace when 'acme' then l.page else 0 end order by l.queue_id)
        as pages,
      complete_chunk_jobs_safe(jsonb_agg(tests.answer(l) || case l.workspace when 'acme' then
        jsonb_build_object('body', tests.thing_page(l.page)) else '{}' end order by l.queue_id))
      -> 'outcomes' as outcomes
    from tests.claim(100) as l) as answer
  cross join unnest(answer.pages) with ordinality as p (page, n)
  cross join lateral (select answer.outcomes -> (p.n::int - 1) as o) as x;
  return (select string_agg(format('%s %s', page, outcome), ', ' order by page)
    from tests.outcomes);
end; $$;
insert into tests.pages (page, ids) values
  (1, '{1,2}'), (2, '{3,7}'), (3, '{4,5}'), (4, '{7.0,6}'), (5, '{9}');

select tests.stream('numeric');
create function tests.things() returns text language sql as $$
  select string_agg(id::text, ' ' order by id::text) from public.things where deleted_at is null;
$$;
select is(tests.read_things(), '0 completed, 2 completed, 3 completed, 4 failed, 5 completed',
  'of two pages with ids that their column takes for one, one is refused');
select results_eq($$select code, message ~ '7' and message ~ '7\.0' from tests.outcomes
  where page = 4$$, $$values ('SY012', true)$$, 'and names both');
select is(tests.things(), '1 2 3 4 5 7 9', 'the others are written');
select is((select r.status from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id and w.workspace_name = 'acme'),
  'failed', 'its run fails');
select is((select r.status from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id and w.workspace_name = 'zen'),
  'completed', 'and no other');

-- The same, one after the other.
select tests.stream('numeric');
select start_sync_job('things', '{things}');
select tests.complete(l, tests.thing_page(1)) from tests.claim() as l;
create temp table held as select l as lease from tests.claim(100) as l;
create temp table told as select (lease).page, tests.complete(lease, tests.thing_page((lease).page))
  as outcome from held order by (lease).page;
select is((select string_agg(format('%s %s', page, outcome), ', ' order by page) from told),
  '2 completed, 3 completed, 4 failed, 5 cancelled', 'by calls of their own it is the same page');

-- What a user demands of rows beside each other.
update tests.pages set ids = '{8,6}', names = '{Same,Other}' where page = 4;
update tests.pages set names = '{Third,Same}' where page = 2;
select tests.stream('text', 'unique');
select is(tests.read_things(), '0 completed, 2 completed, 3 completed, 4 failed, 5 completed',
  'of two pages with what has to be unique, one is refused');
select results_eq($$select code, message ~ 'things_name_key' from tests.outcomes where page = 4$$,
  $$values ('SY012', true)$$, 'and names the constraint');
select is(tests.things(), '1 2 3 4 5 7 9', 'the others are written');

-- What is checked at the end of a transaction.
select tests.stream('text', 'unique deferrable initially deferred');
select is(tests.read_things(), '0 completed, 2 completed, 3 completed, 4 failed, 5 completed',
  'nor does what is checked when a call ends take others with it');
select results_eq($$select code, message ~ 'things_name_key' from tests.outcomes where page = 4$$,
  $$values ('SY012', true)$$, 'it is told as well');
update tests.pages set ids = '{7,8}', names = '{Same,Same}' where page = 4;
select tests.stream('text', 'unique deferrable initially deferred');
select tests.read_things();
select results_eq($$select outcome, code from tests.outcomes where page in (2, 4) order by page$$,
  $$values ('completed', null), ('failed', 'SY012')$$, 'also within one page');

-- Many that do not go together.
create function tests.crowd(p_pages int) returns void language sql as $$
  delete from tests.pages;
  insert into tests.pages (page, ids, names)
  select n, array[n::text], array[case when n % 2 = 0 then 'Same' else 'Thing ' || n end]
  from generate_series(1, p_pages) as n;
$$;
select tests.crowd(5);
select tests.stream('text', 'unique');
select is(tests.read_things(), '0 completed, 2 completed, 3 completed, 4 failed, 5 completed',
  'two of four');
update tests.pages set names = '{Same}';
select tests.stream('text', 'unique');
select is(tests.read_things(), '0 completed, 2 failed, 3 failed, 4 failed, 5 failed',
  'four that do not go with what is there');
select tests.stream('text', 'unique');
delete from tests.pages;
insert into tests.pages (page, ids, names) values (1, '{1}', '{First}');
insert into tests.pages (page, ids, names)
select n, array[n::text], array['Same'] from generate_series(2, 5) as n;
select is(tests.read_things(), '0 completed, 2 completed, 3 failed, 4 failed, 5 failed',
  'four of which one may stay');
select is(tests.things(), '1 2', 'which does');

select * from finish();
rollback;
