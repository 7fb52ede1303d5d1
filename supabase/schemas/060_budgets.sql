-- Budgets: the requests per second and in flight that all workers share, per instance or per key.
-- Stands on: sources.

create table public.sync_budgets (
  id bigint generated always as identity primary key,
  source_id bigint not null references public.sync_sources (id) on delete cascade,
  scope_key text not null,
  requests_per_second numeric,
  max_in_flight int,
  next_send_at timestamptz,
  blocked_at timestamptz,
  blocked_until timestamptz,
  block_level int not null default 0,
  probe_until timestamptz,
  created_at timestamptz not null default sync.now(),
  unique (source_id, scope_key),
  constraint sync_budgets_requests_per_second_check
  check (requests_per_second between 0.001 and 100000),
  constraint sync_budgets_max_in_flight_check check (max_in_flight > 0)
) with (fillfactor = 50);
comment on table public.sync_budgets is
'What all workers together may send to one instance or with one key.';
comment on column public.sync_budgets.scope_key is
'The instance (host and port), or workspace:<id> for a budget per key.';
comment on column public.sync_budgets.requests_per_second is 'Null: unlimited.';
comment on column public.sync_budgets.max_in_flight is 'Null: unlimited.';
comment on column public.sync_budgets.block_level is
'Above 0 after a 429 until a request succeeds: one probe goes first.';
comment on column public.sync_budgets.probe_until is
'Until then one probe is on its way and nobody else sends.';
comment on column public.sync_budgets.next_send_at is 'Until then every send time is reserved.';
comment on column public.sync_budgets.blocked_at is
'When the last block was set: later than now, the clock was set back since.';
comment on column public.sync_budgets.blocked_until is 'After a 429 nobody sends until then.';
alter table public.sync_budgets enable row level security;

create function sync.ensure_budget(p_source_id bigint, p_base_url text, p_workspace_id bigint)
  returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source public.sync_sources;
  v_key text;
  v_budget_id bigint;
begin
  select * into strict v_source from public.sync_sources where id = p_source_id;
  v_key := case v_source.budget_scope
    when 'key' then 'workspace:' || p_workspace_id else sync.host_of(p_base_url) end;
  select id into v_budget_id from public.sync_budgets
  where source_id = p_source_id and scope_key = v_key;
  -- Only a new one is inserted: the attempt waits for whoever is just writing one that is there.
  if v_budget_id is null then
    insert into public.sync_budgets (source_id, scope_key, requests_per_second, max_in_flight)
    values (p_source_id, v_key, v_source.requests_per_second, v_source.max_in_flight)
    on conflict (source_id, scope_key) do nothing;
    select id into strict v_budget_id from public.sync_budgets
    where source_id = p_source_id and scope_key = v_key;
  end if;
  return v_budget_id;
end; $$;
comment on function sync.ensure_budget(bigint, text, bigint) is
$$The budget a workspace draws on, made with the source's defaults if new. Returns: its id. Locks:
the new row.$$;

