-- Audits: what a scan found different from the rows that were here.
-- Stands on: jobs, missing, start.

create table sync.audits (
  run_id bigint primary key references public.workspace_sync_runs (id) on delete cascade,
  record_ids text[] not null
);
comment on table sync.audits is
'The live rows that a workspace had here when an audit of it began.';
alter table sync.audits enable row level security;

create function sync.live_record_ids(p_run public.workspace_sync_runs) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids text[];
begin
  execute sync.target_sql('select array(
    select %3$s from %1$s as t where %2$s and t.deleted_at is null order by t.id)',
      p_run.stream_id)
  into v_ids using p_run.workspace_id, p_run.stream_id;
  return v_ids;
end; $$;
comment on function sync.live_record_ids(public.workspace_sync_runs) is
$$Returns: the ids of the rows of a run's workspace and stream that are not deleted.$$;

create function sync.remember_records(p_job_id uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into sync.audits (run_id, record_ids)
  select r.id, sync.live_record_ids(r) from public.workspace_sync_runs as r
  where r.job_id = p_job_id;
  update public.polling_job_status set kind = 'audit' where id = p_job_id;
  update public.chunked_sync_jobs as c set reading = nullif(c.reading - 'since', '{}')
  from public.workspace_sync_runs as r
  where r.job_id = p_job_id and not r.is_full_scan and c.run_id = r.id and c.reading ? 'since';
  update public.workspace_sync_runs
  set is_full_scan = true, reading = nullif(reading - 'since', '{}')
  where job_id = p_job_id and not is_full_scan;
$$;
comment on function sync.remember_records(uuid) is
$$A job that was just started, by this transaction, is an audit: remember which rows are here now,
and have it read everything.$$;

create function public.start_audit(p_workspaces text[] default null) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_answer jsonb;
begin
  perform sync.require_service();
  perform set_config('response.status', '202', true);
  v_answer := sync.start_job('audit', sync.requested_runs(array(
    select distinct stream_name from public.sync_streams
    where completeness in ('counted', 'chained', 'agreed') and parent_stream is null
      and is_default
  ), p_workspaces), null);
  perform sync.remember_records((v_answer ->> 'job_id')::uuid)
  where v_answer ->> 'status' = 'accepted';
  return v_answer;
end; $$;
comment on function public.start_audit(text[]) is
$$Read the counted, chained and agreed streams of some workspaces, or of all active ones, as a
whole, and remember which rows were here before: get_audit() compares. Returns: as
start_sync_job(). Raises:
SY002 unknown workspace, SY004 inactive workspace, SY005 nothing to audit, SY016 wrong isolation.
Locks: new rows only.$$;

create function sync.audit_of(p_run public.workspace_sync_runs) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_before text[] := (select record_ids from sync.audits where run_id = p_run.id);
  v_seen text[];
  v_repeated text[];
  v_changed text[];
begin
  select coalesce(array_agg(s.id), '{}'), coalesce(array_agg(s.id) filter (where s.times > 1), '{}')
  into v_seen, v_repeated
  from (
    select id, count(*) as times from sync.seen_pages as p cross join unnest(p.record_ids) as id
    where p.run_id = p_run.id and p.scan = p_run.scan group by id
  ) as s;
  execute sync.target_sql('select array(
    select %3$s from %1$s as t
    where %2$s and t.last_changed_at between $3 and $4)', p_run.stream_id)
  into v_changed using p_run.workspace_id, p_run.stream_id, p_run.started_at,
    coalesce(p_run.completed_at, 'infinity');
  return jsonb_build_object(
    'api_total', p_run.expected_total, 'distinct_ids', cardinality(v_seen),
    'rows_before', cardinality(v_before), 'rows_now', cardinality(sync.live_record_ids(p_run)),
    'missing', array(select unnest(v_seen) except select unnest(v_before) order by 1),
    'repeated', array(select unnest(v_repeated) order by 1),
    'stale', array(
      select unnest(v_changed) intersect select unnest(v_before) intersect select unnest(v_seen)
      order by 1),
    'surplus', case when p_run.status = 'completed' then array(
      select unnest(v_before) except select unnest(v_seen) order by 1) end);
end; $$;
comment on function sync.audit_of(public.workspace_sync_runs) is
$$Returns: what the last scan of an audit's run showed against the rows that were here before it.
missing: the API has it, it was not here; stale: it was here with other values; surplus: it was
here, the API does not list it, null if the run did not complete, for then nobody knows; repeated:
it stands on more than one page.$$;

create function public.get_audit(p_job_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
begin
  perform sync.require_service();
  perform sync.require_job(p_job_id);
  return jsonb_build_object('job_id', p_job_id, 'runs', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'workspace', w.workspace_name, 'stream', st.stream_name, 'status', r.status,
      'scans', r.scan - r.begun_again,
      'error_message', r.error_message, 'warnings', to_jsonb(r.warnings)) || sync.audit_of(r)
      order by w.workspace_name, st.stream_name), '[]')
    from sync.audits as a
    join public.workspace_sync_runs as r on r.id = a.run_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_streams as st on st.id = r.stream_id
    where r.job_id = p_job_id));
end; $$;
comment on function public.get_audit(uuid) is
$$What an audit found, per workspace and stream; of an ended run it is final. Returns: {"job_id",
"runs": [{"workspace", "stream", "status", "api_total", "distinct_ids", "rows_before", "rows_now",
"missing", "repeated", "stale", "surplus", …}]}. Raises: SY007 unknown job.$$;

revoke all on table sync.audits from public, anon, authenticated, service_role;
grant select on table sync.audits to authenticated, service_role;
create policy audits_select_operator on sync.audits
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.live_record_ids, sync.remember_records, public.start_audit, sync.audit_of,
  public.get_audit
from public, anon, authenticated, service_role;
grant execute on function public.start_audit, public.get_audit to service_role;
