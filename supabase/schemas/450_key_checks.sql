-- Key checks: whose keys the workspaces have.
-- Stands on: jobs.

create function public.get_key_check(p_job_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '5s'
  set default_transaction_isolation = 'read committed' as $$
begin
  perform sync.require_service();
  perform sync.require_job(p_job_id);
  return jsonb_build_object('job_id', p_job_id, 'keys', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'workspace', w.workspace_name, 'key_status', w.key_status, 'key_owner', w.key_owner,
      'external_id', w.external_id, 'key_checked_at', w.key_checked_at,
      'is_accepted', r.status = 'completed' and w.key_status = 'accepted',
      'latency_ms', (
        select (e.details ->> 'duration_ms')::bigint from public.chunked_sync_jobs as c
        join public.chunk_events as e on e.chunk_id = c.id and e.event = 'completed'
        where c.run_id = r.id and c.kind = 'connection' order by e.id desc limit 1),
      'run_status', r.status, 'error_message', r.error_message) order by w.workspace_name), '[]')
    from public.workspace_sync_runs as r
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_streams as st on st.id = r.stream_id and st.completeness = 'connection'
    where r.job_id = p_job_id));
end; $$;
comment on function public.get_key_check(uuid) is
$$What a job of the stream connection found out about keys; never a key. Returns: {"job_id", "keys":
[{"workspace", "key_status", "key_owner", "external_id", "is_accepted", "latency_ms", …}]}. Raises:
SY007 unknown job.$$;

revoke all on function public.get_key_check from public, anon, authenticated, service_role;
grant execute on function public.get_key_check to service_role;
