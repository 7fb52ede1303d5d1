alter table public.sync_sources add column auth text default 'key'::text not null;
alter table public.sync_sources add column reset_header jsonb;
alter table public.sync_sources add column retry_after_path text[];
alter table public.sync_sources add column token_auth text default 'form'::text not null;
alter table public.sync_sources add column token_params jsonb default '{}'::jsonb not null;
alter table public.sync_sources add column token_url text;
alter table public.sync_streams add column body jsonb;
alter table public.sync_streams add column class_rules jsonb default '[]'::jsonb not null;
alter table public.sync_streams add column columns jsonb;
alter table public.sync_streams add column conditional boolean default false not null;
alter table public.sync_streams add column cursor_is text;
alter table public.sync_streams add column deleted_when jsonb;
alter table public.sync_streams add column fan_out text default 'all'::text not null;
alter table public.sync_streams add column first_page integer default 1 not null;
alter table public.sync_streams add column headers jsonb default '{}'::jsonb not null;
alter table public.sync_streams add column id_scope text default 'global'::text not null;
alter table public.sync_streams add column last_path text[];
alter table public.sync_streams add column method text default 'GET'::text not null;
alter table public.sync_streams add column more_is jsonb default 'true'::jsonb not null;
alter table public.sync_streams add column more_path text[];
alter table public.sync_streams add column next_absent_ends boolean default false not null;
alter table public.sync_streams add column next_is text default 'token'::text not null;
alter table public.sync_streams add column next_path text[];
alter table public.sync_streams add column order_direction text default 'desc'::text not null;
alter table public.sync_streams add column order_is_unique boolean;
alter table public.sync_streams add column order_moves text default 'never'::text not null;
alter table public.sync_streams add column overlap integer;
alter table public.sync_streams add column result_cap bigint;
alter table public.sync_streams add column short_page_ends boolean default false not null;
alter table public.sync_streams add column since_format text default 'iso'::text not null;
alter table public.sync_streams add column since_overlap integer default 60 not null;
alter table public.sync_streams add column time_format text default 'iso'::text not null;
alter table public.workspace_sync_runs add column parts_ended bigint;
alter table public.workspace_sync_runs add column parts_mark text;
alter table public.workspace_sync_runs add column parts_total bigint;
alter table public.workspace_sync_runs add column window_turn bigint;
alter table public.sync_sources add constraint sync_sources_auth_check CHECK (((auth = ANY (ARRAY['none'::text, 'key'::text, 'basic'::text, 'oauth2_client'::text, 'oauth2_refresh'::text])) AND ((token_url IS NOT NULL) = (auth = ANY (ARRAY['oauth2_client'::text, 'oauth2_refresh'::text])))));
alter table public.sync_sources add constraint sync_sources_token_auth_check CHECK ((token_auth = ANY (ARRAY['form'::text, 'basic'::text])));
alter table public.sync_streams add constraint sync_streams_choices_check CHECK (((method = ANY (ARRAY['GET'::text, 'POST'::text])) AND (time_format = ANY (ARRAY['iso'::text, 'epoch'::text, 'epoch_ms'::text])) AND (since_format = ANY (ARRAY['iso'::text, 'epoch'::text, 'epoch_ms'::text, 'date'::text])) AND (next_is = ANY (ARRAY['token'::text, 'url'::text, 'link_header'::text])) AND (cursor_is = 'keyset'::text) AND (fan_out = ANY (ARRAY['all'::text, 'changed'::text])) AND (id_scope = ANY (ARRAY['global'::text, 'parent'::text])) AND (order_direction = ANY (ARRAY['asc'::text, 'desc'::text])) AND (order_moves = ANY (ARRAY['never'::text, 'forward'::text]))));
alter table public.sync_streams drop constraint sync_streams_completeness_check;
alter table public.sync_streams add constraint sync_streams_completeness_check CHECK ((completeness = ANY (ARRAY['counted'::text, 'chained'::text, 'agreed'::text, 'feed'::text, 'single'::text, 'items'::text, 'connection'::text])));
alter table public.sync_streams drop constraint sync_streams_order_check;
alter table public.sync_streams add constraint sync_streams_order_check CHECK (((order_type = ANY (ARRAY['number'::text, 'time'::text, 'text'::text])) AND ((order_path IS NOT NULL) OR (order_type <> 'time'::text))));
alter table public.workspace_sync_runs drop constraint workspace_sync_runs_phase_check;
alter table public.workspace_sync_runs add constraint workspace_sync_runs_phase_check CHECK ((phase = ANY (ARRAY['connect'::text, 'scan'::text, 'confirm'::text, 'cursor'::text, 'parent'::text, 'items'::text, 'parts'::text])));
drop index public.chunked_sync_jobs_what_idx;
create table sync.column_fills (
  stream_id bigint not null,
  columns text[] not null,
  began_at timestamp with time zone default sync.now() not null,
  last_key jsonb,
  looked_at bigint default 0 not null,
  unfit jsonb default '{}'::jsonb not null,
  completed_at timestamp with time zone
);
alter table sync.column_fills add constraint column_fills_pkey PRIMARY KEY (stream_id);
alter table sync.column_fills add constraint column_fills_stream_id_fkey FOREIGN KEY (stream_id) REFERENCES public.sync_streams(id);
CREATE INDEX column_fills_open_idx ON sync.column_fills USING btree (stream_id) WHERE (completed_at IS NULL);
alter table sync.column_fills enable row level security;
create schema synced;
alter table public.workspace_sync_runs add column reading jsonb;
alter table public.workspace_sync_runs add column sound_scan integer;
alter table sync.seen_pages add column ends boolean;
alter table sync.seen_pages add column first_text text collate pg_catalog.ucs_basic;
alter table sync.seen_pages add column last_text text collate pg_catalog.ucs_basic;
alter table sync.seen_pages add column latest_at timestamp with time zone;
alter table sync.seen_pages add column next jsonb;
alter table sync.target_tables add column upsert_name text;
CREATE INDEX chunked_sync_jobs_chain_idx ON public.chunked_sync_jobs USING btree (run_id, md5(COALESCE((reading ->> 'next'::text), (reading ->> 'url'::text), (reading ->> 'last'::text)))) WHERE ((kind = 'page'::text) AND (reading IS NOT NULL));
create table sync.emptied_lists (
  workspace_id bigint not null,
  stream_id bigint not null,
  parent_id text not null,
  emptied_at timestamp with time zone not null
);
alter table sync.emptied_lists add constraint emptied_lists_pkey PRIMARY KEY (workspace_id, stream_id, parent_id);
alter table sync.emptied_lists add constraint emptied_lists_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.sync_workspaces(id) ON DELETE CASCADE;
alter table sync.emptied_lists enable row level security;
create table sync.record_parents (
  workspace_id bigint not null,
  stream_id bigint not null,
  parent_id text not null,
  record_id text not null,
  missed_scans integer default 0 not null,
  missed_by_run_id bigint
) with (fillfactor=90);
alter table sync.record_parents add constraint record_parents_pkey PRIMARY KEY (workspace_id, stream_id, parent_id, record_id);
alter table sync.record_parents add constraint record_parents_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.sync_workspaces(id) ON DELETE CASCADE;
CREATE INDEX record_parents_record_idx ON sync.record_parents USING btree (workspace_id, stream_id, record_id);
CREATE INDEX record_parents_missed_idx ON sync.record_parents USING btree (workspace_id, stream_id, record_id) WHERE (missed_scans > 0);
alter table sync.record_parents enable row level security;
create table sync.run_parts (
  id bigint generated always as identity not null,
  run_id bigint not null,
  scan integer not null,
  parent_id text not null,
  attempt integer default 1 not null,
  sound_scan integer,
  parent jsonb not null,
  state text default 'waiting'::text not null,
  known_pages integer default 1 not null,
  planned_pages integer default 0 not null,
  step integer,
  total bigint,
  distinct_ids bigint,
  finding text,
  created_at timestamp with time zone default sync.now() not null
) with (fillfactor=80);
alter table sync.run_parts add constraint run_parts_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'reading'::text, 'proven'::text, 'unproven'::text, 'repeated'::text])));
alter table sync.run_parts add constraint run_parts_planned_pages_check CHECK ((planned_pages <= known_pages));
alter table sync.run_parts add constraint run_parts_pkey PRIMARY KEY (id);
alter table sync.run_parts add constraint run_parts_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.workspace_sync_runs(id) ON DELETE CASCADE;
CREATE UNIQUE INDEX run_parts_parent_idx ON sync.run_parts USING btree (run_id, parent_id, attempt);
CREATE UNIQUE INDEX run_parts_scan_idx ON sync.run_parts USING btree (run_id, scan);
CREATE INDEX run_parts_live_idx ON sync.run_parts USING btree (run_id, state, id) WHERE (state = ANY (ARRAY['waiting'::text, 'reading'::text]));
alter table sync.run_parts enable row level security;
alter table public.workspace_sync_runs add column has_more_parts boolean default false not null;
alter table public.workspace_sync_runs add column last_part_scan integer default 0 not null;
alter table public.chunked_sync_jobs drop constraint chunked_sync_jobs_kind_check;
alter table public.chunked_sync_jobs add constraint chunked_sync_jobs_kind_check CHECK (((kind = ANY (ARRAY['connection'::text, 'page'::text, 'confirmation'::text, 'cursor'::text, 'item'::text])) AND ((kind = 'page'::text) = (page IS NOT NULL)) AND ((kind = ANY (ARRAY['confirmation'::text, 'item'::text])) = (record_id IS NOT NULL)) AND ((kind <> 'cursor'::text) OR (reading IS NOT NULL)) AND ((kind = ANY (ARRAY['page'::text, 'cursor'::text, 'item'::text, 'confirmation'::text])) OR (reading IS NULL))));
CREATE UNIQUE INDEX chunked_sync_jobs_what_idx ON public.chunked_sync_jobs USING btree (run_id, scan, kind, page, record_id, md5((reading)::text)) NULLS NOT DISTINCT;
create table sync.page_etags (
  workspace_id bigint not null,
  stream_id bigint not null,
  request_key text not null,
  etag text,
  last_modified text,
  run_id bigint not null,
  stream_revision integer not null,
  access_revision bigint not null,
  read_at timestamp with time zone not null,
  record_ids text[] not null,
  said jsonb not null
);
alter table sync.page_etags add constraint page_etags_version_check CHECK (((etag IS NOT NULL) OR (last_modified IS NOT NULL)));
alter table sync.page_etags add constraint page_etags_pkey PRIMARY KEY (workspace_id, stream_id, request_key);
alter table sync.page_etags add constraint page_etags_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.sync_workspaces(id) ON DELETE CASCADE;
alter table sync.page_etags add constraint page_etags_stream_id_fkey FOREIGN KEY (stream_id) REFERENCES public.sync_streams(id) ON DELETE CASCADE;
CREATE INDEX page_etags_stream_idx ON sync.page_etags USING btree (stream_id, workspace_id, request_key);
CREATE INDEX page_etags_read_idx ON sync.page_etags USING btree (read_at);
CREATE INDEX page_etags_followed_idx ON sync.page_etags USING btree (stream_id, stream_revision, cardinality(record_ids)) WHERE ((said ->> 'ends'::text) = 'false'::text);
alter table sync.page_etags enable row level security;
create table sync.seen_fields (
  stream_id bigint not null,
  field text not null,
  type text not null,
  first_id text not null,
  first_seen_at timestamp with time zone default sync.now() not null
);
alter table sync.seen_fields add constraint seen_fields_pkey PRIMARY KEY (stream_id, field, type);
alter table sync.seen_fields add constraint seen_fields_stream_id_fkey FOREIGN KEY (stream_id) REFERENCES public.sync_streams(id);
alter table sync.seen_fields enable row level security;
create table sync.stream_tries (
  id bigint generated always as identity not null,
  workspace_id bigint not null,
  budget_id bigint not null,
  source jsonb not null,
  stream jsonb not null,
  status text default 'waiting'::text not null,
  steps jsonb default '[]'::jsonb not null,
  shown jsonb,
  request_id bigint not null,
  kind text not null,
  page integer,
  record_id text,
  reading jsonb,
  request jsonb,
  due_at timestamp with time zone default sync.now(),
  lease_token bigint,
  lease_expires_at timestamp with time zone,
  started_at timestamp with time zone,
  requested_at timestamp with time zone,
  worker_id text,
  token_generation bigint,
  has_renewed boolean default false not null,
  attempts integer default 0 not null,
  error_message text,
  created_at timestamp with time zone default sync.now() not null,
  ended_at timestamp with time zone
) with (fillfactor=50);
alter table sync.stream_tries add constraint stream_tries_kind_check CHECK ((kind = ANY (ARRAY['page'::text, 'confirmation'::text, 'item'::text])));
alter table sync.stream_tries add constraint stream_tries_status_check CHECK ((((status = 'waiting'::text) = (ended_at IS NULL)) AND (status = ANY (ARRAY['waiting'::text, 'done'::text, 'failed'::text])) AND ((lease_expires_at IS NULL) OR (lease_token IS NOT NULL)) AND (((status = 'waiting'::text) AND (lease_expires_at IS NULL)) = (due_at IS NOT NULL))));
alter table sync.stream_tries add constraint stream_tries_pkey PRIMARY KEY (id);
alter table sync.stream_tries add constraint stream_tries_request_id_key UNIQUE (request_id);
alter table sync.stream_tries add constraint stream_tries_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.sync_workspaces(id) ON DELETE CASCADE;
alter table sync.stream_tries add constraint stream_tries_budget_id_fkey FOREIGN KEY (budget_id) REFERENCES public.sync_budgets(id) ON DELETE CASCADE;
CREATE INDEX stream_tries_due_idx ON sync.stream_tries USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX stream_tries_leased_idx ON sync.stream_tries USING btree (lease_expires_at) WHERE (lease_expires_at IS NOT NULL);
CREATE INDEX stream_tries_workspace_idx ON sync.stream_tries USING btree (workspace_id);
CREATE INDEX stream_tries_budget_idx ON sync.stream_tries USING btree (budget_id);
alter table sync.stream_tries enable row level security;
create table sync.token_requests (
  id bigint not null,
  workspace_id bigint not null,
  budget_id bigint not null,
  base_url text not null,
  status text default 'pending'::text not null,
  due_at timestamp with time zone default sync.now() not null,
  lease_token bigint,
  lease_expires_at timestamp with time zone,
  started_at timestamp with time zone,
  requested_at timestamp with time zone,
  worker_id text,
  outcome text,
  failures integer default 0 not null,
  lease_losses integer default 0 not null,
  failing_since timestamp with time zone,
  error_message text,
  created_at timestamp with time zone default sync.now() not null,
  ended_at timestamp with time zone
) with (fillfactor=50);
alter table sync.token_requests add constraint token_requests_state_check CHECK (
CASE status
    WHEN 'pending'::text THEN (ended_at IS NULL)
    WHEN 'processing'::text THEN ((ended_at IS NULL) AND (lease_token IS NOT NULL) AND (lease_expires_at IS NOT NULL) AND (outcome IS NULL))
    ELSE ((status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) AND (ended_at IS NOT NULL))
END);
alter table sync.token_requests add constraint token_requests_pkey PRIMARY KEY (id);
alter table sync.token_requests add constraint token_requests_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.sync_workspaces(id) ON DELETE CASCADE;
alter table sync.token_requests add constraint token_requests_budget_id_fkey FOREIGN KEY (budget_id) REFERENCES public.sync_budgets(id) ON DELETE CASCADE;
CREATE UNIQUE INDEX token_requests_live_idx ON sync.token_requests USING btree (workspace_id) WHERE (ended_at IS NULL);
CREATE INDEX token_requests_due_idx ON sync.token_requests USING btree (due_at) WHERE (status = 'pending'::text);
CREATE INDEX token_requests_workspace_idx ON sync.token_requests USING btree (workspace_id, id);
CREATE INDEX token_requests_budget_idx ON sync.token_requests USING btree (budget_id, status);
alter table sync.token_requests enable row level security;
create table sync.workspace_tokens (
  workspace_id bigint not null,
  source_id bigint not null,
  fingerprint text not null,
  secret_id uuid,
  base_url text,
  generation bigint default 0 not null,
  issued_at timestamp with time zone,
  expires_at timestamp with time zone,
  is_proven boolean default false not null,
  renewed_at timestamp with time zone,
  refusals integer default 0 not null,
  refused_until timestamp with time zone,
  refusal text
) with (fillfactor=50);
alter table sync.workspace_tokens add constraint workspace_tokens_pkey PRIMARY KEY (workspace_id);
alter table sync.workspace_tokens add constraint workspace_tokens_fingerprint_key UNIQUE (source_id, fingerprint);
alter table sync.workspace_tokens add constraint workspace_tokens_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.sync_workspaces(id) ON DELETE CASCADE;
alter table sync.workspace_tokens add constraint workspace_tokens_source_id_fkey FOREIGN KEY (source_id) REFERENCES public.sync_sources(id) ON DELETE CASCADE;
alter table sync.workspace_tokens enable row level security;
alter table public.chunk_processing_queue add column token_generation bigint;
alter table public.sync_alerts drop constraint sync_alerts_kind_check;
alter table public.sync_alerts add constraint sync_alerts_kind_check CHECK ((kind = ANY (ARRAY['endpoint_failing'::text, 'stale_workspace'::text, 'key_refused'::text, 'key_of_other_workspace'::text, 'keys_unreadable'::text, 'token_failing'::text, 'counts_disagree'::text, 'deletions_waiting'::text, 'job_not_completed'::text, 'job_stalled'::text, 'no_worker'::text, 'cron_silent'::text, 'cron_job_missing'::text, 'hints_silent'::text, 'open_grants'::text, 'check_failing'::text])));
alter table sync.seen_pages add column refusal text;
drop index public.workspace_sync_runs_workspace_idx;
CREATE INDEX workspace_sync_runs_workspace_idx ON public.workspace_sync_runs USING btree (workspace_id, stream_id, started_at, id) INCLUDE (completed_at, status);
alter table public.sync_streams drop constraint sync_streams_feed_check;
alter table public.sync_streams add constraint sync_streams_feed_check CHECK (((completeness <> 'feed'::text) OR ((overlap_pages >= 0) AND (overlap_pages <= 100) AND (full_scan_days > 0))));
drop index public.sync_workspace_streams_stream_idx;
CREATE INDEX sync_workspace_streams_stream_idx ON public.sync_workspace_streams USING btree (stream_id, workspace_id);
drop index sync.missing_records_stream_idx;
CREATE INDEX missing_records_stream_idx ON sync.missing_records USING btree (stream_id, workspace_id, record_id);
drop index sync.staged_items_stream_idx;
CREATE INDEX staged_items_stream_idx ON sync.staged_items USING btree (stream_id, workspace_id, record_id);
