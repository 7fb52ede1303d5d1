"""Questions about what Supabase gives: extensions, pg_cron, Vault, Realtime, grants.

Each is a query that gives nothing if all is well, else rows of subject, message, mend.
"""

from typing import Final

EXTENSIONS: Final = """
select w.name as subject, w.what || ' is not there' as message,
  'Enable ' || w.name || ' under Database, Extensions, then push the migrations again.' as mend
from (values
  ('pg_cron', 'cron', 'schedule', 'function cron.schedule'),
  ('pg_net', 'net', 'http_post', 'function net.http_post'),
  ('supabase_vault', 'vault', 'create_secret', 'function vault.create_secret')
) as w (name, schema_name, function_name, what)
where not exists (
  select 1 from pg_catalog.pg_proc as p
  join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
  where n.nspname = w.schema_name and p.proname = w.function_name)
"""

# Doctor's own transactions ask to write; those of others, of the workers too, do not.
READ_ONLY: Final = """
select 'default_transaction_read_only' as subject,
  'is on, so that sessions which do not say otherwise cannot write' as message,
  case s.source
    when 'session' then 'A session of the pooler kept it: restart the pooler in the dashboard, or '
      'take the session pooler (port 5432).'
    when 'configuration file' then 'Supabase sets it when the disk is full: make room, then '
      'restart the database in the dashboard.'
    else format('alter %s … reset default_transaction_read_only;', s.source) end as mend
from pg_catalog.pg_settings as s
where s.name = 'default_transaction_read_only' and s.setting = 'on'
"""

# Verbs over the API say for themselves what they need; everybody else meets SY016.
ISOLATION: Final = """
select 'default_transaction_isolation' as subject,
  'is not READ COMMITTED, in which verbs refuse to run' as message, r.command || ';' as mend
from unnest(sync.isolation_resets(
  array['authenticator', 'service_role', 'authenticated', 'postgres', current_user::text]))
  as r (command)
"""

CRON_JOBS: Final = """
select f.job_name as subject, f.fault as message,
  case when f.is_own then 'select schedule_jobs(); makes it again.'
    else format('As that user, select cron.unschedule(%s);', f.job_id) end as mend
from sync.cron_job_faults() as f
"""

CRON_ALIVE: Final = """
select 'pg_cron' as subject,
  format('has run nothing of Chunkwise since %s',
    to_char(beat_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS "UTC"')) as message,
  'Restart the database in the dashboard, which starts pg_cron anew.' as mend
from sync.heartbeats where name = 'cron' and beat_at < sync.now() - interval '3 minutes'
"""

VAULT: Final = """
select w.workspace_name as subject, 'its key is not in Vault, or cannot be read there' as message,
  format('Hand it over again: chunkwise keys rotate %s', sync.shell_word(w.workspace_name))
    as mend
from public.sync_workspaces as w
-- Without Vault itself the question fails.
where w.is_active and sync.read_secret(w.secret_id) is null
  and (select count(*) from vault.decrypted_secrets where false) = 0
union all
select e.url, 'its wake token is not in Vault, or cannot be read there',
  format('select register_worker_endpoint(%L, ''<wake token>'');', e.url)
from public.worker_endpoints as e
where e.is_active and sync.read_secret(e.secret_id) is null
union all
select w.workspace_name, case w.key_status when 'refused' then 'the API refuses its key'
    else format('its key belongs to another workspace, %s', w.key_owner) end,
  format('Give it its own: chunkwise keys rotate %s', sync.shell_word(w.workspace_name))
from public.sync_workspaces as w
where w.is_active and w.key_status in ('refused', 'other_workspace')
"""

# Arguments of calls over the API are logged too, as parameters of the statement.
STATEMENT_LOG: Final = """
select s.name as subject,
  format('is %s: the log holds every statement, and with it every key that one hands over',
    s.setting) as message,
  format('Set it back to %s where it was set (%s). The log shows the keys that were handed over '
    'meanwhile: give their workspaces others.', s.boot_val, s.source) as mend
from pg_catalog.pg_settings as s
where (s.name = 'log_statement' and s.setting = 'all')
  or (s.name in ('log_min_duration_statement', 'log_min_duration_sample') and s.setting = '0')
  or (s.name = 'pgaudit.log' and s.setting ~* '(^|[ ,])(all|read|function)($|[ ,])')
order by s.name
"""

REALTIME: Final = """
select 'realtime.send' as subject, 'function realtime.send is not there' as message,
  'Enable Realtime in the dashboard; until then workers find work by looking every 5 s.' as mend
where to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null
union all
select 'realtime.messages', 'lacks the policy chunkwise_progress_select_operator',
  'Push the migrations again: without it operators hear nothing of progress.'
where not exists (
  select 1 from pg_catalog.pg_policy as p
  where p.polrelid = to_regclass('realtime.messages')
    and p.polname = 'chunkwise_progress_select_operator')
union all
select 'realtime.messages', 'has no row level security: anybody may hear every private channel',
  'alter table realtime.messages enable row level security;'
from pg_catalog.pg_class as c
where c.oid = to_regclass('realtime.messages') and not c.relrowsecurity
union all
select 'hints', format('the last one failed: %s', last_error),
  'Mend that; meanwhile workers find work by looking every 5 s.'
from sync.hint_state where last_error is not null
"""

PARTITION: Final = """
select 'realtime.messages' as subject,
  'has no partition for today, so that every broadcast is lost' as message,
  'Start a worker with CHUNKWISE_REALTIME=on: Realtime makes partitions when somebody listens.'
    as mend
where to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null
  and sync.is_switched_on('expect_realtime') and not sync.takes_broadcasts()
  and exists (select 1 from sync.workers where last_seen_at > sync.now() - interval '30 seconds')
"""

GRANTS: Final = """
select regexp_replace(object, '^(function|table|sequence) (public\\.)?', '') as subject,
  format('%s may %s', grantee, case privilege when 'execute' then 'execute it'
    when 'usage' then 'use it' else privilege end) as message,
  remedy as mend
from sync.careless_grants()
"""

ROW_SECURITY: Final = """
select c.oid::regclass::text as subject, 'has no row level security' as message,
  format('alter table %s enable row level security;', c.oid::regclass) as mend
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relrowsecurity
  and (n.nspname = 'sync' or n.nspname = 'public'
    and exists (select 1 from pg_catalog.pg_policy as p where p.polrelid = c.oid))
"""
