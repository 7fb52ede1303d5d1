-- Jobs: what was asked for.

create table public.polling_job_status (
  id uuid primary key default gen_random_uuid(),
  job_name text not null,
  kind text not null default 'sync',
  started_at timestamptz not null default sync.now(),
  completed_at timestamptz,
  status text not null default 'running',
  total_workspaces int not null default 0,
  workspaces_processed int not null default 0,
  workspaces_skipped int not null default 0,
  total_accounts_synced bigint not null default 0,
  duration_ms bigint,
  error_message text,
  warnings text[] not null default '{}',
  created_at timestamptz not null default sync.now(),
  updated_at timestamptz not null default sync.now(),
  cancel_requested_at timestamptz,
  retry_of_job_id uuid references public.polling_job_status (id) on delete set null,
  chunks_completed bigint not null default 0,
  chunks_failed bigint not null default 0,
  chunks_cancelled bigint not null default 0,
  progress_percentage numeric,
  constraint polling_job_status_status_check
  check (status in ('running', 'completed', 'partial', 'failed', 'cancelled')),
  constraint polling_job_status_kind_check check (kind in ('sync', 'audit', 'key_check')),
  constraint polling_job_status_completed_at_check
  check ((status = 'running') = (completed_at is null))
);
comment on table public.polling_job_status is
'Jobs: one row per request to sync. A running row is the lock of its job name.';
comment on column public.polling_job_status.kind is
'sync; audit: a sync that get_audit() compares with what was here; key_check: asks whose keys are,
and reads no records.';
comment on column public.polling_job_status.workspaces_processed is
'Workspaces whose every requested stream completed.';
comment on column public.polling_job_status.workspaces_skipped is
'Workspaces of which a requested stream was already being synced; named in warnings.';
comment on column public.polling_job_status.total_accounts_synced is
'Distinct ids of the final scans; while it runs what was seen so far.';
comment on column public.polling_job_status.chunks_completed is
'While the job runs as of the last seconds; chunk_processing_status has it as of now.';
comment on column public.polling_job_status.progress_percentage is
'How far it was when it ended: 100 if it completed. Null while it runs.';
comment on column public.polling_job_status.status is
'completed: every run is; failed: none is completed or partial; partial: neither; cancelled.';
comment on column public.polling_job_status.cancel_requested_at is
'When cancel_sync_job() was called; what is in flight ends first.';
comment on column public.polling_job_status.retry_of_job_id is
'The job whose incomplete runs this one repeats.';
comment on column public.polling_job_status.error_message is
'Why runs of it failed, each with its workspace.';
comment on column public.polling_job_status.warnings is
'What was skipped, and what runs found, each with its workspace.';
create unique index polling_job_status_live_name_idx on public.polling_job_status (job_name)
  where status = 'running';
create index polling_job_status_started_idx on public.polling_job_status (started_at);
create index polling_job_status_retry_idx on public.polling_job_status (retry_of_job_id);
alter table public.polling_job_status enable row level security;

create function sync.prepare_job_end() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_trigger_of(tg_relid, 'public.polling_job_status');
  if old.status <> 'running' and new.status <> old.status then
    raise exception using errcode = 'SY009',
      message = format('job %s is %s and stays so', old.id, old.status),
      hint = 'Nothing terminal is reopened: start a new job, or retry_failed_chunks().';
  end if;
  if new.status <> 'running' and old.status = 'running' then
    if exists (select 1 from public.workspace_sync_runs
      where job_id = new.id and status = 'running') then
      raise exception using errcode = 'SY009', message = format('job %s has live runs', old.id),
        hint = 'cancel_sync_job() ends it; it closes by itself with its last run.';
    end if;
    new.completed_at := coalesce(new.completed_at, sync.now());
    new.duration_ms := coalesce(new.duration_ms,
    extract(epoch from new.completed_at - new.started_at) * 1000);
  end if;
  new.updated_at := sync.now();
  return new;
end; $$;
comment on function sync.prepare_job_end() is
$$Trigger: a job ends once, and not before its runs; it notes when and how long it took. Raises:
SY009.$$;
create trigger polling_job_status_transition before update on public.polling_job_status
for each row execute function sync.prepare_job_end();

create function sync.require_job(p_job_id uuid) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select 1 from public.polling_job_status where id = p_job_id) then
    raise exception using errcode = 'SY007',
      message = format('there is no job %s', coalesce(p_job_id::text, 'null')),
      hint = 'select id, job_name, status from polling_job_status order by started_at desc limit '
        '5 shows the last ones.';
  end if;
end; $$;
comment on function sync.require_job(uuid) is $$Raises: SY007 unknown job.$$;

revoke all on table public.polling_job_status from public, anon, authenticated, service_role;
grant select, insert, update, delete on table public.polling_job_status to service_role;
grant select on table public.polling_job_status to authenticated;
grant select (id, job_name, started_at, completed_at, status, total_workspaces,
  workspaces_processed, workspaces_skipped, total_accounts_synced, duration_ms, created_at,
  updated_at)
on table public.polling_job_status to anon;
create policy polling_job_status_select_operator on public.polling_job_status
for select to authenticated using ((select sync.is_operator()));
create policy polling_job_status_select_dashboard on public.polling_job_status
for select to anon using ((select sync.is_switched_on('public_dashboard')));
revoke all on function sync.prepare_job_end, sync.require_job
from public, anon, authenticated, service_role;
