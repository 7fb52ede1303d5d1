-- Runs: one workspace x one stream of a job, and how far it is.

create table public.workspace_sync_runs (
  id bigint generated always as identity primary key,
  job_id uuid not null references public.polling_job_status (id) on delete cascade,
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  stream_id bigint not null references public.sync_streams (id),
  status text not null default 'running',
  ending text,
  is_paused boolean not null default false,
  phase text not null default 'scan',
  scan int not null default 1,
  begun_again int not null default 0,
  stream_revision int not null default 1,
  access_revision bigint not null default 1,
  max_concurrency int not null,
  planned_chunks bigint not null default 0,
  known_pages int not null default 0,
  planned_pages int not null default 0,
  pages_planned bigint not null default 0,
  pages_completed bigint not null default 0,
  progress_total bigint,
  expected_total bigint,
  distinct_ids bigint,
  chunks_completed bigint not null default 0,
  chunks_failed bigint not null default 0,
  chunks_cancelled bigint not null default 0,
  records_seen bigint not null default 0,
  records_changed bigint not null default 0,
  records_deleted bigint not null default 0,
  deletions_waiting bigint not null default 0,
  parent_run_id bigint references public.workspace_sync_runs (id) on delete set null,
  mark bigint,
  is_full_scan boolean not null default true,
  needed_pages int,
  parts_total bigint,
  parts_ended bigint,
  parts_mark text,
  has_more_parts boolean not null default false,
  last_part_scan int not null default 0,
  window_turn bigint,
  reading jsonb,
  sound_scan int,
  extra_fetches bigint not null default 0,
  started_at timestamptz not null default sync.now(),
  completed_at timestamptz,
  close_error text,
  is_slow_to_close boolean not null default false,
  error_message text,
  warnings text[] not null default '{}',
  constraint workspace_sync_runs_status_check
  check (status in ('running', 'completed', 'partial', 'failed', 'cancelled')),
  constraint workspace_sync_runs_ending_check check (ending in ('cancelled', 'failed', 'timeout')),
  constraint workspace_sync_runs_phase_check
  check (phase in ('connect', 'scan', 'confirm', 'cursor', 'parent', 'items', 'parts')),
  constraint workspace_sync_runs_completed_at_check
  check ((status = 'running') = (completed_at is null)),
  constraint workspace_sync_runs_planned_pages_check check (planned_pages <= known_pages)
) with (fillfactor = 80);
comment on table public.workspace_sync_runs is
'Runs: one workspace x one stream in a job. A running row is the lock of that pair.';
comment on column public.workspace_sync_runs.ending is
'Why a live run ends early: no chunk of it is handed out or applied any more.';
comment on column public.workspace_sync_runs.is_paused is
'pause_sync() holds its workspace, its source or everything, or its key cannot be read: no chunk of
it is handed out.';
comment on column public.workspace_sync_runs.access_revision is
'That of its workspace when it began, or began again: with another one nothing of it is applied.';
comment on column public.workspace_sync_runs.phase is
'connect: asking whose key it is; scan: reading pages; confirm: asking for records that a complete
scan missed; cursor: reading on where pages end; parent: waiting for its parent run; items: one
request per staged item; parts: reading a list below each parent.';
comment on column public.workspace_sync_runs.parent_run_id is
'Of children and items: the run of their parents that must close first.';
comment on column public.workspace_sync_runs.mark is
'Of a feed: the first record of the last complete scan, when this run began. Of an items stream,
and of children that follow what changed: the staged record up to which they are queued.';
comment on column public.workspace_sync_runs.is_full_scan is
'Whether it reads everything: a feed to its end and not only to the mark, other lists without
{since}.';
comment on column public.workspace_sync_runs.needed_pages is
'Of a feed: pages to read as far as is known, also those only a cursor reaches.';
comment on column public.workspace_sync_runs.parts_total is
'Of children: how many parents'' lists it reads; null: it reads one list of its own.';
comment on column public.workspace_sync_runs.parts_ended is
'How many of these were read, proven or not.';
comment on column public.workspace_sync_runs.parts_mark is
'The parent up to which its lists are planned, in the order of the parents'' table.';
comment on column public.workspace_sync_runs.has_more_parts is
'Whether there may be parents behind that one.';
comment on column public.workspace_sync_runs.last_part_scan is
'The highest scan that a list of children has had: see sync.run_parts.';
comment on column public.workspace_sync_runs.window_turn is
'Of children: the chunk with which half of what is planned ahead is used up; null: all is planned.';
comment on column public.workspace_sync_runs.reading is
'What all pages of its scan have in their reading: since; of pages side by side also beside, overlap
and step, by how many records one begins after the other.';
comment on column public.workspace_sync_runs.sound_scan is
'Of an agreed list: its last scan that reached the end and showed no id twice; the next one is
compared with it.';
comment on column public.workspace_sync_runs.extra_fetches is
'Of an items stream: answers that another answer had made unnecessary too late.';
comment on column public.workspace_sync_runs.progress_total is
'Chunks of the first scan, fixed when page 1 was answered: the 100 % of its progress.';
comment on column public.workspace_sync_runs.expected_total is
'The API''s own total in the last scan.';
comment on column public.workspace_sync_runs.chunks_completed is
'Totals are written when the run closes; before, they are summed from sync.run_counters. Cancelled
waiting chunks are added at once.';
comment on column public.workspace_sync_runs.close_error is
'Why closing failed; the next sweep tries again.';
comment on column public.workspace_sync_runs.is_slow_to_close is
'Closing ran out of the time that a worker''s call has: cleanup_stuck_chunks() closes it, which has
more.';
comment on column public.workspace_sync_runs.scan is
'Which pass over the pages it is at, from 1: counts that disagree are scanned again, and another
key, URL or declaration has it begin again.';
comment on column public.workspace_sync_runs.stream_revision is
'Which declaration of its stream it reads by.';
comment on column public.workspace_sync_runs.begun_again is
'How many of these were cut off because it had to begin again: they count as no scan.';
comment on column public.workspace_sync_runs.distinct_ids is 'Of its last scan.';
comment on column public.workspace_sync_runs.max_concurrency is
'Its slots: how many chunks are ready or in flight at once.';
comment on column public.workspace_sync_runs.known_pages is
'Pages of the current scan that answers revealed.';
comment on column public.workspace_sync_runs.planned_pages is
'Up to which page of the current scan there are chunks; the other known pages are planned in a
window ahead of what is done.';
comment on column public.workspace_sync_runs.pages_planned is
'Its chunks that are pages, by number or cursor, of every scan; pages_completed: those that were
applied, written when the run closes.';
comment on column public.workspace_sync_runs.records_seen is
'Records on all its pages, of every scan.';
comment on column public.workspace_sync_runs.deletions_waiting is
'Rows that wait for approve_deletions().';
comment on column public.workspace_sync_runs.warnings is 'What its scans found, with numbers.';
create unique index workspace_sync_runs_live_idx
  on public.workspace_sync_runs (workspace_id, stream_id) where status = 'running';
