-- Budgets: the requests per second and in flight that all workers share, per instance or per key.
-- Stands on: addresses.

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
  line_due_at timestamptz,
  reduced_at timestamptz,
  reduced_in_flight int,
  learned_rate numeric,
  answers int not null default 0,
  refusals int not null default 0,
  is_rate_measured boolean not null default false,
  created_at timestamptz not null default sync.now(),
  unique (source_id, scope_key),
  constraint sync_budgets_requests_per_second_check
  check (requests_per_second between 0.001 and 100000),
  constraint sync_budgets_max_in_flight_check check (max_in_flight > 0)
) with (fillfactor = 50);
comment on table public.sync_budgets is
'What all workers together may send to one instance or with one key.';
comment on column public.sync_budgets.scope_key is
'The instance (host and port), workspace:<id> for a budget per key, or source.';
comment on column public.sync_budgets.requests_per_second is 'Null: unlimited.';
comment on column public.sync_budgets.max_in_flight is 'Null: unlimited.';
comment on column public.sync_budgets.block_level is
'Above 0 while it stops after several 429s, until a request succeeds: one probe goes first.';
comment on column public.sync_budgets.probe_until is
'Until then one probe is on its way and nobody else sends.';
comment on column public.sync_budgets.next_send_at is 'Until then every send time is reserved.';
comment on column public.sync_budgets.blocked_at is
'When the last block was set: later than now, the clock was set back since.';
comment on column public.sync_budgets.blocked_until is
'After several 429s in a row nobody sends until then; on a key''s own budget after each.';
comment on column public.sync_budgets.reduced_at is
'When a 429 last reduced it: what was sent before says nothing new.';
comment on column public.sync_budgets.reduced_in_flight is
'After a 429 no more than this are in flight; each answer gives one back. Null: as set.';
comment on column public.sync_budgets.learned_rate is
'Requests per second that 429s taught; each answer gives a little back. Null: as set.';
comment on column public.sync_budgets.answers is 'To requests sent since it was reduced.';
comment on column public.sync_budgets.refusals is '429s of requests sent since it was reduced.';
comment on column public.sync_budgets.is_rate_measured is
'Whether the learned rate is what the API let through, not a step down from what was set.';
comment on column public.sync_budgets.line_due_at is
'When those that wait in its line are looked at next; null: nobody waits.';
alter table public.sync_budgets enable row level security;

create function sync.ensure_scope(p_source_id bigint, p_scope_key text) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_budget_id bigint;
begin
  select id into v_budget_id from public.sync_budgets
  where source_id = p_source_id and scope_key = p_scope_key;
  -- Only a new one is inserted: the attempt waits for whoever is just writing one that is there.
  if v_budget_id is null then
    insert into public.sync_budgets (source_id, scope_key, requests_per_second, max_in_flight)
    select id, p_scope_key, requests_per_second, max_in_flight from public.sync_sources
    where id = p_source_id
    on conflict (source_id, scope_key) do nothing;
    select id into strict v_budget_id from public.sync_budgets
    where source_id = p_source_id and scope_key = p_scope_key;
  end if;
  return v_budget_id;
end; $$;
comment on function sync.ensure_scope(bigint, text) is
$$A source's budget of a scope, made with the source's defaults if new. Returns: its id. Locks: the
new row.$$;

create function sync.ensure_budget(p_source_id bigint, p_base_url text, p_workspace_id bigint)
  returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return sync.ensure_scope(p_source_id, (
    select case budget_scope
      when 'key' then 'workspace:' || p_workspace_id when 'source' then 'source'
      else sync.host_of(p_base_url) end
    from public.sync_sources where id = p_source_id));
end; $$;
comment on function sync.ensure_budget(bigint, text, bigint) is
$$The budget a workspace draws on, made with the source's defaults if new. Returns: its id. Locks:
the new row.$$;

create function sync.effective_rate(p_budget public.sync_budgets) returns numeric
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return least(p_budget.requests_per_second, p_budget.learned_rate);
end; $$;
comment on function sync.effective_rate(public.sync_budgets) is
$$Returns: requests per second as set, or fewer where 429s taught that; null: unlimited.$$;

create function sync.blocked_budgets(p_reduced_since timestamptz default null) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'budget_id', id, 'for_ms', greatest(0,
        ceil(extract(epoch from blocked_until - sync.now()) * 1000))::bigint
    ) order by id), '[]')
    from public.sync_budgets
    where blocked_until > sync.now() or reduced_at >= p_reduced_since
  );
end; $$;
comment on function sync.blocked_budgets(timestamptz) is
$$Returns: [{"budget_id", "for_ms"}] of the budgets on which nothing may be sent now, and of those
reduced since a moment: what was reserved at their old rate and is not sent comes back.$$;

create function sync.lock_budgets(p_budget_ids bigint[], p_may_wait boolean) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '250ms' as $$
declare
  v_id bigint;
  v_may_wait boolean := p_may_wait;
  v_is_locked boolean;
  v_locked bigint[] := array[]::bigint[];
begin
  for v_id in select distinct id from unnest(p_budget_ids) as id where id is not null order by id
  loop
    perform 1 from public.sync_budgets where id = v_id for no key update skip locked;
    v_is_locked := found;
    if not v_is_locked and v_may_wait then
      begin
        perform 1 from public.sync_budgets where id = v_id for no key update;
        v_is_locked := found;
      exception when lock_not_available then
        v_may_wait := false;
      end;
    end if;
    if v_is_locked then
      v_locked := v_locked || v_id;
    end if;
  end loop;
  return v_locked;
end; $$;
comment on function sync.lock_budgets(bigint[], boolean) is
$$Lock budgets in the order of their ids. Calls of the engine hold one for milliseconds and are
waited for, once for 250 ms; a session that holds one for longer costs nobody more than that.
Returns: those that are locked now. Locks: the budgets.$$;

revoke all on sequence public.sync_budgets_id_seq from public, anon, authenticated, service_role;
revoke all on table public.sync_budgets from public, anon, authenticated, service_role;
grant select on table public.sync_budgets to authenticated, service_role;
create policy sync_budgets_select_operator on public.sync_budgets
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.ensure_scope, sync.ensure_budget, sync.effective_rate, sync.blocked_budgets,
sync.lock_budgets from public, anon, authenticated, service_role;
