begin;
\ir ../support/setup.psql
select plan(3);

create temp table ways (way text, pins text);
insert into ways values
  ('a worker''s verb: no plan but look-ups, kept per session', 'enable_bitmapscan=off '
    'enable_hashjoin=off enable_mergejoin=off enable_seqscan=off jit=off '
    'plan_cache_mode=force_generic_plan'),
  ('a screen: a plan that is kept', 'plan_cache_mode=force_generic_plan'),
  ('the same, by keys', 'enable_seqscan=off plan_cache_mode=force_generic_plan'),
  ('the same, of all workspaces', 'enable_hashjoin=on enable_nestloop=off jit=off '
    'plan_cache_mode=force_generic_plan'),
  ('look-ups by key of each', 'enable_hashjoin=off enable_mergejoin=off enable_seqscan=off'),
  ('the same, inside of what joins sets', 'enable_hashjoin=off enable_mergejoin=off '
    'enable_nestloop=on enable_seqscan=off'),
  ('the same, with a merge', 'enable_hashjoin=off enable_nestloop=on enable_seqscan=off'),
  ('the same, in the order of an index', 'enable_bitmapscan=off enable_hashjoin=off '
    'enable_mergejoin=off enable_seqscan=off'),
  ('a join of sets, linear without statistics', 'enable_hashjoin=on enable_nestloop=off '
    'enable_seqscan=off'),
  ('the same, of sets that merge', 'enable_hashjoin=on enable_mergejoin=off enable_nestloop=off '
    'enable_seqscan=off'),
  ('the same, of arguments', 'enable_hashjoin=on enable_nestloop=off'),
  ('arguments joined with what a verb looks up', 'enable_hashjoin=on'),
  ('the first rows of an index, in its order', 'enable_sort=off'),
  ('the same, of one run', 'enable_bitmapscan=off enable_seqscan=off enable_sort=off'),
  ('the same, of all that is live', 'enable_seqscan=off enable_sort=off'),
  ('rows by key', 'enable_seqscan=off'),
  ('a span of time', 'enable_bitmapscan=on'),
  ('the planner''s choice again, of plans by keys', 'enable_hashjoin=on enable_seqscan=off '
    'plan_cache_mode=auto'),
  ('the same, of a look at everything', 'enable_bitmapscan=on enable_hashjoin=on '
    'enable_mergejoin=on enable_seqscan=on plan_cache_mode=auto');

create temp table pinned as
select p.oid::regprocedure::text as function, string_agg(s.setting, ' ' order by s.setting) as pins
from pg_proc as p cross join unnest(p.proconfig) as s (setting)
where p.pronamespace in ('public'::regnamespace, 'sync'::regnamespace)
  and s.setting ~ '^(enable_\w+|plan_cache_mode|jit)='
  and not exists (select 1 from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
group by p.oid;

select is_empty('select p.* from pinned as p left join ways as w using (pins) where w.way is null',
  'a function that pins its plans does so in a way that has a name here');
select is_empty('select w.* from ways as w left join pinned as p using (pins)
  where p.function is null', 'and every way is gone');
select set_eq($$select split_part(function, '(', 1) from pinned join ways using (pins)
  where way like 'a worker%'$$, $$values ('claim_next_chunk_job_safe'), ('claim_chunk_job_safe'),
  ('extend_chunk_leases'), ('complete_chunk_jobs_safe'), ('fail_chunk_job_safe'),
  ('cleanup_stuck_chunks')$$,
  'the verbs of workers and the sweep are pinned alike, by one statement');

select * from finish();
rollback;
