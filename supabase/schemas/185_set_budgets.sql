-- Setting budgets: what an operator sets, or lifts.
-- Stands on: addresses, budget_lines.

create function sync.budgets_meant(p_source_id bigint, p_scope_key text) returns bigint[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array(
    select id from public.sync_budgets
    where source_id = p_source_id and (p_scope_key is null or scope_key = any (array[p_scope_key,
      sync.host_of('https://' || p_scope_key), sync.host_of('http://' || p_scope_key)])));
$$;
comment on function sync.budgets_meant(bigint, text) is
$$Returns: a source's budgets; with a scope, that one, however its host is written.$$;

create function public.set_budget(
  p_source text, p_requests_per_second numeric, p_max_in_flight int, p_scope_key text default null
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_source_id bigint;
  v_budget_ids bigint[];
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
      message = format('a budget takes 0.001 to 100,000 requests per second, and 1 or more in '
        'flight, not %s and %s', coalesce(p_requests_per_second::text, 'null'),
        coalesce(p_max_in_flight::text, 'null')),
      hint = 'Null means unlimited; pause_sync() stops a source.';
  end if;
  update public.sync_sources
  set requests_per_second = p_requests_per_second, max_in_flight = p_max_in_flight
  where id = v_source_id and p_scope_key is null;
  v_budget_ids := sync.budgets_meant(v_source_id, p_scope_key);
  update public.sync_budgets as b
  set requests_per_second = p_requests_per_second, max_in_flight = p_max_in_flight,
    next_send_at = null, reduced_in_flight = null, learned_rate = null,
    line_due_at = case when b.line_due_at is not null then sync.now() end
  from (
    select id from public.sync_budgets where id = any (v_budget_ids)
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
  perform sync.wake_lines_of(v_budget_ids);
  return jsonb_build_object('source', p_source, 'budgets_changed', v_changed);
end; $$;
comment on function public.set_budget(text, numeric, int, text) is
$$Set requests per second and in flight (null: unlimited) of one budget, or of a source's all,
future ones too. What waits is looked at again at once, what 429s taught is forgotten. Returns:
{"source", "budgets_changed"}. Raises: SY003 unknown source, SY006 bad figure or scope. Locks: the
source, if all are meant; then the budgets, by id, last of all; what waits in their lines by SKIP
LOCKED.$$;

create function sync.unblock_budget(p_source text, p_scope_key text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_source_id bigint;
  v_budget_ids bigint[];
  v_workspace_ids bigint[];
begin
  perform sync.require_operator();
  select id into v_source_id from public.sync_sources where source_name = p_source;
  if v_source_id is null then
    raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them.';
  end if;
  v_budget_ids := sync.budgets_meant(v_source_id, p_scope_key);
  if p_scope_key is not null and cardinality(v_budget_ids) = 0 then
    raise exception using errcode = 'SY006',
      message = format('source %s has no budget %L', p_source, p_scope_key),
      hint = 'select scope_key from sync_budgets lists them.';
  end if;
  with held as (
    select id from public.sync_workspaces
    where budget_id = any (v_budget_ids) and rate_limited_until is not null
    order by id for no key update
  ), freed as (
    update public.sync_workspaces as w set rate_limited_until = null, rate_limit_level = 0
    from held where w.id = held.id returning w.id
  )
  select coalesce(array_agg(id), '{}') into v_workspace_ids from freed;
  update public.sync_budgets as b set
    blocked_until = null, block_level = 0, probe_until = null, next_send_at = null,
    reduced_in_flight = null, learned_rate = null,
    line_due_at = case when b.line_due_at is not null then sync.now() end
  from (
    select id from public.sync_budgets where id = any (v_budget_ids)
    order by id for no key update
  ) as meant
  where b.id = meant.id;
  perform sync.wake_workspaces(v_workspace_ids);
  perform sync.wake_lines_of(v_budget_ids);
  return jsonb_build_object('source', p_source, 'budgets', cardinality(v_budget_ids),
    'workspaces_freed', cardinality(v_workspace_ids));
end; $$;
comment on function sync.unblock_budget(text, text) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
unblock_budget() raises.$$;

create function public.unblock_budget(p_source text, p_scope_key text default null) returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.unblock_budget(p_source, p_scope_key);
$$;
comment on function public.unblock_budget(text, text) is
$$Lift what 429s did to one budget, or to a source's all: blocks, waits of workspaces, what was
learned. What waits goes on at once. Returns: {"source", "budgets", "workspaces_freed"}. Raises:
SY003 unknown source, SY006 no such scope. Locks: workspaces by id, budgets by id; what waits by
SKIP LOCKED.$$;

revoke all on function
  sync.budgets_meant, public.set_budget, sync.unblock_budget, public.unblock_budget
from public, anon, authenticated, service_role;
grant execute on function public.set_budget to service_role;
grant execute on function sync.unblock_budget, public.unblock_budget to authenticated, service_role;
