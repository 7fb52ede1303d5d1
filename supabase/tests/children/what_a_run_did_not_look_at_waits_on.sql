begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(14);

create function tests.waiting() returns table (run text, waiting bigint) language sql as $$
  select case r.id when max(r.id) over () then 'the last' else 'older' end, r.deletions_waiting
  from public.workspace_sync_runs as r
  join public.sync_streams as st on st.id = r.stream_id and st.stream_name = 'leads';
$$;
create function tests.held() returns setof bigint language sql as $$
  select waiting from tests.waiting() where run = 'the last'
  union all select coalesce(sum(waiting), 0) from tests.waiting() where run = 'older'
  union all select deletions_waiting from public.workspace_health where stream = 'leads';
$$;
create function tests.change(p_campaign bigint) returns void language sql as $$
  update tests.campaigns set fields = jsonb_build_object('name', random()) where id = p_campaign;
$$;

-- Lists that became empty, while runs follow what changed.
select tests.declare_leads('{"fan_out": "changed"}');
select tests.campaign(1, 11, 12);
select tests.campaign(2, 21);
select tests.sync_children();
select tests.campaign(1);
select tests.change(1);
select is(tests.sync_children(), 'completed', 'a list that became empty');
select results_eq('select tests.held()', 'values (2::bigint), (0), (2)', 'holds what it had');
select is(tests.sync_children(), 'completed', 'a run that looks at no list');
select results_eq('select tests.held()', 'values (2::bigint), (0), (2)', 'has it wait on');
select is(cardinality(tests.last_warnings()), 1, 'and says so');
select tests.campaign(2, 21, 22);
select tests.change(2);
insert into tests.refused values (2, 404);
select is(tests.sync_children(), 'partial', 'a run that is not complete');
select results_eq('select tests.held()', 'values (0::bigint), (2), (2)',
  'leaves it to the last one that was');
truncate tests.refused;
select tests.sync_children();
select results_eq('select tests.held()', 'values (2::bigint), (0), (2)',
  'from which the next has it');
select is((approve_deletions((select last_complete_run_id from public.workspace_health
  where stream = 'leads')) ->> 'deleted')::int, 2, 'an approval is of the last complete run');
select results_eq('select tests.held()', 'values (0::bigint), (0), (0)', 'and nothing waits then');

-- What the guard holds, without a GET of its own.
select tests.campaign(3, variadic array(select generate_series(301, 340)));
select tests.sync_children();
select tests.campaign(3, variadic array(select generate_series(301, 310)));
select tests.declare_leads('{"fan_out": "changed", "item_path": "/leads/{id}"}');
select tests.sync_children();
select results_eq('select tests.held()', 'values (30::bigint), (0), (30)', 'what the guard holds');
select tests.change(2);
select tests.sync_children();
select results_eq('select tests.held()', 'values (30::bigint), (0), (30)', 'waits on as well');
select tests.campaign(3, variadic array(select generate_series(301, 320)));
select tests.change(3);
select tests.sync_children();
select is((select count(*) from sync.missing_records where record_id = '320'), 0::bigint,
  'what a list shows again lives');
select is((select bool_and(held_by_run_id is null or held_by_run_id = (
    select last_complete_run_id from public.workspace_health where stream = 'leads'))
  from sync.missing_records), true, 'and what else waits can be approved');

select * from finish();
rollback;
