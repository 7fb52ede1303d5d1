begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme', 4);
select tests.workspace('zen', 4);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8, 9);
select tests.serve('zen', 1, 2, 3);
select tests.start('acme', 'zen');
select tests.work(2);
create temp table held as select l as lease from tests.claim(100) as l;
create temp table answer as
select complete_chunk_jobs_safe(jsonb_agg(tests.answer(lease)
  order by (lease).page desc)) -> 'outcomes' as outcomes from held;
select results_eq($$select (o ->> 'queue_id')::bigint, o ->> 'outcome' from answer,
  jsonb_array_elements(outcomes) as o$$,
  $$select (lease).queue_id, 'completed' from held order by (lease).page desc$$,
  'one outcome per page, in the order given');
select results_eq($$select count(*), count(distinct xmin::text) from sync.sender_emails
  where id > 2$$, $$values (8::bigint, 1::bigint)$$, 'written at once');
select results_eq($$select w.workspace_name, r.status from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id order by 1$$,
  $$values ('acme', 'completed'), ('zen', 'completed')$$, 'both runs closed');
select throws_ok($$select complete_chunk_jobs_safe('[]')$$, 'SY006', null, 'no page');
select throws_ok($$select complete_chunk_jobs_safe((select jsonb_agg(jsonb_build_object('queue_id',
  n, 'lease_token', 1, 'status', 200, 'body', ''))
  from generate_series(1, 101) as n))$$, 'SY006', null, 'more than 100');

select * from finish();
rollback;
