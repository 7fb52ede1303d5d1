-- The first user's project before Chunkwise: a poller of Edge Functions, its tables, functions,
-- triggers, views and scheduled jobs under names that are Chunkwise's as well.
create table public.client_registry (
  id uuid primary key default gen_random_uuid(),
  workspace_name text, bison_workspace_id int, bison_instance text, bison_api_key text,
  is_active boolean default true, last_successful_sync_at timestamptz, last_sync_duration_ms int,
  estimated_account_count int
);
create table public.polling_job_status (
  id uuid primary key default gen_random_uuid(),
  job_name text not null, started_at timestamptz not null default now(), completed_at timestamptz,
  status text not null default 'running'
    check (status in ('running', 'completed', 'partial', 'failed')),
  total_workspaces int not null default 0, workspaces_processed int not null default 0,
  workspaces_skipped int not null default 0, total_accounts_synced int not null default 0,
  duration_ms int, error_message text, warnings text[],
  created_at timestamptz not null default now(), updated_at timestamptz not null default now()
);
create index idx_polling_job_status_job_name on public.polling_job_status (job_name);
create index polling_job_status_started_idx on public.polling_job_status (started_at desc);
create index idx_polling_job_status_status on public.polling_job_status (status);
alter table public.polling_job_status enable row level security;
create policy "Service role can do all" on public.polling_job_status for all to service_role
using (true) with check (true);
create policy "Anyone can read" on public.polling_job_status for select to anon using (true);

create table public.chunked_sync_jobs (
  id uuid primary key default gen_random_uuid(), parent_sync_job_id uuid
);
create table public.chunk_processing_queue (
  id uuid primary key default gen_random_uuid(),
  chunk_id uuid references public.chunked_sync_jobs (id), parent_sync_job_id uuid, status text,
  attempts int default 0, max_attempts int default 3, created_at timestamptz,
  started_at timestamptz, completed_at timestamptz, error_message text, worker_id text
);
create view public.chunk_processing_status as
select parent_sync_job_id, count(*) as pending_chunks from public.chunk_processing_queue group by 1;
create table public.sync_progress (
  id uuid primary key default gen_random_uuid(), status text, workspaces_completed int,
  total_workspaces int, updated_at timestamptz
);
create table public.sender_emails (
  id uuid primary key default gen_random_uuid(), workspace_name text, email_address text,
  emails_sent_count int, last_synced_at timestamptz, deleted_at timestamptz
);
create materialized view public.sender_emails_by_workspace as
select workspace_name, count(*) as accounts from public.sender_emails group by 1;
create table public.sync_page_queue (
  id uuid primary key default gen_random_uuid(), status text, attempts int,
  next_retry_at timestamptz, created_at timestamptz, started_at timestamptz
);
create table public.thread_processing_queue (
  id uuid primary key default gen_random_uuid(), thread_stage_id uuid, sync_job_id uuid,
  processed_at timestamptz, created_at timestamptz
);

create function public.claim_next_chunk_job_safe(p_worker_id text)
returns setof public.chunk_processing_queue language sql as $$
  update public.chunk_processing_queue set status = 'processing', worker_id = p_worker_id
  where id = (select id from public.chunk_processing_queue where status = 'pending' limit 1)
  returning *;
$$;
create function public.complete_chunk_job_safe(p_id uuid) returns void language sql as $$
  update public.chunk_processing_queue set status = 'completed' where id = p_id;
$$;
create function public.trigger_next_chunk_processing() returns trigger language plpgsql as $$
begin
  perform net.http_post('http://127.0.0.1:9/functions/v1/background-sync-processor',
    jsonb_build_object('id', new.id));
  return new;
end; $$;
create function public.cleanup_stuck_chunks() returns int language sql as 'select 0';
create function public.get_sync_job_progress(p_id uuid) returns jsonb language sql as $$
  select '{}'::jsonb;
$$;
create function public.try_sync_lock(p_name text) returns boolean language sql as 'select true';
create function public.release_sync_lock(p_name text) returns boolean language sql as 'select true';
create trigger post_chunk after insert on public.chunk_processing_queue
for each row execute function public.trigger_next_chunk_processing();

select cron.schedule('poll sender emails', '*/30 * * * *',
  'select net.http_post(''http://127.0.0.1:9/functions/v1/poll-sender-emails'', ''{}'')');
select cron.schedule('stuck chunks', '* * * * *', 'select cleanup_stuck_chunks()');
select cron.schedule('their own', '0 4 * * *', 'select 1');

-- 4,406 accounts, stale for 18 days; nobody knows how many there are by now.
insert into public.sender_emails (workspace_name, email_address, emails_sent_count, last_synced_at)
select 'workspace-' || n % 26 + 1, format('%s@old.example', n), n, now() - interval '18 days'
from generate_series(1, 4406) as n;
insert into public.polling_job_status (job_name, status, completed_at, total_workspaces,
  workspaces_processed)
select 'poll-sender-emails', 'completed', now(), 26, 26 from generate_series(1, 40);
insert into public.chunked_sync_jobs select from generate_series(1, 5);
refresh materialized view public.sender_emails_by_workspace;
