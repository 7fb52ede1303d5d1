begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(10);

select declare_source('{"source_name": "crm", "auth": "oauth2_refresh",
  "token_url": "https://login.example/token", "requests_per_second": null,
  "max_in_flight": null}');
create function tests.refuse(p_lease jsonb, p_seconds int) returns text language sql as $$
  select fail_chunk_job_safe((p_lease ->> 'queue_id')::bigint, (p_lease ->> 'lease_token')::bigint,
    'rate_limited', 'HTTP 429: slow down', p_answer => jsonb_build_object('status', 429,
      'headers', jsonb_build_object('retry-after', p_seconds::text))) ->> 'outcome';
$$;
create function tests.budgets() returns text language sql as $$
  select string_agg(format('%s %s %s', scope_key, coalesce(reduced_in_flight::text, 'free'),
    case when block_level > 0 then 'blocked' else 'open' end), ', ' order by scope_key)
  from sync_budgets where source_id = (select id from sync_sources where source_name = 'crm');
$$;
select tests.crm(name) from unnest('{acme,zen}'::text[]) as name;
select start_sync_job('test', '{people}');
create temporary table asked as select l from tests.leases(10) as l;
select is((select count(*) from asked), 2::bigint, 'two tokens are asked for');

select is(tests.refuse(l, 700), 'delayed', 'a 429 delays the request')
from asked where l ->> 'workspace' = 'acme';
select is((select due_at from sync.token_requests order by id limit 1),
  sync.now() + interval '700 seconds', 'for as long as it asks');
select is(tests.budgets(), 'acme.example free open, login.example 1 open, zen.example free open',
  'what it teaches is of the endpoint''s host, and of no instance');
select is((select count(*) from sync_workspaces where rate_limited_until is not null), 0::bigint,
  'no workspace waits for more than its token');
select is((select failing_since from sync.token_requests order by id limit 1), null,
  'who is told to wait is not failing');

select tests.end_lease(l, 200, tests.token('planted-access-1')) from asked
where l ->> 'workspace' = 'zen';
select is(tests.status_of('zen'), 'running', 'the other workspace goes on');
select tests.advance('650 seconds');
select cleanup_stuck_chunks();
select is(tests.status_of('acme'), 'running', 'after ten minutes, too, it only waits');
select tests.advance('60 seconds');
select is(tests.end_lease(l, 200, tests.token('planted-access-2')), 'completed',
  'then it is asked for again')
from tests.leases(10) as l where l #> '{request,form}' is not null
  and l ->> 'workspace' = 'acme';
select is(tests.budgets(), 'acme.example free open, login.example 2 open, zen.example free open',
  'and each answer sent since gives a place back');

select * from finish();
rollback;