create index workspace_sync_runs_job_idx on public.workspace_sync_runs (job_id, workspace_id);
-- Whether a job has live runs is asked at the end of each of them.
create index workspace_sync_runs_live_job_idx on public.workspace_sync_runs (job_id)
  where status = 'running';
-- By time, not by id: a limit on the order of ids would tempt the planner to walk the primary key.
-- How the last runs went is read from the index alone.
create index workspace_sync_runs_workspace_idx
  on public.workspace_sync_runs (workspace_id, stream_id, started_at, id)
  include (completed_at, status);
create index workspace_sync_runs_stream_idx on public.workspace_sync_runs (stream_id);
create index workspace_sync_runs_parent_idx on public.workspace_sync_runs (parent_run_id);
create index workspace_sync_runs_running_idx on public.workspace_sync_runs (id)
  where status = 'running';
alter table public.workspace_sync_runs enable row level security;
alter table public.sync_workspace_streams add constraint
  sync_workspace_streams_last_complete_run_id_fkey
foreign key (last_complete_run_id) references public.workspace_sync_runs (id) on delete set null;
create index sync_workspace_streams_run_idx on public.sync_workspace_streams (last_complete_run_id);
-- What ended badly lately is found without a look at every run; entries are made when runs close.
create index workspace_sync_runs_ended_badly_idx on public.workspace_sync_runs (completed_at)
  where status in ('failed', 'partial');

create function sync.is_outdated(p_run public.workspace_sync_runs,
  p_workspace public.sync_workspaces, p_stream public.sync_streams) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_run.access_revision <> p_workspace.access_revision
    or p_run.stream_revision <> p_stream.revision
    or (p_workspace.key_status = 'other_workspace' and p_run.phase not in ('connect', 'parent'));
end; $$;
comment on function sync.is_outdated(public.workspace_sync_runs, public.sync_workspaces,
  public.sync_streams) is
$$Returns: whether a live run has to begin again, because its workspace has another key, URL, id or
source than when it began, its stream another declaration, or its key is another workspace's.
Nothing of it is applied.$$;

revoke all on sequence
  public.workspace_sync_runs_id_seq
from public, anon, authenticated, service_role;
revoke all on table public.workspace_sync_runs from public, anon, authenticated, service_role;
grant select on table public.workspace_sync_runs to authenticated;
grant select on table public.workspace_sync_runs to service_role;
create policy workspace_sync_runs_select_operator on public.workspace_sync_runs
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.is_outdated from public, anon, authenticated, service_role;
