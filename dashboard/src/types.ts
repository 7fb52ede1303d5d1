/** What the database answers: one function a screen, see the page's file in supabase/schemas. */

export type Tone = "fresh" | "working" | "waiting" | "wrong" | "off";
export type Act = "sync" | "retry" | "resume" | "approve" | "command";

/** Part of every answer. */
export interface Head {
  as_of: string;
  is_paused: boolean;
  alerts: number;
  live_jobs: number;
  workers_alive: number;
  stale_after_hours: number;
}

/** The last runs, newest first; null: none yet. `at` in seconds since 1970. */
export interface FleetRow {
  workspace_name: string;
  source_name: string;
  stream: string;
  is_counted: boolean;
  state: string;
  tone: Tone;
  reason: string | null;
  remedy: string | null;
  act: Act | null;
  command: string | null;
  waits_until: string | null;
  is_fresh: boolean;
  is_stale: boolean;
  last_complete_sync_at: string | null;
  last_sync_duration_ms: number | null;
  record_count: number | null;
  api_total: number | null;
  live_run_id: number | null;
  live_job_id: string | null;
  percentage: number | null;
  pages_done: number | null;
  pages_planned: number | null;
  retry_job_id: string | null;
  held_run_id: number | null;
  deletions_waiting: number;
  rows_here: number | null;
  /** Newest first: "4200 completed,900 failed", in ms. */
  runs: string | null;
}

export interface Fleet extends Head {
  total: number;
  matching: number;
  fresh: number;
  states: { state: string; tone: Tone; count: number }[];
  records: number | null;
  api_total: number | null;
  jobs: {
    job_id: string;
    job_name: string;
    percentage: number | null;
    workspaces_completed: number;
    total_workspaces: number;
  }[];
  rows: FleetRow[];
}

export interface HeldRecord {
  id: string;
  name: string;
  detail: string | null;
  last_changed_at: string | null;
  last_seen_at: string | null;
  is_confirmed: boolean;
}

export interface Held extends Head {
  run_id: number;
  count: number;
  records: HeldRecord[];
}

export interface PastRun {
  run_id: number;
  job_id: string;
  status: string;
  started_at: string;
  completed_at: string | null;
  duration_ms: number;
  records: number;
  expected_total: number | null;
  changed: number;
  deleted: number;
  deletions_waiting: number;
  scans: number;
  error_message: string | null;
  warnings: string[];
}

export interface StreamDetail extends Omit<FleetRow, "runs"> {
  unlisted_count: number;
  unlisted: { id: string; name: string; unlisted_at: string }[];
  held: HeldRecord[];
  history: PastRun[];
}

export interface FailedChunk {
  id: number;
  workspace_name?: string;
  parent_sync_job_id?: string;
  stream: string;
  kind: string;
  page: number | null;
  record_id: string | null;
  attempts: number;
  error_message: string | null;
  failed_at: string;
}

export interface Workspace extends Head {
  workspace_name: string;
  base_url: string;
  source_name: string;
  external_id: string | null;
  is_active: boolean;
  created_at: string;
  paused_at: string | null;
  max_concurrency: number;
  key_status: string;
  key_checked_at: string | null;
  key_owner: string | null;
  key_owner_id: string | null;
  rate_limited_until: string | null;
  streams: StreamDetail[];
  failed: FailedChunk[];
}

export interface Budget {
  source_name: string;
  scope_key: string;
  requests_per_second: number | null;
  learned_rate: number | null;
  max_in_flight: number | null;
  reduced_in_flight: number | null;
  in_flight: number;
  blocked_until: string | null;
}

export interface Wait {
  why: string;
  message: string;
  waits_until: string | null;
  runs: number;
  workspaces: string[];
}

export interface JobRow {
  job_id: string;
  job_name: string;
  status: string;
  started_at: string;
  completed_at: string | null;
  duration_ms: number | null;
  total_workspaces: number;
  workspaces_processed: number;
  workspaces_skipped: number;
  records: number;
  percentage: number | null;
  retry_of_job_id: string | null;
  message: string | null;
}

