-- Settings: the numbers and switches of the engine.

create function sync.setting_bounds(p_name text, out o_least numeric, out o_most numeric)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- With a backoff of nothing, or a lease that is over at once, workers ask without a pause.
  o_least := case
    when p_name in ('retry_base_seconds', 'lease_seconds', 'max_lease_seconds',
      'max_job_duration_seconds') then 0.001
    when p_name = 'max_block_seconds' then 1
    when p_name = 'retry_cap_seconds' then 0.1
    when p_name in ('max_lease_losses', 'max_scans', 'max_pages', 'stale_after_hours',
      'stalled_after_minutes', 'chunks_kept_days', 'events_kept_days') then 1
    else 0 end;
  -- Beyond these a moment that is so far away, or a whole number, is out of range.
  o_most := case
    when p_name in ('stale_after_hours', 'chunks_kept_days', 'events_kept_days') then 1000000
    else 1000000000 end;
end; $$;
comment on function sync.setting_bounds(text) is
$$Returns: the least and the most that a number setting takes.$$;

create table public.sync_settings (
  name text primary key,
  value jsonb not null,
  kind text not null,
  description text not null,
  constraint sync_settings_kind_check check (kind in ('boolean', 'number')),
  constraint sync_settings_value_check check (
    jsonb_typeof(value) = kind and (kind = 'boolean' or (value #>> '{}')::numeric
    between (sync.setting_bounds(name)).o_least and (sync.setting_bounds(name)).o_most)
  )
);
comment on table public.sync_settings is 'Settings of the engine; changed by set_setting().';
alter table public.sync_settings enable row level security;
create trigger sync_settings_stay before delete or truncate on public.sync_settings
for each statement execute function sync.refuse_removal();

insert into public.sync_settings (name, value, kind, description) values
('lease_seconds', '20', 'number', 'How long a claim or a heartbeat keeps a chunk.'),
('max_lease_seconds', '600', 'number', 'No lease lives longer than this in total.'),
('max_lease_losses', '10', 'number', 'A chunk whose worker dies so often while it holds nothing '
  'else is failed as a poison page.'),
('max_unanswered', '5', 'number', 'A chunk whose requests meet so many closed connections is '
  'released no more: the next one is a transient failure.'),
('sweep_interval_seconds', '5', 'number', 'A claim that finds the last sweep older than this '
  'sweeps itself.'),
('send_ahead_seconds', '2', 'number', 'How far ahead a claim may reserve send times of a budget.'),
('max_block_seconds', '900', 'number', 'A wait that an API asks for is cut to this; then one '
  'request asks again.'),
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
('empty_list_minutes', '10', 'number', 'A list that became empty deletes nothing before a run '
  'so much later finds it empty too; 0: at once, as ever.'),
('sync_interval_minutes', '30', 'number', 'How often the default streams of all workspaces are '
  'synced by themselves; 0: never.'),
('stale_after_hours', '24', 'number', 'Age of the last complete sync '
  'from which a workspace is stale.'),
('stalled_after_minutes', '15', 'number', 'A job of which no chunk ended for so long is stalled.'),
('chunks_kept_days', '30', 'number', 'Age at which chunks of closed runs are pruned.'),
('events_kept_days', '90', 'number', 'Age at which chunk events are pruned.'),
('echo_interval_seconds', '60', 'number', 'How often workers that listen to Realtime are sent a '
  'message that they must hear; 0: never.'),
('public_dashboard', 'false', 'boolean', 'Whether anonymous visitors may read named columns of '
  'polling_job_status.'),
('expect_realtime', 'true', 'boolean', 'Whether workers are meant to hear hints by Realtime; '
  'off, that none arrives is no alert.'),
('paused', 'false', 'boolean', 'Whether pause_sync() holds everything.'),
('allow_private_addresses', 'false', 'boolean', 'Whether a base URL may name a private address.');

create function sync.setting(p_name text) returns numeric
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select (value #>> '{}')::numeric from public.sync_settings where name = p_name);
end; $$;
comment on function sync.setting(text) is $$Returns: a number setting.$$;

create function sync.setting_seconds(p_name text) returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select make_interval(secs => (value #>> '{}')::double precision) from public.sync_settings
    where name = p_name);
end; $$;
comment on function sync.setting_seconds(text) is
$$Returns: a setting given in seconds, as an interval.$$;

create function sync.is_switched_on(p_name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return (select value = 'true'::jsonb from public.sync_settings where name = p_name);
end; $$;
comment on function sync.is_switched_on(text) is
$$Returns: a boolean setting. Definer, because a policy for anonymous visitors asks it.$$;

create function public.set_setting(p_name text, p_value jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_kind text;
begin
  perform sync.require_service();
  update public.sync_settings set value = p_value
  where name = p_name and jsonb_typeof(p_value) = kind
  returning kind into v_kind;
  if v_kind is null then
    select kind into v_kind from public.sync_settings where name = p_name;
    raise exception using errcode = 'SY006',
      message = case when v_kind is null then format('there is no setting %L', left(p_name, 40))
                else format('setting %s takes a %s, '
                'not %s', p_name, v_kind, coalesce(left(p_value::text, 100), 'null'))
                end,
      hint = 'select name, kind, value, description from sync_settings shows them all.';
  end if;
  return jsonb_build_object('name', p_name, 'value', p_value);
exception when check_violation then
  raise exception using errcode = 'SY006',
    message = format('setting %s cannot be %s', p_name, left(p_value::text, 100)),
    hint = (select format('It takes %s to %s.', o_least, o_most) from sync.setting_bounds(p_name));
end; $$;
comment on function public.set_setting(text, jsonb) is
$$Change a setting. Returns: {"name", "value"}. Raises: SY006 unknown name or a value that it cannot
take. Locks: the setting's row.$$;

revoke all on table public.sync_settings from public, anon, authenticated, service_role;
grant select on table public.sync_settings to authenticated, service_role;
create policy sync_settings_select_operator on public.sync_settings
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.setting_bounds, sync.setting, sync.setting_seconds, sync.is_switched_on, public.set_setting
from public, anon, authenticated, service_role;
grant execute on function sync.is_switched_on to anon, authenticated, service_role;
grant execute on function public.set_setting to service_role;
grant execute on function sync.setting, sync.setting_seconds to authenticated, service_role;
