-- Workspaces: tenants of a source; register, rotate a key, deactivate.
-- Stands on: budgets, keys.

create table public.sync_workspaces (
  id bigint generated always as identity primary key,
  workspace_name text not null unique,
  source_id bigint not null references public.sync_sources (id),
  base_url text not null,
  external_id text,
  is_active boolean not null default true,
  max_concurrency int not null default 8,
  budget_id bigint references public.sync_budgets (id),
  secret_id uuid,
  key_status text not null default 'unchecked',
  key_checked_at timestamptz,
  key_owner text,
  key_owner_id text,
  paused_at timestamptz,
  created_at timestamptz not null default sync.now(),
  constraint sync_workspaces_workspace_name_check
  check (workspace_name <> '' and length(workspace_name) <= 200),
  constraint sync_workspaces_max_concurrency_check check (max_concurrency between 1 and 64),
  constraint sync_workspaces_key_status_check
  check (key_status in ('unchecked', 'accepted', 'refused', 'other_workspace'))
);
comment on table public.sync_workspaces is
'Tenants of a source. The key is in Vault; here is only its id there.';
comment on column public.sync_workspaces.max_concurrency is
'Slots of a run: how many of its chunks are ready or in flight at once.';
comment on column public.sync_workspaces.key_status is
'What the API said of the key last: unchecked, accepted, refused (401), other_workspace.';
comment on column public.sync_workspaces.key_owner is
'Whose key it is, in the API''s own words, where it tells.';
comment on column public.sync_workspaces.key_owner_id is
'The id of that owner; null until the API was asked about this key at this address.';
comment on column public.sync_workspaces.external_id is
'The workspace''s id in the API: a key of another is refused.';
comment on column public.sync_workspaces.secret_id is 'Where the key is in Vault.';
comment on column public.sync_workspaces.paused_at is 'Since when pause_sync() holds it.';
comment on column public.sync_workspaces.key_checked_at is
'When the API said something else of the key than before.';
create index sync_workspaces_source_idx on public.sync_workspaces (source_id);
create index sync_workspaces_budget_idx on public.sync_workspaces (budget_id);
alter table public.sync_workspaces enable row level security;

create function sync.prepare_workspace() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_trigger_of(tg_relid, 'public.sync_workspaces');
  new.base_url := sync.checked_base_url(regexp_replace(new.base_url, '/+$', ''));
  if tg_op = 'UPDATE' or not exists (select 1 from public.sync_workspaces
    where workspace_name = new.workspace_name) then
    new.budget_id := sync.ensure_budget(new.source_id, new.base_url, new.id);
  end if;
  if tg_op = 'UPDATE' and (new.source_id, new.base_url) <> (old.source_id, old.base_url) then
    new.key_owner := null;
    new.key_owner_id := null;
  end if;
  if tg_op = 'UPDATE' and (new.source_id, new.base_url, new.external_id) is distinct
    from (old.source_id, old.base_url, old.external_id)
    and (old.key_status, new.key_status) = ('accepted', 'accepted') then
    new.key_status := 'unchecked';
  end if;
  return new;
end; $$;
comment on function sync.prepare_workspace() is
$$Trigger: whoever writes a base URL, it is checked, and the workspace draws on the budget of its
instance or key; another address or external id has the key compared anew. An insert that becomes an
update (on conflict) gets its budget from that update, under its own id. Raises: SY015.$$;
create trigger sync_workspaces_prepare before insert or update of base_url,
  source_id, external_id on public.sync_workspaces
for each row execute function sync.prepare_workspace();

create function sync.hold_runs(p_workspace_name text) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select r.id from public.workspace_sync_runs as r
    join public.sync_workspaces as w on w.id = r.workspace_id
    where w.workspace_name = p_workspace_name and r.status = 'running'
    order by r.id for no key update of r);
end; $$;
comment on function sync.hold_runs(text) is
$$Lock a workspace's live runs, as must be done before the workspace itself is locked. Returns:
their ids. Locks: the runs by id.$$;

create function sync.workspace_id_of(p_workspace_name text) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_workspace_id bigint;
begin
  select id into v_workspace_id from public.sync_workspaces where workspace_name = p_workspace_name;
  if v_workspace_id is null then
    raise exception using errcode = 'SY002', message = format('there is no workspace '
      '%L', p_workspace_name),
      hint = 'select workspace_name from sync_workspaces lists them; '
      'register_workspace() adds one.';
  end if;
  return v_workspace_id;