export interface JobSummary extends Omit<JobRow, "message"> {
  cancel_requested_at: string | null;
  error_message: string | null;
  warnings: string[];
  happening_now: string | null;
  planned: number;
  pending: number;
  processing: number;
  completed: number;
  failed: number;
  cancelled: number;
  waits: Wait[];
  budgets: Budget[];
}

export interface Jobs extends Head {
  live: JobSummary[];
  oldest_ready_at: string | null;
  jobs: JobRow[];
  has_more: boolean;
}

export interface JobRun {
  run_id: number;
  workspace_name: string;
  stream: string;
  status: string;
  phase: string;
  percentage: number | null;
  planned: number;
  completed: number;
  failed: number;
  processing: number;
  delayed: number;
  records: number;
  changed: number;
  deleted: number;
  expected_total: number | null;
  deletions_waiting: number;
  duration_ms: number;
  error_message: string | null;
  warnings: string[];
}

export interface Job extends Head, JobSummary {
  retry_obstacle: string | null;
  run_count: number;
  run_states: Record<string, number>;
  runs: JobRun[];
  failed_chunks: FailedChunk[];
}

export interface Alert {
  id: number;
  kind: string;
  subject: string;
  message: string;
  opened_at: string;
  last_seen_at: string;
  repeats: number;
  workspace_name: string | null;
  job_id: string | null;
  act: Act | "job";
  command: string | null;
}

export interface Alerts extends Head {
  open: Alert[];
  ended: {
    id: number;
    kind: string;
    subject: string;
    message: string;
    opened_at: string;
    resolved_at: string;
  }[];
  has_more: boolean;
  checked_at: string | null;
}

export interface Engine extends Head {
  queue: {
    live_jobs: number;
    live_runs: number;
    ready_chunks: number;
    delayed_chunks: number;
    chunks_in_flight: number;
    waiting_chunks: number;
    next_retry_at: string | null;
    workers_alive: number;
    blocked_budgets: number;
    last_sweep_at: string | null;
    last_sweep_error: string | null;
  };
  oldest_ready_at: string | null;
  workers: {
    worker_id: string;
    first_seen_at: string;
    last_seen_at: string;
    is_alive: boolean;
    chunks_in_flight: number;
    alone_with: number | null;
  }[];
  budgets: Budget[];
  hints: {
    takes_broadcasts: boolean;
    expect_realtime: boolean;
    last_broadcast_at: string | null;
    broadcasts: number;
    last_error: string | null;
    last_push_error: string | null;
  };
  endpoints: {
    url: string;
    is_active: boolean;
    resting_until: string | null;
    last_answered_at: string | null;
    consecutive_failures: number;
    last_error: string | null;
  }[];
  posts: { count: number; answered: number; failed: number; median_ms: number | null };
  cron: {
    beat_at: string | null;
    checked_at: string | null;
    last_error: string | null;
    jobs: { job_name: string; schedule: string; fault: string | null }[];
  };
  causes: { kind: string; subject: string; message: string; opened_at: string }[];
  versions: { schema_version: number; protocol_version: number };
}

export interface Sources extends Head {
  sources: {
    source_name: string;
    base_path: string;
    auth: string;
    auth_in: string;
    auth_name: string;
    token_url: string | null;
    token_auth: string;
    budget_scope: string;
    requests_per_second: number | null;
    max_in_flight: number | null;
    paused_at: string | null;
    workspaces: number;
    streams: {
      stream: string;
      path: string;
      item_path: string | null;
      completeness: string;
      is_default: boolean;
      revision: number;
      page_size: number;
      target_table: string;
      parent_stream: string | null;
      params: Record<string, unknown>;
      synced: number;
      records: number | null;
      last_complete_sync_at: string | null;
      command: string;
    }[];
  }[];
}
