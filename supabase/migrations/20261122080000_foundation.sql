-- Foundation: schema `sync`, the clock, settings, who may act, masking.
-- Stands on: the roles and schema `auth` of a Supabase project.

create schema sync;
comment on schema sync is 'Internals of Chunkwise. Never exposed through the API.';
revoke all on schema sync from public, anon, authenticated, service_role;
grant usage on schema sync to authenticated, service_role;

create function sync.now() returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return pg_catalog.clock_timestamp();
end; $$;
comment on function sync.now() is
$$The one clock. A verb reads it once. Tests replace it in their own database. Returns: the wall
clock's time.$$;

create function public.chunkwise_version() returns jsonb
language sql stable set search_path = '' set statement_timeout = '5s' as $$
  select pg_catalog.jsonb_build_object('schema_version', 1, 'protocol_version', 1);
$$;
comment on function public.chunkwise_version() is
$$What a worker asks before its first claim. Returns: {"schema_version", "protocol_version"}.$$;

create table public.sync_settings (
  name text primary key,
  value jsonb not null,
  kind text not null,
  description text not null,
  constraint sync_settings_kind_check check (kind in ('boolean', 'number')),
  constraint sync_settings_value_check check (
    jsonb_typeof(value) = kind and (kind = 'boolean' or (value #>> '{}')::numeric >= 0)
  ),
  constraint sync_settings_above_zero_check check (
    kind = 'boolean' or (value #>> '{}')::numeric > 0 or name not in (
      'lease_seconds', 'max_lease_seconds', 'max_lease_losses', 'max_job_duration_seconds',
      'max_scans', 'max_pages', 'stale_after_hours', 'chunks_kept_days', 'events_kept_days')
  ),
  -- Beyond these a moment that is so far away, or a whole number, is out of range.
  constraint sync_settings_limit_check check (
    kind = 'boolean' or (value #>> '{}')::numeric <= case
      when name in ('stale_after_hours', 'chunks_kept_days', 'events_kept_days') then 1000000
      else 1000000000 end
  )
);
comment on table public.sync_settings is 'Settings of the engine; changed by set_setting().';
alter table public.sync_settings enable row level security;

insert into public.sync_settings (name, value, kind, description) values
('lease_seconds', '20', 'number', 'How long a claim or a heartbeat keeps a chunk.'),
('max_lease_seconds', '600', 'number', 'No lease lives longer than this in total.'),
('max_lease_losses', '10', 'number', 'A chunk that loses its lease so often is failed '
  'as a poison page.'),
('sweep_interval_seconds', '5', 'number', 'A claim that finds the last sweep older than this '
  'sweeps itself.'),
('send_ahead_seconds', '2', 'number', 'How far ahead a claim may reserve send times of a budget.'),
('retry_base_seconds', '2', 'number', 'First step of the backoff after a transient failure.'),
('retry_cap_seconds', '60', 'number', 'Longest backoff after a transient failure '
  'or an unexplained 429.'),
('max_job_duration_seconds', '21600', 'number', 'A job older than this is closed as partial.'),
('max_scans', '3', 'number', 'How often a counted stream is scanned in one run before it is '
  'partial.'),
('max_pages', '100000', 'number', 'A last page beyond this is refused as wrong shape.'),
('deletion_guard_rows', '10', 'number', 'Deletions up to this many rows need no approval.'),
('deletion_guard_share', '0.2', 'number', 'Deletions up to this share of the live rows need no '
  'approval.'),
('stale_after_hours', '24', 'number', 'Age of the last complete sync '
  'from which a workspace is stale.'),
('stalled_after_minutes', '15', 'number', 'A job of which no chunk ended for so long is stalled.'),
('chunks_kept_days', '30', 'number', 'Age at which chunks of closed runs are pruned.'),
('events_kept_days', '90', 'number', 'Age at which chunk events are pruned.'),
('public_dashboard', 'false', 'boolean', 'Whether anonymous visitors may read named columns of '
  'polling_job_status.'),
('expect_realtime', 'true', 'boolean', 'Whether workers are meant to hear hints by Realtime; '
  'off, that none arrives is no alert.'),
('paused', 'false', 'boolean', 'Whether pause_sync() holds everything.'),
('allow_private_addresses', 'false', 'boolean', 'Whether a base URL may name a private address.');

create function sync.setting(p_name text) returns numeric
language plpgsql stable set search_path = '' as $$
begin
  return (select (value #>> '{}')::numeric from public.sync_settings where name = p_name);
end; $$;
comment on function sync.setting(text) is $$Returns: a number setting.$$;

create function sync.setting_seconds(p_name text) returns interval
language plpgsql stable set search_path = '' as $$
begin
  return (select make_interval(secs => (value #>> '{}')::double precision) from public.sync_settings
    where name = p_name);
end; $$;
comment on function sync.setting_seconds(text) is
$$Returns: a setting given in seconds, as an interval.$$;

create function sync.is_switched_on(p_name text) returns boolean
language sql stable security definer set search_path = '' as $$
  select value = 'true'::jsonb from public.sync_settings where name = p_name;
$$;
comment on function sync.is_switched_on(text) is
$$Returns: a boolean setting. Definer, because a policy for anonymous visitors asks it.$$;

create function public.set_setting(p_name text, p_value jsonb) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '10s' as $$
declare
  v_kind text;
begin
  update public.sync_settings set value = p_value
  where name = p_name and jsonb_typeof(p_value) = kind
  returning kind into v_kind;
  if v_kind is null then
    select kind into v_kind from public.sync_settings where name = p_name;
    raise exception using errcode = 'SY006',
      message = case when v_kind is null then format('there is no setting %L', p_name)
                else format('setting %s takes a %s, '
                'not %s', p_name, v_kind, coalesce(p_value::text, 'null')) end,
      hint = 'select name, kind, value, description from sync_settings shows them all.';
  end if;
  return jsonb_build_object('name', p_name, 'value', p_value);
exception when check_violation then
  raise exception using errcode = 'SY006', message = format('setting %s cannot be '
    '%s', p_name, p_value), hint = 'Numbers are 0 or more, some above 0; hours and days are at '
    'most 1,000,000, others at most 1,000,000,000.';
end; $$;
comment on function public.set_setting(text, jsonb) is
$$Change a setting. Returns: {"name", "value"}. Raises: SY006 unknown name or a value that it cannot
take. Locks: the setting's row.$$;

create function sync.is_operator() returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return coalesce(auth.jwt() -> 'app_metadata' ->> 'chunkwise' = 'operator', false);
end; $$;
comment on function sync.is_operator() is
$$Returns: whether the signed-in user's token carries app_metadata.chunkwise = 'operator'.$$;

create function sync.require_operator() returns void
language plpgsql stable set search_path = '' as $$
declare
  v_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  if v_role = 'anon' or (v_role = 'authenticated' and not sync.is_operator()) then
    raise exception using errcode = '42501', message = 'only an operator may do this',
      hint = 'Sign in as a user whose app_metadata carries {"chunkwise": "operator"}.';
  end if;
end; $$;
comment on function sync.require_operator() is
$$Guard of the definer functions behind operator verbs; it looks at the role the caller set, not at
the definer. Raises: 42501.$$;

create function sync.require_read_committed() returns void
language plpgsql stable set search_path = '' as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'SY016',
      message = format('this verb runs in READ COMMITTED only, '
      'not in %s', upper(current_setting('transaction_isolation'))),
      hint = 'Closing a run looks again after it waited for a lock; '
      'a held snapshot would hide what it waited for.';
  end if;
end; $$;
comment on function sync.require_read_committed() is
$$Raises: SY016 in any other isolation level.$$;

create function sync.mask_secrets(p_text text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  v_text text := regexp_replace(p_text, '(bearer|basic)\s+[^\s"'',;]+', '\1 ***', 'gi');
begin
  v_text := regexp_replace(v_text, '(\m[0-9]+\|[A-Za-z0-9]{8,}|\msb_secret_[A-Za-z0-9_-]+'
    '|\meyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|\mya29\.[A-Za-z0-9_-]+'
    '|\m1//[A-Za-z0-9_-]{20,})', '***', 'g');
  v_text := regexp_replace(v_text, '((_token|password|_secret|api_key)["\\]*\s*[=:]\s*["\\]*)'
    '[^\s"\\'',;&]+', '\1***', 'gi');
  return left(v_text, 1000);
end; $$;
comment on function sync.mask_secrets(text) is
$$Returns: the text without anything that looks like a token, at most 1,000 characters. The workers
mask the exact keys before.$$;

revoke all on table public.sync_settings from public, anon, authenticated, service_role;
grant select on table public.sync_settings to service_role, authenticated;
create policy sync_settings_select_operator on public.sync_settings
for select to authenticated using ((select sync.is_operator()));

revoke all on function sync.now, public.chunkwise_version, sync.setting, sync.setting_seconds,
  sync.is_switched_on,
public.set_setting, sync.is_operator, sync.require_operator, sync.require_read_committed,
  sync.mask_secrets
from public, anon, authenticated, service_role;
grant execute on function sync.now, sync.is_operator to authenticated, service_role;
grant execute on function sync.is_switched_on to anon, authenticated, service_role;
grant execute on function public.chunkwise_version, public.set_setting to service_role;
grant execute on function sync.setting, sync.setting_seconds to authenticated, service_role;