end; $$;
comment on function sync.workspace_id_of(text) is
$$Returns: a workspace's id. Raises: SY002 unknown.$$;

create function public.register_workspace(
  p_workspace_name text,
  p_base_url text,
  p_api_key text,
  p_source text default 'email_bison',
  p_external_id text default null,
  p_max_concurrency int default null
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
declare
  v_source_id bigint;
  v_workspace_id bigint;
  v_is_new boolean;
  v_run_ids bigint[];
begin
  perform sync.require_service();
  select id into v_source_id from public.sync_sources where source_name = p_source;
  if v_source_id is null then
    raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them; declare_source() adds one.';
  end if;
  if length(coalesce(p_workspace_name, '')) not between 1 and 200 or p_max_concurrency not between 1
    and 64 then
    raise exception using errcode = 'SY006',
      message = 'a workspace needs a name of at most 200 characters and 1 to 64 slots',
      hint = 'register_workspace(p_workspace_name => ''acme'', …, p_max_concurrency => 8)';
  end if;
  v_run_ids := sync.hold_runs(p_workspace_name);
  insert into public.sync_workspaces (workspace_name, source_id, base_url, external_id,
    max_concurrency)
  values (p_workspace_name, v_source_id, p_base_url, p_external_id, coalesce(p_max_concurrency, 8))
  on conflict (workspace_name) do update set
    source_id = excluded.source_id, base_url = excluded.base_url, is_active = true,
    external_id = coalesce(excluded.external_id, sync_workspaces.external_id),
    max_concurrency = coalesce(p_max_concurrency, sync_workspaces.max_concurrency)
  returning id, xmax = 0 into v_workspace_id, v_is_new;
  perform sync.store_workspace_key(v_workspace_id, p_api_key, v_run_ids);
  return jsonb_build_object('workspace_id', v_workspace_id, 'workspace_name', p_workspace_name,
    'created', v_is_new);
end; $$;
comment on function public.register_workspace(text, text, text, text, text, int) is
$$Add a workspace, or set its address, key and slots anew and activate it. The key goes to Vault.
Returns: {"workspace_id", "workspace_name", "created"}. Raises: SY003 unknown source, SY006 bad
argument, SY014 empty key, SY015 refused address. Locks: as rotate_workspace_key().$$;

create function public.rotate_workspace_key(p_workspace_name text, p_api_key text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
declare
  v_workspace_id bigint;
begin
  perform sync.require_service();
  v_workspace_id := sync.workspace_id_of(p_workspace_name);
  perform sync.store_workspace_key(v_workspace_id, p_api_key, sync.hold_runs(p_workspace_name));
  return jsonb_build_object('workspace_id', v_workspace_id, 'workspace_name', p_workspace_name);
end; $$;
comment on function public.rotate_workspace_key(text, text) is
$$Give a workspace a new key; claims from now on use it. Where its owner can be compared, live runs
begin again by asking for it; what is in flight is not applied. Returns: {"workspace_id",
"workspace_name"}. Raises: SY002 unknown workspace, SY014 empty key. Locks: its live runs by id, the
workspace, pending queue rows by SKIP LOCKED.$$;

create function public.deactivate_workspace(p_workspace_name text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
declare
  v_workspace_id bigint;
begin
  perform sync.require_service();
  v_workspace_id := sync.workspace_id_of(p_workspace_name);
  update public.sync_workspaces set is_active = false where id = v_workspace_id;
  return jsonb_build_object('workspace_id', v_workspace_id, 'workspace_name', p_workspace_name,
    'is_active', false);
end; $$;
comment on function public.deactivate_workspace(text) is
$$Start no more syncs of a workspace; its rows stay, a live run goes on. register_workspace()
activates it again. Returns: {"workspace_id", "workspace_name", "is_active"}. Raises: SY002 unknown
workspace. Locks: the workspace.$$;

revoke all on sequence public.sync_workspaces_id_seq from public, anon, authenticated, service_role;
revoke all on table public.sync_workspaces from public, anon, authenticated, service_role;
grant select on table public.sync_workspaces to authenticated, service_role;
grant update (workspace_name, external_id, base_url, is_active)
on table public.sync_workspaces to service_role;
create policy sync_workspaces_select_operator on public.sync_workspaces
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.prepare_workspace, sync.hold_runs, sync.workspace_id_of, public.register_workspace,
  public.rotate_workspace_key, public.deactivate_workspace
from public, anon, authenticated, service_role;
grant execute on function
  public.register_workspace, public.rotate_workspace_key, public.deactivate_workspace
to service_role;
