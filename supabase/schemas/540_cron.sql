-- Cron: which jobs pg_cron must have, what is wrong with those it has; they are made again.

create extension if not exists pg_cron with schema pg_catalog;

create table sync.cron_jobs (
  job_name text primary key,
  schedule text not null,
  command text not null
);
comment on table sync.cron_jobs is
'The jobs that pg_cron must have. Minutes are the finest step that each version of it knows.';
alter table sync.cron_jobs enable row level security;

create function sync.cron_job_faults()
returns table (job_name text, job_id bigint, is_own boolean, fault text)
language plpgsql stable rows 1 set search_path = pg_catalog, pg_temp as $$
declare
  v_owner text := (select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'sync');
begin
  return query
  select w.job_name, j.jobid, true, f.words
  from sync.cron_jobs as w
  left join cron.job as j on j.jobname = w.job_name and j.username = v_owner
  cross join lateral (select case
    when j.jobid is null then 'it is not scheduled'
    when j.command <> w.command then 'it runs something else: ' || left(j.command, 100)
    -- A copy of the database that pg_cron serves has its jobs, and not its clock.
    when j.database <> coalesce((select s.setting from pg_catalog.pg_settings as s
      where s.name = 'cron.database_name'), current_database())
      then format('it runs in the database %s', j.database)
    when not j.active then 'it is switched off' end) as f (words)
  where f.words is not null
  union all
  select w.job_name, j.jobid, false, format('%s has a job of this name too, number %s', j.username,
    j.jobid)
  from sync.cron_jobs as w
  join cron.job as j on j.jobname = w.job_name and j.username <> v_owner;
end; $$;
comment on function sync.cron_job_faults() is
$$Returns: jobs of the owner of Chunkwise that are missing, off, or not what they should be, and
those that others have under their names. When a job runs is the operator's choice.$$;

create function sync.cron_causes() returns setof sync.cause
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('cron.job') is null then
    return query values ('cron_job_missing', 'pg_cron', 'pg_cron is not there: enable it under '
      'Database, Extensions, then select schedule_jobs();');
    return;
  end if;
  return query
  select 'cron_job_missing', f.job_name, format(case
    when f.is_own then '%s: select schedule_jobs(); makes it again'
    else '%s: as that user, select cron.unschedule(%s);' end, f.fault, f.job_id)
  from sync.cron_job_faults() as f;
end; $$;
comment on function sync.cron_causes() is $$Returns: what is wrong with the jobs of pg_cron.$$;

create function public.schedule_jobs() returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_job record;
  v_scheduled text[] := array[]::text[];
begin
  perform sync.require_service();
  for v_job in
    select f.job_name, f.job_id, w.schedule, w.command
    from sync.cron_job_faults() as f join sync.cron_jobs as w using (job_name)
    where f.is_own order by f.job_name
  loop
    perform cron.unschedule(v_job.job_id) where v_job.job_id is not null;
    perform cron.schedule(v_job.job_name, v_job.schedule, v_job.command);
    v_scheduled := v_scheduled || v_job.job_name;
  end loop;
  return jsonb_build_object('scheduled', to_jsonb(v_scheduled), 'faults', (
    select coalesce(jsonb_agg(jsonb_build_object('job_name', f.job_name, 'fault', f.fault)
      order by f.job_name, f.job_id), '[]') from sync.cron_job_faults() as f));
end; $$;
comment on function public.schedule_jobs() is
$$Make the jobs of pg_cron again that are missing, switched off, or run something else; the others
stay as they are, with the times that somebody may have given them. Returns: {"scheduled": [names of
those made], "faults": [{"job_name", "fault"}]: jobs of other users under the same names}. Locks:
those jobs.$$;

revoke all on table sync.cron_jobs from public, anon, authenticated, service_role;
revoke all on function
  sync.cron_job_faults, sync.cron_causes, public.schedule_jobs
from public, anon, authenticated, service_role;
grant execute on function public.schedule_jobs to service_role;
