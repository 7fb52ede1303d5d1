-- Registry: sources (APIs), their budgets, and workspaces (tenants) with their keys in Vault.
-- Stands on: foundation, Vault.

create table public.sync_sources (
  id bigint generated always as identity primary key,
  source_name text not null unique,
  base_path text not null default '',
  auth_in text not null default 'header',
  auth_name text not null default 'Authorization',
  auth_prefix text not null default 'Bearer ',
  budget_scope text not null default 'instance',
  requests_per_second numeric default 5,
  max_in_flight int default 10,
  status_classes jsonb not null,
  success_path text[],
  message_path text[] not null default '{message}',
  paused_at timestamptz,
  created_at timestamptz not null default sync.now(),
  constraint sync_sources_auth_in_check check (auth_in in ('header', 'query')),
  constraint sync_sources_budget_scope_check check (budget_scope in ('instance', 'key')),
  constraint sync_sources_requests_per_second_check
  check (requests_per_second between 0.001 and 100000),
  constraint sync_sources_max_in_flight_check check (max_in_flight > 0),
  constraint sync_sources_base_path_check check (base_path = '' or base_path ~ '^/.*[^/]$')
);
comment on table public.sync_sources is
'APIs: base path, where the key goes, default budget, how errors look. Written by
declare_source().';
comment on column public.sync_sources.status_classes is
'HTTP status ("404"), hundred ("5xx") or "other" to page, transient, rate_limited or permanent.';
comment on column public.sync_sources.success_path is
'Where a 200 says whether it is one, for instance {success}; false there is a transient failure.';
alter table public.sync_sources enable row level security;

create table public.sync_budgets (
  id bigint generated always as identity primary key,
  source_id bigint not null references public.sync_sources (id) on delete cascade,
  scope_key text not null,
  requests_per_second numeric,
  max_in_flight int,
  next_send_at timestamptz,
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
alter table public.sync_budgets enable row level security;

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
create index sync_workspaces_source_idx on public.sync_workspaces (source_id);
create index sync_workspaces_budget_idx on public.sync_workspaces (budget_id);
alter table public.sync_workspaces enable row level security;

create function sync.host_of(p_base_url text) returns text
language sql immutable set search_path = '' as $$
  select pg_catalog.lower((pg_catalog.regexp_match(p_base_url, '^https?://([^/?#]+)', 'i'))[1]);
$$;
comment on function sync.host_of(text) is
$$Returns: host and port of a URL, the name of an instance.$$;

create function sync.ensure_budget(p_source_id bigint, p_base_url text, p_workspace_id bigint)
  returns bigint
language plpgsql set search_path = '' as $$
declare
  v_source public.sync_sources;
  v_key text;
  v_budget_id bigint;
begin
  select * into strict v_source from public.sync_sources where id = p_source_id;
  v_key := case v_source.budget_scope
    when 'key' then 'workspace:' || p_workspace_id else sync.host_of(p_base_url) end;
  insert into public.sync_budgets (source_id, scope_key, requests_per_second, max_in_flight)
  values (p_source_id, v_key, v_source.requests_per_second, v_source.max_in_flight)
  on conflict (source_id, scope_key) do nothing;
  select id into strict v_budget_id from public.sync_budgets
  where source_id = p_source_id and scope_key = v_key;
  return v_budget_id;
end; $$;
comment on function sync.ensure_budget(bigint, text, bigint) is
$$The budget a workspace draws on, made with the source's defaults if new. Returns: its id. Locks:
the new row.$$;

create function sync.check_base_url(p_base_url text, p_takes_private_http boolean default false)
  returns void
language plpgsql stable set search_path = '' as $$
declare
  v_host text := regexp_replace(coalesce(sync.host_of(p_base_url), ''), '\.?(:[0-9]+)?$', '');
  v_is_loopback boolean := v_host in ('localhost', '[::1]')
    or v_host ~ '^127(\.[0-9]{1,3}){3}$';
  v_is_private boolean := v_host ~ '^(10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2[0-9]|3[01])\.'
      '|0\.|100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|\[)'
    or v_host ~ '\.(internal|local|localhost)$'
    or v_host ~ '^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*$'
    and v_host !~ '^((0|[1-9][0-9]{0,2})(\.|$)){4}$';
begin
  if p_base_url is null or p_base_url !~* '^https?://[a-z0-9.:_\[\]-]+(/[^?#]*[^/?#])?$' then
    raise exception using errcode = 'SY015', message = format('%L is no base '
      'URL', coalesce(sync.mask_secrets(p_base_url), '')),
      hint = 'It reads https://host, without user, query, fragment or a slash at the end.';
  end if;
  if p_base_url ~* '^http://' and not v_is_loopback
    and not (p_takes_private_http and v_is_private) then
    raise exception using errcode = 'SY015', message = format('%s is not https', p_base_url),
      hint = 'Keys travel over https only, except to this machine itself.';
  end if;
  if v_is_private and not v_is_loopback
    and not sync.is_switched_on('allow_private_addresses') then
    raise exception using errcode = 'SY015', message = format('%s names a private '
      'address', p_base_url),
      hint = 'If that is meant: select set_setting(''allow_private_addresses'', ''true'').';
  end if;
end; $$;
comment on function sync.check_base_url(text, boolean) is
$$Raises: SY015 not an https URL (http is for loopback, and for private hosts where the caller takes
that), or a private address while the setting forbids them.$$;

create function sync.prepare_workspace() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.base_url := regexp_replace(new.base_url, '/+$', '');
  perform sync.check_base_url(new.base_url);
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

revoke all on sequence public.sync_sources_id_seq, public.sync_budgets_id_seq,
  public.sync_workspaces_id_seq
from public, anon, authenticated, service_role;
revoke all on table public.sync_sources, public.sync_budgets, public.sync_workspaces from public,
  anon, authenticated, service_role;
grant select on table public.sync_sources, public.sync_budgets,
  public.sync_workspaces to service_role, authenticated;
create policy sync_sources_select_operator on public.sync_sources
for select to authenticated using ((select sync.is_operator()));
create policy sync_budgets_select_operator on public.sync_budgets
for select to authenticated using ((select sync.is_operator()));
create policy sync_workspaces_select_operator on public.sync_workspaces
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.host_of, sync.ensure_budget, sync.check_base_url, sync.prepare_workspace
from public, anon, authenticated, service_role;
