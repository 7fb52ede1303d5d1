"""Questions about the engine: version, workers, sweep, locks, dead rows, time limits.

Each is a query that gives nothing if all is well, else rows of subject, message, mend.
"""

from typing import Final

WORKERS: Final = """
select 'workers' as subject,
  case when max(k.last_seen_at) is null then 'none was ever heard of'
    else format('none was heard of since %s',
      to_char(max(k.last_seen_at) at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS "UTC"')) end
    as message,
  'Start one: chunkwise worker.' as mend
from sync.workers as k
having coalesce(max(k.last_seen_at), '-infinity') < sync.now() - interval '30 seconds'
  and not exists (select 1 from public.worker_endpoints where is_active)
union all
select e.url, format('does not answer: %s', coalesce(e.last_error, 'no reason given')),
  'Start chunkwise worker --listen there, or select remove_worker_endpoint(''' || e.url || ''');'
from public.worker_endpoints as e where e.is_active and e.resting_until > sync.now()
"""

SWEEP: Final = """
select 'sweep' as subject, format('failed: %s', last_error) as message,
  'Mend what it names; select cleanup_stuck_chunks(); tries again.' as mend
from sync.sweep_state where last_error is not null
union all
select 'run ' || r.id, format('cannot be closed: %s', r.close_error),
  'Mend what it names; the next sweep closes it.'
from public.workspace_sync_runs as r where r.status = 'running' and r.close_error is not null
"""

HEALTH: Final = """
select 'health check' as subject, case when last_error is not null then 'failed: ' || last_error
    else format('was last done at %s', to_char(beat_at at time zone 'utc',
      'YYYY-MM-DD HH24:MI:SS "UTC"')) end as message,
  'select sync.check_health(); shows what stops it, cron.job_run_details what stopped it.' as mend
from sync.heartbeats where name = 'health' and (last_error is not null
  or beat_at < sync.now() - interval '15 minutes' and exists (
    select 1 from sync.heartbeats
    where name = 'cron' and beat_at >= sync.now() - interval '3 minutes'))
"""

ALERTS: Final = """
select 'webhook' as subject,
  format('does not take messages: %s; alerts: %s', d.last_error, count(*)) as message,
  'select set_alert_url(''webhook'', ''<url>''); corrects it and sends again what is open.' as mend
from sync.alert_deliveries as d join public.sync_alerts as a on a.id = d.alert_id
where d.delivered_at is null and d.last_error is not null
  and (a.resolved_at is null or d.attempts < 10)
group by d.last_error
"""

# A session's text is cut where its first literal begins: that may be a key.
LOCKS: Final = """
with activity as (
  select *, left(regexp_replace(query, '(''|\\$\\D|\\$$).*', '…'), 80) as said
  from pg_catalog.pg_stat_activity where datname = current_database()
)
select 'session ' || a.pid as subject,
  format('%s has had a transaction open for %s s: %s', coalesce(a.usename, 'somebody'),
    floor(extract(epoch from sync.now() - a.xact_start)), a.said) as message,
  format('End what holds it open, or select pg_terminate_backend(%s);', a.pid) as mend
from activity as a
where a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
  and a.xact_start < sync.now() - interval '60 seconds'
union all
select 'session ' || a.pid,
  format('has waited for session %s for more than 10 s: %s',
    array_to_string(pg_blocking_pids(a.pid), ', '), a.said),
  format('End what session %s does, or select pg_terminate_backend(%s);',
    (pg_blocking_pids(a.pid))[1], (pg_blocking_pids(a.pid))[1])
from activity as a
where a.wait_event_type = 'Lock' and a.query_start < sync.now() - interval '10 seconds'
"""

SEES_OTHERS: Final = "select pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees"

BLOAT: Final = """
select c.oid::regclass::text as subject,
  format('%s dead rows beside %s live ones', s.n_dead_tup, s.n_live_tup) as message,
  format('vacuum %s; if they stay, an old transaction holds them.', c.oid::regclass) as mend
from pg_catalog.pg_stat_user_tables as s join pg_catalog.pg_class as c on c.oid = s.relid
where (s.schemaname = 'sync' or s.relid = any (array[
    to_regclass('public.chunk_processing_queue'), to_regclass('public.chunked_sync_jobs'),
    to_regclass('public.chunk_events'), to_regclass('public.workspace_sync_runs'),
    to_regclass('public.polling_job_status'), to_regclass('public.sync_budgets')]))
  and s.n_dead_tup > 10000 and s.n_dead_tup > s.n_live_tup
"""

TIMEOUTS: Final = """
select p.oid::regprocedure::text as subject, 'declares no statement_timeout' as message,
  format('alter function %s set statement_timeout = ''20s'';', p.oid::regprocedure) as mend
from pg_catalog.pg_proc as p
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
  and 'search_path=pg_catalog, pg_temp' = any (p.proconfig)
  and obj_description(p.oid, 'pg_proc') ~ 'Returns:'
  and has_function_privilege('service_role', p.oid, 'execute')
  and not exists (
    select 1 from unnest(p.proconfig) as setting where setting ~ '^statement_timeout=[1-9]')
"""

HAS_VERSION: Final = "select 1 where to_regprocedure('public.chunkwise_version()') is not null"
VERSION: Final = "select public.chunkwise_version() as version"
WORKSPACES: Final = "select workspace_name from public.sync_workspaces order by workspace_name"

CAN_PING: Final = """
select 1 where to_regprocedure('net.http_get(text,jsonb,jsonb,integer)') is not null
"""
PING: Final = "select net.http_get(url => :url, timeout_milliseconds => 5000) as request_id"
PONG: Final = """
select 1 from net._http_response
where id = :request_id and created > now() - interval '1 minute'
"""
