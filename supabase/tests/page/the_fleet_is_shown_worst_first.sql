begin;
\ir ../support/setup.psql
select plan(10);

select tests.workspace('fresh');
select tests.serve('fresh', 1, 2, 3);
select tests.sync('fresh');
select tests.workspace('another');
select tests.serve('another', 4);
select tests.sync('another');
select tests.workspace('refused');
update public.sync_workspaces set key_status = 'refused' where workspace_name = 'refused';
select tests.workspace('new');
select tests.workspace('failed');
select tests.serve('failed', 1);
select tests.sync('failed');
select tests.start('failed');
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select tests.workspace('off');
update public.sync_workspaces set is_active = false where workspace_name = 'off';

create function tests.fleet(p_search text default null, p_states text[] default null)
  returns table (name text, state text, tone text, act text) language sql as $$
  select r ->> 'workspace_name', r ->> 'state', r ->> 'tone', r ->> 'act'
  from jsonb_array_elements(public.get_fleet(p_search, p_states) -> 'rows') with ordinality
    as r (r, n) order by n;
$$;

select results_eq($$select * from tests.fleet()$$, $$values
  ('refused', 'key refused', 'wrong', 'command'), ('failed', 'failed', 'wrong', 'retry'),
  ('new', 'never synced', 'waiting', 'sync'), ('another', 'fresh', 'fresh', 'sync'),
  ('fresh', 'fresh', 'fresh', 'sync'), ('off', 'inactive', 'off', null)$$,
  'what somebody has to act on comes first, and what is well by its name');
select is(public.get_fleet() ->> 'fresh', '2', 'a workspace whose key is refused is not fresh');
update public.sync_workspaces set is_active = false where workspace_name = 'another';
select results_eq($$select name from tests.fleet('RESH')$$, $$values ('fresh')$$,
  'a search asks for a part of the name, whatever its case');
select results_eq($$select name from tests.fleet(null, '{wrong}')$$,
  $$values ('refused'), ('failed')$$, 'and a filter for a tone or a state');
select results_eq($$
  select (f ->> 'total')::int, (f ->> 'matching')::int, jsonb_array_length(f -> 'rows')
  from public.get_fleet(null, '{wrong}', 1, 1) as f
$$, $$values (6, 2, 1)$$, 'a part of the rows comes with the count of all');
select results_eq($$
  select (r ->> 'rows_here')::int, (r ->> 'api_total')::int, r ->> 'runs' ~ '^[0-9]+ completed$'
  from jsonb_array_elements(public.get_fleet('fresh') -> 'rows') as r
$$, $$values (3, 3, true)$$, 'rows here stand against the total of the API, with the last runs');

select tests.start('fresh');
update sync.workers set last_seen_at = sync.now() - interval '1 minute';
select results_eq($$select state, tone from tests.fleet('fresh')$$,
  $$values ('no worker', 'wrong')$$, 'a run that nobody works on says so');
update sync.workers set last_seen_at = sync.now();
select results_eq($$select state, tone from tests.fleet('fresh')$$,
  $$values ('syncing', 'working')$$, 'while a worker lives it is being synced');
select tests.advance('2 days');
select results_eq($$select state from tests.fleet('new')$$, $$values ('stale')$$,
  'a new workspace is stale when it is as old as any other may be');
select is((select count(*) from tests.fleet(null, '{fresh}')), 0::bigint,
  'and nothing is fresh by then');

select * from finish();
rollback;