create function public.set_budget(
  p_source text, p_requests_per_second numeric, p_max_in_flight int, p_scope_key text default null
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
declare
  v_source_id bigint;
  v_changed int;
begin
  perform sync.require_service();
  select id into v_source_id from public.sync_sources where source_name = p_source;
  if v_source_id is null then
    raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them; declare_source() adds one.';
  end if;
  if p_requests_per_second not between 0.001 and 100000 or p_max_in_flight <= 0 then
    raise exception using errcode = 'SY006',
      message = 'a budget takes 0.001 to 100,000 requests per second, and 1 or more in flight',
      hint = 'Null means unlimited; pause_sync() stops a source.';
  end if;
  update public.sync_sources
  set requests_per_second = p_requests_per_second, max_in_flight = p_max_in_flight
  where id = v_source_id and p_scope_key is null;
  update public.sync_budgets as b
  set requests_per_second = p_requests_per_second, max_in_flight = p_max_in_flight,
  next_send_at = null
  from (
    select id from public.sync_budgets
    where source_id = v_source_id and (p_scope_key is null or scope_key = any (array[p_scope_key,
      sync.host_of('https://' || p_scope_key), sync.host_of('http://' || p_scope_key)]))
    order by id for no key update
  ) as meant
  where b.id = meant.id;
  get diagnostics v_changed = row_count;
  if p_scope_key is not null and v_changed = 0 then
    raise exception using errcode = 'SY006',
      message = format('source %s has no budget %L', p_source, p_scope_key),
      hint = 'select scope_key from sync_budgets lists them; they appear with their first '
        'workspace.';
  end if;
  return jsonb_build_object('source', p_source, 'budgets_changed', v_changed);
end; $$;
comment on function public.set_budget(text, numeric, int, text) is
$$Set requests per second and in flight (null: unlimited) of one budget, or of a source's all,
future ones too. Returns: {"source", "budgets_changed"}. Raises: SY003 unknown source, SY006 bad
figure or scope. Locks: the source, if all are meant; then the budgets, by id, last of all.$$;

create function sync.block_budget(p_workspace_id bigint, p_retry_after numeric) returns interval
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_budget public.sync_budgets;
  v_now timestamptz;
  v_until timestamptz;
begin
  select b.* into strict v_budget from public.sync_budgets as b
  join public.sync_workspaces as w on w.budget_id = b.id
  where w.id = p_workspace_id for no key update of b;
  v_now := sync.now();
  v_until := greatest(v_budget.blocked_until, v_now + make_interval(secs => coalesce(
    case when p_retry_after > 0 then least(p_retry_after, 3600) end,
    least(sync.setting('retry_cap_seconds'),
    sync.setting('retry_base_seconds') * 2 ^ least(v_budget.block_level, 10))
  )::double precision));
  update public.sync_budgets set
    blocked_at = v_now, blocked_until = v_until, probe_until = null, next_send_at = null,
    block_level = block_level + case when coalesce(v_budget.blocked_until, v_now) <= v_now then 1
    else 0 end
  where id = v_budget.id;
  return v_until - v_now;
end; $$;
comment on function sync.block_budget(bigint, numeric) is
$$Nobody sends on this workspace's budget for so many seconds (at most an hour), or for a backoff
where the API named none, or none above 0. Returns: how long the block lasts. Locks: the budget,
last of all.$$;

create function sync.unblock_budgets(p_workspace_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_budgets as b set block_level = 0, blocked_until = null, probe_until = null
  from (
    select id from public.sync_budgets
    where id in (select budget_id from public.sync_workspaces where id = any (p_workspace_ids))
      and block_level > 0 and blocked_until <= sync.now()
    order by id for no key update
  ) as probed
  where b.id = probed.id;
end; $$;
comment on function sync.unblock_budgets(bigint[]) is
$$A request succeeded after the block had passed: full speed again. An answer to a request sent
before the 429 does not lift the block. Locks: the budgets, last of all.$$;

create function sync.let_next_probe(p_queue_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_budgets as b set probe_until = null
  from (
    select s.id from public.chunk_processing_queue as q
    join public.workspace_sync_runs as r on r.id = q.run_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_budgets as s on s.id = w.budget_id
    where q.id = any (p_queue_ids) and s.block_level > 0 and s.blocked_until <= q.started_at
    order by s.id for no key update of s
  ) as probed
  where b.id = probed.id;
end; $$;
comment on function sync.let_next_probe(bigint[]) is
$$A probe (a chunk claimed after the block had passed) ended without saying whether the budget
answers again: another may go. Locks: the budgets, last of all.$$;

create function sync.blocked_budgets() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'budget_id', id, 'for_ms', ceil(extract(epoch from blocked_until - sync.now()) * 1000)::bigint
    ) order by id), '[]')
    from public.sync_budgets where block_level > 0 and blocked_until > sync.now()
  );
end; $$;
comment on function sync.blocked_budgets() is
$$Returns: [{"budget_id", "for_ms"}] of the budgets on which nothing may be sent now.$$;

revoke all on sequence public.sync_budgets_id_seq from public, anon, authenticated, service_role;
revoke all on table public.sync_budgets from public, anon, authenticated, service_role;
grant select on table public.sync_budgets to authenticated, service_role;
create policy sync_budgets_select_operator on public.sync_budgets
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.ensure_budget, public.set_budget, sync.block_budget, sync.unblock_budgets,
  sync.let_next_probe, sync.blocked_budgets
from public, anon, authenticated, service_role;
grant execute on function public.set_budget to service_role;
