begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(10);

-- By offsets, or by what the answer names as next; no total.
create function tests.listed_answer(p_chunk public.chunked_sync_jobs) returns jsonb
  language sql as $$
  select jsonb_build_object('status', 200, 'body', jsonb_build_object(
    'data', coalesce(jsonb_agg(jsonb_build_object('id', l.id) order by l.id)
      filter (where l.n <= 2), '[]'),
    'next', max(l.id) filter (where l.n = 2 and l.n < l.count))::text)
  from (
    select id, row_number() over (order by id) as n, count(*) over () as count from tests.leads
    where campaign = (p_chunk.reading #>> '{parent,id}')::bigint
      and id > coalesce((p_chunk.reading ->> 'next')::bigint, 0)
  ) as l;
$$;
create or replace function tests.child_answer(p_chunk public.chunked_sync_jobs) returns jsonb
  language sql as $$ select tests.listed_answer(p_chunk); $$;

select tests.declare_leads('{"completeness": "chained", "order_path": ["id"],
  "order_direction": "asc", "params": {"after": "{next}"}, "next_path": ["next"],
  "cursor_is": "keyset"}');
select tests.campaign(1, 11, 12, 13, 14, 15);
select tests.campaign(2, 21);
select tests.campaign(3);
select is(tests.sync_children(), 'completed', 'each list is a chain of its own');
select is(tests.asked('leads%'), array['leads of 1, page 1', 'leads of 1, page 2',
  'leads of 1, page 3', 'leads of 2, page 1', 'leads of 3, page 1'], 'to its own end');
select is(tests.live_leads(), array['11', '12', '13', '14', '15', '21'], 'and all of it is there');
select results_eq($$select c.reading from public.chunked_sync_jobs as c
  where c.page > 1 order by c.page$$, $$values ('{"next": 12, "parent": {"id": 1}}'::jsonb),
  ('{"next": 14, "parent": {"id": 1}}')$$, 'each page knows its place and its parent');
delete from tests.leads where id = 13;
select tests.sync_children('leads') from generate_series(1, 2);
select is(tests.live_leads(), array['11', '12', '14', '15', '21'],
  'what a chain misses twice is gone');
update tests.leads set id = 10 where id = 21;
select tests.declare_leads('{"completeness": "chained", "order_path": ["id"],
  "order_direction": "desc", "params": {"after": "{next}"}, "next_path": ["next"],
  "cursor_is": "keyset"}');
select is(tests.sync_children('leads'), 'partial', 'a list that is not in its order is not proven');
select results_eq($$select parent_id, state from sync.run_parts
  where run_id = (select max(id) from public.workspace_sync_runs) order by 1$$,
  $$values ('1', 'unproven'), ('2', 'proven'), ('3', 'proven')$$, 'and only it');

select tests.declare_leads('{"completeness": "agreed", "params": {"after": "{next}"},
  "next_path": ["next"]}');
select is(tests.sync_children('leads'), 'completed', 'a list without order takes two scans');
select is(tests.asked('leads of 1%'), array['leads of 1, page 1', 'leads of 1, page 1',
  'leads of 1, page 2', 'leads of 1, page 2'], 'that agree');
select results_eq($$select parent_id, state, attempt from sync.run_parts
  where run_id = (select max(id) from public.workspace_sync_runs) and state <> 'repeated'
  order by 1$$, $$values ('1', 'proven', 2), ('2', 'proven', 2), ('3', 'proven', 2)$$,
  'each by itself');

select * from finish();
rollback;
