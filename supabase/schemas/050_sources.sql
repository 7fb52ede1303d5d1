-- Sources: APIs, their addresses, and how their errors look.
-- Stands on: access, settings.

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
comment on column public.sync_sources.auth_in is 'header or query.';
comment on column public.sync_sources.auth_name is 'The header or parameter that carries the key.';
comment on column public.sync_sources.budget_scope is
'Who shares a budget: all of an instance, or each key its own.';
comment on column public.sync_sources.message_path is 'Where an answer''s error text stands.';
comment on column public.sync_sources.requests_per_second is 'The default of its budgets.';
comment on column public.sync_sources.max_in_flight is 'The default of its budgets.';
alter table public.sync_sources enable row level security;

create function sync.host_of(p_base_url text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select pg_catalog.lower((pg_catalog.regexp_match(p_base_url, '^https?://([^/?#]+)', 'i'))[1]);
$$;
comment on function sync.host_of(text) is
$$Returns: host and port of a URL, the name of an instance.$$;

create function sync.check_base_url(p_base_url text, p_takes_private_http boolean default false)
  returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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

revoke all on sequence public.sync_sources_id_seq from public, anon, authenticated, service_role;
revoke all on table public.sync_sources from public, anon, authenticated, service_role;
grant select on table public.sync_sources to authenticated, service_role;
create policy sync_sources_select_operator on public.sync_sources
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.host_of, sync.check_base_url
from public, anon, authenticated, service_role;
