-- Alerts: what a person should know of, one open row per cause.
-- Stands on: keys.

create table public.sync_alerts (
  id bigint generated always as identity primary key,
  kind text not null,
  subject text not null,
  message text not null,
  opened_at timestamptz not null default sync.now(),
  last_seen_at timestamptz not null default sync.now(),
  repeats int not null default 0,
  resolved_at timestamptz,
  constraint sync_alerts_kind_check check (kind in (
    'endpoint_failing', 'stale_workspace', 'key_refused', 'key_of_other_workspace',
    'keys_unreadable', 'token_failing',
    'counts_disagree', 'deletions_waiting',
    'job_not_completed', 'job_stalled', 'no_worker', 'cron_silent', 'cron_job_missing',
    'hints_silent', 'open_grants', 'check_failing'))
);
comment on table public.sync_alerts is
'Alerts: opened once per cause, repeated while it lasts, resolved when it is gone.';
comment on column public.sync_alerts.subject is
'What it is about: a workspace and stream, a workspace, a job''s name, the URL of an endpoint, a
part of the health check, a role.';
comment on column public.sync_alerts.message is
'What is wrong and what helps, as of the last check; without secrets.';
comment on column public.sync_alerts.last_seen_at is 'When a check last found the cause.';
comment on column public.sync_alerts.repeats is 'How often a check found it again.';
comment on column public.sync_alerts.kind is
'What is wrong: docs/operations.md says what helps, kind by kind.';
comment on column public.sync_alerts.resolved_at is 'When its cause was gone; null while it holds.';
create unique index sync_alerts_open_idx on public.sync_alerts (kind, subject)
  where resolved_at is null;
alter table public.sync_alerts enable row level security;

create type sync.cause as (kind text, subject text, message text);
comment on type sync.cause is 'Something that is wrong now: the kind and subject of an alert.';

create function sync.open_alert(p_kind text, p_subject text, p_message text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into public.sync_alerts as a (kind, subject, message)
  values (p_kind, p_subject, sync.mask_secrets(p_message))
  on conflict (kind, subject) where resolved_at is null
  do update set last_seen_at = sync.now(), repeats = a.repeats + 1, message = excluded.message;
$$;
comment on function sync.open_alert(text, text, text) is
$$Open an alert, or note that its cause lasts. Locks: its row.$$;

create function sync.resolve_alert(p_kind text, p_subject text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update public.sync_alerts set resolved_at = sync.now()
  where kind = p_kind and subject = p_subject and resolved_at is null;
$$;
comment on function sync.resolve_alert(text, text) is
$$Resolve the open alert of a cause, if there is one. Locks: its row.$$;

revoke all on sequence public.sync_alerts_id_seq from public, anon, authenticated, service_role;
revoke all on table public.sync_alerts from public, anon, authenticated, service_role;
grant select on table public.sync_alerts to authenticated, service_role;
create policy sync_alerts_select_operator on public.sync_alerts
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.open_alert, sync.resolve_alert
from public, anon, authenticated, service_role;
