-- From Chunkwise 0.1.0 to 0.2.0. Made by `make migration`; what is done by hand stands
-- in supabase/upgrade.

-- chunkwise: look first
do $before$
begin
  if to_regprocedure('public.chunkwise_version()') is null then
    raise exception using errcode = '55000', message = 'Chunkwise is not in this database, so that '
      'there is nothing to upgrade. Push the migrations before this one first.';
  end if;
  if coalesce(public.chunkwise_version() ->> 'release', '0.1.0') <> '0.1.0' then
    raise exception using errcode = '55000', message = format('this file leads from Chunkwise '
      '0.1.0 to 0.2.0, and the database has %s. Push what comes before it first, or remove '
      'it if the database is past it.',
      coalesce(public.chunkwise_version() ->> 'release', '0.1.0'));
  end if;
end; $before$;

-- Nobody works while it changes. With less than the deadlock timeout it is we who step back.
do $locks$
begin
  for v_try in 1 .. 200 loop
    begin
      perform set_config('lock_timeout', '500ms', true);
      lock table public.chunk_processing_queue,
        public.workspace_sync_runs,
        public.polling_job_status,
        public.sync_workspaces,
        public.sync_budgets,
        public.chunk_events,
        public.chunked_sync_jobs,
        public.sync_alerts,
        public.sync_settings,
        public.sync_sources,
        public.sync_streams,
        public.sync_workspace_streams,
        public.synced_records,
        public.worker_endpoints,
        sync.alert_deliveries,
        sync.alert_posts,
        sync.audits,
        sync.cron_jobs,
        sync.echo_state,
        sync.engine_locks,
        sync.heartbeats,
        sync.hint_state,
        sync.hinted_claims,
        sync.hints,
        sync.job_watch,
        sync.missing_records,
        sync.named_locks,
        sync.run_counters,
        sync.seen_pages,
        sync.staged_items,
        sync.sweep_state,
        sync.target_tables,
        sync.workers in access exclusive mode;
      perform set_config('lock_timeout', '0', true);
      return;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.05);
    end;
  end loop;
  raise exception using errcode = '55P03', message = 'Chunkwise''s tables were not free for a '
    'minute and a half. End what holds them (chunkwise doctor names long transactions), then push '
    'again.';
end; $locks$;

select set_config('check_function_bodies', 'off', true);

drop function public.claim_chunk_job_safe(bigint,text);

drop function public.claim_next_chunk_job_safe(text,integer,jsonb);

drop function sync.find_keys_again();

drop function sync.take_back_expired();

drop function sync.workspace_stream_detail(sync.fleet_row);

drop function sync.count_rows(bigint,bigint[]);

drop function sync.fleet_rows(bigint);

drop function sync.settle_deliveries(text);

drop function sync.note_deliveries();

drop view public.waiting_runs;

drop view public.queue_health;

drop view public.sync_progress;

drop view public.chunk_processing_status;

drop view sync.job_progress;

drop function sync.add_up_runs(uuid);

drop view sync.run_progress;

drop function sync.settle_hints();

drop function sync.delete_workspace_rows(bigint,bigint);

drop function sync.store_workspace_key(bigint,text);

drop function sync.hold_runs(text);

drop function sync.mark_paused(text,text,timestamp with time zone);

drop function sync.mark_paused_runs();

drop function sync.start_answer(text,uuid,text,text[]);

drop function public.fail_chunk_job_safe(bigint,bigint,text,text,numeric);

drop function sync.fail_chunk(sync.page_in_hand,text,text,numeric);

drop function sync.judge_failure(sync.page_in_hand,text,text,numeric);

drop function sync.may_be_sent_again(bigint,text);

drop function sync.complete_pages(sync.page_in_hand[]);

drop function sync.complete_as_one(sync.page_in_hand[],boolean);

drop function sync.try_pages(sync.page_in_hand[]);

drop function sync.try_page(sync.page_in_hand,interval);

drop function sync.apply_pages(sync.page_in_hand[]);

drop function sync.note_seen(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]);

drop function sync.applied(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]);

drop function sync.unfit_in(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]);

drop function sync.note_key(sync.page_in_hand[]);

drop function sync.settle_chunks(sync.page_in_hand[]);

drop function sync.settle_runs(bigint[]);

drop function sync.note_unfit(sync.page_in_hand[]);

drop function sync.pass_slots(sync.page_in_hand[]);

drop function sync.end_or_delay(sync.page_in_hand[]);

drop function sync.decide_failures(sync.page_in_hand[]);

drop function sync.plan_revealed(sync.page_in_hand[]);

drop function sync.read_pages(sync.page_in_hand[]);

drop function sync.read_page(sync.page_in_hand,public.sync_streams,public.sync_sources);

drop function sync.note_key_owners(sync.page_in_hand[]);

drop function sync.read_single(sync.page_in_hand,public.sync_sources);

drop function sync.plan_items(sync.page_in_hand[]);

drop function sync.cover_items(sync.page_in_hand,bigint[],bigint[]);

drop function sync.note_items(sync.page_in_hand[]);

drop function sync.next_staged(public.workspace_sync_runs,integer);

drop function sync.read_items(sync.page_in_hand);

drop function sync.advance_mark(public.workspace_sync_runs,bigint);

drop function sync.read_what_pages_skipped(public.workspace_sync_runs);

drop function sync.read_between_pages(public.workspace_sync_runs,integer);

drop function sync.plan_feed(sync.page_in_hand[]);

drop function sync.plan_next_cursor(sync.page_in_hand);

drop function sync.plan_feed_pages(sync.page_in_hand);

drop function sync.is_above_mark(sync.page_in_hand);

drop function sync.read_feed(sync.page_in_hand,public.sync_streams);

drop function sync.with_order(sync.page_in_hand,public.sync_streams);

drop function sync.check_cursor(sync.page_in_hand);

drop function sync.plan_counted(sync.page_in_hand[]);

drop function sync.scan_again(bigint,text);

drop function sync.scan_finding(bigint);

drop function sync.read_confirmation(sync.page_in_hand,public.sync_streams);

drop function sync.read_counted(sync.page_in_hand,public.sync_streams);

drop function sync.forget_missed_with_another_key(bigint[]);

drop function sync.confirmation_finding(public.workspace_sync_runs);

drop function sync.note_confirmations(sync.page_in_hand[]);

drop function sync.is_newly_empty(public.workspace_sync_runs);

drop function sync.revive_seen(public.workspace_sync_runs);

drop function sync.note_missing(public.workspace_sync_runs);

drop function sync.forget_missing(bigint,bigint);

drop function sync.outcome_of(sync.page_in_hand);

drop function sync.fence(sync.page_in_hand[]);

drop function sync.first_answer(sync.page_in_hand);

drop function sync.given_pages(jsonb);

drop function sync.judge_error(sync.page_in_hand,text,text,text);

drop function sync.postpone(sync.page_in_hand,text,text);

drop function sync.is_pages_own_trouble(sync.page_in_hand,text);

drop function sync.find_refused_record(sync.page_in_hand,text);

drop function sync.apply_synced_records(sync.incoming_record[]);

drop function sync.write_upsert(text,regclass);

drop function sync.upsert_sql(text,regclass);

drop function sync.fit_records(regclass,sync.judged_record[]);

drop function sync.found_records(sync.page_in_hand[]);

drop function sync.require_no_rate_limit(integer,text,public.sync_sources);

drop function sync.require_own_error(sync.page_in_hand,public.sync_sources);

drop function sync.without_paths(sync.page_in_hand,jsonb);

drop function sync.check_records(sync.page_in_hand,public.sync_streams);

drop function sync.read_json(sync.page_in_hand);

drop function sync.raise_shape(text,text);

drop function sync.claim_chunks(bigint[],text);

drop function sync.note_haste(text);

drop function sync.lease_chunks(sync.admission[],text,sync.access[]);

drop function sync.note_unreadable(bigint[]);

drop function sync.withheld_chunks(bigint[],sync.access[]);

drop function sync.read_access(bigint[]);

drop function sync.pick_ready_chunks(integer);

drop function sync.echo_age_ms();

drop function sync.pick_fair_shares(integer,text);

drop function sync.note_answers(bigint[]);

drop function sync.note_refusal(bigint,bigint,numeric);

drop function sync.admit_chunks(bigint[],boolean);

drop function sync.note_revealed_pages(bigint,integer);

drop function sync.fill_slots(bigint);

drop trigger polling_job_status_transition on public.polling_job_status;

drop function sync.check_job_transition();

drop function sync.require_fields_together(jsonb);

drop function sync.require_parents(bigint);

drop function sync.require_drop_paths(jsonb,public.sync_streams);

drop function sync.is_rate_limit(jsonb,integer,text);

drop function sync.try_time(text);

drop function sync.note_out_of_time();

drop function sync.wait_for_engine_lock(text);

drop function sync.try_engine_lock(text);

create temporary table chunkwise_set_aside on commit drop as
select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as made, (
    select array_agg(case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
    from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
    where a.grantee <> p.proowner) as grantees,
  obj_description(p.oid, 'pg_proc') as words
from pg_catalog.pg_proc as p
where exists (
  select 1 from pg_catalog.pg_depend as d join pg_catalog.pg_type as y on y.oid = d.refobjid
  where d.classid = 'pg_proc'::regclass and d.objid = p.oid
    and d.refclassid = 'pg_type'::regclass
    and coalesce(nullif(y.typelem, 0), y.oid)::regtype::text = any ('{sync.fleet_row, sync.judged_record, sync.page_in_hand, sync.access, sync.incoming_record}'));
do $set_aside$
declare
  v_name text;
begin
  for v_name in select name from chunkwise_set_aside loop
    execute 'drop function ' || v_name;
  end loop;
end; $set_aside$;

drop type sync.fleet_row;

drop type sync.judged_record;

drop type sync.page_in_hand;

drop type sync.access;

drop type sync.incoming_record;

create type sync.incoming_record as (workspace_id bigint, stream_id bigint, record_id text, updated_at timestamp with time zone, record jsonb, turn integer, requested_at timestamp with time zone, is_truth boolean, parent_id text, own_id text);

create type sync.template as (said text, name text, path text[], flaw text, fallback jsonb);

create type sync.wrong_field as (field text, takes text);

create type sync.judged_record as (workspace_id bigint, stream_id bigint, record_id text, updated_at timestamp with time zone, record jsonb, fitting jsonb, change text, known_change timestamp with time zone, unfit text[], parent_id text, own_id text);

create type sync.made_request as (queue_id bigint, request jsonb, code text, message text);

create type sync.access as (workspace_id bigint, source_id bigint, base_url text, origin text, credentials jsonb, obstacle text, token_generation bigint);

create type sync.leased as (queue_id bigint, lease_token bigint, send_after interval, budget_id bigint, workspace text, workspace_id bigint, stream text, attempt integer, timeout_ms integer, max_body_bytes integer, request jsonb, origin text, credentials jsonb, status_classes jsonb, answer_headers jsonb);

create type sync.page_access as (is_key_accepted boolean, is_rate_limited boolean, token_generation bigint, is_token_proven boolean);

create type sync.page_verdict as (outcome text, is_repeat boolean, code text, message text, is_permanent boolean, wait interval, retry_after numeric);

create type sync.page_in_hand as (turn integer, queue_id bigint, lease_token bigint, http_status integer, headers jsonb, body text, duration_ms bigint, run_id bigint, workspace_id bigint, stream_id bigint, slot smallint, worker_id text, attempts integer, max_attempts integer, requested_at timestamp with time zone, postponements integer, postponed_since timestamp with time zone, kind text, scan integer, page integer, record_id text, reading jsonb, part_id bigint, parent_id text, is_full_scan boolean, known_pages integer, uses_up_window boolean, access sync.page_access, answer jsonb, records integer, is_mended boolean, total bigint, last_page integer, reveals_pages boolean, is_past_pages boolean, next_cursor text, lowest_id bigint, first_key numeric, last_key numeric, first_text text, last_text text, disorder text, next jsonb, ends boolean, latest_at timestamp with time zone, refusal text, condition jsonb, seen_ids text[], key_owner jsonb, verdict sync.page_verdict, changed integer, unfit jsonb);

create type sync.walk as (pages integer, is_ended boolean, flaw text, is_final boolean, next jsonb);

create type sync.live_row as (record_id text, raw jsonb);

create type sync.part_result as (total bigint, distinct_ids bigint, finding text, is_final boolean, is_sound boolean, next jsonb, pages integer);

create type sync.tried_answer as (page sync.page_in_hand, shape jsonb, complaints jsonb);

create type sync.token_answer as (access_token text, refresh_token text, lifetime interval, is_refusal boolean, finding text, said text);

create type sync.fleet_row as (workspace_id bigint, stream_id bigint, workspace_name text, stream text, is_counted boolean, state text, tone text, severity integer, reason text, remedy text, act text, command text, waits_until timestamp with time zone, is_fresh boolean, is_stale boolean, last_complete_sync_at timestamp with time zone, last_sync_duration_ms bigint, record_count bigint, api_total bigint, live_job_id uuid, percentage numeric, pages_done bigint, pages_planned bigint, retry_job_id uuid, held_run_id bigint, deletions_waiting bigint);

create type sync.counted_rows as (workspace_id bigint, row_count bigint);

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

CREATE OR REPLACE FUNCTION public.chunkwise_version()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '5s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  -- `make migration` puts the release's number in.
  return pg_catalog.jsonb_build_object('schema_version', 1, 'protocol_version', 2,
    'release', '0.2.0');
end; $function$;

CREATE OR REPLACE FUNCTION sync.refuse_removal()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception using errcode = 'SY018',
    message = format('the engine needs every row of %s', tg_relid::regclass),
    hint = case tg_table_name when 'sync_settings' then 'set_setting() changes one; docs/operations.md '
      'has the values that they begin with.' else 'Nothing of it has to be removed, ever.' end;
end; $function$;

CREATE TRIGGER engine_locks_stay BEFORE DELETE OR TRUNCATE ON sync.engine_locks FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_removal();

CREATE OR REPLACE FUNCTION sync.lock_engine_if_free(p_name text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform 1 from sync.engine_locks where lock_name = p_name for no key update skip locked;
  return found;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lock_engine(p_name text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform 1 from sync.engine_locks where lock_name = p_name for no key update;
end; $function$;

CREATE OR REPLACE FUNCTION sync.set_out_of_time()
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select set_config('chunkwise.is_out_of_time', 'on', true);
$function$;

CREATE OR REPLACE FUNCTION sync.is_out_of_time()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return coalesce(current_setting('chunkwise.is_out_of_time', true) = 'on', false);
end; $function$;

CREATE OR REPLACE FUNCTION sync.counted(p_number numeric, p_one text, p_many text DEFAULT NULL::text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return format('%s %s', p_number, case when p_number = 1 then p_one
    else coalesce(p_many, p_one || 's') end);
end; $function$;

CREATE OR REPLACE FUNCTION sync.time_or_null(p_text text)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_time timestamptz;
begin
  v_time := p_text::timestamptz;
  return case when isfinite(v_time) then v_time end;
exception when data_exception then
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.json_or_null(p_text text)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_text::jsonb;
exception when data_exception or program_limit_exceeded or statement_too_complex then
  return null;
end; $function$;

CREATE TRIGGER sync_settings_stay BEFORE DELETE OR TRUNCATE ON public.sync_settings FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_removal();

CREATE OR REPLACE FUNCTION sync.is_switched_on(p_name text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (select value = 'true'::jsonb from public.sync_settings where name = p_name);
end; $function$;

CREATE OR REPLACE FUNCTION sync.origin_of(p_url text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_url sync.parsed_url := sync.parse_url(p_url);
begin
  return v_url.scheme || '://' || sync.host_and_port(v_url);
end; $function$;

CREATE OR REPLACE FUNCTION sync.reach_below(p_base_url text, p_is_anywhere_allowed boolean)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case when p_is_anywhere_allowed then 'any'
    when p_base_url ~ '^https?://(localhost|127[.][0-9.]+|[[]::1[]])([:/]|$)' then 'loopback'
    else 'public' end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.readings(p_text text)
 RETURNS text[]
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_url constant text := '%[0-9A-Fa-f]{2}';
  v_json constant text := '\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\.';
  v_html constant text := '&#[0-9]{1,7};?|&#[xX][0-9A-Fa-f]{1,6};?|&[A-Za-z]{2,24};';
  v_any constant text := v_url || '|' || v_json || '|' || v_html;
  v_text text := sync.as_bytes(p_text);
  v_once text;
  v_twice text;
  v_by_url text;
  v_by_json text;
  v_by_html text;
begin
  if v_text !~ '[%\\&]' then
    return array[v_text];
  end if;
  v_once := sync.resolved(v_text, v_any);
  v_twice := sync.resolved(v_once, v_any);
  v_by_url := sync.resolved(v_text, v_url);
  v_by_json := sync.resolved(v_text, v_json);
  v_by_html := sync.resolved(v_text, v_html);
  return array[v_text, v_by_url, sync.resolved(v_by_url, v_url),
    v_by_json, sync.resolved(v_by_json, v_json), v_by_html, sync.resolved(v_by_html, v_html),
    v_once, v_twice, sync.resolved(v_twice, v_any)];
end; $function$;

CREATE OR REPLACE FUNCTION sync.strings_of(p_secret text)
 RETURNS SETOF text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
begin
  return next p_secret;
  if p_secret ~ '^\s*[{[]' then
    return query select s.part #>> '{}' from jsonb_path_query(p_secret::jsonb, 'strict $.**')
      as s(part) where jsonb_typeof(s.part) = 'string' and length(s.part #>> '{}') >= 4;
  elsif strpos(p_secret, ':') > 0 then
    return query select s.part from unnest(array[split_part(p_secret, ':', 1),
      substr(p_secret, strpos(p_secret, ':') + 1)]) as s(part) where length(s.part) >= 4;
  end if;
exception when invalid_text_representation then
  return;
end; $function$;

CREATE OR REPLACE FUNCTION sync.json_object(p_text text)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_value jsonb := sync.json_or_null(p_text);
begin
  return case when jsonb_typeof(v_value) = 'object' then v_value end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.wrong_in_secret(p_auth text, p_auth_in text, p_secret text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_form constant text := format('the secret of a source with %s auth', p_auth);
  v_grant jsonb;
  v_lacks text;
begin
  if p_auth = 'none' then
    return case when p_secret <> '' then 'its source takes no key: its auth is none' end;
  elsif coalesce(p_secret, '') = '' then
    return 'the key is empty';
  elsif p_auth = 'key' then
    return case
      when p_secret ~ '[\u0001-\u001f\u007f]' then 'the key has a line break or another control in it'
      when p_auth_in = 'header' and p_secret ~ '[^\u0020-\u007e]'
      then 'the key has a letter that no header carries: only ASCII does' end;
  elsif p_auth = 'basic' then
    return case
      when strpos(p_secret, ':') = 0 then v_form || ' reads user:password; this one has no colon'
      when p_secret ~ '[\u0001-\u001f\u007f]'
      then v_form || ' reads user:password; this one has a line break or another control in it' end;
  end if;
  v_grant := sync.json_object(p_secret);
  if v_grant is null then
    return v_form || ' is a JSON object; this one is none';
  end if;
  select string_agg(f.name, ', ') into v_lacks
  from unnest(case p_auth when 'oauth2_client' then '{client_id,client_secret}'::text[]
    else '{client_id,refresh_token}'::text[] end) as f (name)
  where coalesce(jsonb_typeof(v_grant -> f.name), '') <> 'string' or v_grant ->> f.name = '';
  return case
    when v_lacks is not null then format('%s is a JSON object with texts; this one lacks %s',
      v_form, v_lacks)
    when jsonb_typeof(coalesce(v_grant -> 'client_secret', '""')) <> 'string'
    then v_form || ' is a JSON object with texts; this one has another client_secret'
    when v_grant - array['client_id', 'client_secret',
      case p_auth when 'oauth2_refresh' then 'refresh_token' else 'client_id' end] <> '{}'
    then v_form || ' is a JSON object; this one has more fields than that takes' end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.secret_form(p_auth text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case p_auth
    when 'none' then 'Hand over null, or register the workspace with a source that takes one.'
    when 'basic' then 'It reads user:password; what stands before the first colon is the user.'
    when 'oauth2_client' then 'It reads {"client_id": "…", "client_secret": "…"}.'
    when 'oauth2_refresh' then 'It reads {"client_id": "…", "client_secret": "…", "refresh_token": '
      '"…"}; a public client has no client_secret.'
    else 'Hand over the key that the API gave for this workspace.' end;
$function$;

CREATE OR REPLACE FUNCTION sync.workspace_secret(p_workspace_id bigint)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_key text;
  v_tokens text;
begin
  select sync.read_secret(w.secret_id), sync.read_secret(t.secret_id) into v_key, v_tokens
  from public.sync_workspaces as w left join sync.workspace_tokens as t on t.workspace_id = w.id
  where w.id = p_workspace_id;
  return case when v_tokens is null then v_key
    else jsonb_build_array(sync.json_object(v_key), sync.json_object(v_tokens))::text end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.ensure_scope(p_source_id bigint, p_scope_key text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_budget_id bigint;
begin
  select id into v_budget_id from public.sync_budgets
  where source_id = p_source_id and scope_key = p_scope_key;
  -- Only a new one is inserted: the attempt waits for whoever is just writing one that is there.
  if v_budget_id is null then
    insert into public.sync_budgets (source_id, scope_key, requests_per_second, max_in_flight)
    select id, p_scope_key, requests_per_second, max_in_flight from public.sync_sources
    where id = p_source_id
    on conflict (source_id, scope_key) do nothing;
    select id into strict v_budget_id from public.sync_budgets
    where source_id = p_source_id and scope_key = p_scope_key;
  end if;
  return v_budget_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.ensure_budget(p_source_id bigint, p_base_url text, p_workspace_id bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return sync.ensure_scope(p_source_id, (
    select case budget_scope
      when 'key' then 'workspace:' || p_workspace_id when 'source' then 'source'
      else sync.host_of(p_base_url) end
    from public.sync_sources where id = p_source_id));
end; $function$;

CREATE OR REPLACE FUNCTION sync.blocked_budgets(p_reduced_since timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'budget_id', id, 'for_ms', greatest(0,
        ceil(extract(epoch from blocked_until - sync.now()) * 1000))::bigint
    ) order by id), '[]')
    from public.sync_budgets
    where blocked_until > sync.now() or reduced_at >= p_reduced_since
  );
end; $function$;

CREATE OR REPLACE FUNCTION sync.name_key(p_name text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  -- Upper first: two small letters may share a capital.
  select translate(lower(upper(regexp_replace(normalize(sync.trim_blanks(p_name), nfkc), ' +', ' ',
    'g'))), '‐‒–—―−‘’ʼ', '------''''''');
$function$;

CREATE OR REPLACE FUNCTION sync.prepare_workspace()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_other text;
  v_is_moved boolean := false;
  v_is_another boolean := false;
begin
  perform sync.require_trigger_of(tg_relid, 'public.sync_workspaces');
  new.workspace_name := sync.tidy_name(new.workspace_name);
  new.base_url := sync.checked_base_url(regexp_replace(new.base_url, '/+$', ''));
  new.name_key := sync.name_key(new.workspace_name);
  new.instance := sync.host_of(new.base_url);
  if tg_op = 'UPDATE' then
    v_is_moved := (new.source_id, new.base_url) <> (old.source_id, old.base_url);
    if v_is_moved and new.is_external_id_found and new.external_id = old.external_id then
      new.external_id := null;
    end if;
    -- The first owner seen is not another one.
    v_is_another := new.external_id is distinct from old.external_id and not (
      old.external_id is null and new.is_external_id_found);
    new.is_external_id_found := new.is_external_id_found and not v_is_another;
  end if;
  if tg_op = 'UPDATE' and exists (select 1 from public.sync_workspaces
    where name_key = new.name_key and id <> new.id) then
    raise exception using errcode = 'SY019',
      message = format('the name %L is taken', new.workspace_name),
      hint = 'Names are the same that a person reads alike, whatever their case, dashes and blanks: '
        'select workspace_name from sync_workspaces lists them.';
  end if;
  select workspace_name into v_other from public.sync_workspaces
  where source_id = new.source_id and instance = new.instance
    and external_id = new.external_id and removed_at is null and new.removed_at is null
    and id <> new.id and name_key <> new.name_key;
  if v_other is not null then
    raise exception using errcode = 'SY019',
      message = format('workspace %s of that instance is registered as %L', new.external_id,
        v_other),
      hint = 'One workspace of an API has one name; remove_workspace() takes one out.';
  end if;
  if tg_op = 'UPDATE' or not exists (select 1 from public.sync_workspaces
    where name_key = new.name_key) then
    new.budget_id := sync.ensure_budget(new.source_id, new.base_url, new.id);
  end if;
  if v_is_moved then
    new.key_owner := null;
    new.key_owner_id := null;
  end if;
  if v_is_moved or v_is_another then
    new.access_revision := old.access_revision + 1;
    new.key_status := case
      when new.key_status = old.key_status and old.key_status in ('accepted', 'other_workspace')
      then 'unchecked' else new.key_status end;
  end if;
  return new;
end; $function$;

CREATE OR REPLACE FUNCTION sync.workspace_id_of(p_workspace_name text)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_workspace_id bigint;
begin
  -- By the name's index, and not through all that were not removed.
  select case when removed_at is null then id end into v_workspace_id from public.sync_workspaces
  where name_key = (select sync.name_key(p_workspace_name));
  if v_workspace_id is null then
    raise exception using errcode = 'SY002', message = format('there is no workspace '
      '%L', p_workspace_name),
      hint = 'select workspace_name from sync_workspaces lists them; '
      'register_workspace() adds one.';
  end if;
  return v_workspace_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_oauth(p_auth text)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_auth in ('oauth2_client', 'oauth2_refresh');
end; $function$;

CREATE OR REPLACE FUNCTION sync.token_wait(p_workspace_id bigint)
 RETURNS interval
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return greatest(interval '1 second', least(interval '15 seconds', (
    select case r.status when 'processing' then r.lease_expires_at else r.due_at end - sync.now()
    from sync.token_requests as r
    where r.workspace_id = p_workspace_id and r.ended_at is null)));
end; $function$;

CREATE OR REPLACE FUNCTION sync.token_url_of(p_base_url text, p_token_url text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case when starts_with(p_token_url, '/') then p_base_url || p_token_url
    else p_token_url end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fingerprint_of(p_auth text, p_grant jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select encode(sha256(convert_to(jsonb_build_array('chunkwise', p_auth, p_grant ->> 'client_id',
    p_grant ->> 'refresh_token')::text, 'UTF8')), 'hex');
$function$;

CREATE OR REPLACE FUNCTION sync.forget_token(p_workspace_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.token_requests set status = 'cancelled', ended_at = sync.now()
  where workspace_id = p_workspace_id and ended_at is null;
  perform 1 from sync.workspace_tokens where workspace_id = p_workspace_id for no key update;
  delete from vault.secrets where name = 'chunkwise/token/' || p_workspace_id;
  update sync.workspace_tokens set secret_id = null, base_url = null, issued_at = null,
    expires_at = null, is_proven = false, renewed_at = null, refusals = 0, refused_until = null,
    refusal = null
  where workspace_id = p_workspace_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.follow_new_secret(p_workspace_id bigint, p_source_id bigint, p_secret text, p_is_same boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_auth text := (select auth from public.sync_sources where id = p_source_id);
  v_fingerprint text;
  v_other text;
  v_before sync.workspace_tokens;
begin
  if not sync.is_oauth(v_auth) then
    perform sync.forget_token(p_workspace_id);
    delete from sync.workspace_tokens where workspace_id = p_workspace_id;
    return;
  end if;
  v_fingerprint := sync.fingerprint_of(v_auth, p_secret::jsonb);
  select w.workspace_name into v_other from sync.workspace_tokens as t
  join public.sync_workspaces as w on w.id = t.workspace_id
  where t.source_id = p_source_id and t.fingerprint = v_fingerprint
    and t.workspace_id <> p_workspace_id;
  if v_other is not null then
    raise exception using errcode = 'SY019',
      message = format('that grant is the one of workspace %L', v_other),
      hint = 'Each use may renew it, which costs the other workspace its own: have the API give '
        'one to each, or take the other out with remove_workspace().';
  end if;
  select * into v_before from sync.workspace_tokens where workspace_id = p_workspace_id;
  if v_before.workspace_id is not null and (not p_is_same or v_before.source_id <> p_source_id) then
    perform sync.forget_token(p_workspace_id);
  end if;
  insert into sync.workspace_tokens as t (workspace_id, source_id, fingerprint)
  values (p_workspace_id, p_source_id, v_fingerprint)
  on conflict (workspace_id) do update set source_id = excluded.source_id,
    fingerprint = excluded.fingerprint,
    -- Whoever hands the same one over again wants it tried again.
    refused_until = least(t.refused_until, sync.now());
exception when unique_violation then
  raise exception using errcode = 'SY019',
    message = 'that grant is the one of another workspace, which is just being registered',
    hint = 'Have the API give one to each workspace.';
end; $function$;

create policy token_requests_select_operator on sync.token_requests as permissive for select to authenticated using (( SELECT sync.is_operator() AS is_operator));

CREATE OR REPLACE FUNCTION sync.template_default(p_text text)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case when jsonb_typeof(p_text::jsonb) in ('string', 'number', 'boolean')
    then p_text::jsonb end;
exception when data_exception then
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.templates_in(p_text text)
 RETURNS SETOF sync.template
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select m.part[1], split_part(m.part[2], '.', 1),
    (string_to_array(m.part[2], '.'))[2:],
    case
      when m.part[2] !~ '^(page|offset|size|next|last|since|id|parent(\.[^.]+)+)$' then 'name'
      when m.part[3] is not null and sync.template_default(m.part[3]) is null then 'default' end,
    sync.template_default(m.part[3])
  from (values ('(\{([A-Za-z_][^{}|]*)(?:\|([^{}]*))?\})')) as x (pattern)
  cross join lateral (
    select w.part, w.n from regexp_matches(p_text, x.pattern, 'g') with ordinality as w (part, n)
    union all
    -- What begins as a template and is not closed as one.
    select array[o.part[1], o.part[1]], null
    from regexp_matches(regexp_replace(p_text, x.pattern, ' ', 'g'),
      '(\{[A-Za-z_\u0080-\uffff][^{}]{0,20})', 'g') as o (part)
  ) as m
  order by m.n;
$function$;

CREATE OR REPLACE FUNCTION sync.has_template(p_stream public.sync_streams, p_name text)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
begin
  return concat_ws(' ', p_stream.path, p_stream.params, p_stream.headers, p_stream.body)
    ~ ('\{' || p_name || '[.|}]');
end; $function$;

CREATE OR REPLACE FUNCTION sync.position_of(p_stream public.sync_streams)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
begin
  return case
    when p_stream.completeness in ('single', 'items', 'connection') then 'none'
    when p_stream.next_is = 'url' then 'url'
    when p_stream.next_is = 'link_header' then 'link'
    else coalesce(
      substring(concat_ws(' ', p_stream.path, p_stream.params, p_stream.headers, p_stream.body)
        from '\{(page|offset|next|last)[|}]'),
      case when p_stream.completeness in ('counted', 'feed') then 'page' else 'none' end) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.placed_templates(p_stream public.sync_streams)
 RETURNS TABLE(field text, said text, name text, flaw text, fallback jsonb, path text[])
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select f.field, t.said, t.name, t.flaw, t.fallback, t.path
  from (
    select 'path', p_stream.path
    union all select 'item_path', p_stream.item_path
    union all select 'params', p.value #>> '{}' from jsonb_each(p_stream.params) as p
    union all select 'headers', h.value #>> '{}' from jsonb_each(p_stream.headers) as h
    union all select 'body', b #>> '{}'
    from jsonb_path_query(p_stream.body, 'strict $.** ? (@.type() == "string")') as b
  ) as f (field, text)
  cross join sync.templates_in(f.text) as t;
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_templates(p_stream public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select t.field, r.takes from sync.placed_templates(p_stream) as t
  cross join lateral (values
    (t.flaw = 'name', format('the templates {page}, {offset}, {size}, {next}, {last}, {since}, '
      '{id} and {parent.key}, and %s is none of them; a brace with a blank behind it is text',
      t.said)),
    (t.flaw = 'default', format('behind the bar of a template a JSON text, number or truth, as in '
      '{last|0} or {since|"2020-01-01"}, and not %s', t.said)),
    (t.field in ('path', 'item_path') and t.fallback #>> '{}' ~ '^$|(^|[/\\])\.{1,2}([/\\]|$)',
      format('behind the bar of a template a text that names no folder such as "..", and not %s',
        t.said)),
    (t.field = 'headers' and t.fallback #>> '{}' !~ '^[\x20-\x7e]*$',
      format('behind the bar of a template printable ASCII, and not %s', t.said)),
    (t.field in ('path', 'headers') and t.name in ('next', 'last', 'since')
      and t.fallback is null,
      format('a default behind the bar, as in {%s|0}: a first request has no %s', t.name, t.said)),
    (t.field in ('path', 'headers') and t.name = 'since' and sync.has_template(p_stream, 'next'),
      'no {since} beside {next}, whose value takes its place; it stands in params or body then'),
    (t.field = 'headers' and t.name in ('page', 'offset') and p_stream.item_path is not null
      and t.fallback is null,
      format('a default behind the bar, as in {%s|0}: the request of item_path has no %s', t.name,
        t.said)),
    (t.field = 'item_path' and t.name not in ('id', 'parent'),
      format('the templates {id} and {parent.key} only, and not %s', t.said)),
    (t.field <> 'item_path' and t.name = 'id',
      'no {id}: that stands in item_path, the path of one record'),
    (t.name = 'parent' and p_stream.parent_stream is null,
      format('no %s unless parent_stream names the stream of the parents', t.said)),
    (t.name in ('page', 'offset', 'next', 'last', 'since')
      and p_stream.completeness in ('single', 'items', 'connection'),
      format('no %s where completeness is %s, which is one answer', t.said,
        p_stream.completeness)),
    (t.name = 'since' and p_stream.updated_at_path is null,
      'no {since} unless updated_at_path says where a record''s time of change stands'),
    (t.name = 'since' and p_stream.completeness = 'feed',
      'no {since} where completeness is feed: a feed is read down to its mark'),
    (t.name in ('page', 'offset', 'next', 'last') and t.name <> sync.position_of(p_stream),
      format('one position only: the list is paged by %s already, and %s is a second one',
        case sync.position_of(p_stream) when 'url' then 'next_is "url"'
        when 'link' then 'next_is "link_header"'
        else '{' || sync.position_of(p_stream) || '}' end, t.said))
  ) as r (is_wrong, takes)
  where r.is_wrong
  union all
  select 'body', 'templates in values only, and "' || k.key || '" is the name of one'
  from jsonb_path_query(p_stream.body, 'strict $.** ? (@.type() == "object").keyvalue().key') as b
  cross join lateral (select b #>> '{}') as k (key)
  where exists (select from sync.templates_in(k.key))
  union all
  select f.field, 'templates in values only, and "' || n.name || '" is the name of one'
  from (values ('params', p_stream.params), ('headers', p_stream.headers)) as f (field, object)
  cross join jsonb_object_keys(f.object) as n (name)
  where exists (select from sync.templates_in(n.name));
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_places(p_given jsonb)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select g.key, 'no template: those stand in values of path, params, headers and body'
  from jsonb_each(p_given) as g
  where g.key <> all ('{path,item_path,params,headers,body,class_rules}')
    and g.value::text
      ~ '\{((page|offset|size|next|last|since|id)(\|[^{}]*)?|parent\.[^{}]*)\}';
$function$;

CREATE OR REPLACE FUNCTION sync.declared_fields(p_what text)
 RETURNS SETOF sync.declared_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select f.field, f.kind, f.least, f.most, f.one_of::text[] from (values
    ('source', 'source_name', 'title', 1, 100, null),
    ('source', 'base_path', 'base path', null, 1000, null),
    ('source', 'auth', 'choice', null, null, '{none,key,basic,oauth2_client,oauth2_refresh}'),
    ('source', 'token_url', 'token url', null, 1000, null),
    ('source', 'token_params', 'parameters', null, null, null),
    ('source', 'token_auth', 'choice', null, null, '{form,basic}'),
    ('source', 'reset_header', 'reset header', null, null, null),
    ('source', 'retry_after_path', 'keys', 1, 100, null),
    ('source', 'auth_in', 'choice', null, null, '{header,query}'),
    ('source', 'auth_name', 'name', 1, 100, null),
    ('source', 'auth_prefix', 'text', 0, 100, null),
    ('source', 'budget_scope', 'choice', null, null, '{instance,key,source}'),
    ('source', 'requests_per_second', 'number', 0.001, 100000, null),
    ('source', 'max_in_flight', 'whole number', 1, 2147483647, null),
    ('source', 'status_classes', 'status classes', null, null, null),
    ('source', 'success_path', 'keys', 1, 100, null),
    ('source', 'message_path', 'keys', 1, 100, null),
    ('source', 'class_rules', 'class rules', null, null, null),
    ('stream', 'source_name', 'title', 1, 100, null),
    ('stream', 'stream_name', 'title', 1, 100, null),
    ('stream', 'is_default', 'boolean', null, null, null),
    ('stream', 'completeness', 'choice', null, null,
      '{counted,chained,agreed,feed,single,items,connection}'),
    ('stream', 'path', 'path', null, 1000, null),
    ('stream', 'method', 'choice', null, null, '{GET,POST}'),
    ('stream', 'params', 'parameters', null, null, null),
    ('stream', 'headers', 'headers', null, null, null),
    ('stream', 'body', 'body', null, 20000, null),
    ('stream', 'first_page', 'whole number', 0, 1, null),
    ('stream', 'next_path', 'keys', 1, 100, null),
    ('stream', 'next_is', 'choice', null, null, '{token,url,link_header}'),
    ('stream', 'last_path', 'keys', 1, 100, null),
    ('stream', 'cursor_is', 'choice', null, null, '{keyset}'),
    ('stream', 'overlap', 'whole number', 1, 10000, null),
    ('stream', 'more_path', 'keys', 1, 100, null),
    ('stream', 'more_is', 'scalar', null, null, null),
    ('stream', 'next_absent_ends', 'boolean', null, null, null),
    ('stream', 'short_page_ends', 'boolean', null, null, null),
    ('stream', 'time_format', 'choice', null, null, '{iso,epoch,epoch_ms}'),
    ('stream', 'result_cap', 'whole number', 1, 1000000000, null),
    ('stream', 'deleted_when', 'field values', null, null, null),
    ('stream', 'fan_out', 'choice', null, null, '{all,changed}'),
    ('stream', 'id_scope', 'choice', null, null, '{global,parent}'),
    ('stream', 'order_direction', 'choice', null, null, '{asc,desc}'),
    ('stream', 'order_is_unique', 'boolean', null, null, null),
    ('stream', 'order_moves', 'choice', null, null, '{never,forward}'),
    ('stream', 'since_format', 'choice', null, null, '{iso,epoch,epoch_ms,date}'),
    ('stream', 'since_overlap', 'whole number', 0, 31536000, null),
    ('stream', 'class_rules', 'class rules', null, null, null),
    ('stream', 'conditional', 'boolean', null, null, null),
    ('stream', 'columns', 'columns', 1, 500, null),
    ('stream', 'page_param', 'text', 1, 100, null),
    ('stream', 'page_size', 'whole number', 1, 10000, null),
    ('stream', 'records_path', 'keys', 0, 100, null),
    ('stream', 'id_path', 'keys', 1, 100, null),
    ('stream', 'id_type', 'choice', null, null, '{integer,text}'),
    ('stream', 'updated_at_path', 'keys', 1, 100, null),
    ('stream', 'total_path', 'keys', 1, 100, null),
    ('stream', 'last_page_path', 'keys', 1, 100, null),
    ('stream', 'item_path', 'item path', null, 1000, null),
    ('stream', 'item_record_path', 'keys', 0, 100, null),
    ('stream', 'name_path', 'keys', 1, 100, null),
    ('stream', 'drop_paths', 'lists of keys', null, null, null),
    ('stream', 'parent_stream', 'title', 1, 100, null),
    ('stream', 'order_path', 'keys', 1, 100, null),
    ('stream', 'order_type', 'choice', null, null, '{number,time,text}'),
    ('stream', 'overlap_pages', 'whole number', 0, 100, null),
    ('stream', 'full_scan_days', 'whole number', 1, 36500, null),
    ('stream', 'deep_page_limit', 'whole number', 1, 2147483647, null),
    ('stream', 'cursor_params', 'parameters', null, null, null),
    ('stream', 'cursor_param', 'text', 1, 100, null),
    ('stream', 'next_cursor_path', 'keys', 1, 100, null),
    ('stream', 'cursor_codec', 'choice', null, null, '{laravel_id}'),
    ('stream', 'status_classes', 'status classes', null, null, null),
    ('stream', 'timeout_ms', 'whole number', 100, 600000, null),
    ('stream', 'max_body_bytes', 'whole number', 1, 16777216, null),
    ('stream', 'target_table', 'text', 1, 200, null),
    ('stream', 'apply_function', 'text', 1, 200, null),
    ('stream', 'close_function', 'text', 1, 200, null),
    ('stream', 'stage_function', 'text', 1, 200, null),
    ('stream', 'shown_function', 'text', 1, 200, null),
    ('stream', 'warn_function', 'text', 1, 200, null)
  ) as f (what, field, kind, least, most, one_of)
  where f.what = p_what;
$function$;

CREATE OR REPLACE FUNCTION sync.column_types()
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select '{text,boolean,integer,bigint,numeric,double precision,date,timestamptz,uuid,
    jsonb}'::text[];
$function$;

CREATE OR REPLACE FUNCTION sync.own_columns()
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select '{workspace_id,stream_id,parent_id,id,raw,updated_at,last_changed_at,deleted_at,
    unlisted_at}'::text[];
$function$;

CREATE OR REPLACE FUNCTION sync.takes(p_field sync.declared_field)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select case p_field.kind
    when 'choice' then array_to_string(p_field.one_of, ', ')
    when 'boolean' then 'true or false'
    when 'whole number' then format('a whole number from %s to %s', p_field.least, p_field.most)
    when 'number' then format('a number from %s to %s', p_field.least, p_field.most)
    when 'text' then format('a text of %s to %s printable characters', p_field.least, p_field.most)
    when 'title' then format('a text of %s to %s printable characters, without blanks at its ends or '
      'any but a space', p_field.least, p_field.most)
    when 'name' then 'the name of a header or parameter, of letters, digits, "_", "-" and "."'
    when 'keys' then 'a list of keys, such as ["data", "id"]'
      || case p_field.least when 0 then ', or []' else '' end
    when 'lists of keys' then 'lists of keys, such as [["token"], ["oauth", "access_token"]]'
    when 'parameters' then 'an object of texts, numbers and truths, such as {"per_page": 100}'
    when 'headers' then 'an object of texts without line breaks or letters beyond ASCII, such as '
      '{"Api-Version": "2026-01-01"}'
    when 'body' then format('a JSON object whose text has a length of at most %s, nested at most 50 '
      'deep', p_field.most)
    when 'field values' then 'an object of fields and the text, number or truth in each, such as '
      '{"status": "deleted"}'
    when 'columns' then format('an object of at most %s columns, such as {"amount": "bigint", '
      '"created": {"path": ["created"], "type": "timestamptz", "format": "epoch"}}; types: %s; '
      'formats, of timestamptz and date: epoch and epoch_ms; names of small letters, digits and "_", '
      'at most 63 long, and none of our own: %s', p_field.most,
      array_to_string(sync.column_types(), ', '), array_to_string(sync.own_columns(), ', '))
    when 'scalar' then 'a text, a number, true or false'
    when 'reset header' then 'an object such as {"name": "x-ratelimit-reset", "is": "epoch"}; '
      '"is" may be epoch, seconds or date'
    when 'token url' then 'a path below the base URL, such as /oauth/token, or an https URL'
    when 'status classes' then 'an object such as {"404": "page", "5xx": "transient", '
      '"other": "permanent"}; the fourth class is rate_limited; of 2xx one at least is a page and '
      'none permanent, as class_rules may call one for what it contains'
    when 'class rules' then 'a list such as [{"status": 403, "text": "Too Many Attempts", '
      '"class": "rate_limited"}, {"status": 403, "header": "x-ratelimit-remaining", "is": "0", '
      '"class": "rate_limited"}, {"status": 200, "path": ["success"], "is": false, "class": '
      '"transient"}]; the text has 4 characters or more, the status may be left out; classes: page, '
      'transient, rate_limited, permanent'
    else format(case p_field.kind
      when 'base path' then 'nothing or a path without a slash at its end, such as /api'
      when 'item path' then 'a path with {id} in it, such as /people/{id}'
      else 'a path, such as /people or /people/{parent.id}/notes' end
      || ', at most %s long: below the base URL, '
      'without "//", "." or ".." as a folder, "?", "#", "\", other braces, blanks or controls; '
      'what is not ASCII as %%C3%%A9', p_field.most) end;
$function$;

CREATE OR REPLACE FUNCTION sync.without_templates(p_path text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select regexp_replace(p_path, '\{[A-Za-z_][^{}]*\}', 'x', 'g');
$function$;

CREATE OR REPLACE FUNCTION sync.is_list_of_keys(p_value jsonb, p_least numeric, p_most numeric)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case when jsonb_typeof(p_value) = 'array'
    then jsonb_array_length(p_value) between p_least and p_most
      and not exists (select from jsonb_array_elements(p_value) as k
        where jsonb_typeof(k) <> 'string'
          and not (jsonb_typeof(k) = 'number' and k::text ~ '^[0-9]{1,9}$'))
    else false end;
$function$;

CREATE OR REPLACE FUNCTION sync.is_column(p_name text, p_column jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select p_name ~ '^[a-z_][a-z0-9_]*$' and octet_length(p_name) <= 63
    -- System columns have names that no table can give to its own.
    and p_name <> all (sync.own_columns() || '{tableoid,xmin,cmin,xmax,cmax,ctid}'::text[])
    and case jsonb_typeof(p_column)
      when 'string' then p_column #>> '{}' = any (sync.column_types())
      when 'object' then p_column - '{path,type,format}'::text[] = '{}'
        and coalesce(jsonb_typeof(p_column -> 'type') = 'string'
          and p_column ->> 'type' = any (sync.column_types()), false)
        and (not p_column ? 'path' or sync.is_list_of_keys(p_column -> 'path', 1, 100))
        and (not p_column ? 'format' or coalesce(p_column -> 'format' in ('"epoch"', '"epoch_ms"')
          and p_column ->> 'type' in ('timestamptz', 'date'), false))
      else false end;
$function$;

CREATE OR REPLACE FUNCTION sync.is_class_rule(p_rule jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select case when jsonb_typeof(p_rule) <> 'object' then false else
    p_rule - '{status,text,header,path,is,class}'::text[] = '{}'
    and coalesce(p_rule -> 'class' in ('"page"', '"transient"', '"rate_limited"',
      '"permanent"'), false)
    and (not p_rule ? 'status' or p_rule ->> 'status' ~ '^[1-9][0-9]{2}$'
      and jsonb_typeof(p_rule -> 'status') in ('number', 'string'))
    and (p_rule ? 'text')::int + (p_rule ? 'header')::int + (p_rule ? 'path')::int = 1
    and case
      when p_rule ? 'text' then jsonb_typeof(p_rule -> 'text') = 'string'
        and length(btrim(p_rule ->> 'text')) >= 4 and not p_rule ? 'is'
      when p_rule ? 'header' then jsonb_typeof(p_rule -> 'header') = 'string'
        and p_rule ->> 'header' ~ '^[A-Za-z0-9_.-]{1,100}$'
        and coalesce(jsonb_typeof(p_rule -> 'is') = 'string', false)
      else sync.is_list_of_keys(p_rule -> 'path', 1, 100)
        and coalesce(jsonb_typeof(p_rule -> 'is') in ('string', 'number', 'boolean'), false)
      end end;
$function$;

CREATE OR REPLACE FUNCTION sync.fits(p_field sync.declared_field, p_value jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_text text := p_value #>> '{}';
begin
  if p_field.kind = 'scalar' then
    return jsonb_typeof(p_value) in ('string', 'number', 'boolean');
  end if;
  if jsonb_typeof(p_value) <> (case
    when p_field.kind = 'boolean' then 'boolean'
    when p_field.kind in ('whole number', 'number') then 'number'
    when p_field.kind in ('keys', 'lists of keys', 'class rules') then 'array'
    when p_field.kind in ('parameters', 'headers', 'body', 'field values', 'columns',
      'reset header', 'status classes') then 'object'
    else 'string' end)
  then
    return false;
  end if;
  return case case p_field.kind when 'field values' then 'parameters' else p_field.kind end
    when 'boolean' then true
    when 'whole number' then v_text ~ '^[0-9]+$'
      and v_text::numeric between p_field.least and p_field.most
    when 'number' then v_text::numeric between p_field.least and p_field.most
    when 'choice' then v_text = any (p_field.one_of)
    when 'text' then length(v_text) between p_field.least and p_field.most
      and btrim(v_text) = sync.one_line(v_text) and (btrim(v_text) <> '' or v_text = '')
    when 'title' then length(v_text) between p_field.least and p_field.most
      and v_text = sync.one_line(v_text)
      and v_text !~ '[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]'
    when 'name' then length(v_text) between p_field.least and p_field.most
      and v_text ~ '^[A-Za-z0-9_.-]+$'
    when 'path' then sync.is_path(sync.without_templates(v_text), p_field.most)
    when 'base path' then v_text = ''
      or (sync.is_path(v_text, p_field.most) and right(v_text, 1) <> '/')
    when 'item path' then strpos(v_text, '{id}') > 0
      and sync.is_path(sync.without_templates(v_text), p_field.most)
    when 'keys' then sync.is_list_of_keys(p_value, p_field.least, p_field.most)
    when 'lists of keys' then not exists (
      select from jsonb_array_elements(p_value) as p (path)
      where case when jsonb_typeof(path) = 'array' then jsonb_array_length(path) = 0 or exists (
        select from jsonb_array_elements(path) as k where jsonb_typeof(k) <> 'string')
      else true end)
    when 'parameters' then not exists (
      select from jsonb_each(p_value) as p
      where p.key = '' or jsonb_typeof(p.value) not in ('string', 'number', 'boolean'))
    when 'body' then length(v_text) <= p_field.most
      and not jsonb_path_exists(p_value, 'strict $.**{51}')
    when 'headers' then not exists (
      select from jsonb_each(p_value) as p
      where p.key !~ '^[A-Za-z0-9_.-]{1,100}$' or jsonb_typeof(p.value) <> 'string'
        or p.value #>> '{}' !~ '^[!-~]([ -~]*[!-~])?$' or length(p.value #>> '{}') > 1000)
    when 'columns' then p_value <> '{}' and not exists (
      select from jsonb_each(p_value) as c where not sync.is_column(c.key, c.value))
      and (select count(*) from jsonb_object_keys(p_value)) <= p_field.most
    when 'reset header' then p_value - '{name,is}'::text[] = '{}'
      and coalesce(jsonb_typeof(p_value -> 'name') = 'string'
        and p_value ->> 'name' ~ '^[A-Za-z0-9_.-]{1,100}$'
        and p_value -> 'is' in ('"epoch"', '"seconds"', '"date"'), false)
    when 'token url' then length(v_text) <= p_field.most
      and (sync.is_path(v_text, p_field.most)
        or (sync.parse_url(v_text)).scheme = 'https' and ((sync.parse_url(v_text)).path = ''
          or sync.is_path((sync.parse_url(v_text)).path, p_field.most)))
    when 'status classes' then not exists (
      select from jsonb_each_text(p_value) as c
      where c.key !~ '^([1-9][0-9]{2}|[1-9]xx|other)$'
        or coalesce(c.value, '') not in ('page', 'transient', 'rate_limited', 'permanent')
        or (c.key like '2%' and c.value = 'permanent')
        or (c.key = '2xx' and c.value <> 'page' and not jsonb_path_exists(p_value,
          'strict $.keyvalue() ? (@.key like_regex "^2[0-9]{2}$" && @.value == "page")')))
    else not exists (
      select from jsonb_array_elements(p_value) as r where not sync.is_class_rule(r)) end is true;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_fields(p_what text, p_given jsonb, p_required text[])
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_known text[] := array(select field from sync.declared_fields(p_what));
  v_unknown text;
  v_missing text;
  v_wrong sync.declared_field;
begin
  if coalesce(jsonb_typeof(p_given), 'null') <> 'object' then
    raise exception using errcode = 'SY006',
      message = format('the declaration is %s and no JSON object',
        coalesce(sync.shown(p_given), 'null')),
      hint = 'Fields: ' || array_to_string(v_known, ', ');
  end if;
  select string_agg(sync.shown(to_jsonb(k)), ', ') into v_unknown
  from jsonb_object_keys(p_given) as k where k <> all (v_known);
  select string_agg(k, ', ') into v_missing from unnest(p_required) as k
  where p_given ->> k is null;
  if v_unknown is not null or v_missing is not null then
    raise exception using errcode = 'SY006',
      message = concat_ws('; ', 'unknown fields: ' || v_unknown, 'missing fields: ' || v_missing),
      hint = 'Fields: ' || array_to_string(v_known, ', ');
  end if;
  select f.* into v_wrong from sync.declared_fields(p_what) as f
  where p_given ->> f.field is not null and not sync.fits(f, p_given -> f.field) limit 1;
  if found then
    perform sync.refuse_field(p_what, p_given, v_wrong.field, sync.takes(v_wrong));
  end if;
  select f.* into v_wrong from sync.declared_fields(p_what) as f
  where length((p_given -> f.field)::text) > 100000 limit 1;
  if found then
    perform sync.refuse_field(p_what, p_given, v_wrong.field,
      'at most 100000 characters of JSON in all');
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_target_columns(p_target regclass)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_missing text;
begin
  select string_agg(concat_ws(' ', c.name, 'as ' || c.type), ', ' order by c.n) into v_missing
  from (values (1, 'workspace_id', 'bigint'), (2, 'id', null), (3, 'raw', 'jsonb'),
    (4, 'last_changed_at', 'timestamptz'), (5, 'deleted_at', 'timestamptz'),
    (6, 'unlisted_at', 'timestamptz')) as c (n, name, type)
  where not exists (
    select 1 from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attname = c.name and not a.attisdropped
      and a.atttypid = coalesce(c.type::regtype, a.atttypid));
  if v_missing is not null then
    raise exception using errcode = 'SY006',
      message = format('table %s lacks: %s', p_target, v_missing),
      hint = 'An apply function fills it; these are what closing needs.';
  elsif exists (
    select 1 from pg_catalog.pg_attribute as a
    join pg_catalog.pg_type as t on t.oid = a.atttypid
    join pg_catalog.pg_type as base on base.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
    left join pg_catalog.pg_collation as c on c.oid = a.attcollation
    where a.attrelid = p_target and a.attname = 'id' and not a.attisdropped
      and (base.typname = 'citext' or not c.collisdeterministic)) then
    raise exception using errcode = 'SY006',
      message = format('the column id of table %s takes different texts for one', p_target),
      hint = 'Two records would be one row. A column of type text tells all ids apart.';
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.named_table(p_name text)
 RETURNS regclass
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return to_regclass(p_name);
exception when data_exception or syntax_error_or_access_rule_violation then
  return null;  -- no name at all
end; $function$;

CREATE OR REPLACE FUNCTION sync.register_target_table(p_table text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_target regclass := sync.named_table(p_table);
begin
  if v_target is null or not exists (
    select 1 from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.oid = v_target and c.relkind in ('r', 'p')
      and n.nspname not in ('auth', 'vault', 'sync', 'information_schema')
      and n.nspname not like 'pg\_%'
  ) then
    raise exception using errcode = 'SY006',
      message = format('%L is no table that streams may write to', p_table),
      hint = 'Name an existing table with its schema; auth, vault and sync are closed.';
  end if;
  perform sync.require_target_columns(v_target);
  insert into sync.target_tables (target) values (v_target) on conflict (target) do nothing;
  return jsonb_build_object('target_table', sync.qualified_name(v_target));
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_shared_target(p_target regclass)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select 1 from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attname = 'stream_id' and not a.attisdropped);
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_keyed_by_parent(p_target regclass)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select 1 from pg_catalog.pg_index as i
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = p_target and i.indisprimary and a.attname = 'parent_id');
end; $function$;

CREATE OR REPLACE FUNCTION sync.holds_rows_of(p_one regclass, p_other regclass)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    with recursive kin (way, id) as (
      select 'up', p_one::oid union select 'down', p_one::oid
      union
      select k.way, case k.way when 'up' then i.inhparent else i.inhrelid end
      from kin as k join pg_catalog.pg_inherits as i
        on k.id = case k.way when 'up' then i.inhrelid else i.inhparent end
    )
    select exists (select 1 from kin where id = p_other));
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_target_table(p_stream jsonb, p_source_id bigint)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_name text := coalesce(p_stream ->> 'target_table', 'public.synced_records');
  v_target regclass := sync.named_table(v_name);
  v_owner record;
begin
  perform 1 from sync.target_tables where target = v_target for update;
  if not found then
    perform sync.refuse_field('stream', p_stream, 'target_table', 'a table that the database''s '
      'owner registered: select sync.register_target_table(''…'')');
  end if;
  perform sync.require_target_columns(v_target);
  select stream_name, target_table into v_owner from public.sync_streams
  where (source_id, stream_name) <> (p_source_id, p_stream ->> 'stream_name')
    and sync.holds_rows_of(to_regclass(target_table), v_target)
    and not (sync.is_shared_target(v_target) and sync.is_shared_target(to_regclass(target_table)))
  order by stream_name limit 1;
  if v_owner.stream_name is not null then
    perform sync.refuse_field('stream', p_stream, 'target_table', format('a table of its own, and '
      'the rows of this one are those of the stream %L, in %s; a table that streams share has a '
      'column stream_id, and every statement filters by it', v_owner.stream_name,
      v_owner.target_table));
  end if;
  return sync.qualified_name(v_target);
end; $function$;

CREATE OR REPLACE FUNCTION sync.default_values(p_table regclass)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_values jsonb;
begin
  execute (
    select format('select to_jsonb(d) from (select %s) as d', string_agg(
      format('%s as %I', pg_catalog.pg_get_expr(f.adbin, f.adrelid), a.attname), ', '))
    from pg_catalog.pg_attrdef as f
    join pg_catalog.pg_attribute as a on a.attrelid = f.adrelid and a.attnum = f.adnum
    where f.adrelid = p_table and a.attname <> all ('{id,created_at}') and a.attidentity = ''
  ) into v_values;
  return v_values;
end; $function$;

CREATE OR REPLACE FUNCTION sync.without_nulls(p_given jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(jsonb_object_agg(g.key, g.value), '{}')
  from jsonb_each(p_given) as g where g.value <> 'null';
$function$;

CREATE OR REPLACE FUNCTION sync.is_reserved_header(p_name text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select lower(p_name) = any ('{accept,accept-charset,accept-encoding,connection,content-encoding,
    content-length,content-type,date,expect,forwarded,host,http2-settings,if-match,
    if-modified-since,if-none-match,if-range,if-unmodified-since,keep-alive,proxy-authenticate,
    proxy-authorization,proxy-connection,range,te,trailer,transfer-encoding,upgrade,
    via}'::text[]);
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_requests(p_stream public.sync_streams, p_default public.sync_streams, p_source public.sync_sources)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes from (values
    ('body', p_stream.body is not null and p_stream.method = 'GET',
      'nothing unless method is POST'),
    ('page_param', p_stream.page_param <> p_default.page_param
      and (sync.position_of(p_stream) <> 'page' or sync.has_template(p_stream, 'page')),
      'nothing unless completeness is counted or feed and no position stands in the request'),
    ('params', sync.position_of(p_stream) = 'page' and not sync.has_template(p_stream, 'page')
      and p_stream.params ? p_stream.page_param,
      format('no parameter %s, which page_param sends', to_jsonb(p_stream.page_param))),
    ('cursor_param', p_stream.cursor_params is not null and (p_stream.params
        || p_stream.cursor_params) ? p_stream.cursor_param,
      'a name that params and cursor_params do not have'),
    ('cursor_params', p_stream.cursor_params is not null
      and (p_stream.completeness <> 'feed' or sync.position_of(p_stream) <> 'page'),
      'nothing unless completeness is feed and the list is paged by number, whose deep pages it '
        'is for'),
    ('deep_page_limit', p_stream.deep_page_limit is not null
      and (p_stream.completeness <> 'feed' or sync.position_of(p_stream) <> 'page'),
      'nothing unless completeness is feed and the list is paged by number'),
    ('method', p_stream.method <> 'GET' and p_stream.completeness in ('items', 'connection'),
      format('GET, where completeness is %s', p_stream.completeness)),
    ('params', p_stream.params <> '{}' and p_stream.completeness in ('items', 'connection'),
      format('nothing where completeness is %s, whose request is its path alone',
        p_stream.completeness)),
    ('path', p_stream.completeness = 'connection' and strpos(p_stream.path, '{') > 0,
      'no template where completeness is connection'),
    ('headers', p_stream.completeness = 'connection'
      and strpos(substr(p_stream.headers::text, 2), '{') > 0,
      'no template where completeness is connection'),
    ('params', p_source.auth_in = 'query' and p_source.auth in ('key', 'oauth2_client',
        'oauth2_refresh') and p_stream.params ? p_source.auth_name,
      format('no parameter %s, in which the source sends the key', to_jsonb(p_source.auth_name))),
    ('headers', (select count(*) <> count(distinct lower(h))
        from jsonb_object_keys(p_stream.headers) as h),
      'each header once, whatever the case of its letters'),
    ('conditional', p_stream.conditional and p_stream.method <> 'GET',
      'false, where method is POST'),
    ('conditional', p_stream.conditional and sync.has_template(p_stream, 'since'),
      'false, where {since} makes every request another one')
  ) as r (field, is_wrong, takes) where r.is_wrong
  union all
  select 'headers', format('no header %s, which %s', to_jsonb(h.name), case
      when sync.is_reserved_header(h.name) then 'only the engine writes'
      else 'carries the credential' end)
  from jsonb_object_keys(p_stream.headers) as h (name)
  where sync.is_reserved_header(h.name) or lower(h.name) in ('authorization', 'cookie')
    or lower(h.name) = lower(p_source.auth_name);
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_pages(p_stream public.sync_streams, p_default public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes
  from (select sync.position_of(p_stream),
    p_stream.completeness in ('single', 'items', 'connection')) as x (position, is_one_answer)
  cross join lateral (values
    ('first_page', p_stream.first_page <> p_default.first_page and x.position <> 'page',
      'nothing unless the list is paged by number'),
    ('first_page', p_stream.first_page <> p_default.first_page
      and p_stream.cursor_params is not null,
      format('%s, where cursor_params is given', p_default.first_page)),
    ('next_is', p_stream.next_is <> 'token' and x.is_one_answer,
      format('token, where completeness is %s, which is one answer', p_stream.completeness)),
    ('next_path', p_stream.next_path is null and x.position in ('next', 'url'),
      'the keys to what an answer says comes next, where {next} stands in the request or next_is '
        'is url'),
    ('next_path', p_stream.next_path is not null and x.position not in ('next', 'url'),
      'nothing unless {next} stands in the request or next_is is url'),
    ('last_path', p_stream.last_path is not null and x.position <> 'last'
        and (x.position <> 'next' or p_stream.completeness <> 'chained'),
      'nothing unless {last} stands in the request, or {next} where completeness is chained'),
    ('cursor_is', p_stream.cursor_is is not null and x.position not in ('next', 'url', 'link'),
      'nothing unless an answer says what comes next'),
    ('overlap', p_stream.overlap is not null and x.position <> 'offset',
      'nothing unless {offset} stands in the request'),
    ('overlap', p_stream.overlap >= p_stream.page_size,
      format('less than page_size, which is %s', p_stream.page_size)),
    ('page_size', p_stream.page_size < 2 and x.position = 'offset'
      and p_stream.completeness = 'chained',
      '2 or more, since pages by {offset} overlap where completeness is chained'),
    ('more_path', p_stream.more_path is not null and x.position = 'none',
      'nothing unless the list has pages'),
    ('more_is', p_stream.more_is <> p_default.more_is and p_stream.more_path is null,
      'nothing unless more_path is given'),
    ('next_absent_ends', p_stream.next_absent_ends and x.position not in ('next', 'url', 'link'),
      'false, unless an answer says what comes next'),
    ('short_page_ends', p_stream.short_page_ends and x.position = 'none',
      'false, unless the list has pages'),
    ('time_format', p_stream.time_format <> p_default.time_format
      and p_stream.updated_at_path is null, 'nothing unless updated_at_path is given'),
    ('since_format', p_stream.since_format <> p_default.since_format
      and not sync.has_template(p_stream, 'since'),
      'nothing unless {since} stands in the request'),
    ('since_overlap', p_stream.since_overlap <> p_default.since_overlap
      and not sync.has_template(p_stream, 'since'),
      'nothing unless {since} stands in the request'),
    ('cursor_params', p_stream.cursor_params is null and p_stream.next_cursor_path is not null,
      'an object, {} at the least, where next_cursor_path is given'),
    ('next_cursor_path', p_stream.cursor_params is not null and p_stream.next_cursor_path is null,
      'a list of keys, where cursor_params is given'),
    ('cursor_codec', p_stream.cursor_params is null and p_stream.cursor_codec is not null,
      'nothing unless cursor_params is given')
  ) as r (field, is_wrong, takes) where r.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_proofs(p_stream public.sync_streams, p_default public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes
  from (select sync.position_of(p_stream), p_stream.completeness,
    p_stream.completeness in ('counted', 'chained', 'agreed', 'feed'))
    as x (position, completeness, is_list)
  cross join lateral (values
    ('completeness', x.completeness in ('chained', 'agreed') and x.position = 'none',
      format('single, where one answer holds the whole list; %s needs {offset}, {next}, {last}%s '
        'in the request, or next_is', x.completeness,
        case x.completeness when 'agreed' then ' or {page}' else '' end)),
    ('completeness', x.completeness = 'chained' and x.position = 'page',
      'agreed, or counted where the API tells a total: between pages by number a record may slip '
        'through'),
    ('completeness', x.completeness = 'counted' and x.position not in ('page', 'offset'),
      'chained or agreed, where a list is not paged by number or {offset}'),
    ('order_path', x.completeness = 'chained' and p_stream.order_path is null,
      'the keys to what the list is ordered by, where completeness is chained; a list without an '
        'order is agreed'),
    ('cursor_is', x.completeness = 'chained' and p_stream.cursor_is is null
      and (x.position in ('url', 'link') or x.position = 'next' and p_stream.last_path is null),
      'keyset, where completeness is chained and the API says that its cursor is one; last_path, '
        'where the token is a value of the last record; else completeness is agreed'),
    ('last_path', x.is_list and (x.position = 'last'
        or x.position = 'next' and x.completeness = 'chained' and p_stream.cursor_is is null)
      and p_stream.last_path <> p_stream.id_path and (p_stream.order_is_unique is not true
        or p_stream.last_path is distinct from p_stream.order_path),
      'the keys to a value that no two records share: the id, or what the list is ordered by with '
        'order_is_unique true'),
    ('order_direction', x.completeness = 'feed' and p_stream.order_direction <> 'desc',
      'desc, where completeness is feed, which is read newest first'),
    ('order_direction', x.completeness in ('chained', 'agreed')
      and p_stream.order_path = p_stream.updated_at_path and p_stream.order_direction = 'desc',
      'asc, where the list is ordered by updated_at_path: read from the newest, what changes '
        'meanwhile pushes others out of sight'),
    ('order_direction', p_stream.order_moves = 'forward' and p_stream.order_direction <> 'asc',
      'asc, where order_moves is forward'),
    ('order_moves', p_stream.order_moves <> 'never' and x.completeness not in ('chained', 'agreed'),
      'never, unless completeness is chained or agreed'),
    ('order_moves', p_stream.order_moves <> 'never' and p_stream.order_path is null,
      'never, unless order_path is given'),
    ('order_moves', p_stream.order_moves <> 'never' and x.position = 'page',
      'never, where the list is paged by number: forward is one chain'),
    ('order_path', p_stream.order_path is not null and not x.is_list,
      format('nothing where completeness is %s, which is one answer', x.completeness)),
    ('order_type', p_stream.order_path is null and p_stream.order_type <> 'number'
      and not (p_stream.order_type = 'text' and p_stream.id_type = 'text'),
      case p_stream.id_type when 'text' then 'number or text' else 'number' end
        || ', where order_path is left out and the order is the id''s'),
    ('order_direction', p_stream.order_direction <> p_default.order_direction and not x.is_list,
      'nothing unless the list has pages'),
    ('order_is_unique', p_stream.order_is_unique is not null and p_stream.order_path is null,
      'nothing unless order_path is given'),
    ('order_type', x.completeness = 'feed' and p_stream.order_type = 'text',
      'number or time, where completeness is feed'),
    ('id_type', x.completeness = 'feed' and p_stream.id_type <> 'integer'
        and (p_stream.order_path is null or p_stream.cursor_params is not null),
      'integer, where completeness is feed and the order is the id''s, as where order_path is left '
        'out, or that of cursors'),
    ('result_cap', p_stream.result_cap is not null and not (x.is_list and x.completeness <> 'feed'),
      'nothing unless completeness is counted, chained or agreed'),
    ('result_cap', p_stream.result_cap < p_stream.page_size,
      format('no less than page_size, which is %s', p_stream.page_size)),
    ('deleted_when', p_stream.deleted_when is not null
      and x.completeness not in ('counted', 'chained', 'agreed', 'single'),
      format('nothing where completeness is %s, which never deletes', x.completeness)),
    ('deleted_when', p_stream.deleted_when = '{}', 'one field at least, or nothing'),
    ('overlap_pages', p_stream.overlap_pages <> p_default.overlap_pages
      and x.completeness <> 'feed', 'nothing unless completeness is feed'),
    ('conditional', p_stream.conditional and x.completeness in ('items', 'connection'),
      format('false, where completeness is %s', x.completeness))
  ) as r (field, is_wrong, takes) where r.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.wrong_relations(p_stream public.sync_streams, p_default public.sync_streams)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select r.field, r.takes from (values
    ('item_path', p_stream.completeness = 'items' and p_stream.item_path is null,
      'a path with {id} in it, where completeness is items'),
    ('parent_stream', p_stream.completeness = 'items' and p_stream.parent_stream is null,
      'the name of a stream of the same source, where completeness is items'),
    ('parent_stream', p_stream.parent_stream is not null
      and p_stream.completeness in ('feed', 'connection'),
      format('nothing where completeness is %s', p_stream.completeness)),
    ('parent_stream', p_stream.parent_stream is not null and p_stream.completeness <> 'items'
      and not sync.has_template(p_stream, 'parent'),
      'nothing unless {parent.id} or the like stands in the request: every parent would have the '
        'same one'),
    ('parent_stream', p_stream.parent_stream = p_stream.stream_name, 'another stream than itself'),
    ('fan_out', p_stream.fan_out <> p_default.fan_out and p_stream.parent_stream is null,
      'nothing unless parent_stream is given'),
    ('id_scope', p_stream.id_scope <> p_default.id_scope and p_stream.parent_stream is null,
      'nothing unless parent_stream is given'),
    ('id_scope', p_stream.id_scope <> p_default.id_scope and p_stream.completeness = 'items',
      'nothing where completeness is items'),
    ('target_table', p_stream.columns is null and p_stream.target_table like 'synced.%',
      'no table of the schema synced unless columns says what it has'),
    ('stage_function', p_stream.completeness <> 'items' and p_stream.stage_function is not null,
      'nothing unless completeness is items'),
    ('shown_function', p_stream.completeness <> 'items' and p_stream.shown_function is not null,
      'nothing unless completeness is items'),
    ('warn_function', p_stream.completeness <> 'items' and p_stream.warn_function is not null,
      'nothing unless completeness is items'),
    ('drop_paths', exists (
        select 1 from jsonb_array_elements(p_stream.drop_paths) as p (path)
        where to_jsonb(p_stream.id_path[:jsonb_array_length(path)]) = path
          or to_jsonb(p_stream.updated_at_path[:jsonb_array_length(path)]) = path
          or (p_stream.completeness = 'chained'
            and to_jsonb(p_stream.order_path[:jsonb_array_length(path)]) = path)
          or (jsonb_array_length(path) = 1 and p_stream.deleted_when ? (path ->> 0))),
      'paths that spare a record''s id, its updated_at, what a chain is ordered by and the fields of '
        'deleted_when, which are needed after the cut'),
    ('columns', exists (
        select 1 from jsonb_each(p_stream.columns) as c
        cross join jsonb_array_elements(p_stream.drop_paths) as d (path)
        where starts_with(btrim(coalesce(c.value -> 'path', jsonb_build_array(c.key))::text, '[]')
          || ', ', btrim(d.path::text, '[]') || ', ')),
      'columns of what drop_paths leaves')
  ) as r (field, is_wrong, takes) where r.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.require_fields_together(p_given jsonb, p_source public.sync_sources)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_defaults jsonb := sync.default_values('public.sync_streams');
  v_default public.sync_streams := jsonb_populate_record(null::public.sync_streams, v_defaults);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams,
    v_defaults || sync.without_nulls(p_given));
  v_wrong sync.wrong_field;
begin
  select w.* into v_wrong from (
    select * from sync.wrong_places(p_given)
    union all select * from sync.wrong_templates(v_stream)
    union all select * from sync.wrong_requests(v_stream, v_default, p_source)
    union all select * from sync.wrong_pages(v_stream, v_default)
    union all select * from sync.wrong_proofs(v_stream, v_default)
    union all select * from sync.wrong_relations(v_stream, v_default)
  ) as w limit 1;
  if found then
    perform sync.refuse_field('stream', p_given, v_wrong.field, v_wrong.takes);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.wrong_source(p_source public.sync_sources, p_default public.sync_sources)
 RETURNS SETOF sync.wrong_field
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select r.field, r.takes
  from (select p_source.auth like 'oauth2%') as x (is_oauth)
  cross join lateral (values
    ('auth_name', p_source.auth_in = 'header' and (sync.is_reserved_header(p_source.auth_name)
        or lower(p_source.auth_name) = 'cookie'),
      'a header that the worker does not write itself, such as Authorization or X-Api-Key'),
    ('auth_in', p_source.auth_in <> 'header' and p_source.auth = 'basic',
      'header, where auth is basic'),
    ('auth_in', p_source.auth_in <> p_default.auth_in and p_source.auth = 'none',
      'nothing where auth is none'),
    ('auth_name', p_source.auth_name <> p_default.auth_name and p_source.auth = 'none',
      'nothing where auth is none'),
    ('auth_prefix', p_source.auth_in = 'header' and p_source.auth_prefix !~ '^[ -~]*$',
      'printable ASCII, in a header'),
    ('auth_prefix', p_source.auth_prefix <> p_default.auth_prefix and p_source.auth = 'none',
      'nothing where auth is none'),
    ('token_url', p_source.token_url is null and x.is_oauth,
      format('a path below the base URL or an https URL, where auth is %s', p_source.auth)),
    ('auth_name', lower(p_source.auth_name) <> 'authorization' and p_source.auth = 'basic',
      'Authorization, where auth is basic'),
    ('token_url', not starts_with(p_source.token_url, '/') and (
        sync.parse_url(p_source.token_url) is null
        or sync.reach_of(sync.parse_url(p_source.token_url)) = 'private'
        and not sync.is_switched_on('allow_private_addresses')),
      'a path below the base URL or an https URL of a public host; '
      'set_setting(''allow_private_addresses'', ''true'') lets that be a private one'),
    ('token_url', p_source.token_url is not null and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_params', p_source.token_params <> p_default.token_params and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_auth', p_source.token_auth <> p_default.token_auth and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_params', exists (
        select from jsonb_object_keys(p_source.token_params) as k
        where lower(btrim(k)) in ('grant_type', 'client_id', 'client_secret', 'refresh_token')),
      'none of grant_type, client_id, client_secret and refresh_token, which the engine sends'),
    ('token_params', exists (
        select from jsonb_object_keys(p_source.token_params) as k
        where lower(btrim(k)) in ('access_token', 'assertion', 'client_assertion', 'code',
          'code_verifier', 'device_code', 'password')),
      'nothing that grants access by itself, such as password, code or client_assertion: a '
      'declaration is no place for a secret')
  ) as r (field, is_wrong, takes) where r.is_wrong
  union all
  select f.field, format('another name than the stream %L sends in its %s', st.stream_name,
    f.carrier)
  from public.sync_streams as st
  join public.sync_sources as so on so.id = st.source_id
    and so.source_name = p_source.source_name
  cross join lateral (values
    ('auth_name', 'headers', p_source.auth_in = 'header' and exists (
      select from jsonb_object_keys(st.headers) as h where lower(h) = lower(p_source.auth_name))),
    ('auth_name', 'params', p_source.auth_in = 'query' and p_source.auth <> 'none'
      and ((st.params || coalesce(st.cursor_params, '{}')) ? p_source.auth_name
        or p_source.auth_name in (st.page_param, st.cursor_param)))
  ) as f (field, carrier, is_wrong)
  where f.is_wrong;
$function$;

CREATE OR REPLACE FUNCTION sync.require_source_together(p_given jsonb)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_defaults jsonb := sync.default_values('public.sync_sources');
  v_wrong sync.wrong_field;
begin
  select w.* into v_wrong from (
    select * from sync.wrong_places(p_given)
    union all
    select * from sync.wrong_source(
      jsonb_populate_record(null::public.sync_sources, v_defaults || sync.without_nulls(p_given)),
      jsonb_populate_record(null::public.sync_sources, v_defaults))
  ) as w limit 1;
  if found then
    perform sync.refuse_field('source', p_given, v_wrong.field, v_wrong.takes);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fit_records(p_target regclass, p_records sync.judged_record[])
 RETURNS sync.judged_record[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
AS $function$
declare
  v_record sync.judged_record;
  v_fitted sync.judged_record[] := '{}'::sync.judged_record[];
  v_sql text := format('select jsonb_populate_record(null::%s, $1)', p_target);
  v_field record;
begin
  foreach v_record in array p_records loop
    begin
      execute v_sql using v_record.fitting;
    exception when data_exception then
      for v_field in select f.key, f.value from jsonb_each(v_record.fitting) as f loop
        begin
          execute v_sql using jsonb_build_object(v_field.key, v_field.value);
        exception when data_exception then
          v_record.fitting := v_record.fitting || jsonb_build_object(v_field.key, null);
          v_record.unfit := v_record.unfit || v_field.key;
        end;
      end loop;
    end;
    v_fitted := v_fitted || v_record;
  end loop;
  return v_fitted;
end; $function$;

CREATE OR REPLACE FUNCTION sync.epoch_time(p_text text, p_format text)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select to_timestamp(e.seconds::double precision) from (
    select p_text::numeric / case p_format when 'epoch_ms' then 1000 else 1 end
    where p_text ~ '^-?[0-9]{1,20}(\.[0-9]{1,20})?$'
  ) as e (seconds)
  -- The years 1 to 9999.
  where e.seconds between -62135596800 and 253402300799;
$function$;

CREATE OR REPLACE FUNCTION sync.epoch_value(p_value jsonb, p_format text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case when p_value = 'null' then p_value
    else coalesce(to_jsonb(sync.epoch_time(p_value #>> '{}', p_format)),
      to_jsonb('not ' || p_format)) end
  where p_value is not null;
$function$;

CREATE OR REPLACE FUNCTION sync.declared_columns(p_columns jsonb)
 RETURNS TABLE(name text, type text, path text[], format text)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select c.key, coalesce(c.value ->> 'type', c.value #>> '{}'),
    case when c.value ? 'path'
      then array(select jsonb_array_elements_text(c.value -> 'path')) else array[c.key] end,
    c.value ->> 'format'
  from jsonb_each(p_columns) as c order by c.key;
$function$;

CREATE OR REPLACE FUNCTION sync.fitting_sql(p_record text, p_columns jsonb, p_besides text[])
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  -- A call takes 100 arguments, that is 50 columns.
  select case when p_columns is null or bool_or(not c.is_elsewhere)
      then format('%s - %L::text[]', p_record, p_besides) else '''{}''::jsonb' end
    || coalesce(string_agg(c.addition, '' order by c.part) filter (where c.is_elsewhere), '')
  from (
    select d.is_elsewhere, d.part, format(' || jsonb_build_object(%s)', string_agg(format(
      '%L, %s', d.name, format(case when d.format is null then '%1$s #> %2$L'
        else 'sync.epoch_value(%1$s #> %2$L, %3$L)' end, p_record, d.path::text, d.format)), ', '
      order by d.name)) as addition
    from (
      select e.*, e.path <> array[e.name] or e.format is not null as is_elsewhere,
        (row_number() over (order by e.name) - 1) / 40 as part
      from sync.declared_columns(p_columns) as e
    ) as d
    group by d.is_elsewhere, d.part
  ) as c;
$function$;

CREATE OR REPLACE FUNCTION sync.is_gone(p_stream_id bigint, p_record jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return coalesce((select p_record @> st.deleted_when from public.sync_streams as st
    where st.id = p_stream_id), false);
end; $function$;

CREATE OR REPLACE FUNCTION sync.upsert_sql(p_name text, p_target regclass, p_columns jsonb DEFAULT NULL::jsonb)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $functionx$
declare
  v_columns text[] := array(
    select attname::text from pg_catalog.pg_attribute
    where attrelid = p_target and attnum > 0 and not attisdropped order by attnum);
  v_is_below_parent boolean := sync.is_keyed_by_parent(p_target);
  v_key text[] := case when 'stream_id' = any (v_columns)
    then '{workspace_id,stream_id,id}'::text[]
    when v_is_below_parent then '{workspace_id,parent_id,id}' else '{workspace_id,id}' end;
  -- What a record of the API cannot set by itself.
  v_own text[] := string_to_array('workspace_id stream_id id raw updated_at '
    'last_changed_at deleted_at unlisted_at', ' ')
    || case when v_is_below_parent then '{parent_id}'::text[] else '{}' end;
  v_typed text[] := array(
    select c from unnest(v_columns) with ordinality as u (c, n)
    where c <> all (v_own) and (p_columns is null or p_columns ? c) order by n);
  v_besides text[] := v_own || array(
    select c from unnest(v_columns) with ordinality as u (c, n)
    where c <> all (v_own || v_typed) order by n);
  v_table text := sync.qualified_name(p_target);
  v_id_text text := case when v_is_below_parent then 'own_id' else 'record_id' end;
  v_id_type text := (
    select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
    where attrelid = p_target and attname = 'id');
  v_id text := format('%s::%s', v_id_text, v_id_type);
  v_alike text := $part$
  select format('%s and %s', min((r).<id_text>), max((r).<id_text>)) into v_unlike
  from (select unnest(p_records) as r offset 0) as x
  group by (r).workspace_id, (r).stream_id, <parent>(r).<id>
  having min((r).<id_text>) <> max((r).<id_text>) limit 1;
  if v_unlike is not null then
    raise exception 'the column id takes % for one: a column id of type text tells them apart',
      v_unlike;
  end if;$part$;
  v_cast text := $part$
  begin
    v_rows := array(
      select jsonb_populate_record(null::<table>, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  exception when data_exception then
    v_judged := sync.fit_records('<table>', v_judged);
    v_rows := array(
      select jsonb_populate_record(null::<table>, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  end;$part$;
  v_function text := $function$
create or replace function <name>(p_records sync.incoming_record[]) returns sync.changed_record[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_hashjoin = on
  set timezone = 'UTC' set datestyle = 'ISO, MDY' as $body$
-- A column may have the name of a variable.
#variable_conflict use_variable
declare
  v_now timestamptz := sync.now();
  v_judged sync.judged_record[];
<declared_rows>  v_changed sync.changed_record[];
  v_unlike text;
begin<alike>
  v_judged := array(
    select row(i.workspace_id, i.stream_id, i.record_id,
      case when judged.replaces then i.updated_at else e.updated_at end, becomes.record,
      case when jsonb_typeof(becomes.record) = 'object' then <fitting> else '{}' end,
      case when e.id is null then 'inserted' when e.deleted_at is null then 'updated'
      when sync.is_gone(i.stream_id, becomes.record) then 'gone' else 'revived' end,
      e.last_changed_at, '{}', <judged_parts>)::sync.judged_record
    from (
      select distinct on (r.workspace_id, r.stream_id, <r_parent>r.<id>)
        r.*, r.<id> as id
      from unnest(p_records) as r
      order by r.workspace_id, r.stream_id, <r_parent>r.<id>, r.updated_at desc nulls last,
        r.requested_at desc nulls last
    ) as i
    -- A plan made while the table was empty would read all of it; offset 0 keeps the look by key.
    left join lateral (
      select t.* from <table> as t where <same_row> offset 0
    ) as e on true
    cross join lateral (
      select case
        when e.id is null then true
        when i.requested_at < e.last_changed_at then i.updated_at > e.updated_at
        when i.is_truth or e.updated_at > v_now then true
        else (i.updated_at < e.updated_at) is not true
        end is true as replaces
    ) as judged
    cross join lateral (
      select case when judged.replaces then i.record else e.raw end as record
    ) as becomes
    -- A time that could not be read may be one by another declaration.
    where e.id is null or (judged.replaces and (e.raw is distinct from i.record
        or (e.updated_at is null and i.updated_at is not null)))
      or (e.deleted_at is not null and not sync.is_gone(i.stream_id, becomes.record))
    order by i.workspace_id, i.stream_id, <i_parent>i.id);
  if cardinality(v_judged) = 0 then
    return '{}'::sync.changed_record[];
  end if;<cast>
  with written as (
    insert into <table> as t (<columns>)
    select <values>
    from <rows> (j_workspace_id, j_stream_id, j_record_id, j_updated_at, j_record, j_fitting,
      j_change, j_known_change, j_unfit, j_parent_id, j_own_id<row_columns>)
    order by j_workspace_id, j_stream_id, <j_parent>j_<id>
    on conflict (<key>) do update set
      <assigned>,
      -- What says itself that it is deleted lives no more for being seen.
      deleted_at = case when t.deleted_at is not null and (<row_key>) in (
        select <judged_key> from unnest(v_judged) as k where k.change = 'gone')
      then t.deleted_at end,
      last_changed_at = case when t.raw is distinct from excluded.raw
      then excluded.last_changed_at else t.last_changed_at end
    -- Another may have written the row since it was compared: then only a later date counts. Rows
    -- that stood before their table was adopted may have no last change.
    where (<row_key>, coalesce(t.last_changed_at, '-infinity')) in (
        select <judged_key>, coalesce(k.known_change, '-infinity') from unnest(v_judged) as k)
      or (excluded.updated_at > t.updated_at and t.raw is distinct from excluded.raw)
    returning t.workspace_id, <stream_id> as stream_id, <written_id>
  )
  select array_agg(row(j.workspace_id, j.stream_id, j.record_id,
    case j.change when 'gone' then 'updated' else j.change end, j.unfit
    )::sync.changed_record) into v_changed
  from written as w join unnest(v_judged) as j on j.workspace_id = w.workspace_id
    and <same_id> and j.stream_id = coalesce(w.stream_id, j.stream_id);
  v_changed := coalesce(v_changed, '{}');
  if cardinality(v_changed) < cardinality(v_judged) then
    select format('%s, and has it as %s', j.<id_text>, e.id) into v_unlike
    from unnest(v_judged) as j
    cross join lateral (
      select t.id::text as id from <table> as t where <judged_row> offset 0
    ) as e
    where e.id <> j.<id_text> limit 1;
    if v_unlike is not null then
      raise exception 'the column id is given %: lists that show the one would miss the other; a '
        'column id of type text has every id as it is', v_unlike;
    end if;
  end if;
  -- What was not written another wrote since it was compared, or the table did not take it.
  if cardinality(v_changed) < cardinality(v_judged) and exists (
    select 1 from unnest(v_judged) as j
    left join lateral (
      select t.last_changed_at from <table> as t where <judged_row> offset 0
    ) as e on true
    where e.last_changed_at is not distinct from j.known_change and not exists (
      select 1 from unnest(v_changed) as c
      where (c.workspace_id, c.stream_id, c.record_id)
        = (j.workspace_id, j.stream_id, j.record_id))
  ) then
    raise exception 'a trigger on the table does not let it in as it is: one that returns null '
      'hides a record, and has to return new';
  end if;
  return v_changed;
end; $body$;
comment on function <name>(sync.incoming_record[]) is
'Upsert records as one set; unchanged ones cost nothing, a deleted one that is seen lives again,
unless it says itself that it is deleted. An answer that was requested before the row''s last change
replaces it only with a later date; one that was requested later is the truth in full scans, and in
others unless its date is older and the row''s is not in the future. A value that does not fit its
column makes that null. Made by sync.write_upsert(). Returns: what changed. Raises: 23xxx a
constraint, P0001 a trigger that lets a record vanish or a column id that is not as it was given, or
takes two for one. Locks: rows in key order.';
revoke all on function <name>(sync.incoming_record[])
from public, anon, authenticated, service_role;
$function$;
begin
  return sync.filled(v_function, jsonb_build_object(
    'name', p_name,
    'table', v_table,
    'fitting', sync.fitting_sql('becomes.record', p_columns, v_besides),
    'id', v_id,
    'id_text', v_id_text,
    'alike', case when v_id_type = 'text' then ''
      else sync.filled(v_alike, jsonb_build_object('id', v_id, 'id_text', v_id_text,
        'parent', case when v_is_below_parent then '(r).parent_id, ' else '' end)) end,
    'judged_parts', case when v_is_below_parent then 'i.parent_id, i.own_id' else 'null, null' end,
    'r_parent', case when v_is_below_parent then 'r.parent_id, ' else '' end,
    'i_parent', case when v_is_below_parent then 'i.parent_id, ' else '' end,
    'j_parent', case when v_is_below_parent then 'j_parent_id, ' else '' end,
    'written_id', case when v_is_below_parent then 't.parent_id, t.id::text as own_id'
      else 't.id::text as record_id' end,
    'same_id', case when v_is_below_parent then 'j.parent_id = w.parent_id and j.own_id = w.own_id'
      else 'j.record_id = w.record_id' end,
    'key', array_to_string(v_key, ', '),
    'same_row', (select string_agg(format('t.%1$s = i.%1$s', c), ' and ') from unnest(v_key) as c),
    'judged_row', (select string_agg(format('t.%I = j.%s', c, case c when 'id' then v_id else c end),
      ' and ') from unnest(v_key) as c),
    'row_key', 't.' || array_to_string(v_key, ', t.'),
    'judged_key', 'k.' || array_to_string(v_key[:cardinality(v_key) - 1], ', k.')
      || ', k.' || v_id,
    'stream_id', case when 'stream_id' = any (v_key) then 't.stream_id' else 'null::bigint' end,
    'columns', array_to_string(array(select quote_ident(c)
      from unnest(v_key || v_typed || '{raw,updated_at,last_changed_at}'::text[])
        with ordinality as u (c, n) order by n), ', '),
    'values', array_to_string(
      array(select 'j_' || c from unnest(v_key[:cardinality(v_key) - 1]) with ordinality as k (c, n)
        order by n)
      || ('j_' || v_id)
      || array(select 'r_' || n from unnest(v_columns) with ordinality as u (c, n)
        where c = any (v_typed) order by n)
      || '{j_record,j_updated_at,v_now}'::text[], ', '),
    'assigned', array_to_string(array(select format('%1$I = excluded.%1$I', c)
      from unnest(v_typed || '{raw,updated_at}'::text[]) with ordinality as u (c, n) order by n),
      ', '),
    'cast', case when v_typed <> '{}' then replace(v_cast, '<table>', v_table) else '' end,
    'declared_rows', case when v_typed <> '{}' then format('  v_rows %s[];', v_table) || chr(10)
      else '' end,
    'rows', case when v_typed <> '{}' then 'unnest(v_judged, v_rows) as x'
      else 'unnest(v_judged) as x' end,
    'row_columns', case when v_typed <> '{}' then (
      select string_agg(', r_' || n, '' order by n)
      from unnest(v_columns) with ordinality as u (c, n)) else '' end));
end; $functionx$;

CREATE OR REPLACE FUNCTION sync.write_upsert(p_name text, p_target regclass, p_columns jsonb DEFAULT NULL::jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  execute sync.upsert_sql(p_name, p_target, p_columns);
  update sync.target_tables set upsert_name = p_name
  where target = p_target and upsert_name is distinct from p_name;
end; $function$;

CREATE OR REPLACE FUNCTION sync.regenerate_upserts()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_table record;
  v_made int := 0;
begin
  for v_table in
    select t.target, t.upsert_name, (
      select st.columns from public.sync_streams as st
      where st.columns is not null and to_regclass(st.target_table) = t.target) as columns
    from sync.target_tables as t
    join pg_catalog.pg_class as c on c.oid = t.target
    where t.upsert_name is not null order by t.upsert_name
  loop
    perform sync.write_upsert(v_table.upsert_name, v_table.target, v_table.columns);
    v_made := v_made + 1;
  end loop;
  return v_made;
end; $function$;

CREATE OR REPLACE FUNCTION sync.apply_synced_records(p_records sync.incoming_record[])
 RETURNS sync.changed_record[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
AS $function$
-- A column may have the name of a variable.
#variable_conflict use_variable
declare
  v_now timestamptz := sync.now();
  v_judged sync.judged_record[];
  v_changed sync.changed_record[];
  v_unlike text;
begin
  v_judged := array(
    select row(i.workspace_id, i.stream_id, i.record_id,
      case when judged.replaces then i.updated_at else e.updated_at end, becomes.record,
      case when jsonb_typeof(becomes.record) = 'object' then becomes.record - '{workspace_id,stream_id,id,raw,updated_at,last_changed_at,deleted_at,unlisted_at}'::text[] else '{}' end,
      case when e.id is null then 'inserted' when e.deleted_at is null then 'updated'
      when sync.is_gone(i.stream_id, becomes.record) then 'gone' else 'revived' end,
      e.last_changed_at, '{}', null, null)::sync.judged_record
    from (
      select distinct on (r.workspace_id, r.stream_id, r.record_id::text)
        r.*, r.record_id::text as id
      from unnest(p_records) as r
      order by r.workspace_id, r.stream_id, r.record_id::text, r.updated_at desc nulls last,
        r.requested_at desc nulls last
    ) as i
    -- A plan made while the table was empty would read all of it; offset 0 keeps the look by key.
    left join lateral (
      select t.* from public.synced_records as t where t.workspace_id = i.workspace_id and t.stream_id = i.stream_id and t.id = i.id offset 0
    ) as e on true
    cross join lateral (
      select case
        when e.id is null then true
        when i.requested_at < e.last_changed_at then i.updated_at > e.updated_at
        when i.is_truth or e.updated_at > v_now then true
        else (i.updated_at < e.updated_at) is not true
        end is true as replaces
    ) as judged
    cross join lateral (
      select case when judged.replaces then i.record else e.raw end as record
    ) as becomes
    -- A time that could not be read may be one by another declaration.
    where e.id is null or (judged.replaces and (e.raw is distinct from i.record
        or (e.updated_at is null and i.updated_at is not null)))
      or (e.deleted_at is not null and not sync.is_gone(i.stream_id, becomes.record))
    order by i.workspace_id, i.stream_id, i.id);
  if cardinality(v_judged) = 0 then
    return '{}'::sync.changed_record[];
  end if;
  with written as (
    insert into public.synced_records as t (workspace_id, stream_id, id, raw, updated_at, last_changed_at)
    select j_workspace_id, j_stream_id, j_record_id::text, j_record, j_updated_at, v_now
    from unnest(v_judged) as x (j_workspace_id, j_stream_id, j_record_id, j_updated_at, j_record, j_fitting,
      j_change, j_known_change, j_unfit, j_parent_id, j_own_id)
    order by j_workspace_id, j_stream_id, j_record_id::text
    on conflict (workspace_id, stream_id, id) do update set
      raw = excluded.raw, updated_at = excluded.updated_at,
      -- What says itself that it is deleted lives no more for being seen.
      deleted_at = case when t.deleted_at is not null and (t.workspace_id, t.stream_id, t.id) in (
        select k.workspace_id, k.stream_id, k.record_id::text from unnest(v_judged) as k where k.change = 'gone')
      then t.deleted_at end,
      last_changed_at = case when t.raw is distinct from excluded.raw
      then excluded.last_changed_at else t.last_changed_at end
    -- Another may have written the row since it was compared: then only a later date counts. Rows
    -- that stood before their table was adopted may have no last change.
    where (t.workspace_id, t.stream_id, t.id, coalesce(t.last_changed_at, '-infinity')) in (
        select k.workspace_id, k.stream_id, k.record_id::text, coalesce(k.known_change, '-infinity') from unnest(v_judged) as k)
      or (excluded.updated_at > t.updated_at and t.raw is distinct from excluded.raw)
    returning t.workspace_id, t.stream_id as stream_id, t.id::text as record_id
  )
  select array_agg(row(j.workspace_id, j.stream_id, j.record_id,
    case j.change when 'gone' then 'updated' else j.change end, j.unfit
    )::sync.changed_record) into v_changed
  from written as w join unnest(v_judged) as j on j.workspace_id = w.workspace_id
    and j.record_id = w.record_id and j.stream_id = coalesce(w.stream_id, j.stream_id);
  v_changed := coalesce(v_changed, '{}');
  if cardinality(v_changed) < cardinality(v_judged) then
    select format('%s, and has it as %s', j.record_id, e.id) into v_unlike
    from unnest(v_judged) as j
    cross join lateral (
      select t.id::text as id from public.synced_records as t where t.workspace_id = j.workspace_id and t.stream_id = j.stream_id and t.id = j.record_id::text offset 0
    ) as e
    where e.id <> j.record_id limit 1;
    if v_unlike is not null then
      raise exception 'the column id is given %: lists that show the one would miss the other; a '
        'column id of type text has every id as it is', v_unlike;
    end if;
  end if;
  -- What was not written another wrote since it was compared, or the table did not take it.
  if cardinality(v_changed) < cardinality(v_judged) and exists (
    select 1 from unnest(v_judged) as j
    left join lateral (
      select t.last_changed_at from public.synced_records as t where t.workspace_id = j.workspace_id and t.stream_id = j.stream_id and t.id = j.record_id::text offset 0
    ) as e on true
    where e.last_changed_at is not distinct from j.known_change and not exists (
      select 1 from unnest(v_changed) as c
      where (c.workspace_id, c.stream_id, c.record_id)
        = (j.workspace_id, j.stream_id, j.record_id))
  ) then
    raise exception 'a trigger on the table does not let it in as it is: one that returns null '
      'hides a record, and has to return new';
  end if;
  return v_changed;
end; $function$;

CREATE OR REPLACE FUNCTION sync.declared_table(p_given jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_name text := coalesce(
    btrim(substring(p_given ->> 'target_table' from '^synced\.(.*)$'), '"'),
    btrim(regexp_replace(lower((p_given ->> 'source_name') || '_' || (p_given ->> 'stream_name')),
      '[^a-z0-9]+', '_', 'g'), '_'));
begin
  if (v_name ~ '^[a-z_][a-z0-9_]{0,46}$'
      and coalesce(p_given ->> 'target_table', 'synced.') ~ '^synced\.') is not true then
    perform sync.refuse_field('stream', p_given, 'target_table', 'with columns, a name of at most '
      '47 small letters, digits and "_" in the schema synced, such as synced.people; left out, it '
      'is made of the names of source and stream, if that gives one');
  end if;
  return 'synced.' || quote_ident(v_name);
end; $function$;

CREATE OR REPLACE FUNCTION sync.upsert_name(p_table text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select 'sync.apply_synced_' || replace(split_part(p_table, '.', 2), '"', '');
$function$;

CREATE OR REPLACE FUNCTION sync.type_of_id(p_given jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case p_given ->> 'id_type' when 'text' then 'text' else 'bigint' end;
$function$;

CREATE OR REPLACE FUNCTION sync.table_form(p_given jsonb)
 RETURNS TABLE(place bigint, name text, type text, rest text)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select row_number() over (order by f.part, f.n), f.name, f.type, f.rest
  from (
    select 1 as part, n, name, type, rest from (values
      (1, 'workspace_id', 'bigint',
        'not null references public.sync_workspaces (id) on delete cascade'),
      (2, 'parent_id', 'text', 'not null'),
      (3, 'id', sync.type_of_id(p_given), 'not null')) as k (n, name, type, rest)
    where k.name <> 'parent_id' or p_given ->> 'id_scope' = 'parent'
    union all
    select 2, row_number() over (order by d.name), d.name, d.type, ''
    from sync.declared_columns(p_given -> 'columns') as d
    union all
    select 3, n, name, type, rest from (values
      (1, 'raw', 'jsonb', 'not null'),
      (2, 'updated_at', 'timestamptz', ''),
      (3, 'last_changed_at', 'timestamptz', 'not null default sync.now()'),
      (4, 'deleted_at', 'timestamptz', ''),
      (5, 'unlisted_at', 'timestamptz', '')) as o (n, name, type, rest)
  ) as f;
$function$;

CREATE OR REPLACE FUNCTION sync.table_key(p_given jsonb)
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case p_given ->> 'id_scope' when 'parent' then '{workspace_id,parent_id,id}'
    else '{workspace_id,id}' end::text[];
$function$;

CREATE OR REPLACE FUNCTION sync.table_sql(p_table text, p_given jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select format('create table %s (%s,%s  primary key (%s)%s);%s', p_table, string_agg(
      format('%s  %I %s', chr(10), f.name, rtrim(f.type || ' ' || f.rest)), ',' order by f.place),
    chr(10), array_to_string(sync.table_key(p_given), ', '), chr(10), chr(10))
  from sync.table_form(p_given) as f;
$function$;

CREATE OR REPLACE FUNCTION sync.access_sql(p_table text, p_given jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select format($sql$comment on table %1$s is %3$s;
alter table %1$s enable row level security;
revoke all on table %1$s from public, anon, authenticated, service_role;
grant select on table %1$s to authenticated, service_role;
drop policy if exists %2$s on %1$s;
create policy %2$s on %1$s
for select to authenticated using ((select sync.is_operator()));
$sql$, p_table,
    quote_ident(replace(split_part(p_table, '.', 2), '"', '') || '_select_operator'),
    quote_literal(format('Records of the stream %s of the source %s, in the columns that its '
      'declaration names. updated_at is the API''s; deleted_at: gone from the API; raw: the record '
      'as it serves it.', p_given -> 'stream_name', p_given -> 'source_name')));
$function$;

CREATE OR REPLACE FUNCTION sync.flaw_of_table(p_given jsonb, p_target regclass)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select f.flaw from (
    select format('a column %I that is always generated', a.attname) as flaw, a.attnum as place
    from pg_catalog.pg_attribute as a
    join sync.table_form(p_given) as f on f.name = a.attname
    where a.attrelid = p_target and a.attidentity = 'a'
    union all
    select format('a column %I that takes no null', a.attname), a.attnum
    from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attnotnull and not a.attisdropped
      and (a.attname in ('updated_at', 'deleted_at', 'unlisted_at')
        or a.attnum > 0 and not a.atthasdef and a.attidentity = ''
        and a.attname not in (select f.name from sync.table_form(p_given) as f))
    union all
    select 'a key that is deferrable', null
    from pg_catalog.pg_index as i
    where i.indrelid = p_target and i.indisprimary and not i.indimmediate
  ) as f order by f.place limit 1;
$function$;

CREATE OR REPLACE FUNCTION sync.require_adoptable(p_given jsonb, p_target regclass)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_key text[] := array(
    select a.attname::text from pg_catalog.pg_index as i
    cross join unnest(i.indkey) with ordinality as k (attnum, n)
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = p_target and i.indisprimary order by k.n);
  v_wrong record;
  v_flaw text := sync.flaw_of_table(p_given, p_target);
begin
  if not exists (
    select 1 from pg_catalog.pg_class as c
    where c.oid = p_target and c.relkind = 'r' and pg_catalog.pg_has_role(c.relowner, 'usage')) then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('a table of the owner of Chunkwise, which %s is not', p_target));
  end if;
  select f.name, f.type, format_type(a.atttypid, a.atttypmod) as stands,
    d.name is not null as is_declared
  into v_wrong
  from sync.table_form(p_given) as f
  left join sync.declared_columns(p_given -> 'columns') as d on d.name = f.name
  left join pg_catalog.pg_attribute as a on a.attrelid = p_target and a.attname = f.name
    and not a.attisdropped
  where (a.attname is null and d.name is null) or a.atttypid <> f.type::regtype
    or a.attgenerated <> ''
  order by f.place limit 1;
  if not found and v_key = sync.table_key(p_given) and v_flaw is null then
    return;
  elsif not found and v_key = sync.table_key(p_given) then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('a table that records can be written to: %s has %s', p_target, v_flaw));
  elsif v_wrong.is_declared then
    perform sync.refuse_field('stream', p_given, 'columns', format('for %I the type %s, which it '
      'has in %s: a type does not change; declare a column of another name, or drop this one',
      v_wrong.name, v_wrong.stands, p_target));
  elsif v_wrong.name = 'id' and v_wrong.stands is not null then
    perform sync.refuse_field('stream', p_given, 'id_type', format('%s, as the ids in %s are; '
      'another target_table takes others',
      case v_wrong.stands when 'text' then 'text' else 'integer' end, p_target));
  elsif v_key <> sync.table_key(p_given) and v_wrong.name is null
    or v_wrong.name = 'parent_id' then
    perform sync.refuse_field('stream', p_given, 'id_scope', format('%s, as the key of %s is (%s); '
      'another target_table takes another',
      case when 'parent_id' = any (v_key) then 'parent' else 'global' end, p_target,
      array_to_string(v_key, ', ')));
  end if;
  perform sync.refuse_field('stream', p_given, 'target_table', format('a table that has %I as %s, '
    'which %s has %s', v_wrong.name, v_wrong.type, p_target,
    coalesce('as ' || v_wrong.stands, 'not')));
end; $function$;

CREATE OR REPLACE FUNCTION sync.add_columns(p_given jsonb, p_target regclass)
 RETURNS text[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_missing text[];
  v_additions text;
begin
  select array_agg(d.name order by d.name),
    string_agg(format('add column if not exists %I %s', d.name, d.type), ', ' order by d.name)
  into v_missing, v_additions
  from sync.declared_columns(p_given -> 'columns') as d
  where not exists (
    select 1 from pg_catalog.pg_attribute as a
    where a.attrelid = p_target and a.attname = d.name and not a.attisdropped);
  if v_missing is null then
    return '{}'::text[];
  end if;
  begin
    perform set_config('lock_timeout', '2s', true);
    execute format('alter table %s %s', p_target, v_additions);
  exception when lock_not_available then
    raise exception using errcode = '55P03',
      message = format('%s is in use: it did not get its columns %s', p_target,
        array_to_string(v_missing, ', ')),
      hint = 'Nothing was declared. Try again; a long query may hold the table.';
  end;
  return v_missing;
end; $function$;

CREATE OR REPLACE FUNCTION sync.make_table(p_given jsonb, p_source_id bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_table text := sync.declared_table(p_given);
  v_upsert text := sync.upsert_name(v_table);
  v_target regclass := to_regclass(v_table);
  v_given jsonb := p_given || jsonb_build_object('target_table', v_table);
  v_added text[] := '{}'::text[];
  v_written regclass;
begin
  if coalesce(p_given ->> 'apply_function', v_upsert) <> v_upsert then
    perform sync.refuse_field('stream', p_given, 'apply_function',
      format('nothing where columns is given: %s is made of it', v_upsert));
  end if;
  select t.target into v_written
  from sync.target_tables as t join pg_catalog.pg_class as c on c.oid = t.target
  where t.upsert_name = v_upsert and t.target is distinct from v_target;
  if found then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('another name: %s would be made of it, and that writes %s', v_upsert, v_written));
  elsif v_target is null and to_regtype(v_table) is not null then
    perform sync.refuse_field('stream', p_given, 'target_table',
      format('another name: %s is a type', v_table));
  elsif v_target is null then
    execute sync.table_sql(v_table, v_given);
    v_target := to_regclass(v_table);
  else
    perform sync.require_adoptable(v_given, v_target);
  end if;
  if not exists (select 1 from sync.target_tables where target = v_target) then
    execute sync.access_sql(v_table, v_given);
    insert into sync.target_tables (target) values (v_target);
  end if;
  perform sync.require_target_table(v_given, p_source_id);
  v_added := sync.add_columns(v_given, v_target);
  return jsonb_build_object('target_table', v_table, 'apply_function', v_upsert,
    'added', to_jsonb(v_added));
end; $function$;

CREATE OR REPLACE FUNCTION sync.write_columns(p_before public.sync_streams, p_stream public.sync_streams, p_added jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_target regclass := to_regclass(p_stream.target_table);
  v_has_rows boolean;
  -- Another path or format gives another value, and what was no column for a while has gaps.
  v_new text[] := array(
    select c.key from jsonb_each(p_stream.columns) as c
    where p_added ? c.key or p_before.target_table is distinct from p_stream.target_table
      or p_before.columns -> c.key is distinct from c.value
    order by c.key);
begin
  if p_added <> '[]' or to_regproc(p_stream.apply_function) is null
    or (p_before.columns, p_before.target_table) is distinct
      from (p_stream.columns, p_stream.target_table) then
    perform sync.write_upsert(p_stream.apply_function, v_target, p_stream.columns);
  end if;
  if v_new = '{}' then
    return;
  end if;
  execute format('select exists (select 1 from %s)', v_target) into v_has_rows;
  if v_has_rows then
    insert into sync.column_fills as f (stream_id, columns)
    values (p_stream.id, v_new)
    on conflict (stream_id) do update set
      columns = case when f.completed_at is null
        then array(select c from unnest(f.columns || excluded.columns) as c group by c order by c)
        else excluded.columns end,
      began_at = excluded.began_at, last_key = null, looked_at = 0, unfit = '{}',
      completed_at = null;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.pick_rows(p_stream public.sync_streams, p_fill sync.column_fills, p_rows integer)
 RETURNS sync.judged_record[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_given jsonb := to_jsonb(p_stream);
  v_key text[] := sync.table_key(v_given);
  v_records sync.judged_record[];
begin
  execute format($sql$
    select array_agg(row(t.workspace_id, null, t.id::text, null, t.raw,
      case when jsonb_typeof(t.raw) = 'object' then %1$s else '{}' end,
      null, null, '{}', %2$s, null)::sync.judged_record)
    from (
      select * from %3$s as t where $1 is null or (%4$s) > (%5$s)
      order by %4$s limit $2 for no key update
    ) as t$sql$,
    sync.fitting_sql('t.raw', (
      select jsonb_object_agg(c.key, c.value) from jsonb_each(p_stream.columns) as c
      where c.key = any (p_fill.columns)), array(
      select a.attname::text from pg_catalog.pg_attribute as a
      where a.attrelid = to_regclass(p_stream.target_table) and a.attnum > 0
        and a.attname <> all (p_fill.columns))),
    case when 'parent_id' = any (v_key) then 't.parent_id' else 'null' end, p_stream.target_table,
    't.' || array_to_string(v_key, ', t.'),
    array_to_string(array(
      select format('($1 ->> %s)::%s', k.n - 1, case k.name when 'workspace_id' then 'bigint'
        when 'parent_id' then 'text' else sync.type_of_id(v_given) end)
      from unnest(v_key) with ordinality as k (name, n) order by k.n), ', '))
  into v_records using p_fill.last_key, p_rows;
  return coalesce(v_records, array[]::sync.judged_record[]);
end; $function$;

CREATE OR REPLACE FUNCTION sync.fill_rows(p_stream public.sync_streams, p_columns text[], p_records sync.judged_record[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
 SET enable_seqscan TO 'off'
AS $function$
begin
  execute format($sql$
    update %1$s as t set %2$s
    from unnest($1) as j cross join lateral jsonb_populate_record(null::%1$s, j.fitting) as p
    where t.workspace_id = j.workspace_id and t.id = j.record_id::%3$s and %4$s
      and (%5$s) is distinct from (%6$s)$sql$,
    p_stream.target_table,
    (select string_agg(format('%1$I = p.%1$I', c), ', ') from unnest(p_columns) as c),
    sync.type_of_id(to_jsonb(p_stream)),
    case p_stream.id_scope when 'parent' then 't.parent_id = j.parent_id' else 'true' end,
    (select string_agg(format('t.%I', c), ', ' order by c) from unnest(p_columns) as c),
    (select string_agg(format('p.%I', c), ', ' order by c) from unnest(p_columns) as c))
  using p_records;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fill_columns(p_rows integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_fill sync.column_fills;
  v_stream public.sync_streams;
  v_records sync.judged_record[];
  v_columns text[];
  v_last sync.judged_record;
begin
  select * into v_fill from sync.column_fills where completed_at is null
  order by stream_id limit 1 for no key update skip locked;
  if not found then
    return 0;
  end if;
  select * into strict v_stream from public.sync_streams where id = v_fill.stream_id;
  -- By a later declaration some may be no columns of it any more.
  v_columns := array(select c from unnest(v_fill.columns) as c where v_stream.columns ? c);
  if v_columns <> '{}' then
    v_fill.columns := v_columns;
    v_records := sync.pick_rows(v_stream, v_fill, p_rows);
    begin
      perform sync.fill_rows(v_stream, v_columns, v_records);
    exception when data_exception then
      v_records := sync.fit_records(v_stream.target_table, v_records);
      perform sync.fill_rows(v_stream, v_columns, v_records);
    end;
    v_last := v_records[cardinality(v_records)];
  end if;
  update sync.column_fills as f set
    looked_at = f.looked_at + coalesce(cardinality(v_records), 0),
    last_key = case when v_last.workspace_id is null then f.last_key
      when v_stream.id_scope = 'parent'
      then jsonb_build_array(v_last.workspace_id, v_last.parent_id, v_last.record_id)
      else jsonb_build_array(v_last.workspace_id, v_last.record_id) end,
    unfit = coalesce((
      select jsonb_object_agg(u.name, j.record_id order by j.n desc)
      from unnest(v_records) with ordinality as j (workspace_id, stream_id, record_id, updated_at,
        record, fitting, change, known_change, unfit, parent_id, own_id, n)
      cross join unnest(j.unfit) as u (name)), '{}') || f.unfit,
    completed_at = case when coalesce(cardinality(v_records), 0) < p_rows then sync.now() end
  where f.stream_id = v_fill.stream_id;
  return coalesce(cardinality(v_records), 0);
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_new_name(p_what text, p_declared jsonb, p_field text, p_names text[])
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_name text := p_declared ->> p_field;
  v_other text := (
    select min(x.name) from unnest(p_names) as x (name)
    where sync.name_key(x.name) = sync.name_key(v_name));
begin
  if v_other is not null and v_name <> all (p_names) then
    perform sync.refuse_field(p_what, p_declared, p_field, format('the name %L, as the one that '
      'there is is written, or one that differs from it in more than case', v_other));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.write_source(p_source jsonb, OUT o_id bigint, OUT o_before jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.require_fields('source', p_source, '{source_name}');
  perform sync.require_source_together(p_source);
  perform sync.require_new_name('source', p_source, 'source_name', array(
    select source_name from public.sync_sources));
  o_before := (
    select to_jsonb(so) from public.sync_sources as so
    where so.source_name = p_source ->> 'source_name');
  insert into public.sync_sources
    as s (source_name, base_path, auth, token_url, token_params, token_auth, reset_header,
    retry_after_path, auth_in, auth_name, auth_prefix, budget_scope,
    requests_per_second, max_in_flight, status_classes, success_path, message_path, class_rules)
  select r.source_name, coalesce(r.base_path, ''), coalesce(r.auth, 'key'), r.token_url,
    coalesce(r.token_params, '{}'), coalesce(r.token_auth, 'form'), r.reset_header,
    r.retry_after_path,
    coalesce(r.auth_in, 'header'),
    coalesce(r.auth_name, 'Authorization'),
    coalesce(r.auth_prefix, 'Bearer '), coalesce(r.budget_scope, 'instance'),
    case when p_source ? 'requests_per_second' then r.requests_per_second else 5 end,
    case when p_source ? 'max_in_flight' then r.max_in_flight else 10 end,
    '{"2xx": "page", "408": "transient", "425": "transient", "429": "rate_limited",
    "5xx": "transient", "other": "permanent"}'::jsonb
      || coalesce(r.status_classes, '{}'),
    r.success_path, coalesce(r.message_path, '{message}'), coalesce(r.class_rules, '[]')
  from jsonb_populate_record(null::public.sync_sources, p_source) as r
  on conflict (source_name) do update set
    base_path = excluded.base_path, auth = excluded.auth, token_url = excluded.token_url,
    token_params = excluded.token_params, token_auth = excluded.token_auth,
    reset_header = excluded.reset_header,
    retry_after_path = excluded.retry_after_path, auth_in = excluded.auth_in,
    auth_name = excluded.auth_name, auth_prefix = excluded.auth_prefix,
    budget_scope = excluded.budget_scope, requests_per_second = excluded.requests_per_second,
    max_in_flight = excluded.max_in_flight, status_classes = excluded.status_classes,
    success_path = excluded.success_path, message_path = excluded.message_path,
    class_rules = excluded.class_rules
  returning s.id into o_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.follow_source(p_id bigint, p_before jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_before public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_before);
begin
  perform 1 from public.sync_workspaces where source_id = p_id order by id for no key update;
  update public.sync_workspaces as w
  set source_id = w.source_id,
  access_revision = w.access_revision + (v_before.base_path <> so.base_path)::int
  from public.sync_sources as so where so.id = p_id and w.source_id = so.id;
  if exists (
    select 1 from public.sync_sources as so where so.id = p_id
      and (v_before.auth, v_before.token_url, v_before.token_params, v_before.token_auth)
        is distinct from (so.auth, so.token_url, so.token_params, so.token_auth)) then
    -- Another endpoint's token is no token; the grant stays, and is tried again.
    update sync.workspace_tokens as t
    set expires_at = sync.now(), refused_until = least(t.refused_until, sync.now())
    from (
      select workspace_id from sync.workspace_tokens where source_id = p_id
      order by workspace_id for no key update
    ) as held
    where t.workspace_id = held.workspace_id;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION public.declare_source(p_source jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_written record;
begin
  perform sync.require_service();
  v_written := sync.write_source(p_source);
  perform sync.follow_source(v_written.o_id, v_written.o_before);
  return jsonb_build_object('source_id', v_written.o_id, 'source_name',
    p_source ->> 'source_name');
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_function(p_stream jsonb, p_field text, p_argument_types text, p_return_type regtype)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_call text := format('%s(%s)', p_stream ->> p_field, p_argument_types);
  v_function regprocedure;
begin
  if p_stream ->> p_field is null then
    return;
  end if;
  begin
    v_function := to_regprocedure(v_call);
  exception when data_exception or syntax_error_or_access_rule_violation then
    v_function := null;  -- no name at all
  end;
  if not exists (
    select 1 from pg_catalog.pg_proc as f
    join pg_catalog.pg_namespace as n on n.oid = f.pronamespace
    where f.oid = v_function and f.prokind = 'f' and not starts_with(n.nspname, 'pg_')
      and f.prorettype = p_return_type and f.proretset = (p_return_type = 'record'::regtype)
  ) then
    perform sync.refuse_field('stream', p_stream, p_field, format('the name, with its schema, of an '
      'existing function of (%s) that returns %s', p_argument_types,
      case p_return_type when 'record'::regtype then 'a table' else p_return_type::text end));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_own_upsert(p_stream jsonb)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_name text := coalesce(p_stream ->> 'apply_function', 'sync.apply_synced_records');
  v_function regprocedure := to_regprocedure(v_name || '(sync.incoming_record[])');
  v_written regclass;
begin
  select t.target into v_written from sync.target_tables as t
  join pg_catalog.pg_class as c on c.oid = t.target
  where to_regprocedure(t.upsert_name || '(sync.incoming_record[])') = v_function
    and t.target is distinct from to_regclass(p_stream ->> 'target_table');
  if found then
    perform sync.refuse_field('stream', p_stream, 'apply_function', format('the function that '
      'writes target_table, which is %s; %s writes %s', p_stream ->> 'target_table', v_name,
      v_written));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_uncut_parents(p_given jsonb, p_source_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_cut record;
begin
  select child.stream_name, parent.stream_name as parent_name, t.field, t.said into v_cut
  from public.sync_streams as child
  join public.sync_streams as parent on parent.source_id = child.source_id
    and parent.stream_name = child.parent_stream
  cross join jsonb_array_elements(parent.drop_paths) as d (path)
  cross join sync.placed_templates(child) as t
  where child.source_id = p_source_id and t.name = 'parent'
    and p_given ->> 'stream_name' in (child.stream_name, parent.stream_name)
    and (parent.parent_stream is null or t.path[1] <> 'parent')
    and to_jsonb(t.path[:jsonb_array_length(d.path)]) = d.path
  order by child.id limit 1;
  if v_cut.stream_name = p_given ->> 'stream_name' then
    perform sync.refuse_field('stream', p_given, v_cut.field,
      format('what the parents keep: drop_paths of the stream %L cuts %s', v_cut.parent_name,
        v_cut.said));
  elsif found then
    perform sync.refuse_field('stream', p_given, 'drop_paths',
      format('paths that spare %s, which stands in %s of the stream %L', v_cut.said, v_cut.field,
        v_cut.stream_name));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_parents(p_given jsonb, p_source_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_wrong record;
begin
  select s.stream_name, s.parent_stream into v_wrong from public.sync_streams as s
  where s.source_id = p_source_id and s.parent_stream is not null and not exists (
    select 1 from public.sync_streams as parent
    where parent.source_id = p_source_id and parent.stream_name = s.parent_stream
      and parent.completeness not in ('items', 'connection'))
  limit 1;
  if v_wrong.stream_name = p_given ->> 'stream_name' then
    perform sync.refuse_field('stream', p_given, 'parent_stream',
      'the name of a list of the same source, declared before its children');
  elsif found then
    perform sync.refuse_field('stream', p_given, 'completeness',
      format('that of a list: the stream %L has it as its parents', v_wrong.stream_name));
  end if;
  with recursive above as (
    select s.stream_name, s.parent_stream, array[s.stream_name] as below
    from public.sync_streams as s where s.source_id = p_source_id and s.parent_stream is not null
    union all
    select s.stream_name, s.parent_stream, a.below || s.stream_name
    from above as a
    join public.sync_streams as s on s.source_id = p_source_id and s.stream_name = a.parent_stream
    where s.parent_stream is not null and s.stream_name <> all (a.below)
  )
  select a.below[1] as stream_name, a.below || a.parent_stream as circle into v_wrong
  from above as a
  where a.parent_stream = a.below[1] and a.below[1] = p_given ->> 'stream_name' limit 1;
  if found then
    perform sync.refuse_field('stream', p_given, 'parent_stream', format(
      'a stream whose own parents do not lead back to it, as %s does',
      array_to_string(v_wrong.circle, ', ')));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_same_scope(p_before public.sync_streams, p_given jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '2s'
AS $function$
declare
  v_target regclass := to_regclass(p_given ->> 'target_table');
  v_has_rows boolean;
begin
  if p_before.id_scope = coalesce(p_given ->> 'id_scope', 'global') then
    return;
  end if;
  -- What another is writing at this moment is no row yet.
  begin
    execute format('lock table %s in share row exclusive mode', v_target);
  exception when lock_not_available then
    raise exception using errcode = '55P03',
      message = format('%s is in use: whether it has rows by another id_scope is not known',
        v_target),
      hint = 'Nothing was declared. Try again; a long transaction may hold the table.';
  end;
  execute format('select exists (select 1 from %s as t where %s)', v_target,
    case when sync.is_shared_target(v_target) then 't.stream_id = $1' else 'true' end)
  into v_has_rows using p_before.id;
  if v_has_rows then
    perform sync.refuse_field('stream', p_given, 'id_scope', format('%s, as its rows in %s have '
      'their ids: by another each record would be there twice; a stream of another name, or '
      'another target_table, takes another', p_before.id_scope, v_target));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.write_declared_stream(p_stream jsonb, OUT o_id bigint, OUT o_source_id bigint, OUT o_asks_whose_keys boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_source public.sync_sources;
  v_source_id bigint;
  v_before public.sync_streams;
  v_stream public.sync_streams;
  v_given jsonb;
  v_table jsonb;
begin
  perform sync.require_fields('stream', p_stream, '{source_name,stream_name,path,page_size}');
  select * into v_source from public.sync_sources
  where source_name = p_stream ->> 'source_name';
  v_source_id := v_source.id;
  if v_source_id is null then
    raise exception using errcode = 'SY003',
      message = format('there is no source %L', p_stream ->> 'source_name'),
      hint = 'declare_source() adds one.';
  end if;
  perform sync.require_fields_together(p_stream, v_source);
  perform sync.require_new_name('stream', p_stream, 'stream_name', array(
    select stream_name from public.sync_streams where source_id = v_source_id));
  select * into v_before from public.sync_streams
  where source_id = v_source_id and stream_name = p_stream ->> 'stream_name' for no key update;
  if p_stream ->> 'columns' is not null then
    v_table := sync.make_table(p_stream, v_source_id);
    v_given := p_stream || (v_table - 'added');
    v_stream := sync.write_stream(v_source_id, v_given);
    perform sync.write_columns(v_before, v_stream, v_table -> 'added');
  else
    v_given := p_stream || jsonb_build_object('target_table',
      sync.require_target_table(p_stream, v_source_id));
    perform sync.require_same_scope(v_before, v_given) where v_before.id is not null;
    v_stream := sync.write_stream(v_source_id, v_given);
  end if;
  perform sync.require_function(v_given, f.field, f.takes, f.gives) from (values
    ('apply_function', 'sync.incoming_record[]', 'sync.changed_record[]'::regtype),
    ('close_function', 'bigint', 'void'),
    ('stage_function', 'bigint, text[]', 'record'),
    ('shown_function', 'bigint[], bigint[], text[]', 'record'),
    ('warn_function', 'bigint', 'text[]')) as f (field, takes, gives);
  perform sync.require_own_upsert(v_given);
  perform sync.require_parents(p_stream, v_source_id);
  perform sync.require_uncut_parents(p_stream, v_source_id);
  if v_before.id is not null and v_before is distinct from v_stream then
    update public.sync_streams set revision = revision + 1 where id = v_stream.id;
  end if;
  o_id := v_stream.id;
  o_source_id := v_source_id;
  o_asks_whose_keys := v_stream.completeness = 'connection'
    and (v_stream.completeness, v_stream.path, v_stream.id_path) is distinct
      from (v_before.completeness, v_before.path, v_before.id_path);
exception when unique_violation then
  raise exception using errcode = 'SY006',
    message = format('stream "%s": completeness is "connection"; it takes that once in a source, '
      'and %L has such a stream already', p_stream ->> 'stream_name', p_stream ->> 'source_name'),
    hint = 'select stream_name from sync_streams where completeness = ''connection'' names it.';
end; $function$;

CREATE OR REPLACE FUNCTION sync.ask_whose_keys(p_source_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform 1 from public.sync_workspaces where source_id = p_source_id order by id for no key update;
  update public.sync_workspaces set
    key_owner = null, key_owner_id = null, access_revision = access_revision + 1,
    key_status = case when key_status in ('accepted', 'other_workspace') then 'unchecked'
    else key_status end
  where source_id = p_source_id;
end; $function$;

CREATE OR REPLACE FUNCTION public.declare_stream(p_stream jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_written record;
begin
  perform sync.require_service();
  v_written := sync.write_declared_stream(p_stream);
  perform sync.ask_whose_keys(v_written.o_source_id) where v_written.o_asks_whose_keys;
  return jsonb_build_object('stream_id', v_written.o_id, 'stream_name',
    p_stream ->> 'stream_name');
end; $function$;

CREATE OR REPLACE FUNCTION public.stream_sql(p_stream text, p_source text DEFAULT NULL::text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_sources text[];
  v_stream public.sync_streams;
  v_given jsonb;
  v_upsert_name text;
begin
  perform sync.require_service();
  select array_agg(so.source_name order by so.source_name) into v_sources
  from public.sync_streams as st join public.sync_sources as so on so.id = st.source_id
  where st.stream_name = p_stream and so.source_name = coalesce(p_source, so.source_name);
  if v_sources is null then
    raise exception using errcode = 'SY003',
      message = format('there is no stream %L%s', p_stream,
        ' of the source ' || quote_literal(p_source)),
      hint = 'select stream_name from sync_streams lists them; declare_stream() adds one.';
  elsif cardinality(v_sources) > 1 then
    raise exception using errcode = 'SY006',
      message = format('a stream %L have the sources %s', p_stream,
        array_to_string(v_sources, ', ')),
      hint = format('select stream_sql(%L, %L)', p_stream, v_sources[1]);
  end if;
  select st.* into strict v_stream
  from public.sync_streams as st join public.sync_sources as so on so.id = st.source_id
  where st.stream_name = p_stream and so.source_name = v_sources[1];
  select t.upsert_name into v_upsert_name from sync.target_tables as t
  where t.target = to_regclass(v_stream.target_table)
    and t.upsert_name = v_stream.apply_function;
  v_given := to_jsonb(v_stream) || jsonb_build_object('source_name', v_sources[1]);
  return concat_ws(chr(10),
    case when v_stream.columns is not null
      then sync.table_sql(v_stream.target_table, v_given) end,
    case when v_stream.columns is not null
      then sync.access_sql(v_stream.target_table, v_given) end,
    case when v_upsert_name is not null then btrim(sync.upsert_sql(v_upsert_name,
        to_regclass(v_stream.target_table), v_stream.columns), chr(10))
      else pg_catalog.pg_get_functiondef((
        select f.oid from pg_catalog.pg_proc as f
        where f.oid = to_regprocedure(v_stream.apply_function || '(sync.incoming_record[])')))
      end);
end; $function$;

CREATE OR REPLACE FUNCTION sync.prepare_job_end()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
end; $function$;

CREATE TRIGGER polling_job_status_transition BEFORE UPDATE ON public.polling_job_status FOR EACH ROW EXECUTE FUNCTION sync.prepare_job_end();

CREATE OR REPLACE FUNCTION sync.has_parts(p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_stream.parent_stream is not null and p_stream.completeness <> 'items';
end; $function$;

create policy run_parts_select_operator on sync.run_parts as permissive for select to authenticated using (( SELECT sync.is_operator() AS is_operator));

CREATE TRIGGER sweep_state_stay BEFORE DELETE OR TRUNCATE ON sync.sweep_state FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_removal();

CREATE OR REPLACE FUNCTION sync.learn_of_filled_tables()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '10ms'
AS $function$
declare
  v_table regclass;
  v_has_rows boolean;
begin
  for v_table in
    select c.oid from pg_class as c
    where c.oid = any ('{public.sync_workspaces,public.sync_budgets,public.sync_workspace_streams,
      public.polling_job_status,public.workspace_sync_runs,public.chunked_sync_jobs,
      public.chunk_processing_queue,sync.run_counters,sync.run_parts,sync.seen_pages,
      sync.missing_records,sync.record_parents,sync.staged_items,sync.page_etags
      }'::regclass[] || array(select t.target from sync.target_tables as t))
      and c.reltuples = 0 and c.relpages between 1 and 30000
  loop
    execute format('select exists (select from %s)', v_table) into v_has_rows;
    if v_has_rows then
      execute format('analyze %s', v_table);
    end if;
  end loop;
exception when lock_not_available then
  -- Who else analyzes it, or vacuums it, tells the planner what is in there.
  null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.refill_slots(p_run_id bigint)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_filled int;
begin
  with run as (
    select id, max_concurrency, is_paused
    from public.workspace_sync_runs
    -- A plain comparison would offer the planner to look through all that is live.
    where id = p_run_id and (status = 'running') is true and ending is null
  ), free as (
    select s.slot, row_number() over (order by s.slot) as turn
    from run, generate_series(1, run.max_concurrency) as s (slot)
    where not exists (select 1 from public.chunk_processing_queue as q
    where q.run_id = p_run_id and q.slot = s.slot)
  ), waiting as (
    select w.id, row_number() over (order by w.id) as turn
    from (
      select id from public.chunk_processing_queue
      where run_id = p_run_id and status = 'pending' and slot is null
      order by id limit (select count(*) from free) for no key update skip locked
    ) as w
  )
  update public.chunk_processing_queue as q set
    slot = free.slot,
    ready_seq = case when run.is_paused then null else nextval('sync.ready_seq') end,
    next_retry_at = case when run.is_paused then 'infinity'::timestamptz end
  from run, waiting join free using (turn)
  where q.id = waiting.id;
  get diagnostics v_filled = row_count;
  return v_filled;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_chunks(p_run_id bigint, p_kind text, p_pages integer[], p_record_ids text[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, record_id,
      reading)
    select r.job_id, r.id, p_kind, r.scan, what.page, what.record_id, case p_kind
      when 'page' then nullif((r.reading - 'step') || case when r.reading ? 'step'
        then jsonb_build_object('offset', (what.page - 1) * (r.reading ->> 'step')::bigint)
        else '{}'::jsonb end, '{}') end
    from public.workspace_sync_runs as r
    cross join unnest(coalesce(p_pages, array_fill(null::int, array[cardinality(p_record_ids)])),
      p_record_ids) as what (page, record_id)
    where r.id = p_run_id
    order by what.page, what.record_id
    returning id, parent_sync_job_id, run_id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select id, parent_sync_job_id, run_id from planned order by id
    returning id
  )
  update public.workspace_sync_runs as r set planned_chunks = planned_chunks + q.chunks,
    pages_planned = pages_planned + case p_kind when 'page' then q.chunks else 0 end
  from (select count(*) as chunks from queued) as q where r.id = p_run_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_page(p_run_id bigint, p_page integer, p_reading jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, reading)
    select r.job_id, r.id, 'page', r.scan, p_page, nullif(p_reading, '{}')
    from public.workspace_sync_runs as r where r.id = p_run_id
    returning id, parent_sync_job_id, run_id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select id, parent_sync_job_id, run_id from planned
  )
  update public.workspace_sync_runs set planned_chunks = planned_chunks + 1,
    pages_planned = pages_planned + 1, known_pages = greatest(known_pages, p_page),
    planned_pages = greatest(planned_pages, p_page)
  where id = p_run_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.pages_ahead(p_slots integer)
 RETURNS integer
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return greatest(16, 4 * p_slots);
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_window(p_run_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_ahead int;
  v_waiting int;
  v_last_page int;
begin
  select * into v_run from public.workspace_sync_runs
  where id = p_run_id and (status = 'running') is true and ending is null and phase = 'scan'
    and planned_pages < known_pages;
  if v_run.id is null then
    return;
  end if;
  v_ahead := sync.pages_ahead(v_run.max_concurrency);
  -- What waits stands among the last pages planned. By key: in the index of what waits, a long
  -- snapshot keeps an entry of every page that waited once.
  select count(*) into v_waiting from public.chunked_sync_jobs as c
  cross join lateral (
    select q.id from public.chunk_processing_queue as q
    where q.id = c.id and q.status = 'pending' and q.slot is null offset 0
  ) as waiting
  where c.run_id = p_run_id and c.scan = v_run.scan and c.kind = 'page'
    and c.page > v_run.planned_pages - v_ahead;
  if v_waiting > v_ahead / 2 then
    return;
  end if;
  v_last_page := least(v_run.known_pages, v_run.planned_pages + v_ahead - v_waiting);
  perform sync.plan_chunks(p_run_id, 'page',
    array(select generate_series(v_run.planned_pages + 1, v_last_page)), null);
  update public.workspace_sync_runs set planned_pages = v_last_page where id = p_run_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.reveal_pages(p_run_id bigint, p_last_page integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.workspace_sync_runs
  set known_pages = greatest(known_pages, p_last_page),
  progress_total = coalesce(progress_total, p_last_page)
  where id = p_run_id and ending is null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.refuse_next_url(p_text text, p_why text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception using errcode = 'SY010',
    message = format('the answer''s next URL %s: %s', p_why, left(sync.one_line(p_text), 200)),
    hint = 'It is followed on the workspace''s own origin and below its base path only.';
end; $function$;

CREATE OR REPLACE FUNCTION sync.absolute_url(p_text text, p_request_url text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select case
    when p_text ~* '^[a-z][a-z0-9+.-]*:' then p_text
    when p_text ~ '^//' then substring(p_request_url from '^[A-Za-z]+:') || p_text
    when p_text ~ '^/' then substring(p_request_url from '^[A-Za-z]+://[^/?#]*') || p_text
    when p_text ~ '^\?' then substring(p_request_url from '^[^?#]*') || p_text
    else substring(substring(p_request_url from '^[^?#]*') from '^[A-Za-z]+://[^/]*/(?:.*/)?')
      || p_text end;
$function$;

CREATE OR REPLACE FUNCTION sync.next_url(p_base_url text, p_text text, p_source public.sync_sources, p_request_url text DEFAULT NULL::text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_base constant sync.parsed_url := sync.parse_url(p_base_url || p_source.base_path);
  v_text text := split_part(btrim(p_text), '#', 1);
  v_url sync.parsed_url;
  v_path text;
  v_params text[];
begin
  if coalesce(v_text, '') = '' or length(v_text) > 4096 or v_text ~ '[\x01-\x1f\x7f\\]' then
    perform sync.refuse_next_url(coalesce(p_text, ''), 'is none');
  end if;
  select string_agg(case when c ~ '[\x21-\x7e]' then c else sync.url_encode(c) end, '' order by n)
  into v_text from regexp_split_to_table(v_text, '') with ordinality as t (c, n);
  v_text := sync.absolute_url(v_text, coalesce(p_request_url, p_base_url || p_source.base_path
    || '/'));
  v_url := sync.parse_url(v_text);
  if v_url is null then
    perform sync.refuse_next_url(p_text, 'is none');
  elsif (v_url.scheme, sync.host_and_port(v_url))
    is distinct from (v_base.scheme, sync.host_and_port(v_base)) then
    perform sync.refuse_next_url(p_text, 'leads to another origin');
  end if;
  v_path := split_part(v_url.path, '?', 1);
  if v_path ~* '(^|/|%2f|%5c)(\.|%2e){1,2}(/|%2f|%5c|$)'
    or (v_path <> v_base.path and not starts_with(v_path, rtrim(v_base.path, '/') || '/')) then
    perform sync.refuse_next_url(p_text, 'leads out of the base path');
  end if;
  if strpos(v_url.path, '?') = 0 then
    return v_url.scheme || '://' || sync.host_and_port(v_url) || v_path;
  end if;
  v_params := string_to_array(substr(v_url.path, strpos(v_url.path, '?') + 1), '&');
  if p_source.auth_in = 'query' then
    v_params := array(
      select p.param from unnest(v_params) with ordinality as p (param, n)
      where lower(sync.resolved(translate(split_part(p.param, '=', 1), '+', ' '),
        '%[0-9A-Fa-f]{2}')) <> lower(p_source.auth_name) order by p.n);
  end if;
  return v_url.scheme || '://' || sync.host_and_port(v_url) || v_path
    || coalesce('?' || nullif(array_to_string(v_params, '&'), ''), '');
end; $function$;

CREATE OR REPLACE FUNCTION sync.link_next(p_text text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_rest text := coalesce(p_text, '');
  v_link text[];
  v_params text;
  v_rel text;
begin
  while v_rest ~ '[^\s,]' loop
    v_link := regexp_match(v_rest,
      '^([\s,]*<([^>]*)>((?:\s*;\s*(?:[^\s=;,"<>]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)?)*)\s*)(?:,|$)');
    if v_link is null then
      raise exception using errcode = 'SY010',
        message = format('the header Link cannot be read: %s', left(sync.one_line(v_rest), 200)),
        hint = 'It should read <https://host/path?page=2>; rel="next", as RFC 8288 has it.';
    end if;
    v_rest := substr(v_rest, length(v_link[1]) + 1);
    v_params := v_link[3];
    -- Of several the first counts; a link of another context is none of this page.
    select lower(coalesce(m.part[2], m.part[3])) into v_rel
    from regexp_matches(v_params, ';\s*([^\s=;,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))', 'g')
      with ordinality as m (part, n)
    where lower(m.part[1]) = 'rel' order by m.n limit 1;
    if 'next' = any (regexp_split_to_array(coalesce(v_rel, ''), '\s+')) and not exists (
      select from regexp_matches(v_params, ';\s*([^\s=;,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))',
        'g') as m (part) where lower(m.part[1]) = 'anchor') then
      return v_link[2];
    end if;
  end loop;
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.request_key(p_chunk public.chunked_sync_jobs, p_request jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return md5(concat_ws(' ', p_request - 'headers', p_chunk.page,
    p_chunk.reading - '{guess,beside,back,again,pages_below}'::text[]));
end; $function$;

CREATE OR REPLACE FUNCTION sync.known_version(p_chunk public.chunked_sync_jobs, p_stream public.sync_streams, p_request_key text, p_slack interval)
 RETURNS sync.page_etags
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_etag sync.page_etags;
begin
  select e.* into v_etag from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.polling_job_status as j on j.id = r.job_id
  join sync.page_etags as e on e.workspace_id = r.workspace_id and e.stream_id = r.stream_id
    and e.request_key = p_request_key
  left join public.sync_workspace_streams as ws on ws.workspace_id = r.workspace_id
    and ws.stream_id = r.stream_id
  where r.id = p_chunk.run_id and j.kind = 'sync' and r.stream_id = p_stream.id
    and e.stream_revision = p_stream.revision and e.access_revision = w.access_revision
    -- What others of its records became between two complete runs is not known of it.
    and e.run_id in (r.id, ws.last_complete_run_id)
    and e.read_at > sync.now() - make_interval(days => p_stream.full_scan_days) - p_slack
    and p_stream.order_moves = 'never'
    -- A version may be one of the records alone, and the total beside them have moved, or the
    -- cursor of the next page: where a scan does not add up, the next one reads everything.
    and not case
      when r.parts_total is null then p_chunk.scan - r.begun_again > 1 and r.sound_scan is null
      else exists (
        select 1 from sync.run_parts as p
        where p.run_id = r.id and p.scan = p_chunk.scan and p.attempt > 1
          and p.sound_scan is null) end
    and not (r.is_full_scan
      and (p_stream.completeness = 'feed' or sync.has_template(p_stream, 'since')));
  return v_etag;
end; $function$;

CREATE OR REPLACE FUNCTION sync.condition_headers(p_etag sync.page_etags)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select jsonb_strip_nulls(jsonb_build_object('If-None-Match', p_etag.etag, 'If-Modified-Since',
    case when p_etag.etag is null then p_etag.last_modified end));
$function$;

CREATE OR REPLACE FUNCTION sync.refuse_request(p_what text, p_hint text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception using errcode = 'SY022', message = 'the request cannot be made: ' || p_what,
    hint = p_hint;
end; $function$;

CREATE OR REPLACE FUNCTION sync.template_values(p_chunk public.chunked_sync_jobs, p_stream public.sync_streams)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
declare
  v_reading jsonb := coalesce(p_chunk.reading, '{}');
  v_since timestamptz := (v_reading ->> 'since')::timestamptz;
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'page', p_chunk.page - 1 + p_stream.first_page,
    'offset', coalesce(v_reading ->> 'offset', ((p_chunk.page - 1)::bigint
      * p_stream.page_size)::text)::bigint,
    'size', p_stream.page_size, 'next', v_reading -> 'next', 'last', v_reading -> 'last',
    'since', case p_stream.since_format
      when 'epoch' then to_jsonb(floor(extract(epoch from v_since))::bigint)
      when 'epoch_ms' then to_jsonb(floor(extract(epoch from v_since) * 1000)::bigint)
      when 'date' then to_jsonb(to_char(v_since, 'YYYY-MM-DD'))
      else to_jsonb(to_char(v_since, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) end,
    'id', coalesce(v_reading ->> 'id', p_chunk.record_id), 'parent', v_reading -> 'parent'));
end; $function$;

CREATE OR REPLACE FUNCTION sync.template_value(p_template text, p_values jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_part text[] := regexp_match(p_template, '^\{([^|]+)(?:\|(.*))?\}$');
  v_value jsonb := p_values #> string_to_array(v_part[1], '.');
begin
  -- Once {next} has a value it takes the place of {since}, which is false then.
  if v_part[1] = 'since' and v_value = 'false'::jsonb then
    return null;
  end if;
  return coalesce(nullif(v_value, 'null'::jsonb), nullif(v_part[2], '')::jsonb);
end; $function$;

CREATE OR REPLACE FUNCTION sync.template_parts(p_text text)
 RETURNS TABLE(place bigint, template text, plain text)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select m.place, m.part[1], m.part[2]
  from regexp_matches(p_text, '(\{(?:page|offset|size|next|last|since|id|parent(?:\.[^.{}|]+)+)'
    '(?:\|[^{}]*)?\})|([^{]+|\{)', 'g') with ordinality as m (part, place);
$function$;

CREATE OR REPLACE FUNCTION sync.filled_text(p_text text, p_values jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_part record;
  v_value jsonb;
  v_text text := '';
begin
  for v_part in select * from sync.template_parts(p_text) order by place loop
    if v_part.template is null then
      v_text := v_text || v_part.plain;
      continue;
    end if;
    v_value := sync.template_value(v_part.template, p_values);
    if v_part.template = p_text or v_value is null then
      return v_value;
    end if;
    if jsonb_typeof(v_value) in ('object', 'array') then
      perform sync.refuse_request(format('%s is an %s and stands within a text', v_part.template,
        jsonb_typeof(v_value)), 'declare_stream() takes a template of a single value there.');
    end if;
    v_text := v_text || (v_value #>> '{}');
  end loop;
  return to_jsonb(v_text);
end; $function$;

CREATE OR REPLACE FUNCTION sync.filled_json(p_template jsonb, p_values jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case jsonb_typeof(p_template)
    when 'string' then sync.filled_text(p_template #>> '{}', p_values)
    when 'object' then (
      select coalesce(jsonb_object_agg(e.key, f.value), '{}') from jsonb_each(p_template) as e
      cross join lateral (select sync.filled_json(e.value, p_values) as value offset 0) as f
      where f.value is not null)
    when 'array' then (
      select case when bool_and(f.value is not null) is not false
        then coalesce(jsonb_agg(f.value order by e.n), '[]') end
      from jsonb_array_elements(p_template) with ordinality as e (value, n)
      cross join lateral (select sync.filled_json(e.value, p_values) as value offset 0) as f)
    else p_template end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.filled_path(p_path text, p_values jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_part record;
  v_value jsonb;
  v_text text;
  v_path text := '';
begin
  for v_part in select * from sync.template_parts(p_path) order by place loop
    if v_part.template is null then
      v_path := v_path || v_part.plain;
      continue;
    end if;
    v_value := sync.template_value(v_part.template, p_values);
    v_text := v_value #>> '{}';
    if v_text is null or v_text = '' or jsonb_typeof(v_value) in ('object', 'array')
      or v_text ~ '(^|[/\\])\.{1,2}([/\\]|$)' then
      perform sync.refuse_request(format('%s of its path is %s', v_part.template,
        coalesce(left(v_value::text, 100), 'without a value')),
        'A value in a path is a text or a number, not empty, and no folder such as "..".');
    end if;
    v_path := v_path || sync.url_encode(v_text);
  end loop;
  if v_path ~* '/(\.|%2e){1,2}(/|$)' then
    perform sync.refuse_request(format('its path is %s', left(v_path, 200)),
      'A path stays below its base URL: no folder is "." or "..".');
  end if;
  return v_path;
end; $function$;

CREATE OR REPLACE FUNCTION sync.filled_headers(p_headers jsonb, p_values jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_header record;
  v_value text;
  v_headers jsonb := '{}'::jsonb;
begin
  for v_header in select * from jsonb_each_text(p_headers) loop
    v_value := sync.filled_text(v_header.value, p_values) #>> '{}';
    if (v_value ~ '^[\x20-\x7e]*$') is not true then
      perform sync.refuse_request(format('header %s is %s', v_header.key,
        coalesce(left(to_jsonb(v_value)::text, 100), 'without a value')),
        'A header takes printable ASCII only, and no line break.');
    end if;
    v_headers := v_headers || jsonb_build_object(v_header.key, btrim(v_value));
  end loop;
  return v_headers;
end; $function$;

CREATE OR REPLACE FUNCTION sync.as_pairs(p_params jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_array(p.key, p.value)), '[]')
    from jsonb_each_text(p_params) as p);
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_plain(p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_stream.method = 'GET' and p_stream.next_is = 'token' and not p_stream.conditional
    and strpos(p_stream.path, '{') = 0 and strpos(substr(p_stream.params::text, 2), '{') = 0
    and strpos(substr(p_stream.headers::text, 2), '{') = 0
    and strpos(replace(coalesce(p_stream.item_path, ''), '{id}', ''), '{') = 0;
end; $function$;

CREATE OR REPLACE FUNCTION sync.position_params(p_chunk public.chunked_sync_jobs, p_stream public.sync_streams)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case
    when p_chunk.kind = 'cursor' then coalesce(p_stream.cursor_params, '{}')
      || case when p_chunk.reading ->> 'cursor' is null then '{}'::jsonb
      else jsonb_build_object(p_stream.cursor_param, p_chunk.reading ->> 'cursor') end
    when p_chunk.kind = 'page' and p_stream.completeness in ('counted', 'feed')
    then jsonb_build_object(p_stream.page_param, p_chunk.page - 1 + p_stream.first_page)
    else '{}' end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plain_request(p_chunk public.chunked_sync_jobs, p_stream public.sync_streams, p_url text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_headers jsonb := p_stream.headers;
  v_path text := p_stream.path;
  v_params jsonb := '{}'::jsonb;
begin
  case
    when p_chunk.kind = 'connection' then
      select path, headers into v_path, v_headers from public.sync_streams
      where source_id = p_stream.source_id and completeness = 'connection';
    when p_chunk.kind in ('confirmation', 'item') then
      v_path := replace(p_stream.item_path, '{id}', p_chunk.record_id);
    else
      v_params := p_stream.params || sync.position_params(p_chunk, p_stream);
  end case;
  return jsonb_build_object('method', 'GET', 'url', p_url || v_path, 'params',
    sync.as_pairs(v_params), 'headers', '{"Accept": "application/json"}'::jsonb || v_headers);
end; $function$;

CREATE OR REPLACE FUNCTION sync.filled_request(p_chunk public.chunked_sync_jobs, p_stream public.sync_streams, p_source public.sync_sources, p_base_url text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_url constant text := p_base_url || p_source.base_path;
  v_values jsonb := sync.template_values(p_chunk, p_stream);
  v_is_item constant boolean := p_chunk.kind in ('confirmation', 'item');
  v_request jsonb := jsonb_build_object('method', case when v_is_item then 'GET'
    else p_stream.method end, 'params', '[]'::jsonb,
    'headers', '{"Accept": "application/json"}'::jsonb
      || sync.filled_headers(p_stream.headers, v_values));
begin
  if v_is_item then
    return v_request || jsonb_build_object('url',
      v_url || sync.filled_path(p_stream.item_path, v_values));
  end if;
  if p_chunk.reading ->> 'url' is not null then
    v_request := v_request || jsonb_build_object('url',
      sync.next_url(p_base_url, p_chunk.reading ->> 'url', p_source));
  else
    v_request := v_request || jsonb_build_object('url',
      v_url || sync.filled_path(p_stream.path, v_values));
  end if;
  if v_values ? 'next' then
    v_values := v_values || '{"since": false}';
  end if;
  if p_chunk.reading ->> 'url' is null then
    v_request := v_request || jsonb_build_object('params', sync.as_pairs(
      sync.filled_json(p_stream.params, v_values) || case
        when p_chunk.kind = 'page' and (sync.position_of(p_stream) <> 'page'
        or sync.has_template(p_stream, 'page')) then '{}'::jsonb
        else sync.position_params(p_chunk, p_stream) end));
  end if;
  return v_request || case when p_stream.body is null or p_stream.method = 'GET' then '{}'::jsonb
    else jsonb_build_object('body', coalesce(sync.filled_json(p_stream.body, v_values), '{}')) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.make_request(p_chunk public.chunked_sync_jobs, p_stream public.sync_streams, p_source public.sync_sources, p_base_url text)
 RETURNS sync.made_request
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_made sync.made_request;
  v_hint text;
begin
  v_made.queue_id := p_chunk.id;
  v_made.request := sync.filled_request(p_chunk, p_stream, p_source, p_base_url);
  if p_stream.conditional and p_chunk.kind = 'page' then
    v_made.request := jsonb_set(v_made.request, '{headers}', v_made.request -> 'headers'
      || sync.condition_headers(sync.known_version(p_chunk, p_stream,
        sync.request_key(p_chunk, v_made.request), interval '0')));
  end if;
  return v_made;
exception when others then
  if sync.is_own_trouble(sqlstate) then
    raise;
  end if;
  get stacked diagnostics v_made.message = message_text, v_hint = pg_exception_hint;
  v_made.code := case when sqlstate in ('SY010', 'SY022') then sqlstate else 'SY022' end;
  v_made.message := concat_ws('. ', case when sqlstate in ('SY010', 'SY022') then v_made.message
    else 'the request cannot be made: ' || v_made.message end, nullif(v_hint, ''));
  return v_made;
end; $function$;

CREATE OR REPLACE FUNCTION sync.answer_headers(p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if not (p_stream.class_rules || p_source.class_rules) @? '$[*].header'
    and p_source.reset_header is null and p_stream.next_is <> 'link_header'
    and not p_stream.conditional then
    return '["date", "retry-after"]'::jsonb;
  end if;
  return (
    select jsonb_agg(distinct h.name) from (
      select lower(r ->> 'header') as name
      from jsonb_array_elements(p_stream.class_rules || p_source.class_rules) as r
      union all select lower(p_source.reset_header ->> 'name')
      union all select 'link' where p_stream.next_is = 'link_header'
      union all select unnest('{etag,last-modified}'::text[]) where p_stream.conditional
      union all select unnest('{date,retry-after}'::text[])
    ) as h where h.name is not null);
end; $function$;

CREATE OR REPLACE FUNCTION sync.may_be_gone(p_stream public.sync_streams, p_kind text, p_page integer, p_reading jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_kind = 'page' and (coalesce(p_reading ?| '{guess,beside}', false)
    or (p_page > 1 and p_stream.completeness in ('counted', 'chained', 'agreed', 'feed')));
end; $function$;

CREATE OR REPLACE FUNCTION sync.status_classes(p_stream public.sync_streams, p_source public.sync_sources, p_kind text, p_page integer, p_reading jsonb, p_is_conditional boolean)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return '{"304": "transient"}' || p_source.status_classes || p_stream.status_classes || case
    when p_kind in ('confirmation', 'item') then '{"404": "page", "410": "page"}'::jsonb
    when p_kind = 'page' and p_page > 1 and p_stream.cursor_params is not null
    then '{"422": "page"}'::jsonb
    when sync.may_be_gone(p_stream, p_kind, p_page, p_reading)
    then '{"400": "page", "404": "page", "422": "page"}'::jsonb else '{}'::jsonb end
    || case when p_is_conditional then '{"304": "page"}'::jsonb else '{}'::jsonb end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_unsent(p_error_message text)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (p_error_message not like 'no answer%') is not false;
end; $function$;

CREATE OR REPLACE FUNCTION sync.way_out(p_http_status integer, p_error_message text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case
    when p_http_status = 401 then 'rotate_workspace_key() gives the workspace another key.'
    when p_http_status = 403 then 'Let the key read this, or rotate_workspace_key() to one that '
      'may.'
    when p_error_message like '%max_body_bytes = %' then 'Nothing of the page was written: let the '
      'API serve smaller pages, or allow larger ones: declare_stream() takes a max_body_bytes up to '
      '16777216.'
    when p_http_status = 200 then 'Nothing of the page was written: have the API''s answer '
      'corrected.'
    when p_http_status = 422 then 'If only deep pages answer so, the API serves no page that '
      'deep: the list cannot be read whole by page number.'
    when p_http_status between 300 and 399 or p_http_status = 404
    then 'Look at the workspace''s base URL.'
    when not sync.is_unsent(p_error_message)
    then 'Look at the workspace''s base URL, and whether its host answers.' end;
$function$;

CREATE OR REPLACE FUNCTION sync.class_of(p_status_classes jsonb, p_http_status integer)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return coalesce(p_status_classes ->> p_http_status::text,
    p_status_classes ->> (p_http_status / 100 || 'xx'), p_status_classes ->> 'other', 'permanent');
end; $function$;

CREATE OR REPLACE FUNCTION sync.class_by_rules(p_rules jsonb, p_http_status integer, p_headers jsonb, p_text text, p_answer jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select r.rule ->> 'class'
    from jsonb_array_elements(p_rules) with ordinality as r (rule, n)
    where coalesce((r.rule ->> 'status')::int = p_http_status, true)
      and (not r.rule ? 'text' or strpos(lower(p_text), lower(r.rule ->> 'text')) > 0)
      and (not r.rule ? 'header'
        or p_headers ->> lower(r.rule ->> 'header') = (r.rule ->> 'is'))
      and (not r.rule ? 'path' or p_answer #> array(
        select jsonb_array_elements_text(r.rule -> 'path')) = r.rule -> 'is')
    order by r.n limit 1);
end; $function$;

CREATE OR REPLACE FUNCTION sync.http_date(p_text text)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
 SET "TimeZone" TO 'UTC'
AS $function$
begin
  return case when length(p_text) <= 100 and p_text ~ '[0-9]{2}:[0-9]{2}'
    then sync.time_or_null(p_text) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.seconds_asked(p_text text)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select case when p_text ~ '^\s*[0-9]{1,12}(\.[0-9]{1,9})?\s*$' then p_text::numeric end;
$function$;

CREATE OR REPLACE FUNCTION sync.wait_asked_for(p_source public.sync_sources, p_headers jsonb, p_answer jsonb, p_is_rate_limit boolean)
 RETURNS numeric
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  -- The API's own clock, where it tells it.
  v_now timestamptz := coalesce(sync.http_date(p_headers ->> 'date'), sync.now());
  v_reset text := p_headers ->> lower(p_source.reset_header ->> 'name');
  v_retry text := p_headers ->> 'retry-after';
begin
  return (
    select w.seconds from (values
      (1, coalesce(sync.seconds_asked(v_retry), extract(epoch from sync.http_date(v_retry)
        - v_now))),
      -- Every answer may have that header: it says when the present window ends.
      (2, case when p_is_rate_limit then case p_source.reset_header ->> 'is'
        when 'epoch' then sync.seconds_asked(v_reset) - extract(epoch from v_now)
        when 'seconds' then sync.seconds_asked(v_reset)
        when 'date' then extract(epoch from sync.http_date(v_reset) - v_now) end end),
      (3, sync.seconds_asked(p_answer #>> coalesce(p_source.retry_after_path, '{retry_after}')))
    ) as w (turn, seconds)
    where w.seconds > 0 order by w.turn limit 1);
end; $function$;

CREATE OR REPLACE FUNCTION sync.in_flight_of(p_budget_id bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
AS $function$
declare
  v_chunks bigint;
begin
  v_chunks := (
    -- From its workspaces on, and by the index that has this order: without statistics the planner
    -- may look through all live runs, for each. Of one workspace, said plainly, the index of streams
    -- has it too.
    select count(*) from public.sync_workspaces as w
    cross join lateral (
      select x.id from public.workspace_sync_runs as x
      where x.workspace_id between w.id and w.id and x.status = 'running'
      order by x.workspace_id, x.stream_id offset 0
    ) as r
    cross join lateral (
      select 1 from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing' offset 0
    ) as q
    where w.budget_id = p_budget_id);
  return v_chunks + (
    select count(*) from sync.stream_tries as t
    where t.budget_id = p_budget_id and t.lease_expires_at is not null) + (
    select count(*) from sync.token_requests as t
    where t.budget_id = p_budget_id and t.status = 'processing');
end; $function$;

CREATE OR REPLACE FUNCTION sync.shares_of(p_budget public.sync_budgets)
 RETURNS TABLE(workspace_id bigint, run_ids bigint[], leases bigint, share integer, half integer, others_wait boolean, demand bigint)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
AS $function$
declare
  v_most int := least(p_budget.max_in_flight, p_budget.reduced_in_flight);
begin
  if v_most is null then
    return;
  end if;
  return query
  with live as (
    select w.id, r.id as run_id, w.rate_limited_until is null and r.ending is null
      and not r.is_paused as may_go, q.leases, q.waiting
    from public.sync_workspaces as w
    cross join lateral (
      select x.id, x.ending, x.is_paused from public.workspace_sync_runs as x
      where x.workspace_id between w.id and w.id and x.status = 'running'
      order by x.workspace_id, x.stream_id offset 0
    ) as r
    cross join lateral (
      select count(*) filter (where x.status = 'processing') as leases,
        count(*) filter (where x.status = 'pending' and x.lease_losses < 2
          and (x.ready_seq is not null or x.line_budget_id is not null)) as waiting
      from public.chunk_processing_queue as x where x.run_id = r.id and x.slot is not null
    ) as q
    where w.budget_id = p_budget.id
  ), held as (
    select l.id, array_agg(l.run_id) as run_ids, sum(l.leases)::bigint as leases,
      coalesce(sum(l.waiting) filter (where l.may_go), 0)::bigint as waiting
    from live as l group by l.id
  ), shared as (
    select h.*, greatest(1, v_most / count(*) over ())::int as share,
      sum(h.waiting) over () - h.waiting > 0 as others_wait
    from held as h where h.leases + h.waiting > 0
  )
  select s.id, s.run_ids, s.leases, s.share, greatest(1, v_most / 2), s.others_wait,
    sum(least(s.waiting, greatest(0, s.share - s.leases))) over ()::bigint
  from shared as s;
end; $function$;

CREATE OR REPLACE FUNCTION sync.has_others_asking(p_workspace_id bigint, p_budget_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
AS $function$
begin
  return exists (
    select 1 from public.sync_workspaces as w
    cross join lateral (
      select x.id from public.workspace_sync_runs as x
      where x.workspace_id between w.id and w.id and x.status = 'running' and x.ending is null
        and not x.is_paused
      order by x.workspace_id, x.stream_id offset 0
    ) as r
    cross join lateral (
      select 1 from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.lease_losses < 2
        and (x.status = 'processing' or x.ready_seq is not null or x.line_budget_id is not null)
      limit 1
    ) as q
    where w.budget_id = p_budget_id and w.id <> p_workspace_id and w.rate_limited_until is null);
end; $function$;

CREATE OR REPLACE FUNCTION sync.wake_lines(p_limit integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
AS $function$
declare
  v_budget public.sync_budgets;
  v_now timestamptz := sync.now();
  v_pace interval;
  v_room bigint;
  v_full bigint[];
  v_below_half bigint[];
  v_left bigint;
begin
  for v_budget in
    select * from public.sync_budgets
    where line_due_at is not null and (blocked_until <= v_now) is not false
    order by random() limit 32
  loop
    v_pace := make_interval(secs =>
      coalesce(1 / sync.effective_rate(v_budget), 0)::double precision);
    v_room := case
      when v_budget.next_send_at - v_now > sync.send_ahead(v_budget) then 0
      when v_pace > interval '0' then 1 + floor(extract(epoch from sync.send_ahead(v_budget)
        - (greatest(v_budget.next_send_at, v_now) - v_now)) / extract(epoch from v_pace))
      else p_limit end;
    v_room := least(v_room, p_limit);
    if v_room > 0 then
      v_room := least(v_room, sync.budget_room(v_budget, v_now));
    end if;
    if v_room > 0 then
      select coalesce(array_agg(s.run_id) filter (where s.leases >= s.share), '{}'),
        coalesce(array_agg(s.run_id) filter (
          where s.leases >= s.share and not (s.leases >= s.half and s.others_wait)), '{}'),
        v_room - coalesce(max(s.demand), 0)
      into v_full, v_below_half, v_left
      from (
        select x.*, unnest(x.run_ids) as run_id from sync.shares_of(v_budget) as x
      ) as s;
      update public.chunk_processing_queue as q
      set ready_seq = q.turn, turn = null, line_budget_id = null, next_retry_at = null
      from (
        select * from (
          select id from public.chunk_processing_queue
          where line_budget_id = v_budget.id and run_id <> all (v_full)
          order by line_budget_id, turn limit v_room for no key update skip locked
        ) as others
        union all
        select * from (
          select id from public.chunk_processing_queue
          where line_budget_id = v_budget.id and run_id = any (v_below_half)
          order by line_budget_id, turn limit greatest(v_left, 0) for no key update skip locked
        ) as beyond
      ) as next
      where q.id = next.id;
    end if;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.wake_workspaces(p_workspace_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.chunk_processing_queue as q
  set ready_seq = q.turn, turn = null, next_retry_at = null
  from (
    select s.id from public.workspace_sync_runs as r
    cross join lateral (
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'pending'
        and x.turn is not null and x.line_budget_id is null for no key update skip locked
    ) as s
    where r.workspace_id = any (p_workspace_ids) and r.status = 'running' and not r.is_paused
    order by s.id
  ) as held
  where q.id = held.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.admit_chunks(p_queue_ids bigint[], p_worker_id text, p_keyless bigint[] DEFAULT ARRAY[]::bigint[], p_tokenless bigint[] DEFAULT ARRAY[]::bigint[])
 RETURNS sync.admission[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz;
  v_budget_ids bigint[];
  v_locked_ids bigint[];
  v_admissions sync.admission[];
begin
  select
    coalesce(array_agg(row(q.id, coalesce(w.obstacle, case when r.ending is not null then 'ending'
      when r.is_paused then 'paused' else 'admitted' end),
      case w.obstacle when 'token' then sync.token_wait(r.workspace_id) else interval '0' end,
      w.budget_id)::sync.admission order by p.turn), '{}'),
    array_agg(b.id) filter (where w.obstacle is null and (b.requests_per_second is not null
      or b.max_in_flight is not null or b.block_level > 0 or b.reduced_in_flight is not null
      or b.learned_rate is not null or b.line_due_at is not null
      or w.rate_limited_until is not null))
  into v_admissions, v_budget_ids
  -- One row after the other by its key: without statistics the planner may begin at the other end.
  from unnest(p_queue_ids) with ordinality as p (id, turn)
  cross join lateral (
    select x.id, x.run_id from public.chunk_processing_queue as x where x.id = p.id offset 0
  ) as q
  cross join lateral (
    select x.workspace_id, x.stream_id, x.ending, x.is_paused from public.workspace_sync_runs as x
    where x.id = q.run_id offset 0
  ) as r
  cross join lateral (
    select st.source_id from public.sync_streams as st where st.id = r.stream_id offset 0
  ) as st
  cross join lateral (
    -- No request goes out without a key or before its access token is there, nor to another source
    -- than its stream's.
    select x.budget_id, x.rate_limited_until, case when x.source_id <> st.source_id then 'moved'
      when x.id = any (p_keyless) then 'keyless'
      when x.id = any (p_tokenless) then 'token' end as obstacle
    from public.sync_workspaces as x where x.id = r.workspace_id offset 0
  ) as w
  left join lateral (
    select x.* from public.sync_budgets as x where x.id = w.budget_id offset 0
  ) as b on true;
  if v_budget_ids is null then
    return v_admissions;
  end if;
  -- Who holds tokens waits for no budget.
  v_locked_ids := sync.lock_budgets(v_budget_ids, cardinality(p_tokenless) = 0 and not exists (
    select 1 from sync.workers where worker_id = p_worker_id and in_haste_until > sync.now()));
  v_now := sync.now();
  with picked as (
    select q.id, w.id as workspace_id, w.budget_id, p.turn, coalesce(q.ready_seq, q.turn) as place,
      w.rate_limited_until, p.send_after as look_after, case
        when p.verdict in ('moved', 'keyless', 'token') then p.verdict
        when r.ending is not null then 'ending'
        when r.is_paused then 'paused'
        when w.budget_id = any (v_budget_ids) and w.budget_id <> all (v_locked_ids) then 'locked'
        when w.rate_limited_until > v_now then 'workspace'
        when w.rate_limited_until is not null and (
          row_number() over (partition by w.id, p.verdict in ('moved', 'keyless', 'token'),
            r.ending is null and not r.is_paused order by p.turn) > 1
          or exists (
            select 1 from public.workspace_sync_runs as own
            cross join lateral (
              select 1 from public.chunk_processing_queue as x
              where x.run_id = own.id and x.slot is not null and x.status = 'processing' offset 0
            ) as held
            where own.workspace_id = w.id and own.status = 'running')
          -- Of a budget that stopped for all whoever was not refused asks first, if it does soon:
          -- it may be far behind in the line, or get no answer.
          or (exists (select 1 from public.sync_budgets as b
              where b.id = w.budget_id and b.block_level > 0
                and b.blocked_until > v_now - interval '2 seconds')
            and sync.has_others_asking(w.id, w.budget_id)))
        then 'workspace' end as verdict
    from unnest(v_admissions) with ordinality as p (queue_id, verdict, send_after, budget_id, turn)
    cross join lateral (
      select x.id, x.run_id, x.ready_seq, x.turn from public.chunk_processing_queue as x
      where x.id = p.queue_id offset 0
    ) as q
    cross join lateral (
      select x.workspace_id, x.ending, x.is_paused from public.workspace_sync_runs as x
      where x.id = q.run_id offset 0
    ) as r
    cross join lateral (
      select x.id, x.budget_id, x.rate_limited_until from public.sync_workspaces as x
      where x.id = r.workspace_id offset 0
    ) as w
  ), budget as materialized (
    select b.id, b.found, sync.budget_room(b.found, v_now) as room, sync.send_ahead(b.found) as ahead,
      greatest(b.next_send_at, v_now) - v_now as first_send,
      coalesce(make_interval(secs => (1 / sync.effective_rate(b.found))::double precision),
      interval '0') as pace,
      greatest(b.blocked_until - v_now, interval '0') as blocked_for,
      b.line_due_at is not null as has_line
    from (select distinct p.budget_id from picked as p) as drawn_on
    cross join lateral (
      select x as found, x.id, x.next_send_at, x.blocked_until, x.line_due_at
      from public.sync_budgets as x where x.id = drawn_on.budget_id offset 0
    ) as b
  ), shares as materialized (
    -- Where there is room for all that is picked and nothing waits, nobody is kept from it.
    select budget.id as budget_id, h.* from budget
    cross join lateral sync.shares_of(budget.found) as h
    where budget.has_line or budget.room < (
      select count(*) from picked where picked.budget_id = budget.id and picked.verdict is null)
  ), full_ones as materialized (
    select s.budget_id, array_agg(r.id) as run_ids from shares as s
    cross join unnest(s.run_ids) as r (id) where s.leases >= s.share group by s.budget_id
  ), leveled as (
    select p.*, case
        when p.level > p.half and p.others_wait then 'half'
        when p.level > p.share then 'beyond' else 'within' end as part
    from (
      select picked.*, s.share, s.half, s.others_wait, s.demand, coalesce(s.leases, 0)
        + row_number() over (partition by picked.workspace_id, picked.verdict is null
          order by picked.turn) as level
      from picked left join shares as s
        on s.budget_id = picked.budget_id and s.workspace_id = picked.workspace_id
    ) as p
  ), judged as (
    select l.*, budget.pace, budget.ahead, budget.blocked_for, budget.room, o.n,
      case l.part when 'within' then o.n + o.before
      when 'beyond' then greatest(o.n, l.demand + o.beyond) + o.before
      else budget.room + 1 end as place_in_line,
      budget.first_send + (o.n - 1) * budget.pace as send_after,
      budget.first_send + (o.n + o.before - 1) * budget.pace as line_after
    from leveled as l join budget on budget.id = l.budget_id
    left join full_ones on full_ones.budget_id = l.budget_id
    cross join lateral (
      select 1 + count(*) filter (where x.part = l.part and x.turn < l.turn
          or x.part = 'within' and l.part <> 'within') as n,
        1 + count(*) filter (where x.part = 'beyond' and x.turn < l.turn) as beyond,
        case when budget.has_line then (
          select count(*) from (
            select 1 from public.chunk_processing_queue as q
            where q.line_budget_id = l.budget_id and q.turn < l.place
              and (q.run_id = any (coalesce(full_ones.run_ids, '{}'))) = (l.part <> 'within')
            limit 64) as y)
        else 0 end as before
      from leveled as x
      where x.budget_id = l.budget_id and x.verdict is null
    ) as o
  ), verdicts as (
    select id, budget_id, turn, send_after, room, ahead,
      coalesce(verdict, case when place_in_line > room or line_after > ahead then 'budget'
      else 'admitted' end) as verdict,
      case
        when verdict = 'token' then look_after
        when verdict = 'locked' then interval '1 second'
        when verdict = 'workspace'
        then greatest(rate_limited_until - v_now, interval '250 ms')
        when place_in_line <= room then line_after - ahead / 2
        else coalesce(blocked_for, interval '0') + greatest((place_in_line - room) * pace,
        (1 + (place_in_line - room) / greatest(room, 4)) * interval '100 ms')
      end as look_after
    from judged
  ), reserved as (
    update public.sync_budgets as b set
      next_send_at = case when sent.last_send is null or budget.pace = interval '0'
        then b.next_send_at else v_now + sent.last_send + budget.pace end,
      probe_until = case when b.block_level > 0 and sent.last_send is not null
        then v_now + sync.setting_seconds('lease_seconds') else b.probe_until end,
      line_due_at = case
        when sent.has_waiting or exists (select 1 from public.chunk_processing_queue as q
          where q.line_budget_id = b.id)
        then greatest(b.blocked_until,
          case when sent.is_full then v_now + interval '100 ms' end,
          v_now + budget.first_send + coalesce(sent.last_send - budget.first_send + budget.pace,
          interval '0') - budget.ahead / 2, v_now) end
    from (
      select budget_id, max(v.send_after) filter (where v.verdict = 'admitted') as last_send,
        bool_or(v.verdict = 'budget') as has_waiting,
        count(*) filter (where v.verdict = 'admitted') >= max(v.room) as is_full
      from verdicts as v where v.budget_id = any (v_locked_ids) group by 1
    ) as sent
    join budget on budget.id = sent.budget_id
    where b.id = sent.budget_id
  )
  select array_agg(row(v.id, v.verdict,
    case when v.verdict in ('budget', 'workspace', 'locked', 'token') then v.look_after
      else v.send_after end,
    v.budget_id)::sync.admission order by v.turn) into v_admissions
  from verdicts as v;
  return v_admissions;
end; $function$;

CREATE OR REPLACE FUNCTION sync.reserve_send_time(p_budget_id bigint, OUT o_send_after interval, OUT o_look_after interval)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz;
  v_budget public.sync_budgets;
begin
  if sync.lock_budgets(array[p_budget_id], false) = array[]::bigint[] then
    o_look_after := interval '1 second';
    return;
  end if;
  select * into strict v_budget from public.sync_budgets where id = p_budget_id;
  v_now := sync.now();
  o_send_after := greatest(v_budget.next_send_at, v_now) - v_now;
  if sync.budget_room(v_budget, v_now) <= 0 or o_send_after > sync.send_ahead(v_budget) then
    o_look_after := greatest(v_budget.blocked_until - v_now,
      o_send_after - sync.send_ahead(v_budget) / 2, interval '250 ms');
    o_send_after := null;
    return;
  end if;
  update public.sync_budgets set
    next_send_at = v_now + o_send_after
      + make_interval(secs => (1 / sync.effective_rate(v_budget))::double precision),
    probe_until = case when block_level > 0 then v_now + sync.setting_seconds('lease_seconds')
      else probe_until end
  where id = p_budget_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.holds_chunks(p_worker_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select 1 from public.workspace_sync_runs as r
    cross join lateral (
      select 1 from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.worker_id = p_worker_id and x.lease_expires_at > sync.now() offset 0
    ) as q
    where r.status = 'running')
    or exists (
      select 1 from sync.stream_tries as t
      where t.lease_expires_at > sync.now() and t.worker_id = p_worker_id)
    or exists (
      select 1 from sync.token_requests as t
      where t.status = 'processing' and t.worker_id = p_worker_id
        and t.lease_expires_at > sync.now());
end; $function$;

CREATE OR REPLACE FUNCTION sync.lost_alone(p_queue_ids bigint[])
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_worker_ids text[] := array(
    select distinct worker_id from public.chunk_processing_queue where id = any (p_queue_ids));
  v_alone bigint[];
begin
  v_alone := array(
    select max(q.id) from public.workspace_sync_runs as r
    cross join lateral (
      select x.id, x.worker_id, x.started_at from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.worker_id = any (v_worker_ids) offset 0
    ) as q
    left join sync.workers as k on k.worker_id = q.worker_id
    where r.status = 'running'
    group by q.worker_id
    having count(*) = 1 and bool_and((k.last_loss_at > q.started_at) is not true));
  update sync.workers as k set last_loss_at = sync.now(), alone_with = null, alone_since = null
  from (
    select worker_id from sync.workers where worker_id = any (v_worker_ids)
    order by worker_id for no key update skip locked
  ) as losers
  where k.worker_id = losers.worker_id;
  return v_alone;
end; $function$;

CREATE OR REPLACE FUNCTION sync.refusal_wait(p_retry_after numeric, p_level integer)
 RETURNS interval
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  -- Whoever waited as it was told, three times in a row, and is refused again is not told enough.
  v_level int := case when p_retry_after > 0 then p_level - 3 else p_level end;
begin
  return make_interval(secs => least(sync.setting('max_block_seconds'), greatest(
    case when p_retry_after > 0 then p_retry_after end,
    case when v_level >= 0 then least(sync.setting('retry_cap_seconds'),
      sync.setting('retry_base_seconds') * 2 ^ least(v_level, 10)) end))::double precision);
end; $function$;

CREATE OR REPLACE FUNCTION sync.slow_down(p_budget_id bigint, p_send_at timestamp with time zone, p_until timestamp with time zone, p_may_wait boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz;
  v_send_at constant timestamptz := p_send_at;
  v_until constant timestamptz := p_until;
  v_budget public.sync_budgets;
  v_seconds double precision;
  v_seen int;
  v_rate numeric;
  v_is_first boolean;
  v_is_clear boolean;
begin
  if sync.lock_budgets(array[p_budget_id], p_may_wait) = array[]::bigint[] then
    return;
  end if;
  select * into strict v_budget from public.sync_budgets where id = p_budget_id;
  v_now := sync.now();
  v_is_first := v_budget.reduced_in_flight is null and v_budget.learned_rate is null
    and v_budget.block_level = 0;
  if starts_with(v_budget.scope_key, 'workspace:') then
    -- What is leased on it and not sent comes back, from every worker.
    update public.sync_budgets set blocked_until = greatest(blocked_until, v_until),
      blocked_at = v_now where id = v_budget.id;
  end if;
  if not v_is_first and v_send_at <= v_budget.reduced_at
    or v_budget.block_level > 0 and v_budget.blocked_until > v_now then
    return;
  end if;
  if v_is_first then
    v_budget.answers := 0;
    v_budget.refusals := 0;
  end if;
  v_budget.refusals := v_budget.refusals + 1;
  v_seen := v_budget.answers + v_budget.refusals;
  -- More of what was sent since is refused than chance would have it.
  v_is_clear := not v_is_first and (v_budget.answers = 0
    or v_budget.refusals >= 2 and v_budget.refusals >= 0.2 * v_seen
    or v_budget.refusals >= 3 and v_budget.refusals >= 0.12 * v_seen);
  -- Of one key's own, whose pace was the limit, one more is enough to measure what passes, once.
  if not (v_is_first or v_is_clear or v_budget.answers >= 50
    or starts_with(v_budget.scope_key, 'workspace:') and not v_budget.is_rate_measured
      and v_seen >= 5 and v_budget.next_send_at > v_now) then
    update public.sync_budgets set refusals = v_budget.refusals where id = v_budget.id;
    return;
  end if;
  v_seconds := greatest(0.05, extract(epoch from v_send_at - v_budget.reduced_at));
  v_rate := sync.effective_rate(v_budget);
  if v_is_first then
    -- Only where the pace holds sends back is the rate that is set the one that was refused.
    if v_budget.requests_per_second is not null and v_budget.next_send_at > v_now then
      v_budget.learned_rate := 0.8 * v_rate;
    end if;
    v_budget.is_rate_measured := false;
  elsif v_rate is null then
    v_budget.learned_rate := case when v_is_clear and v_seen >= 5
      then (0.8 * v_seen / v_seconds)::numeric end;
    v_budget.is_rate_measured := false;
  elsif not v_is_clear and v_budget.is_rate_measured and v_budget.refusals > 0.03 * v_seen then
    -- Below what passes, and refused as before: the rate is not the reason.
    v_budget.learned_rate := 1.3 * v_rate;
    v_budget.is_rate_measured := false;
  elsif v_budget.next_send_at > v_now and v_seen >= 5 then
    v_budget.learned_rate := greatest(0.5 * v_rate,
      least(0.97 * v_rate, (0.93 * v_budget.answers / v_seconds)::numeric));
    v_budget.is_rate_measured := true;
  else
    v_budget.learned_rate := 0.8 * v_rate;
    v_budget.is_rate_measured := false;
  end if;
  v_budget.learned_rate := round(greatest(v_budget.learned_rate,
    case when v_budget.learned_rate is not null
    then least(0.5, v_budget.requests_per_second) end), 4);
  update public.sync_budgets as b set
    reduced_at = v_now, answers = 0, refusals = 0,
    reduced_in_flight = greatest(1,
      least(v_budget.reduced_in_flight, sync.in_flight_of(b.id)::int) / 2),
    learned_rate = v_budget.learned_rate, is_rate_measured = v_budget.is_rate_measured,
    next_send_at = least(b.next_send_at, v_now + make_interval(
      secs => coalesce(1 / least(b.requests_per_second, v_budget.learned_rate), 0)
      ::double precision)),
    blocked_until = case when v_is_clear and v_budget.answers < v_budget.refusals then v_until
      else b.blocked_until end,
    block_level = b.block_level + (v_is_clear and v_budget.answers < v_budget.refusals)::int,
    blocked_at = case when v_is_clear and v_budget.answers < v_budget.refusals then v_now
      else b.blocked_at end,
    probe_until = null
  where b.id = v_budget.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.learn_of_refusal(p_workspace_id bigint, p_send_at timestamp with time zone, p_retry_after numeric, p_may_wait boolean DEFAULT true)
 RETURNS interval
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_asked_at timestamptz := sync.now();
  v_workspace public.sync_workspaces;
  v_is_repeated boolean;
begin
  if p_may_wait then
    select * into strict v_workspace from public.sync_workspaces where id = p_workspace_id
    for no key update;
  else
    select * into v_workspace from public.sync_workspaces where id = p_workspace_id
    for no key update skip locked;
    if not found then
      return sync.refusal_wait(p_retry_after, 0);
    end if;
  end if;
  -- Its one request after a wait was refused as the one before.
  v_is_repeated := coalesce(v_workspace.rate_limit_level > 0
    and p_send_at >= v_workspace.rate_limited_until, false);
  update public.sync_workspaces as w set
    rate_limited_until = greatest(w.rate_limited_until,
      v_asked_at + sync.refusal_wait(p_retry_after, w.rate_limit_level)),
    rate_limit_level = w.rate_limit_level + case when w.rate_limited_until > v_asked_at then 0
      else 1 end
  where id = p_workspace_id returning * into strict v_workspace;
  -- Out of the budget's line, where they would take the places of those that may be sent.
  update public.chunk_processing_queue as q
  set line_budget_id = null, next_retry_at = v_workspace.rate_limited_until
  from (
    select s.id from public.workspace_sync_runs as r
    cross join lateral (
      -- A plain comparison would offer the planner to look through all that waits in lines.
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and (x.line_budget_id is not null) is true
      for no key update skip locked
    ) as s
    where r.workspace_id = p_workspace_id and r.status = 'running' order by s.id
  ) as held
  where q.id = held.id;
  if v_is_repeated then
    -- Who is refused time and again goes behind those who are not.
    update public.chunk_processing_queue as q set turn = nextval('sync.ready_seq')
    from (
      select s.id from public.workspace_sync_runs as r
      cross join lateral (
        select x.id from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null and x.turn is not null
        for no key update skip locked
      ) as s
      where r.workspace_id = p_workspace_id and r.status = 'running' order by s.id
    ) as held
    where q.id = held.id;
    -- Others tell what their budget lets through; of one that stopped for all each refusal counts.
    if exists (select 1 from public.sync_budgets
      where id = v_workspace.budget_id and block_level = 0)
      and sync.has_others_asking(v_workspace.id, v_workspace.budget_id)
    then
      return v_workspace.rate_limited_until - v_asked_at;
    end if;
  end if;
  perform sync.slow_down(v_workspace.budget_id, p_send_at, v_workspace.rate_limited_until,
    p_may_wait);
  return v_workspace.rate_limited_until - v_asked_at;
end; $function$;

CREATE OR REPLACE FUNCTION sync.give_back(p_budget_ids bigint[], p_sent_at timestamp with time zone[], p_may_wait boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_locked_ids bigint[] := sync.lock_budgets(array(
    select b.id from public.sync_budgets as b
    where b.id = any (p_budget_ids)
      and (b.block_level > 0 or b.reduced_in_flight is not null or b.learned_rate is not null)),
    p_may_wait);
begin
  with locked as (
    select * from public.sync_budgets
    where id = any (v_locked_ids)
      and (block_level > 0 or reduced_in_flight is not null or learned_rate is not null)
  ), counted as (
    select l.id, count(*) filter (where a.sent_at > l.reduced_at) as answers,
      bool_or(a.sent_at >= l.blocked_until) as is_probed
    from unnest(p_budget_ids, p_sent_at) as a (budget_id, sent_at)
    join locked as l on l.id = a.budget_id
    group by l.id
  ), next as (
    select l.id, c.answers, c.is_probed and l.blocked_until <= v_now as is_probed,
      l.reduced_in_flight + c.answers as in_flight,
      -- Rounded, or each answer would add three digits to it.
      round(l.learned_rate + c.answers * greatest(0.01, 0.002 * l.learned_rate), 4) as rate
    from locked as l join counted as c using (id)
  )
  update public.sync_budgets as b set
    answers = b.answers + n.answers,
    block_level = case when n.is_probed then 0 else b.block_level end,
    blocked_until = case when n.is_probed then null else b.blocked_until end,
    probe_until = case when n.is_probed then null else b.probe_until end,
    reduced_in_flight = case when n.in_flight < coalesce(b.max_in_flight, 128) then n.in_flight end,
    learned_rate = case when n.rate < b.requests_per_second
      or b.requests_per_second is null and b.answers < 1000 then n.rate end
  from next as n where b.id = n.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.learn_of_answers(p_queue_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_freed bigint[];
  v_budget_ids bigint[];
  v_sent_at timestamptz[];
begin
  with answered as (
    select r.workspace_id, max(q.requested_at) as requested_at from public.chunk_processing_queue as q
    join public.workspace_sync_runs as r on r.id = q.run_id
    where q.id = any (p_queue_ids) group by 1
  ), held as (
    select w.id from public.sync_workspaces as w join answered as a on a.workspace_id = w.id
    where a.requested_at >= w.rate_limited_until order by w.id for no key update of w
  ), freed as (
    update public.sync_workspaces as w set rate_limited_until = null, rate_limit_level = 0
    from held where w.id = held.id returning w.id
  )
  select coalesce(array_agg(id), '{}') into v_freed from freed;
  select array_agg(w.budget_id), array_agg(q.requested_at) into v_budget_ids, v_sent_at
  from unnest(p_queue_ids) as p (id)
  cross join lateral (
    select x.run_id, x.requested_at from public.chunk_processing_queue as x
    where x.id = p.id offset 0
  ) as q
  cross join lateral (
    select x.workspace_id from public.workspace_sync_runs as x where x.id = q.run_id offset 0
  ) as r
  cross join lateral (
    select x.budget_id from public.sync_workspaces as x where x.id = r.workspace_id offset 0
  ) as w;
  perform sync.give_back(v_budget_ids, v_sent_at, true);
  perform sync.wake_workspaces(v_freed) where cardinality(v_freed) > 0;
end; $function$;

CREATE OR REPLACE FUNCTION sync.learn_of_lone_answer(p_workspace_id bigint, p_budget_id bigint, p_sent_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_freed bigint[];
begin
  with freed as (
    update public.sync_workspaces as w set rate_limited_until = null, rate_limit_level = 0
    from (
      select id from public.sync_workspaces
      where id = p_workspace_id and p_sent_at >= rate_limited_until
      for no key update skip locked
    ) as held
    where w.id = held.id returning w.id
  )
  select coalesce(array_agg(id), '{}') into v_freed from freed;
  perform sync.give_back(array[p_budget_id], array[p_sent_at], false);
  perform sync.wake_workspaces(v_freed) where cardinality(v_freed) > 0;
end; $function$;

CREATE OR REPLACE FUNCTION sync.let_probe(p_budget_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.sync_budgets as b set probe_until = null
  from (
    select id from public.sync_budgets where id = p_budget_id and block_level > 0
    for no key update skip locked
  ) as free
  where b.id = free.id;
end; $function$;

CREATE OR REPLACE FUNCTION public.set_budget(p_source text, p_requests_per_second numeric, p_max_in_flight integer, p_scope_key text DEFAULT NULL::text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_source_id bigint;
  v_budget_ids bigint[];
  v_changed int;
begin
  perform sync.require_service();
  select id into v_source_id from public.sync_sources where source_name = p_source;
  if v_source_id is null then
    raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them; declare_source() adds one.';
  end if;
  if p_requests_per_second not between 0.001 and 100000 or p_max_in_flight <= 0 then
    raise exception using errcode = 'SY006',
      message = format('a budget takes 0.001 to 100,000 requests per second, and 1 or more in '
        'flight, not %s and %s', coalesce(p_requests_per_second::text, 'null'),
        coalesce(p_max_in_flight::text, 'null')),
      hint = 'Null means unlimited; pause_sync() stops a source.';
  end if;
  update public.sync_sources
  set requests_per_second = p_requests_per_second, max_in_flight = p_max_in_flight
  where id = v_source_id and p_scope_key is null;
  v_budget_ids := sync.budgets_meant(v_source_id, p_scope_key);
  update public.sync_budgets as b
  set requests_per_second = p_requests_per_second, max_in_flight = p_max_in_flight,
    next_send_at = null, reduced_in_flight = null, learned_rate = null,
    line_due_at = case when b.line_due_at is not null then sync.now() end
  from (
    select id from public.sync_budgets where id = any (v_budget_ids)
    order by id for no key update
  ) as meant
  where b.id = meant.id;
  get diagnostics v_changed = row_count;
  if p_scope_key is not null and v_changed = 0 then
    raise exception using errcode = 'SY006',
      message = format('source %s has no budget %L', p_source, p_scope_key),
      hint = 'select scope_key from sync_budgets lists them; they appear with their first '
        'workspace.';
  end if;
  perform sync.wake_lines_of(v_budget_ids);
  return jsonb_build_object('source', p_source, 'budgets_changed', v_changed);
end; $function$;

CREATE OR REPLACE FUNCTION sync.leases_held(p_worker_id text, p_workspace_ids bigint[])
 RETURNS TABLE(workspace_id bigint, leases bigint)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_worker_id is null then
    return query select w.id, 0::bigint from unnest(p_workspace_ids) as w (id);
    return;
  end if;
  return query
  select r.workspace_id, count(q.id) from public.workspace_sync_runs as r
  left join lateral (
    select x.id from public.chunk_processing_queue as x
    where x.run_id = r.id and x.slot between 1 and r.max_concurrency
      and x.status = 'processing' and x.worker_id = p_worker_id offset 0
  ) as q on true
  where r.workspace_id = any (p_workspace_ids) and r.status = 'running'
  group by r.workspace_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fair_shares(p_limit integer, p_worker_id text)
 RETURNS bigint[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  -- Whoever asks for many has room for many: what it holds already matters less than its reading
  -- costs.
  v_worker_id text := case when p_limit <= 16 then p_worker_id end;
  v_next bigint[] := sync.next_ready(p_limit);
  v_much bigint[];
  v_others bigint[];
begin
  if cardinality(v_next) < p_limit then
    return array[]::bigint[];
  end if;
  v_much := sync.who_has_much(v_next, v_worker_id);
  v_others := case when v_much is not null
    then sync.ready_of_others(v_next[p_limit], v_much, p_limit) end;
  if v_others is null or v_others = array[]::bigint[] then
    return array[]::bigint[];
  end if;
  return array(
    with offered as materialized (
      select q.id, q.ready_seq, r.workspace_id from public.chunk_processing_queue as q
      join public.workspace_sync_runs as r on r.id = q.run_id
      where q.id = any (v_next || v_others)
    ), leveled as (
      select o.id, o.ready_seq,
        h.leases + row_number() over (partition by o.workspace_id order by o.ready_seq) as level
      from sync.leases_held(v_worker_id, array(select distinct workspace_id from offered)) as h
      join offered as o on o.workspace_id = h.workspace_id
    )
    select l.id from leveled as l order by l.level, l.ready_seq limit p_limit);
end; $function$;

CREATE TRIGGER echo_state_stay BEFORE DELETE OR TRUNCATE ON sync.echo_state FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_removal();

CREATE OR REPLACE FUNCTION sync.send_echo()
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_every interval;
  v_echoed_at timestamptz;
begin
  v_every := sync.setting_seconds('echo_interval_seconds');
  select echoed_at into v_echoed_at from sync.echo_state;
  if v_every = interval '0' or to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null then
    return null;
  end if;
  if v_echoed_at <= v_now - v_every or v_echoed_at > v_now then
    perform 1 from sync.echo_state where echoed_at = v_echoed_at for no key update skip locked;
    if found then
      update sync.echo_state set echoed_at = v_now where is_only_row;
      perform realtime.send('{}'::jsonb, 'echo', 'chunkwise:work', true);
      v_echoed_at := v_now;
    end if;
  end if;
  return case when v_echoed_at between v_now - 2 * v_every and v_now
    then extract(epoch from v_now - v_echoed_at) * 1000 end;
exception when others then
  -- A hint that cannot be sent fails alike, and is noted: an alert says so.
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_token_served(p_token sync.workspace_tokens, p_base_url text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_lifetime interval := p_token.expires_at - p_token.issued_at;
begin
  return p_token.issued_at is not null and p_token.base_url = p_base_url
    and (p_token.expires_at is null or sync.now() < p_token.expires_at - least(v_lifetime / 2,
      greatest(sync.setting_seconds('send_ahead_seconds'),
      least(v_lifetime / 10, interval '30 seconds'))));
end; $function$;

CREATE OR REPLACE FUNCTION sync.access_of(p_workspace public.sync_workspaces, p_source public.sync_sources, p_token sync.workspace_tokens)
 RETURNS sync.access
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_access sync.access;
  v_secret text;
  v_is_served boolean;
begin
  v_access.workspace_id := p_workspace.id;
  v_access.source_id := p_source.id;
  v_access.base_url := p_workspace.base_url;
  v_access.origin := sync.origin_of(p_workspace.base_url);
  if p_source.auth = 'none' then
    v_access.credentials := '[]'::jsonb;
    return v_access;
  end if;
  v_is_served := sync.is_oauth(p_source.auth)
    and sync.is_token_served(p_token, p_workspace.base_url);
  if v_is_served then
    v_secret := sync.json_object(sync.read_secret(p_token.secret_id)) ->> 'access_token';
    v_access.token_generation := p_token.generation;
  else
    v_secret := sync.read_secret(p_workspace.secret_id);
  end if;
  if v_secret is null or p_source.auth <> 'key' and not v_is_served and (
    sync.wrong_in_secret(p_source.auth, p_source.auth_in, v_secret) is not null
    or sync.is_oauth(p_source.auth) and (p_token.workspace_id is null
      or p_token.secret_id is not null and sync.read_secret(p_token.secret_id) is null)) then
    v_access.obstacle := 'keyless';
  elsif sync.is_oauth(p_source.auth) and not v_is_served then
    v_access.obstacle := 'token';
  elsif p_source.auth = 'basic' then
    v_access.credentials := jsonb_build_array(jsonb_build_object('in', 'header', 'name',
      'Authorization', 'value', 'Basic '
      || translate(encode(convert_to(v_secret, 'UTF8'), 'base64'), chr(10), '')));
  else
    v_access.credentials := jsonb_build_array(jsonb_build_object('in', p_source.auth_in, 'name',
      p_source.auth_name, 'value', p_source.auth_prefix || v_secret));
  end if;
  return v_access;
end; $function$;

CREATE OR REPLACE FUNCTION sync.access_of_workspaces(p_workspace_ids bigint[])
 RETURNS sync.access[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return array(
    select sync.access_of(w, so, t) from public.sync_workspaces as w
    join public.sync_sources as so on so.id = w.source_id
    left join sync.workspace_tokens as t on t.workspace_id = w.id
    where w.id = any (p_workspace_ids));
end; $function$;

CREATE OR REPLACE FUNCTION sync.lease_documents(p_leased sync.leased[], p_lease_seconds numeric)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'queue_id', l.queue_id, 'lease_token', l.lease_token, 'lease_ms', p_lease_seconds * 1000,
      'send_after_ms', ceil(extract(epoch from l.send_after) * 1000)::bigint,
      'budget_id', l.budget_id, 'workspace', l.workspace, 'workspace_id', l.workspace_id,
      'stream', l.stream, 'attempt', l.attempt, 'timeout_ms', l.timeout_ms,
      'max_body_bytes', l.max_body_bytes, 'request', l.request, 'origin', l.origin,
      'credentials', l.credentials, 'status_classes', l.status_classes,
      'answer_headers', l.answer_headers) order by l.send_after, l.queue_id), '[]')
    from unnest(p_leased) as l);
end; $function$;

CREATE OR REPLACE FUNCTION sync.token_budget(p_workspace public.sync_workspaces, p_source public.sync_sources)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_host text := sync.host_of(sync.token_url_of(p_workspace.base_url, p_source.token_url));
begin
  return case when v_host = p_workspace.instance then p_workspace.budget_id
    else sync.ensure_scope(p_source.id, v_host) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.ask_for_tokens(p_workspace_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
begin
  with wanted as (
    select t.workspace_id, t.issued_at from sync.workspace_tokens as t
    join public.sync_workspaces as w on w.id = t.workspace_id
    where t.workspace_id = any (p_workspace_ids) and (t.refused_until <= v_now) is not false
      and not sync.is_token_served(t, w.base_url)
      and not exists (select 1 from sync.token_requests as r
        where r.workspace_id = t.workspace_id and r.ended_at is null)
    order by t.workspace_id for no key update of t skip locked
  ), forgotten as (
    delete from sync.token_requests as r using wanted
    where r.workspace_id = wanted.workspace_id and r.ended_at < v_now - interval '1 day'
  )
  insert into sync.token_requests (id, workspace_id, budget_id, base_url, due_at)
  select nextval('public.chunked_sync_jobs_id_seq'), w.id, sync.token_budget(w, so), w.base_url,
    -- However short a token lives, it is not asked for all the time.
    greatest(v_now, wanted.issued_at + interval '5 seconds')
  from wanted join public.sync_workspaces as w on w.id = wanted.workspace_id
  join public.sync_sources as so on so.id = w.source_id and sync.is_oauth(so.auth)
  order by w.id
  on conflict (workspace_id) where ended_at is null do nothing;
end; $function$;

CREATE OR REPLACE FUNCTION sync.write_token_generations(p_queue_ids bigint[], p_access sync.access[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.chunk_processing_queue as q set token_generation = a.token_generation
  from public.workspace_sync_runs as r
  join unnest(p_access) as a on a.workspace_id = r.workspace_id
  where q.id = any (p_queue_ids) and r.id = q.run_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.end_token_request(p_id bigint, p_status text, p_outcome text, p_message text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.token_requests set status = p_status, outcome = p_outcome, ended_at = sync.now(),
    lease_expires_at = null, error_message = p_message
  where id = p_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.token_form(p_source public.sync_sources, p_grant jsonb, p_tokens jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select jsonb_build_object(
    'form', (
      select jsonb_agg(jsonb_build_array(f.key, f.value) order by f.key)
      from jsonb_each_text(jsonb_build_object('grant_type', case p_source.auth
        when 'oauth2_client' then 'client_credentials' else 'refresh_token' end)
        || p_source.token_params) as f),
    'credentials', (
      select jsonb_agg(jsonb_build_object('in', f.place, 'name', f.name, 'value', f.value)
        order by f.name)
      from (values
        ('form', 'client_id', case p_source.token_auth when 'form'
          then p_grant ->> 'client_id' end),
        ('form', 'client_secret', case p_source.token_auth when 'form'
          then nullif(p_grant ->> 'client_secret', '') end),
        ('header', 'Authorization', case p_source.token_auth when 'basic' then 'Basic '
          || translate(encode(convert_to(concat(sync.url_encode(p_grant ->> 'client_id'), ':',
          sync.url_encode(p_grant ->> 'client_secret')), 'UTF8'), 'base64'), chr(10), '') end),
        ('form', 'refresh_token', case p_source.auth when 'oauth2_refresh'
          then coalesce(p_tokens ->> 'refresh_token', p_grant ->> 'refresh_token') end)
      ) as f (place, name, value) where f.value is not null));
$function$;

CREATE OR REPLACE FUNCTION sync.lease_token_request(p_request sync.token_requests, p_worker_id text)
 RETURNS sync.leased
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_workspace public.sync_workspaces;
  v_source public.sync_sources;
  v_token sync.workspace_tokens;
  v_url text;
  v_form jsonb;
  v_held record;
  v_leased sync.leased;
begin
  select * into strict v_workspace from public.sync_workspaces where id = p_request.workspace_id;
  select * into strict v_source from public.sync_sources where id = v_workspace.source_id;
  select * into v_token from sync.workspace_tokens where workspace_id = v_workspace.id;
  if not sync.is_oauth(v_source.auth) or p_request.base_url <> v_workspace.base_url
    or (p_request.failures > 0 and not exists (
      select 1 from public.workspace_sync_runs
      where workspace_id = v_workspace.id and status = 'running')) then
    perform sync.end_token_request(p_request.id, 'cancelled', 'cancelled',
      p_request.error_message);
    return null;
  end if;
  if (sync.access_of(v_workspace, v_source, v_token)).obstacle is distinct from 'token'
    or sync.is_paused(v_workspace.id) then
    update sync.token_requests set due_at = v_now + interval '5 seconds' where id = p_request.id;
    return null;
  end if;
  v_held := sync.reserve_send_time(p_request.budget_id);
  if v_held.o_send_after is null then
    update sync.token_requests set due_at = v_now + v_held.o_look_after where id = p_request.id;
    return null;
  end if;
  v_url := sync.token_url_of(v_workspace.base_url, v_source.token_url);
  v_form := sync.token_form(v_source, sync.json_object(sync.read_secret(v_workspace.secret_id)),
    sync.json_object(sync.read_secret(v_token.secret_id)));
  v_leased.lease_token := sync.new_token();
  update sync.token_requests set status = 'processing', lease_token = v_leased.lease_token,
    lease_expires_at = v_now + sync.setting_seconds('lease_seconds'), started_at = v_now,
    requested_at = v_now + v_held.o_send_after, worker_id = p_worker_id, outcome = null
  where id = p_request.id;
  v_leased.queue_id := p_request.id;
  v_leased.send_after := v_held.o_send_after;
  v_leased.budget_id := p_request.budget_id;
  v_leased.workspace := v_workspace.workspace_name;
  v_leased.workspace_id := v_workspace.id;
  v_leased.stream := 'access token';
  v_leased.attempt := p_request.failures + 1;
  v_leased.timeout_ms := 30000;
  v_leased.max_body_bytes := 65536;
  v_leased.request := jsonb_build_object(
    'method', 'POST', 'url', v_url, 'params', '[]'::jsonb, 'form', v_form -> 'form',
    'headers', '{"Accept": "application/json"}'::jsonb,
    'reach', case
      when sync.is_switched_on('allow_private_addresses') then 'any'
      when sync.reach_of(sync.parse_url(v_url)) = 'loopback' then 'loopback'
      else 'public' end);
  v_leased.origin := sync.origin_of(v_url);
  v_leased.credentials := v_form -> 'credentials';
  v_leased.answer_headers := '["date", "retry-after"]';
  -- What an endpoint says with a refusal stands in its body, which is SQL's to read.
  v_leased.status_classes := '{"429": "rate_limited", "5xx": "transient", "other": "page"}';
  return v_leased;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lease_token_requests(p_worker_id text, p_room integer, p_workspace_ids bigint[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_request sync.token_requests;
  v_lease sync.leased;
  v_leased sync.leased[] := array[]::sync.leased[];
begin
  for v_request in
    select * from sync.token_requests
    where status = 'pending' and due_at <= v_now
      and (p_workspace_ids is null or workspace_id = any (p_workspace_ids))
    order by due_at, id limit greatest(p_room, 0) for no key update skip locked
  loop
    v_lease := sync.lease_token_request(v_request, p_worker_id);
    if v_lease.lease_token is not null then
      v_leased := v_leased || v_lease;
    end if;
  end loop;
  if cardinality(v_leased) > 0 then
    -- A crash that took this lease back would have the refresh token used twice.
    perform set_config('synchronous_commit', 'on', true);
  end if;
  return sync.lease_documents(v_leased, sync.setting('lease_seconds'));
end; $function$;

CREATE OR REPLACE FUNCTION sync.next_due_at()
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
AS $function$
begin
  return (
    select next_retry_at from public.chunk_processing_queue
    where status = 'pending' and slot is not null and ready_seq is null
      and line_budget_id is null and next_retry_at < 'infinity'
    order by next_retry_at limit 1);
end; $function$;

CREATE OR REPLACE FUNCTION sync.wake_due_chunks(p_limit integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
AS $function$
begin
  update public.chunk_processing_queue as q
  set ready_seq = coalesce(q.turn, nextval('sync.ready_seq')), turn = null,
    next_retry_at = null
  from (
    select id from public.chunk_processing_queue
    where status = 'pending' and slot is not null and ready_seq is null
      and line_budget_id is null and next_retry_at <= sync.now()
    order by next_retry_at limit p_limit for no key update skip locked
  ) as due
  where q.id = due.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.pick_ready_chunks(p_limit integer, p_first bigint[])
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_sort TO 'off'
AS $function$
declare
  v_ids bigint[] := array[]::bigint[];
begin
  if cardinality(p_first) > 0 then
    v_ids := array(
      select q.id from unnest(p_first) with ordinality as f (id, n)
      join public.chunk_processing_queue as q on q.id = f.id
      where q.ready_seq is not null for no key update of q skip locked);
  end if;
  if cardinality(v_ids) < p_limit then
    v_ids := (v_ids || array(
      select picked.id from (
        select id from public.chunk_processing_queue
        where ready_seq >= (select claim_floor from sync.sweep_state) and lease_losses < 2
        order by ready_seq limit p_limit for no key update skip locked
      ) as picked
      where picked.id <> all (v_ids)))[1:p_limit];
  end if;
  return v_ids;
end; $function$;

CREATE OR REPLACE FUNCTION sync.made_requests(p_queue_ids bigint[], p_access sync.access[])
 RETURNS sync.made_request[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream_ids bigint[];
begin
  select coalesce(array_agg(st.id), '{}') into v_stream_ids from public.sync_streams as st
  where st.id in (
    select r.stream_id from unnest(p_queue_ids) as p (id)
    join public.chunk_processing_queue as q on q.id = p.id
    join public.workspace_sync_runs as r on r.id = q.run_id) and not sync.is_plain(st);
  if v_stream_ids = array[]::bigint[] and not exists (
    select 1 from public.chunked_sync_jobs
    where id = any (p_queue_ids) and record_id !~ '^[A-Za-z0-9_~-]+$') then
    return array[]::sync.made_request[];
  end if;
  return array(
    select sync.make_request(c, st, so, a.base_url)
    from unnest(p_queue_ids) as p (id)
    join public.chunked_sync_jobs as c on c.id = p.id
    join public.workspace_sync_runs as r on r.id = c.run_id
    join public.sync_streams as st on st.id = r.stream_id
    join public.sync_sources as so on so.id = st.source_id
    join unnest(p_access) as a on a.workspace_id = r.workspace_id and a.source_id = so.id
    where c.kind <> 'connection'
      and (st.id = any (v_stream_ids) or c.record_id !~ '^[A-Za-z0-9_~-]+$'));
end; $function$;

CREATE OR REPLACE FUNCTION sync.hold_unreadable(p_workspace_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.sync_workspaces as w
  set key_status = 'unreadable', key_checked_at = sync.now()
  from (
    select id from public.sync_workspaces
    where key_status <> 'unreadable' and removed_at is null and id = any (p_workspace_ids)
    order by id for no key update skip locked
  ) as found
  where w.id = found.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lease_chunks(p_admissions sync.admission[], p_worker_id text, p_access sync.access[], p_made sync.made_request[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_lease_seconds numeric := sync.setting('lease_seconds');
  v_is_anywhere_allowed boolean := sync.is_switched_on('allow_private_addresses');
  v_leased sync.leased[];
begin
  with leased as (
    update public.chunk_processing_queue as q set
      status = case a.verdict when 'admitted' then 'processing' else 'pending' end,
      lease_token = case a.verdict when 'admitted' then sync.new_token()
      else q.lease_token end,
      lease_expires_at = case a.verdict
        when 'admitted' then v_now + make_interval(secs => v_lease_seconds::double precision)
        else q.lease_expires_at end,
      started_at = case a.verdict when 'admitted' then v_now else q.started_at end,
      requested_at = case a.verdict when 'admitted' then v_now + a.send_after
        else q.requested_at end,
      worker_id = case a.verdict when 'admitted' then p_worker_id else q.worker_id end,
      ready_seq = null,
      turn = case when a.verdict in ('admitted', 'budget', 'workspace', 'locked', 'token')
        then coalesce(q.ready_seq, q.turn, nextval('sync.ready_seq')) end,
      line_budget_id = case a.verdict when 'budget' then a.budget_id end,
      next_retry_at = case a.verdict
        when 'budget' then v_now + a.send_after
        when 'workspace' then v_now + a.send_after
        when 'locked' then v_now + a.send_after
        when 'token' then v_now + a.send_after
        when 'paused' then 'infinity'
        when 'keyless' then 'infinity'
        when 'ending' then v_now + interval '1 second'
        when 'moved' then v_now + interval '1 second' end
    from unnest(p_admissions) as a
    where q.id = a.queue_id
    returning q.id, q.run_id, q.status, q.lease_token, q.attempts, a.budget_id, a.send_after
  )
  select array_agg(row(l.id, l.lease_token, l.send_after, l.budget_id, w.workspace_name, w.id,
    st.stream_name, l.attempts + 1, st.timeout_ms, st.max_body_bytes,
    coalesce(made.request, sync.plain_request(c, st, access.base_url || so.base_path))
      || jsonb_build_object('reach', sync.reach_below(w.base_url, v_is_anywhere_allowed)),
    access.origin, access.credentials,
    sync.status_classes(st, so, c.kind, c.page, c.reading,
      made.request -> 'headers' ?| '{If-None-Match,If-Modified-Since}' is true),
    sync.answer_headers(st, so))::sync.leased)
  into v_leased
  from leased as l
  join public.chunked_sync_jobs as c on c.id = l.id
  join public.workspace_sync_runs as r on r.id = l.run_id
  join public.sync_workspaces as w on w.id = r.workspace_id
  join unnest(p_access) as access on access.workspace_id = w.id
  join public.sync_streams as st on st.id = r.stream_id
  join public.sync_sources as so on so.id = st.source_id
  left join unnest(p_made) as made on made.queue_id = l.id
  where l.status = 'processing';
  return sync.lease_documents(v_leased, v_lease_seconds);
end; $function$;

CREATE OR REPLACE FUNCTION sync.hurry_worker(p_worker_id text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.workers as k set in_haste_until = sync.now() + interval '5 seconds'
  from (
    select worker_id from sync.workers
    where worker_id = p_worker_id and (in_haste_until > sync.now()) is not true
    for no key update skip locked
  ) as held_up
  where k.worker_id = held_up.worker_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.refuse_shape(p_what text, p_hint text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception using errcode = 'SY010', message = p_what, hint = p_hint;
end; $function$;

CREATE OR REPLACE FUNCTION sync.count_in(p_answer jsonb, p_path text[])
 RETURNS bigint
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case when jsonb_typeof(p_answer #> p_path) in ('number', 'string')
    and p_answer #>> p_path ~ '^[0-9]{1,15}$' then (p_answer #>> p_path)::bigint end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.count_at(p_answer jsonb, p_path text[])
 RETURNS bigint
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_count bigint := sync.count_in(p_answer, p_path);
begin
  if v_count is null then
    perform sync.refuse_shape(format('the answer has no count at %s', array_to_string(p_path, '.')),
      'The API may page in another mode now; declare_stream() says where the count stands.');
  end if;
  return v_count;
end; $function$;

CREATE OR REPLACE FUNCTION sync.page_number_in(p_answer jsonb, p_path text[])
 RETURNS integer
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_pages bigint := sync.count_in(p_answer, p_path);
begin
  return case when v_pages is not null then least(greatest(v_pages, 1), 2147483647) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.cursor_at(p_answer jsonb, p_path text[])
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if jsonb_typeof(p_answer #> p_path) in ('object', 'array', 'boolean') then
    perform sync.refuse_shape(format('the answer has no cursor at %s',
      array_to_string(p_path, '.')),
      'A cursor is a text or a number. declare_stream() says where it stands.');
  end if;
  return nullif(p_answer #>> p_path, '');
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_huge_number(p_number text)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_part text[];
  v_exponent int;
begin
  if p_number ~ '[eE][+-]?[0-9]{5}' then
    return true;
  end if;
  v_part := regexp_match(p_number, '^-?([0-9]+)\.?([0-9]*)[eE]?([+-]?[0-9]*)$');
  v_exponent := coalesce(nullif(v_part[3], '')::int, 0);
  return length(v_part[1]) + v_exponent > 131072 or length(v_part[2]) - v_exponent > 16383;
end; $function$;

CREATE OR REPLACE FUNCTION sync.without_huge_numbers(p_body text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
  select string_agg(case
    when starts_with(m.match[1], '"') then m.match[1]
    when length(m.match[1]) > 6384 or m.match[1] ~* 'e[+-]?[0-9]{5}' then (
      select string_agg(case when u.match[1] ~ '^[-0-9]' and sync.is_huge_number(u.match[1])
        then '"\ufffd"' else u.match[1] end, '' order by u.n)
      from regexp_matches(m.match[1], '-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[^0-9-]+|-', 'g')
        with ordinality as u (match, n))
    else m.match[1] end, '' order by m.n)
  -- A string, or all up to the next one. Nothing shorter is huge but by an exponent of five digits.
  from regexp_matches(p_body, '"(?:[^"\\]|\\.)*"|[^"]+|"', 'g') with ordinality as m (match, n);
$function$;

CREATE OR REPLACE FUNCTION sync.read_json(p_page sync.page_in_hand)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_mended text;
begin
  -- A byte order mark is none of the JSON. Trimmed where one stands: ltrim() walks the whole text.
  if starts_with(p_page.body, chr(65279)) then
    v_page.body := ltrim(p_page.body, chr(65279));
  end if;
  begin
    v_page.answer := v_page.body::jsonb;
  exception when invalid_text_representation or untranslatable_character
    or numeric_value_out_of_range then
    v_mended := case when strpos(v_page.body, '\u') > 0 then sync.mended(v_page.body)
      else v_page.body end;
    if sqlstate <> '22003' and (v_mended <> v_page.body) is not true then
      raise;
    end if;
    begin
      v_page.answer := v_mended::jsonb;
    exception when numeric_value_out_of_range then
      v_page.answer := (sync.without_huge_numbers(v_mended))::jsonb;
    end;
    v_page.is_mended := true;
  end;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_records(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_position bigint;
begin
  if coalesce(jsonb_typeof(p_page.answer), 'null') <> 'array' then
    perform sync.refuse_shape(concat_ws(' ', 'the answer has no list of records',
      'at ' || nullif(array_to_string(p_stream.records_path, '.'), '')),
      'declare_stream() says where they stand (records_path; [] where the answer is the list). An '
        'object with a record at each of its keys is no list.');
  end if;
  select r.n into v_position from (
    select n, record #> p_stream.id_path as id
    from jsonb_array_elements(p_page.answer) with ordinality as e (record, n)
  ) as r
  where (case p_stream.id_type
    when 'integer' then jsonb_typeof(r.id) = 'number' and r.id #>> '{}' ~ '^-?[0-9]{1,19}$'
      and case when length(r.id #>> '{}') > 18 then r.id #>> '{}' <> '-9223372036854775808'
        and (r.id #>> '{}')::numeric between -9223372036854775807 and 9223372036854775807
        else true end
    else jsonb_typeof(r.id) = 'string' and length(r.id #>> '{}') between 1 and 500
      and (p_page.is_mended and strpos(r.id #>> '{}', chr(65533)) > 0) is not true
    end) is not true
  order by r.n limit 1;
  if v_position is not null then
    perform sync.refuse_shape(
      format('record %s of the page has no %s id at %s', v_position, p_stream.id_type,
      array_to_string(p_stream.id_path, '.')),
      'Nothing of the page was written. declare_stream() says where the id stands and of which '
        'type it is.');
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.without_paths(p_page sync.page_in_hand, p_paths jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_records jsonb := p_page.answer;
  v_is_plain boolean := strpos(p_page.body, '\u') = 0;
  v_path text[];
begin
  for v_path in
    select array(select jsonb_array_elements_text(p.path)) from jsonb_array_elements(p_paths)
      as p (path)
  loop
    -- Looking for a few letters costs a tenth of a look at every record, and hardly a page has
    -- them. Behind an escape they could hide.
    if not v_is_plain or v_path[cardinality(v_path)] ~ '[^A-Za-z0-9_-]'
      or strpos(p_page.body, v_path[cardinality(v_path)]) > 0 then
      select coalesce(jsonb_agg(r.record #- v_path order by r.n), '[]') into v_records
      from jsonb_array_elements(v_records) with ordinality as r (record, n);
    end if;
  end loop;
  return v_records;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_own_error(p_page sync.page_in_hand, p_source public.sync_sources)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if jsonb_typeof((sync.read_json(p_page)).answer #> p_source.message_path)
    is distinct from 'string' then
    perform sync.refuse_shape(format('an answer %s without a message at %s is not the API''s own',
      p_page.http_status, array_to_string(p_source.message_path, '.')),
      'It proves nothing. If the API reports its errors elsewhere, declare_source() says where '
        '(message_path).');
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.content_class(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  -- In the records of a page any text may stand: of JSON only the API's own message is looked at.
  return sync.class_by_rules(p_stream.class_rules || p_source.class_rules, p_page.http_status,
    p_page.headers, case
      when p_page.http_status not between 200 and 299 then left(p_page.body, 16384)
      when p_page.answer is null then left(p_page.body, 1000)
      when jsonb_typeof(p_page.answer) = 'object' then p_page.answer #>> p_source.message_path
    end, p_page.answer);
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_page(p_class text, p_page sync.page_in_hand, p_source public.sync_sources)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if coalesce(p_class, 'page') <> 'page' then
    raise exception using errcode = case p_class when 'rate_limited' then 'SY021'
      when 'transient' then 'SY013' else 'SY024' end,
      message = format('the API answers %s, which is %s by class_rules: %s', p_page.http_status,
        p_class, coalesce(sync.foreign_text(p_page.answer #>> p_source.message_path,
        sync.workspace_secret(p_page.workspace_id)), 'it says no more'));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.scoped_id(p_parent_id text, p_id text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select string_agg(case when part ~ '[^A-Za-z0-9_.~-]' then sync.url_encode(part) else part end,
    '/' order by n)
  from unnest(array[p_parent_id, p_id]) with ordinality as u (part, n);
$function$;

CREATE OR REPLACE FUNCTION sync.scoped_parts(p_record_id text, OUT o_parent_id text, OUT o_own_id text)
 RETURNS record
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select max(decoded.part) filter (where decoded.n = 1), max(decoded.part) filter (where decoded.n = 2)
  from (
    select u.n, case when strpos(u.part, '%') = 0 then u.part else (
        select convert_from(decode(string_agg(case when m.c[1] like '_%' and length(m.c[1]) = 3
          then substr(m.c[1], 2) else encode(convert_to(m.c[1], 'UTF8'), 'hex') end, '' order by m.n),
          'hex'), 'UTF8')
        from regexp_matches(u.part, '%[0-9A-F]{2}|[^%]', 'g') with ordinality as m (c, n)) end as part
    from unnest(string_to_array(p_record_id, '/')) with ordinality as u (part, n)
  ) as decoded;
$function$;

CREATE OR REPLACE FUNCTION sync.record_time(p_record jsonb, p_stream public.sync_streams)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case p_stream.time_format
    when 'iso' then sync.time_or_null(p_record #>> p_stream.updated_at_path)
    else sync.epoch_time(p_record #>> p_stream.updated_at_path, p_stream.time_format) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.found_records(p_pages sync.page_in_hand[])
 RETURNS sync.incoming_record[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
AS $function$
begin
  begin
    return (
      select coalesce(array_agg(row(
        p.workspace_id, p.stream_id,
        case when p.kind = 'item' then p.record_id
          when st.id_scope = 'parent' then sync.scoped_id(p.parent_id, r.record #>> st.id_path)
          else r.record #>> st.id_path end,
        case st.time_format when 'iso'
          then nullif(nullif((r.record #>> st.updated_at_path)::timestamptz, 'infinity'),
          '-infinity')
          else sync.epoch_time(r.record #>> st.updated_at_path, st.time_format) end,
        r.record, p.turn, p.requested_at, p.is_full_scan, p.parent_id, r.record #>> st.id_path
      )::sync.incoming_record), '{}')
      from unnest(p_pages) as p
      join public.sync_streams as st on st.id = p.stream_id
      cross join jsonb_array_elements(p.answer) as r (record)
    );
  exception when data_exception then
    return (
      select coalesce(array_agg(row(
        p.workspace_id, p.stream_id,
        case when p.kind = 'item' then p.record_id
          when st.id_scope = 'parent' then sync.scoped_id(p.parent_id, r.record #>> st.id_path)
          else r.record #>> st.id_path end,
        sync.record_time(r.record, st),
        r.record, p.turn, p.requested_at, p.is_full_scan, p.parent_id, r.record #>> st.id_path
      )::sync.incoming_record), '{}')
      from unnest(p_pages) as p
      join public.sync_streams as st on st.id = p.stream_id
      cross join jsonb_array_elements(p.answer) as r (record)
    );
  end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.unseen_fields(p_records sync.incoming_record[], p_changed sync.changed_record[])
 RETURNS sync.seen_fields[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
 SET enable_nestloop TO 'off'
AS $function$
begin
  return array(
    with changed as materialized (
      select r.stream_id, r.record_id, r.record,
        row_number() over (partition by r.stream_id order by r.n) as n
      from unnest(p_changed) as c
      join unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
          record, turn, requested_at, is_truth, parent_id, own_id, n)
        on r.workspace_id = c.workspace_id and r.stream_id = c.stream_id
          and r.record_id = c.record_id
      where jsonb_typeof(r.record) = 'object'
    ), known as materialized (
      select f.stream_id, array_agg(distinct f.field) as fields, count(*) as count
      from sync.seen_fields as f
      where f.stream_id = any (array(select distinct c.stream_id from unnest(p_changed) as c))
      group by f.stream_id
    ), looked_at as (
      -- A field that is new shows in any record; whether a type is, 20 of them tell: to take all
      -- apart would cost as much as to write them.
      select c.stream_id, c.record_id, c.record, c.n, coalesce(k.count, 0) as count
      from changed as c left join known as k on k.stream_id = c.stream_id
      where coalesce(k.count, 0) < 500
        and (c.n <= 20 or c.record - coalesce(k.fields, '{}') <> '{}')
      order by c.n limit 100
    ), found as (
      select distinct on (l.stream_id, field, type) l.stream_id, left(e.key, 200) as field,
        jsonb_typeof(e.value) as type, l.record_id, l.count
      from looked_at as l cross join jsonb_each(l.record) as e (key, value)
      order by l.stream_id, field, type, l.n
    ), missing as (
      select f.*, f.count + row_number() over (partition by f.stream_id order by f.field, f.type)
        as place
      from found as f
      left join sync.seen_fields as s on s.stream_id = f.stream_id and s.field = f.field
        and s.type = f.type
      where s.stream_id is null
    )
    select row(m.stream_id, m.field, m.type, m.record_id, sync.now())::sync.seen_fields
    from missing as m where m.place <= 500);
end; $function$;

CREATE OR REPLACE FUNCTION sync.note_fields(p_fields sync.seen_fields[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  insert into sync.seen_fields
  select f.* from unnest(p_fields) as f order by f.stream_id, f.field, f.type
  on conflict (stream_id, field, type) do nothing;
end; $function$;

create or replace view public.stream_fields with (security_invoker = true) as
select so.source_name, st.stream_name, f.field, f.type, f.first_id, f.first_seen_at
from sync.seen_fields as f
join public.sync_streams as st on st.id = f.stream_id
join public.sync_sources as so on so.id = st.source_id;

create or replace view public.column_fills with (security_invoker = true) as
select so.source_name, st.stream_name, st.target_table, c.columns, c.looked_at as rows_looked_at,
  c.unfit, c.began_at, c.completed_at
from sync.column_fills as c
join public.sync_streams as st on st.id = c.stream_id
join public.sync_sources as so on so.id = st.source_id;

create policy seen_fields_select_operator on sync.seen_fields as permissive for select to authenticated using (( SELECT sync.is_operator() AS is_operator));

create policy column_fills_select_operator on sync.column_fills as permissive for select to authenticated using (( SELECT sync.is_operator() AS is_operator));

CREATE OR REPLACE FUNCTION sync.request_key_of(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_chunk public.chunked_sync_jobs;
  v_base_url text;
begin
  select * into strict v_chunk from public.chunked_sync_jobs where id = p_page.queue_id;
  select base_url into strict v_base_url from public.sync_workspaces where id = p_page.workspace_id;
  return sync.request_key(v_chunk,
    sync.filled_request(v_chunk, p_stream, p_source, v_base_url));
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_unchanged(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_key constant text := sync.request_key_of(p_page, p_stream, p_source);
  v_chunk public.chunked_sync_jobs;
  v_etag sync.page_etags;
begin
  if p_stream.conditional and p_page.kind = 'page' then
    select * into strict v_chunk from public.chunked_sync_jobs where id = p_page.queue_id;
    v_etag := sync.known_version(v_chunk, p_stream, v_key, interval '1 hour');
  end if;
  if v_etag.request_key is null then
    raise exception using errcode = 'SY013',
      message = 'the API answers 304 to a request that had no condition',
      hint = 'It is tried again; if it stays, ask the API''s operator.';
  end if;
  v_page := jsonb_populate_record(p_page, v_etag.said);
  v_page.answer := '[]';
  v_page.seen_ids := v_etag.record_ids;
  v_page.records := cardinality(v_etag.record_ids);
  v_page.condition := jsonb_build_object('key', v_key);
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.said_by(p_page sync.page_in_hand, p_before sync.page_in_hand)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_before sync.page_in_hand := p_before;
begin
  v_page.body := null;
  v_before.body := null;
  v_page.answer := null;
  v_before.answer := null;
  return (
    select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(to_jsonb(v_page)) as s
    where s.value is distinct from to_jsonb(v_before) -> s.key);
end; $function$;

CREATE OR REPLACE FUNCTION sync.may_be_full(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
begin
  return p_page.records >= p_stream.page_size or exists (
      select 1 from sync.seen_pages as s
      where s.run_id = p_page.run_id and s.scan = p_page.scan and s.page < p_page.page
        and cardinality(s.record_ids) between 1 and p_page.records)
    or exists (
      select 1 from sync.page_etags as e
      where e.stream_id = p_stream.id and e.stream_revision = p_stream.revision
        and e.said ->> 'ends' = 'false'
        and cardinality(e.record_ids) between 1 and p_page.records);
end; $function$;

CREATE OR REPLACE FUNCTION sync.has_version(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_page.unfit is null and coalesce(p_page.headers ?| '{etag,last-modified}', false)
    and case when p_page.ends then not sync.may_be_full(p_page, p_stream) else true end
    and (p_stream.completeness = 'counted' and p_page.page >= p_page.last_page
      and (p_page.records >= p_stream.page_size
        or (p_page.records > 0 and p_page.total <= p_page.page * p_page.records))) is not true;
end; $function$;

CREATE OR REPLACE FUNCTION sync.note_versions(p_pages sync.page_in_hand[], p_records sync.incoming_record[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  -- What was not taken as it came has to come again.
  delete from sync.page_etags as e using unnest(p_pages) as p
  join public.sync_streams as st on st.id = p.stream_id
  where p.condition ? 'said' and e.workspace_id = p.workspace_id and e.stream_id = p.stream_id
    and e.request_key = p.condition ->> 'key'
    and not sync.has_version(p, st);
  update sync.page_etags as e set run_id = p.run_id from unnest(p_pages) as p
  where p.condition is not null and not p.condition ? 'said' and e.workspace_id = p.workspace_id
    and e.stream_id = p.stream_id and e.request_key = p.condition ->> 'key'
    and e.run_id <> p.run_id;
  insert into sync.page_etags as e (workspace_id, stream_id, request_key, etag, last_modified,
    run_id, stream_revision, access_revision, read_at, record_ids, said)
  select p.workspace_id, p.stream_id, p.condition ->> 'key', p.headers ->> 'etag',
    p.headers ->> 'last-modified', p.run_id, r.stream_revision, r.access_revision, sync.now(),
    coalesce(f.record_ids, '{}'), p.condition -> 'said'
  from unnest(p_pages) as p
  join public.workspace_sync_runs as r on r.id = p.run_id
  join public.sync_streams as st on st.id = p.stream_id
  left join (
    select i.turn, array_agg(i.record_id order by i.n) as record_ids
    from (
      select x.turn, x.record_id, row_number() over () as n from unnest(p_records) as x
    ) as i group by i.turn
  ) as f on f.turn = p.turn
  where p.condition ? 'said' and sync.has_version(p, st)
  order by p.workspace_id, p.stream_id, p.condition ->> 'key'
  on conflict (workspace_id, stream_id, request_key) do update set
    etag = excluded.etag, last_modified = excluded.last_modified, run_id = excluded.run_id,
    stream_revision = excluded.stream_revision, access_revision = excluded.access_revision,
    read_at = excluded.read_at, record_ids = excluded.record_ids, said = excluded.said;
end; $function$;

CREATE OR REPLACE FUNCTION sync.find_refused_record(p_page sync.page_in_hand, p_sqlstate text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams;
  v_record sync.incoming_record;
  v_is_taken boolean;
begin
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  foreach v_record in array sync.found_records(array[p_page]) loop
    v_is_taken := false;
    begin
      execute format('select %s($1)', v_stream.apply_function) using array[v_record];
      v_is_taken := true;
      raise exception 'this was a trial';
    exception when assert_failure or others then
      if not v_is_taken and sqlstate = p_sqlstate then
        return v_record.record_id;
      end if;
    end;
  end loop;
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_pages_own_trouble(p_page sync.page_in_hand, p_sqlstate text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_bitmapscan TO 'on'
AS $function$
begin
  -- Who holds a lock is never the page that waits for it.
  if p_page.postponements < 4 or p_sqlstate ~ '^(40|55P03)' then
    return false;
  end if;
  return (
    select count(*) filter (where e.chunk_id = p_page.queue_id
        and e.details ->> 'code' !~ '^(40|55P03)') >= 4
      and count(*) filter (where e.chunk_id <> p_page.queue_id and e.event = 'completed')
        > count(*) filter (where e.chunk_id <> p_page.queue_id and e.event = 'postponed')
    from public.chunk_events as e
    where e.occurred_at >= p_page.postponed_since and e.event in ('completed', 'postponed'));
end; $function$;

CREATE OR REPLACE FUNCTION sync.postpone(p_page sync.page_in_hand, p_sqlstate text, p_message text)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.verdict.code := p_sqlstate;
  v_page.records := null;
  v_page.total := null;
  v_page.verdict.is_permanent := false;
  v_page.verdict.message := rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.');
  if sync.is_pages_own_trouble(v_page, p_sqlstate) then
    v_page.verdict.outcome := 'retry';
    v_page.verdict.message := concat_ws('. ', (v_page.verdict).message,
      'Pages of others are taken meanwhile: it is about this one.');
    return v_page;
  end if;
  v_page.verdict.outcome := 'postponed';
  v_page.verdict.wait := (0.5 + random() / 2)
    * make_interval(secs => least(2 ^ least(v_page.postponements, 10), 15));
  v_page.postponements := v_page.postponements + 1;
  v_page.postponed_since := coalesce(v_page.postponed_since, sync.now());
  v_page.verdict.message := concat_ws('. ', (v_page.verdict).message, case
    when p_sqlstate = '55P03' then sync.mask_secrets(sync.lock_holders(v_page.stream_id)) end,
    'It comes again by itself; no attempt is lost.');
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.asked_wait(p_page sync.page_in_hand, p_is_rate_limit boolean)
 RETURNS numeric
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_source public.sync_sources;
begin
  select so.* into strict v_source from public.sync_sources as so
  join public.sync_streams as st on st.source_id = so.id where st.id = p_page.stream_id;
  return sync.wait_asked_for(v_source, p_page.headers, sync.json_or_null(p_page.body),
    p_is_rate_limit);
end; $function$;

CREATE OR REPLACE FUNCTION sync.class_of_failure(p_page sync.page_in_hand, p_is_answer boolean, p_class text, p_stream public.sync_streams, p_source public.sync_sources, OUT o_class text, OUT o_retry_after numeric)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  o_class := p_class;
  if v_page.http_status is null or p_class not in ('transient', 'rate_limited', 'permanent') then
    return;
  end if;
  v_page.answer := sync.json_or_null(v_page.body);
  -- Of an answer that could not be handed over as the page that it is, the worker's class stands.
  o_class := coalesce(nullif(coalesce(sync.content_class(v_page, p_stream, p_source),
    case when p_is_answer then sync.class_of(sync.status_classes(p_stream, p_source, v_page.kind,
      v_page.page, v_page.reading, false), v_page.http_status) end), 'page'), p_class);
  o_retry_after := sync.wait_asked_for(p_source, v_page.headers, v_page.answer,
    o_class = 'rate_limited');
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_page_by_rules(p_page sync.page_in_hand, p_error_class text, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  if p_page.body is null or p_error_class in ('postponed', 'released')
    or coalesce(p_page.http_status between 200 and 299, true) then
    return false;
  end if;
  v_page.answer := sync.json_or_null(v_page.body);
  return coalesce(sync.content_class(v_page, p_stream, p_source) = 'page', false);
end; $function$;

CREATE OR REPLACE FUNCTION sync.judge_error(p_page sync.page_in_hand, p_sqlstate text, p_message text, p_hint text)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_was_read boolean := p_page.answer is not null;
  -- The table, or what writes it, is not what was declared.
  v_is_misfit boolean := v_was_read and p_sqlstate ~ '^(42|55000)';
begin
  if sync.is_own_trouble(p_sqlstate) then
    return sync.postpone(v_page, p_sqlstate, p_message);
  end if;
  v_page.verdict.retry_after := case
    when p_sqlstate = 'SY013' then sync.asked_wait(v_page, false) end;
  if p_sqlstate = 'SY021' then
    v_page.verdict.code := p_sqlstate;
    v_page.verdict.message := p_message;
    v_page.verdict.outcome := 'delayed';
    v_page.verdict.is_permanent := false;
    v_page.verdict.retry_after := sync.asked_wait(v_page, true);
    v_page.verdict.wait := make_interval(secs => least(sync.setting('max_block_seconds'), coalesce(
      (v_page.verdict).retry_after, sync.setting('retry_base_seconds')))::double precision);
    v_page.answer := null;
    return v_page;
  end if;
  v_page.verdict.code := case
    when p_sqlstate in ('SY010', 'SY013', 'SY024') then p_sqlstate
    when p_sqlstate ~ '^(2[23]|44|54|P000[14])' and v_was_read then 'SY012'
    when p_sqlstate ~ '^(22|54001)' then 'SY011'
    else p_sqlstate end;
  v_page.verdict.message := concat_ws('. ',
    case
      when (v_page.verdict).code = 'SY012' then format('%s refuses record %s: %s',
        (select target_table from public.sync_streams where id = v_page.stream_id),
        coalesce(sync.find_refused_record(v_page, p_sqlstate), 'of page ' || v_page.page),
        case when p_sqlstate ~ '^(23|44|54|P000[14])' then
          sync.mask_workspace_key(p_message, v_page.workspace_id) else p_sqlstate end)
      when p_sqlstate = '54001' then 'the body is not JSON that can be read: it is nested too deep'
      when (v_page.verdict).code = 'SY011' then 'the body is not JSON'
      when v_was_read and (v_page.verdict).code !~ '^SY' then format('%s cannot be written: %s',
        (select target_table from public.sync_streams where id = v_page.stream_id),
        rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.'))
      else rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.') end,
    case (v_page.verdict).code
      when 'SY012' then 'Nothing of the page was written. Have the record corrected in the API, '
        'or what refuses it dropped.'
      when 'SY011' then 'Something else may answer in place of the API: look at the workspace''s '
        'base URL.'
      else case when v_is_misfit then 'Declare the stream anew: that makes its table and function '
        'whole, or says what is wrong with them.' else nullif(p_hint, '') end end);
  v_page.verdict.wait := case when (v_page.verdict).retry_after is not null
    then make_interval(secs => least(sync.setting('max_block_seconds'),
      (v_page.verdict).retry_after)::double precision) end;
  v_page.verdict.is_permanent := (v_page.verdict).code in ('SY010', 'SY012', 'SY024');
  v_page.verdict.outcome := 'retry';
  v_page.records := null;
  v_page.total := null;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.judge_unauthorized(p_page sync.page_in_hand, p_has_renewed boolean)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_token sync.workspace_tokens;
  v_is_renewed boolean;
begin
  select * into v_token from sync.workspace_tokens where workspace_id = p_page.workspace_id;
  v_is_renewed := v_token.expires_at <= sync.now();
  if v_token.generation > (p_page.access).token_generation or v_is_renewed then
    v_page.verdict.outcome := 'released';
    v_page.verdict.is_permanent := false;
    v_page.verdict.message := concat_ws('. ', rtrim((v_page.verdict).message, '.'),
      'It was sent with an access token that is past: it is sent again.');
  elsif not v_token.is_proven then
    v_page.verdict.outcome := 'retry';
    v_page.verdict.is_permanent := true;
  elsif v_token.renewed_at > sync.now() - interval '1 minute' or p_has_renewed then
    -- A new token was no help: the page itself is refused.
    v_page.verdict.outcome := 'retry';
    v_page.verdict.is_permanent := false;
  else
    v_page.verdict.outcome := 'delayed';
    v_page.verdict.is_permanent := false;
    v_page.verdict.wait := interval '0';
    v_page.verdict.message := concat_ws('. ', rtrim((v_page.verdict).message, '.'),
      'Its access token is renewed; no attempt is lost.');
  end if;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.renew_token(p_page sync.page_in_hand)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.workspace_tokens as t set expires_at = sync.now(), renewed_at = sync.now()
  where t.workspace_id = p_page.workspace_id and t.generation = (p_page.access).token_generation
    and (p_page.verdict).outcome = 'delayed' and p_page.http_status = 401
    and (p_page.verdict).wait = interval '0'
    and (t.expires_at > sync.now()) is not false;
end; $function$;

CREATE OR REPLACE FUNCTION sync.prove_tokens(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if exists (select 1 from unnest(p_pages) as p where (p.access).token_generation is not null
    and (p.verdict).outcome = 'completed' and not (p.access).is_token_proven) then
    update sync.workspace_tokens as t set is_proven = true
    from (
      select x.workspace_id from sync.workspace_tokens as x
      where not x.is_proven and (x.workspace_id, x.generation) in (
        select p.workspace_id, (p.access).token_generation from unnest(p_pages) as p
        where (p.verdict).outcome = 'completed' and p.http_status between 200 and 299
          and not (p.verdict).is_repeat)
      order by x.workspace_id for no key update skip locked
    ) as free
    where t.workspace_id = free.workspace_id;
  end if;
  return p_pages;
end; $function$;

CREATE OR REPLACE FUNCTION sync.are_headers(p_headers jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case coalesce(jsonb_typeof(p_headers), 'null') when 'null' then true
    when 'object' then not exists (
      select from jsonb_each(p_headers) as h
      where jsonb_typeof(h.value) <> 'string' or length(h.value #>> '{}') > 4096
        or h.key <> lower(h.key))
    else false end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.given_pages(p_pages jsonb)
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_given jsonb;
  v_page sync.page_in_hand;
  v_pages sync.page_in_hand[] := '{}'::sync.page_in_hand[];
  v_queue_ids bigint[] := array[]::bigint[];
begin
  if coalesce(jsonb_typeof(p_pages), 'null') <> 'array' or jsonb_array_length(p_pages) not between 1
    and 100 then
    raise exception using errcode = 'SY006', message = 'p_pages is not a list of 1 to 100 pages',
      hint = '[{"queue_id": 1, "lease_token": 2, "status": 200, "body": "…", "duration_ms": 187}]';
  end if;
  v_page.verdict.is_repeat := false;
  v_page.verdict.is_permanent := false;
  for v_given in select page from jsonb_array_elements(p_pages) as g (page) loop
    if (v_given ->> 'queue_id' ~ '^[0-9]{1,18}$' and v_given ->> 'lease_token' ~ '^[0-9]{1,18}$'
      and v_given ->> 'status' ~ '^[1-9][0-9]{2}$'
      and coalesce(v_given ->> 'duration_ms', '0') ~ '^[0-9]{1,15}$'
      and jsonb_typeof(v_given -> 'body') = 'string'
      and sync.are_headers(v_given -> 'headers')) is not true
      or (case when v_given ->> 'queue_id' ~ '^[0-9]{1,18}$'
        then (v_given ->> 'queue_id')::bigint = any (v_queue_ids) end)
    then
      raise exception using errcode = 'SY006',
        message = 'a page lacks queue_id, lease_token, status or body, has other headers than '
          'texts of up to 4,096 characters, or stands there twice',
        hint = 'Ids, token and status are whole numbers, as is duration_ms; the body is a JSON '
          'string with the answer''s text; headers: {"etag": "…"}, their names in lower case.';
    end if;
    v_page.turn := cardinality(v_pages) + 1;
    v_page.queue_id := (v_given ->> 'queue_id')::bigint;
    v_page.lease_token := (v_given ->> 'lease_token')::bigint;
    v_page.http_status := (v_given ->> 'status')::int;
    v_page.headers := v_given -> 'headers';
    v_page.body := v_given ->> 'body';
    v_page.duration_ms := (v_given ->> 'duration_ms')::bigint;
    v_queue_ids := v_queue_ids || v_page.queue_id;
    v_pages := v_pages || v_page;
  end loop;
  return v_pages;
end; $function$;

CREATE OR REPLACE FUNCTION sync.first_answer(p_page sync.page_in_hand)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_event public.chunk_events;
begin
  select * into v_event from public.chunk_events
  where chunk_id = p_page.queue_id and lease_token = p_page.lease_token
  order by event = 'lease_lost' desc, id desc limit 1;
  v_page.verdict.is_repeat := true;
  v_page.verdict.outcome := case when v_event.id is null or v_event.event = 'lease_lost'
    then 'refused' else v_event.event end;
  if (v_page.verdict).outcome = 'refused' then
    v_page.verdict.code := 'SY001';
    v_page.verdict.message := format('chunk %s is not leased under token %s', p_page.queue_id,
      p_page.lease_token);
  else
    v_page.verdict.code := v_event.details ->> 'code';
    v_page.verdict.message := v_event.details ->> 'message';
    v_page.records := (v_event.details ->> 'records')::int;
    v_page.changed := (v_event.details ->> 'changed')::int;
  end if;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.give_up_outdated(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_pages sync.page_in_hand[] := p_pages;
  v_outdated bigint[] := array(
    select f.queue_id from unnest(p_pages) as f
    join public.workspace_sync_runs as r on r.id = f.run_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_streams as st on st.id = r.stream_id
    where r.ending is not null or (r.scan <> f.scan and f.part_id is null)
      or sync.is_outdated(r, w, st));
begin
  for v_turn in 1 .. case when cardinality(v_outdated) > 0 then cardinality(v_pages) else 0 end loop
    if (v_pages[v_turn].verdict).outcome is null and v_pages[v_turn].queue_id = any (v_outdated)
    then
      v_pages[v_turn].verdict.outcome := 'cancelled';
    end if;
  end loop;
  return v_pages;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fence(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '500ms'
AS $function$
declare
  -- Apart: to lock rows that are joined with pages would sort each page's body with its row.
  v_queue_ids bigint[] := array(select p.queue_id from unnest(p_pages) as p);
  v_page sync.page_in_hand;
  v_chunk record;
  v_fenced sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  perform sync.require_read_committed();
  for v_chunk in
    select q.*, c.kind, c.scan, c.page, c.record_id, c.reading, r.workspace_id, part.id as part_id,
      coalesce(part.parent_id, c.reading ->> 'parent_id') as parent_id,
      r.stream_id, r.is_full_scan, case
        when part.id is not null then part.known_pages
        when r.progress_total is not null then coalesce(r.needed_pages, r.known_pages) end
      as known_pages, w.key_status, case
        when part.id is not null then c.id >= r.window_turn
        else r.planned_pages < r.known_pages and c.page
          >= r.planned_pages - r.max_concurrency - sync.pages_ahead(r.max_concurrency) / 2 end
      as uses_up_window,
      b.block_level > 0 or b.reduced_in_flight is not null or b.learned_rate is not null
      or w.rate_limited_until is not null as is_rate_limited
    -- One row after the other by its key: where tables were empty when they were analyzed the
    -- planner may begin at the other end.
    from public.chunk_processing_queue as q
    cross join lateral (
      select x.id, x.kind, x.scan, x.page, x.record_id, x.reading
      from public.chunked_sync_jobs as x where x.id = q.id offset 0
    ) as c
    cross join lateral (
      select x.id, x.workspace_id, x.stream_id, x.is_full_scan, x.progress_total, x.needed_pages,
        x.known_pages, x.window_turn, x.planned_pages, x.max_concurrency, x.parts_total
      from public.workspace_sync_runs as x where x.id = q.run_id offset 0
    ) as r
    cross join lateral (
      select x.budget_id, x.key_status, x.rate_limited_until from public.sync_workspaces as x
      where x.id = r.workspace_id offset 0
    ) as w
    left join lateral (
      select x.id, x.parent_id, x.known_pages from sync.run_parts as x
      where r.parts_total is not null and c.kind = 'page' and x.run_id = r.id and x.scan = c.scan
      offset 0
    ) as part on true
    left join lateral (
      select x.block_level, x.reduced_in_flight, x.learned_rate from public.sync_budgets as x
      where x.id = w.budget_id offset 0
    ) as b on true
    where q.id = any (v_queue_ids) order by q.id for no key update of q
  loop
    v_page := p_pages[array_position(v_queue_ids, v_chunk.id)];
    if v_chunk.lease_token = v_page.lease_token and v_chunk.status = 'processing'
      and v_chunk.lease_expires_at > sync.now() then
      v_page.run_id := v_chunk.run_id;
      v_page.workspace_id := v_chunk.workspace_id;
      v_page.stream_id := v_chunk.stream_id;
      v_page.slot := v_chunk.slot;
      v_page.kind := v_chunk.kind;
      v_page.scan := v_chunk.scan;
      v_page.page := v_chunk.page;
      v_page.record_id := v_chunk.record_id;
      v_page.reading := v_chunk.reading;
      v_page.part_id := v_chunk.part_id;
      v_page.parent_id := v_chunk.parent_id;
      v_page.worker_id := v_chunk.worker_id;
      v_page.attempts := v_chunk.attempts;
      v_page.max_attempts := v_chunk.max_attempts;
      v_page.requested_at := v_chunk.requested_at;
      v_page.is_full_scan := v_chunk.is_full_scan;
      v_page.postponements := v_chunk.postponements;
      v_page.postponed_since := v_chunk.postponed_since;
      v_page.known_pages := v_chunk.known_pages;
      v_page.uses_up_window := v_chunk.uses_up_window;
      v_page.access.is_key_accepted := v_chunk.key_status = 'accepted';
      v_page.access.is_rate_limited := v_chunk.is_rate_limited;
      if v_chunk.token_generation is not null then
        v_page.access.token_generation := v_chunk.token_generation;
        v_page.access.is_token_proven := (
          select t.is_proven or t.generation <> v_chunk.token_generation
          from sync.workspace_tokens as t where t.workspace_id = v_chunk.workspace_id) is not false;
      end if;
    else
      v_page := sync.first_answer(v_page);
    end if;
    v_fenced := v_fenced || v_page;
  end loop;
  -- A statement of its own: a cancel, another key, URL or declaration may have committed while this
  -- call waited for a row.
  v_fenced := sync.give_up_outdated(v_fenced);
  return v_fenced || case when cardinality(v_fenced) < cardinality(p_pages) then array(
    select sync.first_answer(p) from unnest(p_pages) as p
    where p.queue_id <> all (array(select f.queue_id from unnest(v_fenced) as f))) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.outcome_of(p_page sync.page_in_hand)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return jsonb_strip_nulls(jsonb_build_object('queue_id', p_page.queue_id, 'outcome',
    (p_page.verdict).outcome, 'code', (p_page.verdict).code,
    'message', (p_page.verdict).message, 'hint',
    case (p_page.verdict).outcome when 'refused' then 'Stop: another worker owns it.' end,
    'records', p_page.records, 'changed', p_page.changed,
    'look_again_ms', ceil(extract(epoch from (p_page.verdict).wait) * 1000)::bigint));
end; $function$;

CREATE OR REPLACE FUNCTION sync.note_parents(p_pages sync.page_in_hand[], p_records sync.incoming_record[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_turns int[] := array(select p.turn from unnest(p_pages) as p where p.part_id is not null);
begin
  insert into sync.record_parents as m (workspace_id, stream_id, parent_id, record_id)
  select distinct shown.workspace_id, shown.stream_id, shown.parent_id, shown.record_id
  from (
    select r.workspace_id, r.stream_id, r.parent_id, r.record_id from unnest(p_records) as r
    where r.turn = any (v_turns)
    union all
    -- A page that has not changed shows what it showed.
    select p.workspace_id, p.stream_id, p.parent_id, seen.id
    from unnest(p_pages) as p cross join unnest(p.seen_ids) as seen (id)
    where p.part_id is not null
  ) as shown
  where not exists (
    select 1 from sync.record_parents as x
    where x.workspace_id = shown.workspace_id and x.stream_id = shown.stream_id
      and x.parent_id = shown.parent_id and x.record_id = shown.record_id
      and x.missed_scans = 0 offset 0)
  order by 1, 2, 3, 4
  on conflict (workspace_id, stream_id, parent_id, record_id)
  do update set missed_scans = 0, missed_by_run_id = null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_emptied_lists(p_workspace_id bigint, p_stream_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from sync.emptied_lists as e using (
    select workspace_id, stream_id, parent_id from sync.emptied_lists
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
    order by workspace_id, stream_id, parent_id for update skip locked
  ) as gone
  where e.workspace_id = gone.workspace_id and e.stream_id = gone.stream_id
    and e.parent_id = gone.parent_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_missed_below(p_workspace_id bigint, p_stream_id bigint, p_run_id bigint DEFAULT NULL::bigint, p_parent_ids text[] DEFAULT NULL::text[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  -- What another holds at this moment is shown by a page.
  update sync.record_parents as m set missed_scans = 0, missed_by_run_id = null
  from (
    select workspace_id, stream_id, parent_id, record_id from sync.record_parents
    where missed_scans > 0 and (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
      and (p_run_id is null or missed_by_run_id = p_run_id)
      and (p_parent_ids is null or parent_id = any (p_parent_ids))
    order by workspace_id, stream_id, parent_id, record_id for no key update skip locked
  ) as missed
  where m.workspace_id = missed.workspace_id and m.stream_id = missed.stream_id
    and m.parent_id = missed.parent_id and m.record_id = missed.record_id;
  if p_run_id is null then
    perform sync.forget_emptied_lists(p_workspace_id, p_stream_id);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_parents_of_stream()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from sync.record_parents as m using (
    select b.workspace_id, b.stream_id, b.parent_id, b.record_id from sync.record_parents as b
    join public.sync_workspaces as w on w.id = b.workspace_id and w.source_id = new.source_id
    where b.stream_id = new.id
    order by b.workspace_id, b.stream_id, b.parent_id, b.record_id for update of b skip locked
  ) as gone
  where m.workspace_id = gone.workspace_id and m.stream_id = gone.stream_id
    and m.parent_id = gone.parent_id and m.record_id = gone.record_id;
  perform sync.forget_emptied_lists(null, new.id);
  return null;
end; $function$;

CREATE TRIGGER sync_streams_forget_parents AFTER UPDATE ON public.sync_streams FOR EACH ROW WHEN ((new.parent_stream IS DISTINCT FROM old.parent_stream)) EXECUTE FUNCTION sync.forget_parents_of_stream();

create policy record_parents_select_operator on sync.record_parents as permissive for select to authenticated using (( SELECT sync.is_operator() AS is_operator));

create policy emptied_lists_select_operator on sync.emptied_lists as permissive for select to authenticated using (( SELECT sync.is_operator() AS is_operator));

CREATE OR REPLACE FUNCTION sync.recount_held_by(p_run public.workspace_sync_runs)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_waiting bigint;
begin
  update public.workspace_sync_runs set deletions_waiting = (
    select count(*) from sync.missing_records where held_by_run_id = p_run.id)
  where id = p_run.id returning deletions_waiting into v_waiting;
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
  return v_waiting;
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_missing(p_workspace_id bigint, p_stream_id bigint DEFAULT NULL::bigint, p_may_wait boolean DEFAULT true)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_may_wait then
    perform 1 from sync.missing_records
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
    order by workspace_id, stream_id, record_id for update;
  end if;
  delete from sync.missing_records as m using (
    select workspace_id, stream_id, record_id from sync.missing_records
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id)
    order by workspace_id, stream_id, record_id for update skip locked
  ) as gone
  where m.workspace_id = gone.workspace_id and m.stream_id = gone.stream_id
    and m.record_id = gone.record_id;
  update public.sync_workspace_streams set emptied_at = null
  where (p_workspace_id is null or workspace_id = p_workspace_id)
    and (p_stream_id is null or stream_id = p_stream_id) and emptied_at is not null;
  perform sync.forget_missed_below(p_workspace_id, p_stream_id);
  perform sync.recount_held(r.workspace_id, r.stream_id) from (
    select distinct workspace_id, stream_id from public.workspace_sync_runs
    where (p_workspace_id is null or workspace_id = p_workspace_id)
      and (p_stream_id is null or stream_id = p_stream_id) and deletions_waiting > 0
    order by workspace_id, stream_id) as r;
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_missing_of_stream()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.forget_missing(null, new.id, false);
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.target_sql(p_template text, p_stream_id bigint)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select format(p_template, target_table, 't.workspace_id = $1 and '
      || case when sync.is_shared_target(to_regclass(target_table)) then 't.stream_id = $2'
      else '$2 is not null' end, case when sync.is_keyed_by_parent(to_regclass(target_table))
      then 'sync.scoped_id(t.parent_id, t.id::text)' else 't.id::text' end)
    from public.sync_streams where id = p_stream_id
  );
end; $function$;

CREATE OR REPLACE FUNCTION sync.miss_records(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_missing text[];
  v_last_seen_at timestamptz;
begin
  execute sync.target_sql('select array(
    select %3$s from %1$s as t where %2$s and t.deleted_at is null
    except
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = $3 and s.scan = $4)', p_run.stream_id)
  into v_missing using p_run.workspace_id, p_run.stream_id, p_run.id, p_run.scan;
  select last_complete_sync_at into v_last_seen_at from public.sync_workspace_streams
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id;
  delete from sync.missing_records as m
  where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and not exists (select 1 from unnest(v_missing) as missed (id) where missed.id = m.record_id);
  insert into sync.missing_records as m (workspace_id, stream_id, record_id, missed_by_run_id,
    last_seen_at)
  select p_run.workspace_id, p_run.stream_id, missed.id, p_run.id, v_last_seen_at
    from unnest(v_missing) as missed (id) order by missed.id
  on conflict (workspace_id, stream_id, record_id) do update set
    missed_by_run_id = excluded.missed_by_run_id, missed_scans = m.missed_scans + 1,
      is_confirmed = m.answers = 0 and m.missed_scans > 0, held_by_run_id = null;
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.revive_shown(p_run public.workspace_sync_runs, p_scans integer[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_ids text[];
begin
  execute sync.target_sql('select array(
    select %3$s from %1$s as t
    where %2$s and (t.deleted_at is not null or t.unlisted_at is not null)
      and (t.raw @> $5) is not true
    intersect
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = $3 and s.scan = any ($4))', p_run.stream_id)
  into v_ids using p_run.workspace_id, p_run.stream_id, p_run.id, p_scans, (
    select deleted_when from public.sync_streams where id = p_run.stream_id);
  if cardinality(v_ids) > 0 then
    execute sync.target_sql('update %1$s as t set deleted_at = null, unlisted_at = null
      where %2$s and %3$s in (select unnest($3))', p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, v_ids;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.count_here(p_run public.workspace_sync_runs)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_here bigint;
begin
  execute sync.target_sql('select count(*) from %1$s as t
    where %2$s and (t.deleted_at is null or t.raw @> $3)', p_run.stream_id)
  into v_here using p_run.workspace_id, p_run.stream_id, (
    select deleted_when from public.sync_streams where id = p_run.stream_id);
  return v_here;
end; $function$;

CREATE OR REPLACE FUNCTION sync.gone_ids(p_run public.workspace_sync_runs)
 RETURNS text[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_deleted_when jsonb := (
    select deleted_when from public.sync_streams where id = p_run.stream_id);
  v_ids text[] := array[]::text[];
begin
  if v_deleted_when is not null then
    execute sync.target_sql('select coalesce(array_agg(%3$s order by t.id), ''{}'')
      from %1$s as t where %2$s and t.deleted_at is null and t.raw @> $3', p_run.stream_id)
    into v_ids using p_run.workspace_id, p_run.stream_id, v_deleted_when;
  end if;
  return v_ids;
end; $function$;

CREATE OR REPLACE FUNCTION sync.miss_deleted(p_run public.workspace_sync_runs, p_ids text[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  insert into sync.missing_records as m (workspace_id, stream_id, record_id, missed_by_run_id,
    is_confirmed, last_seen_at)
  select p_run.workspace_id, p_run.stream_id, gone.id, p_run.id, true, sync.now()
  from unnest(p_ids) as gone (id) order by gone.id
  on conflict (workspace_id, stream_id, record_id) do update set
    missed_by_run_id = excluded.missed_by_run_id, is_confirmed = true, answers = 0,
    held_by_run_id = null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_shown_below(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'on'
 SET enable_hashjoin TO 'off'
AS $function$
begin
  delete from sync.missing_records as m
  where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id and m.answers = 0
    and exists (
      select 1 from sync.record_parents as b
      where b.workspace_id = m.workspace_id and b.stream_id = m.stream_id
        and b.record_id = m.record_id and b.missed_scans = 0 offset 0);
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_shown(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
begin
  if exists (
    select 1 from sync.seen_pages
    where run_id = p_run.id and scan = p_run.scan and record_ids <> '{}'
  ) then
    delete from sync.missing_records as m using (
      select distinct seen.id from sync.seen_pages as s
      cross join unnest(s.record_ids) as seen (id)
      where s.run_id = p_run.id and s.scan = p_run.scan
    ) as shown
    where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
      and m.record_id = shown.id;
    update public.sync_workspace_streams set emptied_at = null
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and emptied_at is not null;
  end if;
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_unaccepted(p_run_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_run public.workspace_sync_runs;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  if v_run.parts_total is not null then
    perform sync.forget_missed_below(v_run.workspace_id, v_run.stream_id, v_run.id);
    perform sync.forget_shown_below(v_run);
    return;
  elsif v_run.phase = 'confirm' then
    delete from sync.missing_records
    where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id and answers = 0;
    update sync.missing_records set missed_scans = 0
    where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id;
  end if;
  perform sync.forget_shown(v_run);
end; $function$;

CREATE OR REPLACE FUNCTION sync.set_marks(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.workspace_sync_runs as r set
    mark = case when f.is_usable and f.id_type = 'integer'
      then (f.marks ->> 'newest_id')::bigint end,
    is_full_scan = not f.is_usable or coalesce((f.marks ->> 'full_scan_at')::timestamptz
      < sync.now() - make_interval(days => f.full_scan_days), true)
  from (
    select x.id, s.marks, st.full_scan_days, st.id_type,
      coalesce(s.marks -> 'of' = sync.feed_identity(w, st) and (s.marks ->> 'read_at')::timestamptz
        > sync.now() - make_interval(days => sync.setting('chunks_kept_days')::int), false)
      as is_usable
    from public.workspace_sync_runs as x
    join public.sync_streams as st on st.id = x.stream_id and st.completeness = 'feed'
    join public.sync_workspaces as w on w.id = x.workspace_id
    join public.sync_workspace_streams as s
      on s.workspace_id = x.workspace_id and s.stream_id = x.stream_id
    where x.id = any (p_run_ids)
  ) as f
  where r.id = f.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_read_since(p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_stream.updated_at_path is not null and sync.has_template(p_stream, 'since');
end; $function$;

CREATE OR REPLACE FUNCTION sync.latest_time(p_records jsonb, p_stream public.sync_streams)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
AS $function$
begin
  if not sync.is_read_since(p_stream) then
    return null;
  end if;
  return (select max(sync.record_time(r.record, p_stream))
    from jsonb_array_elements(p_records) as r (record));
end; $function$;

CREATE OR REPLACE FUNCTION sync.set_since(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.workspace_sync_runs as r set is_full_scan = f.since is null,
    reading = case when f.since is not null then jsonb_build_object('since', f.since) end
  from (
    select x.id, case
      when s.marks -> 'of' = sync.feed_identity(w, st) and j.kind <> 'audit'
        and (s.marks ->> 'full_scan_at')::timestamptz
          >= sync.now() - make_interval(days => st.full_scan_days)
      -- Zero of many languages: no request can ask for a year before it.
      then greatest((s.marks ->> 'since')::timestamptz, timestamptz '0001-01-01 00:00:00+00'
        + make_interval(secs => st.since_overlap)) - make_interval(secs => st.since_overlap)
      end as since
    from public.workspace_sync_runs as x
    join public.sync_streams as st on st.id = x.stream_id and sync.is_read_since(st)
    join public.sync_workspaces as w on w.id = x.workspace_id
    join public.polling_job_status as j on j.id = x.job_id
    left join public.sync_workspace_streams as s
      on s.workspace_id = x.workspace_id and s.stream_id = x.stream_id
    where x.id = any (p_run_ids)
  ) as f
  where r.id = f.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.set_list_marks(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams;
  v_of jsonb;
  v_old jsonb;
  v_seen record;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  -- Of children each list is another, and is read from its start.
  if p_run.parts_total is not null or (
    v_stream.completeness not in ('chained', 'agreed') and not sync.is_read_since(v_stream)) then
    return;
  end if;
  select sync.feed_identity(w, v_stream), coalesce(case when s.marks -> 'of'
      = sync.feed_identity(w, v_stream) then s.marks end, '{}') into v_of, v_old
  from public.sync_workspaces as w
  left join public.sync_workspace_streams as s
    on s.workspace_id = w.id and s.stream_id = p_run.stream_id
  where w.id = p_run.workspace_id and w.access_revision = p_run.access_revision
    and v_stream.revision = p_run.stream_revision;
  if v_of is null then
    return;
  end if;
  select max(latest_at) as latest_at,
    max(cardinality(record_ids)) filter (where page = 1) as page_records
  into v_seen from sync.seen_pages where run_id = p_run.id and scan = p_run.scan;
  insert into public.sync_workspace_streams as s (workspace_id, stream_id, marks)
  values (p_run.workspace_id, p_run.stream_id, jsonb_strip_nulls(jsonb_build_object(
    'of', v_of, 'run_id', p_run.id, 'read_at', sync.now(),
    'since', case when sync.is_read_since(v_stream) then
      least(coalesce(v_seen.latest_at, (v_old ->> 'since')::timestamptz), p_run.started_at) end,
    'full_scan_at', case when p_run.is_full_scan then to_jsonb(sync.now())
      else v_old -> 'full_scan_at' end,
    'short_by', case when p_run.is_full_scan
      then nullif(greatest(p_run.expected_total - p_run.distinct_ids, 0), 0)
      else (v_old ->> 'short_by')::bigint end,
    'pages', case when p_run.is_full_scan then p_run.known_pages
      else (v_old ->> 'pages')::int end,
    'page_records', case when p_run.is_full_scan then v_seen.page_records
      else (v_old ->> 'page_records')::int end)))
  on conflict (workspace_id, stream_id) do update set marks = excluded.marks;
end; $function$;

CREATE OR REPLACE FUNCTION public.request_full_scan(p_stream text, p_workspace text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_workspace_id bigint;
begin
  perform sync.require_service();
  v_workspace_id := sync.workspace_id_of(p_workspace);
  update public.sync_workspace_streams as s set marks = s.marks - 'full_scan_at'
  from public.sync_streams as st
  where st.id = s.stream_id and st.stream_name = p_stream and s.workspace_id = v_workspace_id
    and (st.completeness = 'feed' or sync.is_read_since(st));
  if not found and not exists (select 1 from public.sync_streams as st
    where st.stream_name = p_stream and (st.completeness = 'feed' or sync.is_read_since(st))) then
    raise exception using errcode = 'SY003',
      message = format('there is no stream %L that is read in part', p_stream),
      hint = 'A feed is, and one with {since} in its request; any other is read whole each time.';
  end if;
  return jsonb_build_object('stream', p_stream, 'workspace', p_workspace);
end; $function$;

CREATE OR REPLACE FUNCTION sync.end_run_early(p_run_id bigint, p_ending text, p_message text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.workspace_sync_runs set ending = p_ending,
    error_message = coalesce(error_message, p_message)
  where id = p_run_id and (status = 'running') is true and ending is null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.close_jobs(p_job_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_job_id uuid;
begin
  foreach v_job_id in array p_job_ids loop
    begin
      perform sync.close_job(v_job_id);
    exception when assert_failure or others then
      update public.workspace_sync_runs as r set close_error = sync.mask_secrets(sqlerrm)
      from (select id from public.workspace_sync_runs where job_id = v_job_id
      order by id for no key update skip locked) as free
      where r.id = free.id;
    end;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.close_run(p_run_id bigint, p_status text, p_warning text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_waiting bigint[];
  v_close_function text;
begin
  perform sync.fold_counters(p_run_id);
  update public.workspace_sync_runs as r set
    status = p_status, completed_at = sync.now(), close_error = null,
    warnings = case when p_warning is null then warnings else warnings || p_warning end,
    error_message = coalesce(error_message, case when p_status = 'failed' then (
      select q.error_message from public.chunk_processing_queue as q
      where q.run_id = p_run_id and q.status = 'failed' order by q.id limit 1) end)
  where id = p_run_id returning * into strict v_run;
  -- Of children each list counts by itself.
  perform sync.forget_unaccepted(p_run_id) where p_status <> 'completed'
    and (v_run.parts_total is null or v_run.ending is not null);
  -- By the index of parents, and not through all that is live.
  with children as materialized (
    select * from public.workspace_sync_runs where parent_run_id = p_run_id for no key update
  )
  select array_agg(id) into v_waiting from children
  where status = 'running' and ending is null and phase = 'parent';
  if v_waiting is not null then
    perform sync.begin_runs(v_waiting);
  end if;
  if p_status <> 'completed' then
    return;
  end if;
  insert into public.sync_workspace_streams as s
    (workspace_id, stream_id, last_complete_sync_at, last_complete_run_id, last_sync_duration_ms,
    record_count)
  values (v_run.workspace_id, v_run.stream_id, v_run.completed_at, p_run_id,
    extract(epoch from v_run.completed_at - v_run.started_at) * 1000, v_run.distinct_ids)
  on conflict (workspace_id, stream_id) do update set
    last_complete_sync_at = excluded.last_complete_sync_at,
    last_complete_run_id = excluded.last_complete_run_id,
    last_sync_duration_ms = excluded.last_sync_duration_ms, record_count = excluded.record_count;
  perform sync.set_list_marks(v_run);
  select close_function into v_close_function from public.sync_streams where id = v_run.stream_id;
  if v_close_function is not null then
    begin
      -- Somebody else's statements are planned as anywhere.
      set local plan_cache_mode = auto;
      set local enable_seqscan = on;
      execute format('select %s($1)', v_close_function) using v_run.workspace_id;
    exception when query_canceled or assert_failure or others then
      if sqlstate = '57014' then
        perform sync.set_out_of_time();
      end if;
      update public.workspace_sync_runs set warnings = warnings || format('%s: %s',
        v_close_function, sync.mask_secrets(sqlerrm)) where id = p_run_id;
    end;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.refresh_jobs(p_job_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.polling_job_status as j set
    workspaces_processed = r.workspaces_completed,
    total_accounts_synced = greatest(j.total_accounts_synced, r.records),
    chunks_completed = r.chunks_completed, chunks_failed = r.chunks_failed,
    chunks_cancelled = r.chunks_cancelled
  from (
    select x.job_id,
      count(distinct x.workspace_id) - count(distinct x.workspace_id) filter
      (where x.status <> 'completed') as workspaces_completed,
      -- Of a first scan what its pages showed so far; of a later one what the one before showed.
      coalesce(sum(coalesce(x.distinct_ids, c.records)) filter (
        where x.status in ('running', 'completed', 'partial')
          and st.completeness in ('counted', 'chained', 'agreed', 'single')), 0)
      as records,
      sum(x.chunks_completed + coalesce(c.completed, 0)) as chunks_completed,
      sum(x.chunks_failed + coalesce(c.failed, 0)) as chunks_failed,
      sum(x.chunks_cancelled + coalesce(c.cancelled, 0)) as chunks_cancelled
    from public.workspace_sync_runs as x
    join public.sync_streams as st on st.id = x.stream_id
    left join lateral (
      select sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
        sum(records) as records
      from sync.run_counters where run_id = x.id and x.status = 'running'
    ) as c on true
    where x.job_id = any (p_job_ids)
    group by x.job_id
  ) as r
  where j.id = r.job_id and j.status = 'running'
    and (j.workspaces_processed, j.chunks_completed, j.chunks_failed, j.chunks_cancelled)
    is distinct from
    (r.workspaces_completed, r.chunks_completed, r.chunks_failed, r.chunks_cancelled);
end; $function$;

CREATE OR REPLACE FUNCTION sync.waiting_warning(p_run public.workspace_sync_runs, p_waiting bigint, p_reason text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return format('%s of %s would be deleted%s: waiting for approve_deletions(%s)', p_waiting,
    sync.counted(sync.count_live(p_run), 'row'), p_reason, p_run.id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.hold_missing(p_run_id bigint, p_only_confirmed boolean, p_reason text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  update sync.missing_records set held_by_run_id = p_run_id
  where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id and answers = 0
    and (is_confirmed or not p_only_confirmed);
  return sync.waiting_warning(v_run, sync.recount_held_by(v_run), p_reason);
end; $function$;

CREATE OR REPLACE FUNCTION sync.remember_empty_list(p_run public.workspace_sync_runs)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_emptied_at timestamptz;
begin
  if p_run.distinct_ids > 0 or not exists (
    select 1 from sync.missing_records
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id and answers = 0
  ) then
    update public.sync_workspace_streams set emptied_at = null
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and emptied_at is not null;
    return false;
  end if;
  insert into public.sync_workspace_streams as s (workspace_id, stream_id, emptied_at)
  values (p_run.workspace_id, p_run.stream_id, sync.now())
  on conflict (workspace_id, stream_id) do update
  set emptied_at = coalesce(s.emptied_at, excluded.emptied_at)
  returning emptied_at into v_emptied_at;
  return sync.setting('empty_list_minutes') > 0 and p_run.started_at
    < v_emptied_at + sync.setting('empty_list_minutes') * interval '1 minute';
end; $function$;

CREATE OR REPLACE FUNCTION sync.pick_to_ask(p_run public.workspace_sync_runs, p_gone text[])
 RETURNS text[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_stream public.sync_streams;
  v_ids text[];
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  if v_stream.item_path is null then
    return null;
  end if;
  with asked as (
    update sync.missing_records as m set asked_at = sync.now()
    where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
      and m.missed_by_run_id = p_run.id and m.held_by_run_id is null
      and (m.answers < 2
        or m.asked_at <= sync.now() - make_interval(days => v_stream.full_scan_days))
      -- Two scans are a proof, the record's own word a better one.
      and not exists (select from unnest(p_gone) as gone (id) where gone.id = m.record_id)
    returning m.record_id
  )
  select array_agg(record_id order by record_id) into v_ids from asked;
  return v_ids;
end; $function$;

CREATE OR REPLACE FUNCTION sync.ask_missing(p_run public.workspace_sync_runs, p_gone text[], OUT o_ids text[], OUT o_warning text)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_missed bigint;
begin
  select count(*) into v_missed from sync.missing_records
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id and answers = 0
    and held_by_run_id is null;
  if v_missed > 0 and sync.is_guarded(v_missed, sync.count_live(p_run)) then
    o_warning := sync.hold_missing(p_run.id, false, '');
    return;
  end if;
  o_ids := sync.pick_to_ask(p_run, p_gone);
  if o_ids is null then
    o_warning := sync.delete_confirmed(p_run.id);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_confirmations(p_run_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_gone text[];
  v_asked record;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  -- In this order: an approval that has a missing record deletes before the revival looks, or
  -- finds it decided anew.
  perform sync.miss_records(v_run);
  perform sync.revive_shown(v_run, array[v_run.scan]);
  v_gone := sync.gone_ids(v_run);
  perform sync.miss_deleted(v_run, v_gone);
  if sync.remember_empty_list(v_run) then
    perform sync.close_run(p_run_id, 'completed', sync.hold_missing(p_run_id, false,
      ', for the list is empty; a later run that finds it so too may delete'));
    return;
  end if;
  v_asked := sync.ask_missing(v_run, v_gone);
  if v_asked.o_ids is null then
    perform sync.close_run(p_run_id, 'completed', v_asked.o_warning);
  else
    update public.workspace_sync_runs set phase = 'confirm' where id = p_run_id;
    perform sync.plan_chunks(p_run_id, 'confirmation', null, v_asked.o_ids);
    perform sync.refill_slots(p_run_id);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.note_confirmations(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.missing_records as m set
    is_confirmed = p.http_status in (404, 410),
    answers = case when p.http_status in (404, 410) then 0 else m.answers + 1 end
  from unnest(p_pages) as p
  where p.kind = 'confirmation' and m.workspace_id = p.workspace_id
    and m.stream_id = p.stream_id and m.record_id = p.record_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.judge_confirmations(p_run public.workspace_sync_runs)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_unlisted text[];
  v_living bigint;
begin
  select coalesce(array_agg(m.record_id order by m.record_id) filter (where m.answers > 1), '{}'),
    count(*) filter (where m.answers = 1)
  into v_unlisted, v_living
  from public.chunked_sync_jobs as c
  join public.chunk_processing_queue as q on q.id = c.id and q.status = 'completed'
  -- A plan made while no record was missing would read all of them for each; offset 0 keeps the
  -- look by key.
  cross join lateral (
    select x.record_id, x.answers from sync.missing_records as x
    where x.workspace_id = p_run.workspace_id and x.stream_id = p_run.stream_id
      and x.record_id = c.record_id offset 0
  ) as m
  where c.run_id = p_run.id and c.scan = p_run.scan and c.kind = 'confirmation';
  if cardinality(v_unlisted) > 0 then
    execute sync.target_sql('update %1$s as t set unlisted_at = sync.now()
      where %2$s and t.unlisted_at is null and t.deleted_at is null and %3$s = any ($3)',
      p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, v_unlisted;
    update public.workspace_sync_runs set warnings = warnings
      || format('unlisted: %s; they answer for themselves and stay', sync.some_of(v_unlisted))
    where id = p_run.id;
  end if;
  return case when v_living > 0
    then format('still there although it missed them: %s', v_living) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.delete_confirmed(p_run_id bigint)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_ids text[];
  v_live bigint;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select coalesce(array_agg(record_id), '{}') into v_ids from sync.missing_records
  where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id and is_confirmed;
  execute sync.target_sql('select count(*), coalesce(array_agg(%3$s)
    filter (where confirmed.id is not null), ''{}'')
    from %1$s as t left join unnest($3) as confirmed (id) on confirmed.id = %3$s
    where %2$s and t.deleted_at is null', v_run.stream_id)
  into v_live, v_ids using v_run.workspace_id, v_run.stream_id, v_ids;
  if sync.is_guarded(cardinality(v_ids), v_live) then
    return sync.hold_missing(p_run_id, true, '');
  end if;
  for v_from in 1 .. cardinality(v_ids) by 10000 loop
    perform sync.delete_records(v_run, v_ids[v_from:v_from + 9999]);
  end loop;
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.take_over_held(p_run public.workspace_sync_runs, p_ids text[])
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.missing_records set held_by_run_id = p_run.id
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
    and (held_by_run_id <> p_run.id or record_id = any (p_ids));
  if not found then
    return null;
  end if;
  return sync.waiting_warning(p_run, sync.recount_held_by(p_run), '');
end; $function$;

CREATE OR REPLACE FUNCTION sync.delete_gone(p_run public.workspace_sync_runs)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_ids text[] := sync.gone_ids(p_run);
begin
  if cardinality(v_ids) > 0 then
    if sync.is_guarded(cardinality(v_ids), sync.count_live(p_run)) then
      perform sync.miss_deleted(p_run, v_ids);
    else
      perform sync.delete_records(p_run, v_ids);
      perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
      v_ids := '{}';
    end if;
  end if;
  return sync.take_over_held(p_run, v_ids);
end; $function$;

CREATE OR REPLACE FUNCTION sync.delete_records(p_run public.workspace_sync_runs, p_ids text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_deleted bigint;
begin
  execute sync.target_sql('update %1$s as t set deleted_at = sync.now(), unlisted_at = null
    where %2$s and t.deleted_at is null and %3$s in (select unnest($3))', p_run.stream_id)
  using p_run.workspace_id, p_run.stream_id, p_ids;
  get diagnostics v_deleted = row_count;
  delete from sync.missing_records
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
    and record_id in (select unnest(p_ids));
  update public.workspace_sync_runs set
    records_deleted = records_deleted + v_deleted,
    deletions_waiting = (select count(*) from sync.missing_records where held_by_run_id = p_run.id)
  where id = p_run.id;
  return v_deleted;
end; $function$;

CREATE OR REPLACE FUNCTION sync.approve_deletions(p_run_id bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_newer_run_id bigint;
  v_ids text[];
begin
  perform sync.require_operator();
  perform sync.require_read_committed();
  select * into v_run from public.workspace_sync_runs where id = p_run_id;
  if v_run.id is null then
    raise exception using errcode = 'SY017', message = format('there is no run '
      '%s', coalesce(p_run_id::text, 'null')),
      hint = 'select id, warnings from workspace_sync_runs '
      'where deletions_waiting > 0 lists what waits.';
  end if;
  -- It waits for nobody: a record that a live run is writing, or deciding on, at this moment is
  -- left to that run, as is one that it has seen. What was missed with another key says nothing.
  select array_agg(record_id) into v_ids from (
    select record_id from sync.missing_records where held_by_run_id = p_run_id
      and exists (select 1 from public.sync_workspaces as w
        where w.id = v_run.workspace_id and w.access_revision = v_run.access_revision)
      and record_id not in (
        select seen.id from public.workspace_sync_runs as live
        join sync.seen_pages as s on s.run_id = live.id
        cross join unnest(s.record_ids) as seen (id)
        where live.workspace_id = v_run.workspace_id and live.stream_id = v_run.stream_id
          and live.status = 'running')
      order by record_id for update skip locked) as held;
  select last_complete_run_id into v_newer_run_id from public.sync_workspace_streams
  where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id
    and last_complete_run_id > p_run_id;
  if v_ids is null or v_newer_run_id is not null then
    raise exception using errcode = 'SY008',
      message = case when v_newer_run_id is null then format('no deletion of run %s is '
      'waiting', p_run_id)
                else format('run %s is newer and has decided anew', v_newer_run_id) end,
      hint = 'select id, warnings from workspace_sync_runs '
      'where deletions_waiting > 0 lists what waits.';
  end if;
  execute sync.target_sql('select array(select %3$s from %1$s as t
    where %2$s and t.deleted_at is null and %3$s = any ($3)
    order by t.id for no key update skip locked)', v_run.stream_id)
  into v_ids using v_run.workspace_id, v_run.stream_id, v_ids;
  return jsonb_build_object('run_id', p_run_id, 'deleted', sync.delete_records(v_run, v_ids));
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_phase(p_run_ids bigint[], p_phase text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_chunk_ids bigint[];
  v_ready int;
begin
  update public.workspace_sync_runs set phase = p_phase, planned_chunks = planned_chunks + 1,
    known_pages = case p_phase when 'scan' then 1 else 0 end,
    planned_pages = case p_phase when 'scan' then 1 else 0 end,
    pages_planned = pages_planned + case p_phase when 'scan' then 1 else 0 end
  where id = any (p_run_ids);
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, reading)
    select r.job_id, r.id, case p_phase when 'scan' then 'page' else 'connection' end, r.scan,
      case p_phase when 'scan' then 1 end, case p_phase when 'scan' then r.reading end
    from public.workspace_sync_runs as r where r.id = any (p_run_ids) order by r.id
    returning id, parent_sync_job_id, run_id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select id, parent_sync_job_id, run_id from planned order by id
    returning id
  )
  select array_agg(id order by id) into v_chunk_ids from queued;
  -- Of a run that begins again slot 1 may be in flight.
  update public.chunk_processing_queue as q set slot = 1,
    ready_seq = case when not (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then nextval('sync.ready_seq') end,
    next_retry_at = case when (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then 'infinity'::timestamptz end
  where q.id = any (v_chunk_ids) and not exists (
    select 1 from public.chunk_processing_queue as held
    where held.run_id = q.run_id and held.slot = 1 offset 0);
  get diagnostics v_ready = row_count;
  if v_ready < cardinality(v_chunk_ids) then
    perform sync.refill_slots(id) from unnest(p_run_ids) as id;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_what_says_nothing(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'on'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
begin
  perform sync.forget_missing(r.workspace_id, r.stream_id) from public.workspace_sync_runs as r
  where r.id = any (p_run_ids) and exists (
    select 1 from sync.missing_records as m
    join public.workspace_sync_runs as x on x.id = m.missed_by_run_id
    where m.workspace_id = r.workspace_id and m.stream_id = r.stream_id
      and (x.access_revision, x.stream_revision)
        is distinct from (r.access_revision, r.stream_revision) offset 0);
end; $function$;

CREATE OR REPLACE FUNCTION sync.live_parent_of(p_run public.workspace_sync_runs)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select parent.id from public.sync_streams as st
    join public.sync_streams as ps
      on ps.source_id = st.source_id and ps.stream_name = st.parent_stream
    join public.workspace_sync_runs as parent on parent.job_id = p_run.job_id
      and parent.workspace_id = p_run.workspace_id and parent.stream_id = ps.id
    -- A plain comparison would offer the planner to look through all that is live.
    where st.id = p_run.stream_id and (parent.status = 'running') is true
  );
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_order_unique(p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return coalesce(p_stream.order_is_unique,
    p_stream.order_path is null or p_stream.order_path = p_stream.id_path);
end; $function$;

CREATE OR REPLACE FUNCTION sync.in_order(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_path text[] := coalesce(p_stream.order_path, p_stream.id_path);
  v_is_unique boolean := sync.is_order_unique(p_stream);
begin
  select (array_agg(k.number order by k.n))[1], (array_agg(k.number order by k.n desc))[1],
    (array_agg(k.word order by k.n))[1], (array_agg(k.word order by k.n desc))[1],
    (array_agg(k.flaw order by k.n) filter (where k.flaw is not null))[1]
  into v_page.first_key, v_page.last_key, v_page.first_text, v_page.last_text, v_page.disorder
  from (
    select r.n, r.number, r.word, case
      when r.number is null and r.word is null
      then format('record %s has no %s at %s', r.id, p_stream.order_type,
        array_to_string(v_path, '.'))
      when r.step * case p_stream.order_direction when 'asc' then 1 else -1 end < 0
      then format('record %s comes after %s', r.id, r.id_before)
      when r.step = 0 and v_is_unique and r.id <> r.id_before
      then format('records %s and %s have the same key', r.id_before, r.id) end as flaw
    from (
      select x.*, lag(x.id) over by_place as id_before, case p_stream.order_type
        when 'text' then (x.word > lag(x.word) over by_place)::int
          - (x.word < lag(x.word) over by_place)::int
        else sign(x.number - lag(x.number) over by_place) end as step
      from (
        select e.n, e.record #>> p_stream.id_path as id,
          case
            when p_stream.order_type = 'text' then null
            when p_stream.order_type = 'time'
            then extract(epoch from sync.time_or_null(e.record #>> v_path))
            when e.record #>> v_path ~ '^-?[0-9]{1,40}(\.[0-9]{1,40})?$'
            then (e.record #>> v_path)::numeric end as number,
          case when p_stream.order_type = 'text'
            and jsonb_typeof(e.record #> v_path) in ('string', 'number')
            then e.record #>> v_path end collate ucs_basic as word
        from jsonb_array_elements(p_page.answer) with ordinality as e (record, n)
      ) as x
      window by_place as (order by x.n)
    ) as r
  ) as k;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.moved_record(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_moved text;
begin
  execute replace(sync.target_sql('select i.id
    from (select e.record #>> $4 as id, e.record #> $5 as key
      from jsonb_array_elements($3) as e (record)) as i
    cross join lateral (
      select t.raw #> $5 as key from %1$s as t where %2$s and <same> offset 0) as known
    where known.key <> i.key limit 1', p_stream.id), '<same>', case
      when sync.is_keyed_by_parent(to_regclass(p_stream.target_table))
      then 't.parent_id = $6 and t.id = i.id::'
      when p_stream.id_scope = 'parent' then 't.id = sync.scoped_id($6, i.id)::'
      else 't.id = i.id::' end || (
      select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
      where attrelid = to_regclass(p_stream.target_table) and attname = 'id'))
  into v_moved using p_page.workspace_id, p_stream.id, p_page.answer, p_stream.id_path,
    coalesce(p_stream.order_path, p_stream.id_path), p_page.parent_id;
  return v_moved;
end; $function$;

CREATE OR REPLACE FUNCTION sync.least_overlap(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_path text[] := coalesce(p_stream.order_path, p_stream.id_path);
begin
  if sync.is_order_unique(p_stream) then
    return 1;
  end if;
  return (
    select p_page.records + 1 - coalesce(max(e.n)
      filter (where e.record #> v_path <> p_page.answer -> -1 #> v_path), 0)
    from jsonb_array_elements(p_page.answer) with ordinality as e (record, n));
end; $function$;

CREATE OR REPLACE FUNCTION sync.may_end_list(p_records integer, p_longest integer)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_records < p_longest;
end; $function$;

CREATE OR REPLACE FUNCTION sync.longest_tie(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select max(t.records) from (
      select count(*) as records from jsonb_array_elements(p_page.answer) as e (record)
      group by e.record #> coalesce(p_stream.order_path, p_stream.id_path)
    ) as t);
end; $function$;

CREATE OR REPLACE FUNCTION sync.tied_last(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_stream.last_path is null or p_stream.last_path = p_stream.id_path
    or p_stream.cursor_is is not null then
    return null;
  end if;
  return (
    select format('records %s and %s have the same value at %s, which asks for the next page: it '
      'would pass over one of two at the end of a page', min(r.record #>> p_stream.id_path),
      max(r.record #>> p_stream.id_path), array_to_string(p_stream.last_path, '.'))
    from jsonb_array_elements(p_page.answer) as r (record)
    group by r.record #> p_stream.last_path
    having count(distinct r.record #> p_stream.id_path) > 1 limit 1);
end; $function$;

CREATE OR REPLACE FUNCTION sync.named_next(p_page sync.page_in_hand, p_answer jsonb, p_stream public.sync_streams, p_source public.sync_sources, OUT o_is_said boolean, OUT o_next jsonb)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_text text;
  v_base_url text;
begin
  if p_stream.next_is = 'link_header' then
    o_is_said := p_page.headers ->> 'link' is not null;
    v_text := sync.link_next(p_page.headers ->> 'link');
  else
    o_is_said := p_answer #> p_stream.next_path is not null;
    v_text := sync.cursor_at(p_answer, p_stream.next_path);
  end if;
  if v_text is null then
    return;
  elsif p_stream.next_is = 'token' then
    o_next := jsonb_build_object('next', p_answer #> p_stream.next_path);
  else
    select base_url into strict v_base_url from public.sync_workspaces
    where id = p_page.workspace_id;
    o_next := jsonb_build_object('url', sync.next_url(v_base_url, v_text, p_source,
      v_base_url || p_source.base_path || p_stream.path));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.wanted_overlap(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_served bigint := coalesce((
    select cardinality(record_ids) from sync.seen_pages
    where run_id = p_page.run_id and scan = p_page.scan order by chunk_id limit 1), p_page.records);
begin
  return greatest(1, least(coalesce(p_stream.overlap, least(p_stream.page_size, v_served) / 10),
    v_served / 2));
end; $function$;

CREATE OR REPLACE FUNCTION sync.next_offset(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_offset bigint := coalesce((p_page.reading ->> 'offset')::bigint,
    (p_page.page - 1)::bigint * p_stream.page_size);
  v_wanted bigint := sync.wanted_overlap(p_page, p_stream);
  v_least bigint := 1;
  v_back bigint;
begin
  if p_stream.completeness in ('agreed', 'feed') then
    return jsonb_build_object('offset', v_offset + p_page.records, 'guess', true);
  elsif p_page.records > 0 then
    v_least := sync.least_overlap(p_page, p_stream);
    if p_page.page = 1 and not sync.is_order_unique(p_stream) then
      -- Pages that are read side by side are all as far apart as the first two.
      v_wanted := greatest(v_wanted, sync.longest_tie(p_page, p_stream) + 1);
    end if;
    if v_least < p_page.records then
      v_wanted := least(greatest(v_wanted, v_least), p_page.records - 1);
    elsif p_page.page = 1 or sync.is_order_unique(p_stream) then
      v_wanted := case when p_page.page = 1 then 0 else p_page.records - 1 end;
    elsif p_page.reading ? 'again' then
      -- Not the end: nothing proves how the rest joins, and it is read all the same.
      v_wanted := least(1, greatest(p_page.records - 2, 0));
    else
      v_wanted := least(v_least, v_offset + p_page.records);
    end if;
    return jsonb_strip_nulls(jsonb_build_object('offset', v_offset + p_page.records - v_wanted,
      'overlap', v_wanted, 'guess', true, 'again', case when v_wanted >= p_page.records
        then true end));
  elsif v_offset = 0 or coalesce(p_page.reading ?| '{back,beside}', false) then
    return null;
  end if;
  v_back := case when (p_page.reading ->> 'overlap')::bigint = 0 then 0
    else greatest(0, v_offset - v_wanted) end;
  return jsonb_build_object('offset', v_back, 'overlap', v_offset - v_back, 'guess', true,
    'back', true);
end; $function$;

CREATE OR REPLACE FUNCTION sync.says_more(p_answer jsonb, p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_stream.more_path is null then
    return null;
  end if;
  if jsonb_typeof(p_answer #> p_stream.more_path) is distinct from jsonb_typeof(p_stream.more_is)
  then
    perform sync.refuse_shape(format('the answer does not say at %s whether more follows: there is '
      '%s, and more_is is %s', array_to_string(p_stream.more_path, '.'),
      coalesce(sync.shown(p_answer #> p_stream.more_path), 'nothing'),
      sync.shown(p_stream.more_is)),
      'declare_stream() says where that stands (more_path) and which value means it (more_is). If '
        'only the last page lacks it, declare no more_path: then a page that is empty is the end.');
  end if;
  return p_answer #> p_stream.more_path = p_stream.more_is;
end; $function$;

CREATE OR REPLACE FUNCTION sync.with_next(p_page sync.page_in_hand, p_answer jsonb, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_position text := sync.position_of(p_stream);
  v_says_more boolean := sync.says_more(p_answer, p_stream);
  v_named record;
  v_next jsonb;
begin
  if v_position = 'page' then
    v_page.last_page := sync.page_number_in(p_answer, p_stream.last_page_path);
  end if;
  v_page.ends := case
    when v_says_more is false then true
    -- What the answer itself says of more counts for more than how long it is; behind an empty page
    -- nothing comes, whatever it names.
    when v_says_more is null and p_stream.short_page_ends and p_page.records < p_stream.page_size
      and (p_page.records = 0 or v_position not in ('next', 'url', 'link')) then true
    -- Where pages begin at 0, the last one may be named by number or by count.
    when v_page.last_page is not null and v_says_more is not true
    then p_page.page >= v_page.last_page + 1 - p_stream.first_page
    when p_page.records > 0 or v_says_more then false
    when v_position in ('page', 'last') then true
    else v_position = 'offset' and (p_page.page = 1
      or p_stream.completeness in ('agreed', 'feed')) end;
  case
    when v_page.ends then
      null;
    when v_position in ('next', 'url', 'link') then
      v_named := sync.named_next(p_page, p_answer, p_stream, p_source);
      v_next := v_named.o_next;
      v_page.ends := v_next is null;
      if v_next is null and (v_says_more or not (v_named.o_is_said or p_stream.next_absent_ends
        or p_page.records < p_stream.page_size)) then
        perform sync.refuse_shape(format('%s and it names no next page', case when v_says_more
          then 'the answer says that more follows' else 'the page is full' end),
          'declare_stream() says where the next page is named (next_path, next_is), or that a full '
            'page without one is the last (next_absent_ends).');
      end if;
    when v_position = 'last' then
      v_next := jsonb_build_object('last',
        p_page.answer -> -1 #> coalesce(p_stream.last_path, p_stream.id_path));
      if nullif(v_next -> 'last', 'null') is null then
        perform sync.refuse_shape(format('nothing says where the list goes on: %s', case
          when p_page.records = 0 then 'the answer says that more follows, and shows no record'
          else 'the last record has nothing at ' || array_to_string(p_stream.last_path, '.') end),
          'declare_stream() says which value of the last record asks for the next page '
            '(last_path).');
      end if;
    when v_position = 'offset' then
      v_next := sync.next_offset(p_page, p_stream);
      v_page.is_past_pages := p_page.records = 0;
      if p_stream.completeness = 'chained' and v_says_more is null
        and p_page.records between 1 and (p_page.reading ->> 'overlap')::bigint then
        -- What is asked for again and is no end is read on, whether it joins or not.
        v_page.ends := case when p_page.reading ? 'again'
          and not sync.may_end_list(p_page.records, (
            select max(cardinality(s.record_ids)) from sync.seen_pages as s
            where s.run_id = p_page.run_id and s.scan = p_page.scan)) then false end;
      end if;
    when v_position = 'page' then
      v_next := '{"guess": true}';
    else
      null;
  end case;
  if v_next is not null then
    v_page.next := coalesce(p_page.reading, '{}')
      - '{next,url,last,offset,overlap,guess,back,again,beside,pages_below}'::text[] || v_next;
    if p_page.page >= sync.setting('max_pages') then
      perform sync.refuse_shape(format('page %s is not the last one', p_page.page),
        format('More than %s are refused; set_setting(''max_pages'', …) allows more.',
        sync.counted(sync.setting('max_pages'), 'page')));
    end if;
  end if;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_progress(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_ids text[];
  v_value text := coalesce(p_page.next ->> 'next', p_page.next ->> 'url', p_page.next ->> 'last');
begin
  if v_value is not null and exists (
    select 1 from public.chunked_sync_jobs as c
    where c.run_id = p_page.run_id and c.scan = p_page.scan and c.kind = 'page'
      and c.reading is not null
      and md5(coalesce(c.reading ->> 'next', c.reading ->> 'url', c.reading ->> 'last'))
        = md5(v_value)
      and c.reading -> 'parent' is not distinct from p_page.reading -> 'parent'
  ) then
    raise exception using errcode = 'SY020',
      message = format('the cursor %s repeats', left(sync.one_line(v_value), 80)),
      hint = 'The scan would never end. Ask the API''s operator; the next job begins anew.';
  end if;
  if p_page.page = 1 or p_page.records <= coalesce((p_page.reading ->> 'overlap')::bigint, 0)
    -- Where pages begin at 0, the one behind the last may be asked for, and may be the last again.
    or (p_page.ends and p_page.last_page is not null and p_stream.first_page = 0) then
    return;
  end if;
  v_ids := array(
    select e.record #>> p_stream.id_path
    from jsonb_array_elements(p_page.answer) with ordinality as e (record, n) order by e.n);
  if exists (
    select 1 from public.chunked_sync_jobs as c
    join sync.seen_pages as s on s.run_id = c.run_id and s.scan = c.scan and s.chunk_id = c.id
    where c.run_id = p_page.run_id and c.scan = p_page.scan and c.kind = 'page'
      and c.page = p_page.page - 1 and s.record_ids = v_ids
      and c.reading -> 'parent' is not distinct from p_page.reading -> 'parent'
  ) then
    raise exception using errcode = 'SY020',
      message = format('page %s repeats the page before', p_page.page),
      hint = 'The API may not know the parameter that asks for a page: declare_stream() names it. '
        'The scan would never end.';
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_listed(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_moved text;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.require_records(v_page, p_stream);
  v_page.records := jsonb_array_length(v_page.answer);
  v_page.total := sync.count_in(p_page.answer, p_stream.total_path);
  if v_page.total >= p_stream.result_cap then
    v_page.total := null;
  end if;
  v_page := sync.with_next(v_page, p_page.answer, p_stream, p_source);
  perform sync.require_progress(v_page, p_stream);
  v_page.latest_at := sync.latest_time(v_page.answer, p_stream);
  v_page.reveals_pages := (p_page.page < p_page.known_pages) is not true;
  if p_stream.completeness <> 'chained' then
    v_page.disorder := sync.tied_last(v_page, p_stream);
    return v_page;
  end if;
  v_page := sync.in_order(v_page, p_stream);
  v_page.disorder := coalesce(v_page.disorder, sync.tied_last(v_page, p_stream));
  if v_page.disorder is null and v_page.next ? 'next' and p_stream.cursor_is is null
    and v_page.next ->> 'next'
      is distinct from v_page.answer -> -1 #>> coalesce(p_stream.last_path, p_stream.id_path) then
    v_page.disorder := format('its cursor is %s and not what its last record has at %s, so that '
      'nothing says that the next page joins', sync.shown(v_page.next -> 'next'),
      array_to_string(coalesce(p_stream.last_path, p_stream.id_path), '.'));
  end if;
  -- A page of no run is only tried, perhaps by a declaration that no record was written by.
  if v_page.disorder is null and p_stream.order_moves = 'never' and p_page.run_id is not null then
    v_moved := sync.moved_record(v_page, p_stream);
    if v_moved is not null then
      v_page.disorder := format('record %s has another place in the order than before, and '
        'order_moves is never', v_moved);
    end if;
  end if;
  if p_stream.order_moves = 'forward' and p_stream.order_type = 'time'
    and p_page.is_full_scan is false and v_page.last_key > (
      select extract(epoch from r.started_at) from public.workspace_sync_runs as r
      where r.id = p_page.run_id) then
    v_page.ends := true;
  end if;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_past_end(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.records := 0;
  v_page.ends := sync.position_of(p_stream) = 'page'
    or p_stream.completeness in ('agreed', 'feed');
  v_page.is_past_pages := not v_page.ends;
  v_page.next := case when not v_page.ends then coalesce(p_page.reading, '{}')
    - '{offset,overlap,guess,back,again,beside}'::text[] || sync.next_offset(v_page, p_stream) end;
  v_page.reveals_pages := (p_page.page < p_page.known_pages) is not true;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_refused(p_page sync.page_in_hand, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.refusal := concat_ws('. ', rtrim(format('HTTP %s for page %s: %s', p_page.http_status,
    p_page.page, coalesce(sync.foreign_text(
      sync.json_or_null(p_page.body) #>> p_source.message_path,
      sync.workspace_secret(p_page.workspace_id)), 'it says no more')), '.'),
    sync.way_out(p_page.http_status, null));
  v_page.records := 0;
  v_page.reveals_pages := true;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.way_out_of_ties()
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select ': as many records as a page has share a place in the order, and nothing tells them apart; '
    'declare a larger page_size or an order_path that no two records share, or the list as agreed';
$function$;

CREATE OR REPLACE FUNCTION sync.walk_list(p_run_id bigint, p_scan integer, p_stream public.sync_streams)
 RETURNS sync.walk
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_walk sync.walk;
  v_is_chained boolean := p_stream.completeness = 'chained';
  v_is_unique boolean := sync.is_order_unique(p_stream);
  v_overlaps boolean := sync.position_of(p_stream) = 'offset';
  v_way int := case p_stream.order_direction when 'asc' then 1 else -1 end;
begin
  with shown as (
    select s.page, s.record_ids, s.ends, s.next, s.disorder, s.refusal, s.first_key, s.last_key,
      s.first_text, s.last_text, max(cardinality(s.record_ids)) over () as most,
      row_number() over (order by s.page) as n
    from sync.seen_pages as s
    where s.run_id = p_run_id and s.scan = p_scan and s.page is not null
  ), filled as (
    -- An empty page joins nothing: the next one joins the last that has records.
    select s.page, lag(s.page) over by_page as page_before,
      lag(s.record_ids) over by_page as ids_before, s.page = 2
        and s.record_ids <@ lag(s.record_ids) over by_page
        and s.record_ids @> lag(s.record_ids) over by_page as is_first_again,
      v_way * case p_stream.order_type
        when 'text' then (s.first_text > lag(s.last_text) over by_page)::int
          - (s.first_text < lag(s.last_text) over by_page)::int
        else sign(s.first_key - lag(s.last_key) over by_page) end as step
    from shown as s where s.record_ids <> '{}'
    window by_page as (order by s.page)
  ), walked as (
    select s.page, s.next, coalesce(s.ends, f.is_first_again
        or (s.record_ids <> '{}' and sync.may_end_list(cardinality(s.record_ids), s.most)
          and not exists (
            select 1 from unnest(s.record_ids) as id
            where not exists (
              select 1 from shown as x where x.page < s.page and id = any (x.record_ids)))),
        false) as is_end,
      format('page %s is not in order: ', s.page) || s.disorder as disorder, case
        when s.refusal is not null then s.refusal
        when not v_is_chained or f.page_before is null then null
        -- The first page was asked again, after an empty one.
        when v_overlaps and f.is_first_again then null
        when v_overlaps and v_is_unique and not s.record_ids && f.ids_before
        then format('page %s shares no record with page %s', s.page, f.page_before)
        when v_overlaps and (f.step > 0 or (f.step = 0 and not v_is_unique))
        then format('page %s does not begin before the end of page %s', s.page, f.page_before)
          || case when f.step = 0 then sync.way_out_of_ties() else '' end
        when not v_overlaps and (f.step < 0 or (f.step = 0 and v_is_unique))
        then format('page %s begins before the end of page %s', s.page, f.page_before) end as gap
    from shown as s left join filled as f on f.page = s.page
    where s.page = s.n
  ), last as (
    select coalesce(min(w.page) filter (where w.is_end), max(w.page)) as page,
      coalesce(bool_or(w.is_end), false) as is_ended
    from walked as w
  )
  select max(w.page), bool_or(l.is_ended), (array_agg(coalesce(w.disorder, w.gap) order by w.page)
      filter (where w.disorder is not null or w.gap is not null))[1],
    coalesce(bool_or(w.disorder is not null), false),
    (array_agg(w.next order by w.page desc))[1]
  into v_walk.pages, v_walk.is_ended, v_walk.flaw, v_walk.is_final, v_walk.next
  from last as l join walked as w on w.page <= l.page;
  if v_walk.pages is null then
    v_walk := row(0, false, 'no page was read', false, null)::sync.walk;
  elsif not v_walk.is_ended and v_walk.flaw is null and (v_walk.next is null or exists (
    select 1 from public.chunked_sync_jobs as c
    where c.run_id = p_run_id and c.scan = p_scan and c.kind = 'page'
      and c.page = v_walk.pages + 1 and c.reading = v_walk.next)) then
    v_walk.flaw := format('nothing proves that the list ends after page %s', v_walk.pages)
      || case when v_walk.next ? 'again' or exists (
        select 1 from public.chunked_sync_jobs as c
        where c.run_id = p_run_id and c.scan = p_scan and c.kind = 'page' and c.reading ? 'again')
        then sync.way_out_of_ties() else '' end;
  end if;
  return v_walk;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_rest(p_run public.workspace_sync_runs, p_walk sync.walk)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.seen_pages set page = null
  where run_id = p_run.id and scan = p_run.scan and page > p_walk.pages;
  update public.workspace_sync_runs
  set known_pages = p_walk.pages, planned_pages = p_walk.pages where id = p_run.id;
  perform sync.plan_page(p_run.id, p_walk.pages + 1, p_walk.next);
  perform sync.refill_slots(p_run.id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_beside(p_run public.workspace_sync_runs, p_page sync.page_in_hand)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams;
  v_last record;
  v_pages int;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  if sync.position_of(v_stream) not in ('page', 'offset') or v_stream.order_moves = 'forward'
    or (v_stream.completeness = 'chained' and p_run.scan - p_run.begun_again > 1) then
    return false;
  end if;
  if p_run.sound_scan is not null then
    select max(page) as pages, max(cardinality(record_ids)) filter (where page = 1) as records
    into v_last from sync.seen_pages where run_id = p_run.id and scan = p_run.sound_scan;
  else
    select (ws.marks ->> 'pages')::int as pages, (ws.marks ->> 'page_records')::int as records
    into v_last
    from public.sync_workspace_streams as ws
    join public.sync_workspaces as w on w.id = ws.workspace_id
    where ws.workspace_id = p_run.workspace_id and ws.stream_id = p_run.stream_id
      and ws.marks -> 'of' = sync.feed_identity(w, v_stream);
  end if;
  -- Where a chain of offsets ends follows from the page before.
  v_pages := least(v_last.pages, p_page.last_page)
    - case when v_stream.completeness = 'chained' then 1 else 0 end;
  if (v_pages > 1 and p_page.records >= v_last.records) is not true then
    return false;
  end if;
  update public.workspace_sync_runs set
    known_pages = v_pages, progress_total = coalesce(progress_total, v_pages),
    reading = coalesce(reading, '{}') || '{"beside": true}' || case
      when p_page.next ? 'offset' then jsonb_build_object('step', p_page.next -> 'offset',
        'overlap', coalesce(p_page.next -> 'overlap', '0')) else '{}'::jsonb end
  where id = p_run.id;
  return true;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_listed(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand;
  v_run public.workspace_sync_runs;
begin
  for v_page in select p.* from unnest(p_pages) as p where p.kind = 'page' order by p.turn loop
    select * into strict v_run from public.workspace_sync_runs where id = v_page.run_id;
    continue when v_run.ending is not null or v_page.ends is distinct from false
      or v_page.next is null or v_page.page <> v_run.known_pages;
    if v_page.page = 1 then
      continue when sync.plan_beside(v_run, v_page);
    end if;
    perform sync.plan_page(v_run.id,
      v_page.page + case when v_page.is_past_pages then 0 else 1 end, v_page.next);
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_next_scan(p_run_id bigint, p_sound_scan integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.workspace_sync_runs as r set scan = scan + 1, phase = 'scan', known_pages = 1,
    planned_pages = 1, reading = nullif(reading - '{beside,step,overlap}'::text[], '{}'),
    sound_scan = p_sound_scan, distinct_ids = (
      select count(distinct shown.id) from sync.seen_pages as s
      cross join unnest(s.record_ids) as shown (id)
      where s.run_id = r.id and s.scan = r.scan)
  where id = p_run_id;
  perform sync.plan_chunks(p_run_id, 'page', array[1], null);
  perform sync.refill_slots(p_run_id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.close_since(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_here bigint := sync.count_here(p_run);
  v_short_by bigint := coalesce((
    select (marks ->> 'short_by')::bigint from public.sync_workspace_streams
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id), 0);
begin
  if p_run.expected_total > v_here + v_short_by then
    update public.sync_workspace_streams set marks = marks - 'full_scan_at'
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id;
    perform sync.close_run(p_run.id, 'partial', format('the API counts %s, there are %s: the next '
      'scan reads everything', p_run.expected_total, v_here));
  else
    perform sync.forget_shown(p_run);
    perform sync.close_run(p_run.id, 'completed', sync.delete_gone(p_run));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.accept_list(p_run_id bigint, p_pages integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
begin
  update public.workspace_sync_runs as r set known_pages = p_pages, planned_pages = p_pages,
    progress_total = coalesce(r.progress_total, p_pages), expected_total = s.total,
    distinct_ids = s.ids
  from (
    select max(x.total) as total, count(distinct shown.id) as ids
    from public.workspace_sync_runs as own
    join sync.seen_pages as x on x.run_id = own.id and x.scan = own.scan
    left join lateral unnest(x.record_ids) as shown (id) on true where own.id = p_run_id
  ) as s
  where r.id = p_run_id returning r.* into strict v_run;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  if v_run.distinct_ids >= v_stream.result_cap and sync.position_of(v_stream) <> 'last' then
    perform sync.close_run(p_run_id, 'partial', format('%s were shown, and the API shows no more '
      'than result_cap (%s) of a list: have it read by a keyset, {last} over a unique value, so '
      'that every page is a list of its own', sync.counted(v_run.distinct_ids, 'record'),
      v_stream.result_cap));
  elsif not v_run.is_full_scan then
    perform sync.close_since(v_run);
  else
    update public.workspace_sync_runs set warnings = warnings || format('the API counts %s, its '
      'pages show %s', expected_total, distinct_ids)
    where id = p_run_id and expected_total <> distinct_ids;
    perform sync.begin_confirmations(p_run_id);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_counted(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.set_since(p_run_ids);
  perform sync.begin_phase(p_run_ids, 'scan');
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_counted(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_records bigint;
begin
  v_page.total := sync.count_at(p_page.answer, p_stream.total_path);
  v_page.last_page := sync.page_number_in(p_page.answer, p_stream.last_page_path);
  v_page.answer := p_page.answer #> p_stream.records_path;
  -- Where pages begin at 0, the last one may be named by number or by count.
  if v_page.last_page is null or p_stream.first_page = 0 then
    perform sync.require_records(v_page, p_stream);
    v_records := jsonb_array_length(v_page.answer);
    if v_page.last_page is null and v_records = 0 and v_page.total > 0 and p_page.page = 1 then
      perform sync.refuse_shape(format('the answer names no last page, and shows none of %s',
        sync.counted(v_page.total, 'record')),
        'declare_stream() says where the last page stands, else it follows from what page 1 shows.');
    end if;
    v_page.last_page := greatest(v_page.last_page, case
      when p_page.page > 1 then coalesce(p_page.known_pages, p_page.page)
      when v_records = 0 then 1
      else least(ceil(v_page.total::numeric / v_records), 2147483647) end, 1);
  end if;
  if v_page.last_page > greatest(p_page.known_pages, sync.setting('max_pages')) then
    perform sync.refuse_shape(format('the answer names %s as its last page', v_page.last_page),
      format('More than %s are refused; set_setting(''max_pages'', …) allows more.',
      sync.counted(sync.setting('max_pages'), 'page')));
  end if;
  if v_page.last_page > greatest(v_page.total, 1) then
    perform sync.refuse_shape(format('the answer names %s as its last page, for %s',
      v_page.last_page, sync.counted(v_page.total, 'record')),
      'A list whose last page moves on with every page read has no end: ask the API''s operator.');
  end if;
  perform sync.require_records(v_page, p_stream) where v_records is null;
  v_page.latest_at := sync.latest_time(v_page.answer, p_stream);
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_confirmation(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := jsonb_build_array(p_page.answer #> p_stream.item_record_path);
  perform sync.require_records(v_page, p_stream);
  if v_page.answer -> 0 #>> p_stream.id_path
    is distinct from coalesce(p_page.reading ->> 'id', p_page.record_id) then
    perform sync.refuse_shape(format('asked for record %s, the API answers with another',
      p_page.record_id),
      'declare_stream() says under which path a record stands.');
  end if;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.sum_up_scan(p_run_id bigint, p_scan integer, OUT o_total bigint, OUT o_distinct_ids bigint, OUT o_finding text)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_scan record;
begin
  with pages as (
    select * from sync.seen_pages where run_id = p_run_id and scan = p_scan
  )
  select min(total) as first_total, max(total) as total, max(last_page) as last_page,
    count(*) filter (where page <= (select max(last_page) from pages)) as pages,
    min(refusal) as refusal,
    (select count(distinct id) from pages as p cross join unnest(p.record_ids) as id)
    as distinct_ids
  into v_scan from pages;
  o_total := v_scan.total;
  o_distinct_ids := v_scan.distinct_ids;
  o_finding := case
    when exists (
      select 1 from public.workspace_sync_runs as r
      join public.sync_streams as st on st.id = r.stream_id
      where r.id = p_run_id and r.stream_revision <> st.revision)
    then 'its stream was declared anew'
    when v_scan.refusal is not null then v_scan.refusal
    when v_scan.last_page is null then 'no page was read'
    when v_scan.pages < v_scan.last_page
    then format('%s of %s read', v_scan.pages,
      sync.counted(v_scan.last_page, 'page was', 'pages were'))
    when v_scan.first_total <> v_scan.total
    then format('the total moved between %s and %s', v_scan.first_total, v_scan.total)
    when v_scan.distinct_ids <> v_scan.total
    then format('the API counts %s, its pages show %s', v_scan.total, v_scan.distinct_ids) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.judge_scan(p_run public.workspace_sync_runs)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_sum record := sync.sum_up_scan(p_run.id, p_run.scan);
begin
  update public.workspace_sync_runs set expected_total = v_sum.o_total,
    distinct_ids = v_sum.o_distinct_ids where id = p_run.id;
  return v_sum.o_finding;
end; $function$;

CREATE OR REPLACE FUNCTION sync.reject_scan(p_run_id bigint, p_finding text, p_scans integer DEFAULT NULL::integer, p_sound_scan integer DEFAULT NULL::integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_scans int := coalesce(p_scans, sync.setting('max_scans'));
  v_run public.workspace_sync_runs;
begin
  perform sync.forget_unaccepted(p_run_id);
  update public.workspace_sync_runs
  set warnings = warnings || format('scan %s: %s', scan - begun_again, p_finding)
  where id = p_run_id and scan - begun_again < v_scans
  returning * into v_run;
  if v_run.id is null and (
    select count(distinct s.scan) from sync.seen_pages as s
    join public.workspace_sync_runs as r on r.id = s.run_id and s.scan > r.begun_again
    where s.run_id = p_run_id and s.refusal is not null) >= v_scans then
    update public.workspace_sync_runs set error_message = p_finding where id = p_run_id;
    perform sync.close_run(p_run_id, 'failed', null);
  elsif v_run.id is null then
    perform sync.close_run(p_run_id, 'partial',
      format('after %s: %s', sync.counted(v_scans, 'scan'), p_finding));
  else
    perform sync.begin_next_scan(p_run_id, p_sound_scan);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_counted(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.workspace_sync_runs as r
  set reading = coalesce(r.reading, '{}') || jsonb_build_object('step', p.records)
  from unnest(p_pages) as p
  join public.sync_streams as st on st.id = p.stream_id and st.page_size <> p.records
  where r.id = p.run_id and p.page = 1 and p.reveals_pages and p.total > p.records
    and p.records > 0 and sync.position_of(st) = 'offset';
  perform sync.cancel_pending(p.run_id, 'a page is gone: the list is read again')
  from unnest(p_pages) as p where p.refusal is not null group by p.run_id;
  update public.workspace_sync_runs as r set known_pages = r.planned_pages
  from unnest(p_pages) as p where r.id = p.run_id and p.refusal is not null;
  perform sync.reveal_pages(p.run_id, max(p.last_page)) from unnest(p_pages) as p
  where p.reveals_pages and not exists (
    select 1 from sync.seen_pages as s
    where s.run_id = p.run_id and s.scan = p.scan and s.refusal is not null)
  group by p.run_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_counted(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_finding text := case p_run.phase when 'scan' then sync.judge_scan(p_run)
    else sync.judge_confirmations(p_run) end;
  v_run public.workspace_sync_runs;
  v_cap bigint;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run.id;
  select result_cap into v_cap from public.sync_streams where id = p_run.stream_id;
  if v_run.expected_total >= v_cap then
    perform sync.close_run(p_run.id, 'partial', format('the API counts %s, which with a result_cap '
      'of %s is no total: have the list read as chained, by {last} over a unique value',
      v_run.expected_total, v_cap));
  elsif v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding);
  elsif p_run.phase = 'scan' and not v_run.is_full_scan then
    perform sync.close_since(v_run);
  elsif p_run.phase = 'scan' then
    perform sync.begin_confirmations(p_run.id);
  else
    perform sync.close_run(p_run.id, 'completed', sync.delete_confirmed(p_run.id));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_listed(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.set_since(p_run_ids);
  perform sync.begin_phase(p_run_ids, 'scan');
end; $function$;

CREATE OR REPLACE FUNCTION sync.close_confirmed(p_run public.workspace_sync_runs, p_scans integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_finding text := sync.judge_confirmations(p_run);
begin
  if v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding, p_scans);
  else
    perform sync.close_run(p_run.id, 'completed', sync.delete_confirmed(p_run.id));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_chained(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_scans int := sync.setting('max_scans');
  v_stream public.sync_streams;
  v_walk sync.walk;
begin
  if p_run.phase = 'confirm' then
    perform sync.close_confirmed(p_run, v_scans);
    return;
  end if;
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  v_walk := sync.walk_list(p_run.id, p_run.scan, v_stream);
  case
    when v_walk.is_final then
      perform sync.close_run(p_run.id, 'partial', v_walk.flaw);
    when v_walk.flaw is not null then
      perform sync.reject_scan(p_run.id, v_walk.flaw, v_scans);
    when v_walk.is_ended then
      perform sync.accept_list(p_run.id, v_walk.pages);
    else
      perform sync.plan_rest(p_run, v_walk);
  end case;
end; $function$;

CREATE OR REPLACE FUNCTION sync.repeated_id(p_run public.workspace_sync_runs)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select shown.id from sync.seen_pages as s
    cross join lateral (select distinct id from unnest(s.record_ids) as id) as shown
    where s.run_id = p_run.id and s.scan = p_run.scan
    group by shown.id having count(*) > 1 order by shown.id limit 1);
end; $function$;

CREATE OR REPLACE FUNCTION sync.disagreement(p_run public.workspace_sync_runs)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_lost text[] := array(
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = p_run.id and s.scan = p_run.sound_scan
    except
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = p_run.id and s.scan = p_run.scan
    order by 1);
  v_new text[];
begin
  if cardinality(v_lost) > 0 then
    return format('it does not show what the scan before showed: %s', sync.some_of(v_lost));
  end if;
  v_new := array(
    select unnest(s.new_ids) from sync.seen_pages as s
    where s.run_id = p_run.id and s.scan = p_run.sound_scan and exists (
      select 1 from sync.seen_pages as x join public.chunked_sync_jobs as c on c.id = x.chunk_id
      where x.run_id = p_run.id and x.scan = p_run.sound_scan and c.reading ? 'beside')
    order by 1);
  if cardinality(v_new) > 0 then
    return format('what was new in the scan before may have pushed others from page to page while '
      'they were read side by side: %s', sync.some_of(v_new));
  end if;
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_agreed(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  -- One more than where one scan is enough.
  v_scans int := sync.setting('max_scans') + 1;
  v_stream public.sync_streams;
  v_walk sync.walk;
  v_repeated text;
  v_finding text;
begin
  if p_run.phase = 'confirm' then
    perform sync.close_confirmed(p_run, v_scans);
    return;
  end if;
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  v_walk := sync.walk_list(p_run.id, p_run.scan, v_stream);
  if v_walk.flaw is null and not v_walk.is_ended then
    perform sync.plan_rest(p_run, v_walk);
    return;
  end if;
  if v_walk.is_final then
    perform sync.close_run(p_run.id, 'partial', v_walk.flaw);
    return;
  end if;
  v_repeated := case when v_walk.flaw is null then sync.repeated_id(p_run) end;
  v_finding := coalesce(v_walk.flaw, 'record ' || v_repeated || ' stands on two pages');
  if v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding, v_scans);
    return;
  end if;
  v_finding := case when p_run.sound_scan is not null then sync.disagreement(p_run) end;
  case
    when p_run.sound_scan is null and p_run.scan - p_run.begun_again < v_scans then
      perform sync.begin_next_scan(p_run.id, p_run.scan);
    when p_run.sound_scan is null then
      perform sync.close_run(p_run.id, 'partial', format('after %s: only the last one can be '
        'compared', sync.counted(v_scans, 'scan')));
    when v_finding is not null then
      perform sync.reject_scan(p_run.id, v_finding, v_scans, p_run.scan);
    else
      perform sync.accept_list(p_run.id, v_walk.pages);
  end case;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_progress_by_cursor(p_page sync.page_in_hand)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_from bigint := sync.cursor_id(p_page.reading ->> 'cursor');
  v_to bigint := sync.cursor_id(p_page.next_cursor);
begin
  if v_from is not null and v_to >= v_from then
    raise exception using errcode = 'SY020',
      message = format('the cursor %s: from id %s to id %s',
      case when v_to = v_from then 'repeats' else 'goes backwards' end, v_from, v_to),
      hint = 'The scan would never end. Ask the API''s operator; the next job begins anew.';
  end if;
  if (v_from is null or v_to is null) and exists (
    select 1 from public.chunked_sync_jobs
    where run_id = p_page.run_id and scan = p_page.scan and kind = 'cursor'
      and md5(reading ->> 'cursor') = md5(p_page.next_cursor)
  ) then
    raise exception using errcode = 'SY020',
      message = format('the cursor %s repeats', left(p_page.next_cursor, 80)),
      hint = 'The scan would never end. Ask the API''s operator; the next job begins anew.';
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.with_order(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  -- Cursors that hold an id go by id, whatever pages go by.
  v_is_by_id boolean := p_stream.order_path is null or (p_stream.cursor_codec is not null
    and (p_page.kind = 'cursor' or coalesce(p_page.is_past_pages, false)));
  v_path text[] := case when v_is_by_id then p_stream.id_path else p_stream.order_path end;
begin
  select (array_agg(k.key order by k.n))[1], (array_agg(k.key order by k.n desc))[1],
    (array_agg(format('record %s comes after %s', k.id, k.id_above) order by k.n)
      filter (where k.key > k.key_above))[1]
  into v_page.first_key, v_page.last_key, v_page.disorder
  from (
    select r.*, lag(r.id) over by_place as id_above, lag(r.key) over by_place as key_above
    from (
      select e.n, e.record #>> p_stream.id_path as id, case
          when p_stream.order_type = 'time' and not v_is_by_id
          then extract(epoch from sync.time_or_null(e.record #>> v_path))
          when e.record #>> v_path ~ '^-?[0-9]{1,40}(\.[0-9]{1,40})?$'
          then (e.record #>> v_path)::numeric end as key
      from jsonb_array_elements(p_page.answer) with ordinality as e (record, n)
    ) as r
    where r.key is not null window by_place as (order by r.n)
  ) as k;
  if v_page.first_key is null and jsonb_array_length(p_page.answer) > 1 then
    v_page.disorder := format('no record has a %s at %s', p_stream.order_type,
      array_to_string(v_path, '.'));
  end if;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_walked(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return p_page.kind = 'page' and (sync.position_of(p_stream) <> 'page'
    -- Where pages begin at 0, the last one may be named by number or by count.
    or (p_stream.cursor_params is null and (coalesce(p_page.reading ? 'guess', false)
      or p_stream.first_page = 0 or (p_page.page = 1
        and sync.page_number_in(p_page.answer, p_stream.last_page_path) is null))));
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_walked(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.require_records(v_page, p_stream);
  v_page.records := jsonb_array_length(v_page.answer);
  v_page.total := sync.count_in(p_page.answer, p_stream.total_path);
  v_page := sync.with_next(v_page, p_page.answer, p_stream, p_source);
  perform sync.require_progress(v_page, p_stream);
  v_page.reveals_pages := true;
  v_page := sync.with_order(v_page, p_stream);
  v_page.disorder := coalesce(v_page.disorder, sync.tied_last(v_page, p_stream));
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_feed(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  if sync.is_walked(p_page, p_stream) then
    return sync.read_walked(p_page, p_stream, p_source);
  end if;
  v_page.next_cursor := sync.cursor_at(p_page.answer, p_stream.next_cursor_path);
  if p_page.kind = 'cursor' then
    if p_page.answer #> p_stream.next_cursor_path is null then
      perform sync.refuse_shape(format('the answer has no cursor at %s',
        array_to_string(p_stream.next_cursor_path, '.')),
        'declare_stream() says where the next cursor stands; at the end it is null or empty.');
    end if;
    perform sync.require_progress_by_cursor(v_page) where v_page.next_cursor is not null;
  elsif nullif(p_page.answer #> p_stream.last_page_path, 'null') is null
    and p_page.answer #> p_stream.next_cursor_path is not null then
    v_page.is_past_pages := true;
  else
    v_page.last_page := least(greatest(sync.count_at(p_page.answer, p_stream.last_page_path), 1),
      2147483647);
    if v_page.last_page > sync.setting('max_pages') and p_stream.deep_page_limit is null then
      perform sync.refuse_shape(format('the answer names %s as its last page', v_page.last_page),
        format('More than %s are refused; set_setting(''max_pages'', …) allows more.',
        sync.counted(sync.setting('max_pages'), 'page')));
    end if;
    v_page.total := case when nullif(p_page.answer #> p_stream.total_path, 'null') is not null
      then sync.count_at(p_page.answer, p_stream.total_path) end;
  end if;
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.require_records(v_page, p_stream);
  if p_stream.id_type = 'integer' then
    select min((r.record #>> p_stream.id_path)::bigint) into v_page.lowest_id
    from jsonb_array_elements(v_page.answer) as r (record);
  end if;
  return sync.with_order(v_page, p_stream);
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_above_mark(p_page sync.page_in_hand)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_mark record;
begin
  select (marks ->> 'run_id')::bigint as run_id, (marks ->> 'read_at')::timestamptz as read_at
  into v_mark from public.sync_workspace_streams
  where workspace_id = p_page.workspace_id and stream_id = p_page.stream_id;
  return exists (
    select 1 from sync.seen_pages as shown
    where shown.run_id = p_page.run_id and shown.scan = p_page.scan
      and shown.chunk_id = p_page.queue_id
      and (shown.new_ids is not null or exists (
        select 1 from public.workspace_sync_runs as r
        join sync.seen_pages as s on s.run_id = r.id
        -- The day is for a clock that was set back.
        where r.workspace_id = p_page.workspace_id and r.stream_id = p_page.stream_id
          and r.id > v_mark.run_id and r.started_at > v_mark.read_at - interval '1 day'
          and s.new_ids && shown.record_ids))
  );
end; $function$;

CREATE OR REPLACE FUNCTION sync.pages_below(p_page sync.page_in_hand, p_run public.workspace_sync_runs)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_before int := coalesce((p_page.reading ->> 'pages_below')::int, 0);
begin
  return case
    when p_run.is_full_scan or sync.is_above_mark(p_page) then 0
    -- Where an API filters after paging, a page without records says nothing of the mark.
    when exists (
      select 1 from sync.seen_pages as s
      where s.run_id = p_page.run_id and s.scan = p_page.scan and s.chunk_id = p_page.queue_id
        and s.record_ids = '{}')
    then v_before
    else v_before + 1 end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_feed_pages(p_page sync.page_in_hand)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_needed int;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_page.run_id;
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  if p_page.is_past_pages then
    perform sync.cancel_pending(v_run.id, 'pages end before this one',
      case when p_page.http_status >= 400 then p_page.page else 0 end);
    update public.workspace_sync_runs set known_pages = planned_pages where id = v_run.id;
    return;
  end if;
  v_needed := greatest(v_run.needed_pages, case
    when v_run.is_full_scan then p_page.last_page
    else least(p_page.last_page, v_stream.overlap_pages + 1 + case
    when sync.is_above_mark(p_page) then p_page.page else 0 end) end);
  update public.workspace_sync_runs
  set needed_pages = v_needed, progress_total = coalesce(progress_total, v_needed),
  expected_total = coalesce(p_page.total, expected_total)
  where id = v_run.id;
  perform sync.reveal_pages(v_run.id,
    least(v_needed, coalesce(v_stream.deep_page_limit, v_needed)))
  where not exists (
    select 1 from sync.seen_pages
    where run_id = v_run.id and scan = v_run.scan and page is null);
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_walked(p_page sync.page_in_hand)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_below int;
  v_goes_on boolean;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_page.run_id;
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  v_below := sync.pages_below(p_page, v_run);
  v_goes_on := not p_page.ends and p_page.next is not null and v_below <= v_stream.overlap_pages;
  update public.workspace_sync_runs
  set needed_pages = greatest(needed_pages, p_page.page + v_goes_on::int),
  expected_total = coalesce(p_page.total, expected_total)
  where id = v_run.id;
  perform sync.plan_page(v_run.id, p_page.page + 1,
    p_page.next || jsonb_build_object('pages_below', v_below))
  where v_goes_on and v_run.ending is null
    and (p_page.page >= v_stream.deep_page_limit) is not true;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_next_cursor(p_page sync.page_in_hand)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_below int;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_page.run_id;
  v_below := sync.pages_below(p_page, v_run);
  if v_run.ending is not null or p_page.next_cursor is null
    or p_page.lowest_id <= (p_page.reading ->> 'low_id')::bigint
    or v_below > (select overlap_pages from public.sync_streams where id = p_page.stream_id) then
    return;
  end if;
  perform sync.plan_cursor(v_run.id,
    p_page.reading || jsonb_build_object('cursor', p_page.next_cursor, 'pages_below', v_below));
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_feed(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand;
begin
  for v_page in select p.* from unnest(p_pages) as p order by p.turn loop
    perform sync.plan_walked(v_page) where v_page.kind = 'page' and v_page.ends is not null;
    perform sync.plan_feed_pages(v_page) where v_page.kind = 'page' and v_page.ends is null;
    perform sync.plan_next_cursor(v_page) where v_page.kind = 'cursor';
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_cursors(p_run public.workspace_sync_runs, p_pages_read integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams;
  -- Not bigint: what is computed from ids may lie beyond them.
  v_start numeric;
  v_low numeric;
  v_records bigint;
  v_chains int := 1;
  v_width numeric;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  select min(id::numeric) filter (where s.page = greatest(p_pages_read - v_stream.overlap_pages, 1)),
    max(s.total) - count(*),
    (max(id::numeric) - min(id::numeric)) / greatest(count(*) - 1, 1)
  into v_start, v_records, v_width
  from sync.seen_pages as s cross join unnest(s.record_ids) as id
  where s.run_id = p_run.id and s.scan = p_run.scan and s.page <= p_pages_read;
  if v_start is not null and v_stream.cursor_codec is not null and p_run.is_full_scan then
    v_low := greatest(least(0, v_start - 1),
      v_start - greatest(ceil(v_width * coalesce(v_records, 0)), 1));
    v_chains := least(p_run.max_concurrency,
      greatest(1, coalesce(v_records, 0) / (4 * v_stream.page_size)));
  end if;
  perform sync.plan_cursor(p_run.id, jsonb_build_object(
    'chain', chain, 'pages_below', 0,
    'cursor', case when v_stream.cursor_codec is not null
    then sync.build_cursor(v_start - div((v_start - v_low) * (chain - 1), v_chains)) end,
    'low_id', case when chain < v_chains
    then v_start - div((v_start - v_low) * chain, v_chains) end))
  from generate_series(1, v_chains) as chain where v_chains > 1;
  perform sync.plan_cursor(p_run.id,
    jsonb_build_object('chain', 1, 'pages_below', 0, 'low_id', null,
    'cursor', case when v_stream.cursor_codec is not null and v_start is not null
    then sync.build_cursor(v_start) end)) where v_chains = 1;
  update public.workspace_sync_runs set phase = 'cursor' where id = p_run.id;
  perform sync.refill_slots(p_run.id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_between_pages(p_run public.workspace_sync_runs, p_pages_read integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_gap record;
  v_found boolean := false;
begin
  for v_gap in
    select n.page, n.highest_id, n.next_lowest_id from (
      select s.page, s.total, lead(s.total) over by_page as next_total,
        (select max(id::bigint) from unnest(s.record_ids) as id) as highest_id,
        lead((select min(id::bigint) from unnest(s.record_ids) as id)) over by_page
        as next_lowest_id
      from sync.seen_pages as s
      where s.run_id = p_run.id and s.scan = p_run.scan and s.page <= p_pages_read
      window by_page as (order by s.page)
    ) as n
    where n.next_total < n.total and n.next_lowest_id <= n.highest_id order by n.page
  loop
    perform sync.plan_cursor(p_run.id, jsonb_build_object('chain', -v_gap.page, 'pages_below', 0,
      'cursor', sync.build_cursor(v_gap.highest_id::numeric + 1), 'low_id', v_gap.next_lowest_id));
    v_found := true;
  end loop;
  return v_found;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_skipped(p_run public.workspace_sync_runs)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_below bigint;
begin
  select max(sync.cursor_id(reading ->> 'cursor')) into v_below from public.chunked_sync_jobs
  where run_id = p_run.id and scan = p_run.scan and kind = 'cursor'
    and reading -> 'chain' = '1';
  if not p_run.is_full_scan or v_below is null or exists (
    select 1 from public.chunked_sync_jobs
    where run_id = p_run.id and scan = p_run.scan and kind = 'cursor'
      and reading -> 'chain' = '0'
  ) or p_run.expected_total <= (
    select count(distinct id) from sync.seen_pages as s cross join unnest(s.record_ids) as id
    where s.run_id = p_run.id and s.scan = p_run.scan
  ) is not false then
    return false;
  end if;
  perform sync.plan_cursor(p_run.id,
    jsonb_build_object('chain', 0, 'pages_below', 0, 'low_id', v_below, 'cursor', null));
  perform sync.refill_slots(p_run.id);
  return true;
end; $function$;

CREATE OR REPLACE FUNCTION sync.missing_from_feed(p_run public.workspace_sync_runs, OUT o_total bigint, OUT o_here bigint)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_shown bigint;
begin
  -- What came after the first page was read is the next scan's.
  select min(total) into o_total from sync.seen_pages
  where run_id = p_run.id and scan = p_run.scan;
  if o_total is null then
    return;
  end if;
  o_here := sync.count_here(p_run);
  if p_run.is_full_scan then
    select count(distinct id) into v_shown
    from sync.seen_pages as s cross join unnest(s.record_ids) as id
    where s.run_id = p_run.id and s.scan = p_run.scan;
    o_here := least(o_here, v_shown);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.set_feed_mark(p_run public.workspace_sync_runs, p_short_by bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_mark jsonb;
  v_old jsonb;
  v_is_next_full boolean;
begin
  -- Of the same address, owner and declaration that it was read by: one look at all of them.
  select jsonb_build_object('run_id', p_run.id, 'read_at', sync.now(), 'of', sync.feed_identity(w, st),
      'newest_id', (
        select case st.id_type when 'integer' then to_jsonb(s.record_ids[1]::bigint)
          else to_jsonb(s.record_ids[1]) end
        from sync.seen_pages as s
        where s.run_id = p_run.id and s.scan = p_run.scan and s.record_ids <> '{}'
        order by s.page, s.chunk_id limit 1)),
    case when ws.marks -> 'of' = sync.feed_identity(w, st) then ws.marks else '{}' end
  into v_mark, v_old
  from public.sync_workspaces as w
  join public.sync_streams as st on st.id = p_run.stream_id
  left join public.sync_workspace_streams as ws
    on ws.workspace_id = w.id and ws.stream_id = st.id
  where w.id = p_run.workspace_id and w.access_revision = p_run.access_revision
    and st.revision = p_run.stream_revision;
  v_is_next_full := p_short_by > coalesce((v_old ->> 'short_by')::bigint, 0);
  insert into public.sync_workspace_streams as s (workspace_id, stream_id, marks)
  select p_run.workspace_id, p_run.stream_id, jsonb_strip_nulls(v_mark || jsonb_build_object(
    'short_by', case when p_run.is_full_scan then nullif(p_short_by, 0)
    else (v_old ->> 'short_by')::bigint end,
    'full_scan_at', case when v_is_next_full then null when p_run.is_full_scan then to_jsonb(sync.now())
    else v_old -> 'full_scan_at' end))
  where v_mark is not null
  on conflict (workspace_id, stream_id) do update set marks = excluded.marks;
  return v_is_next_full;
end; $function$;

CREATE OR REPLACE FUNCTION sync.close_feed(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_disorder text := sync.order_finding(p_run);
  v_count record;
  v_is_next_full boolean;
begin
  if v_disorder is not null then
    update public.sync_workspace_streams set marks = marks - 'full_scan_at'
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id;
    perform sync.close_run(p_run.id, 'partial',
      v_disorder || '; the mark stays, and the next scan reads everything');
    return;
  end if;
  v_count := sync.missing_from_feed(p_run);
  v_is_next_full := sync.set_feed_mark(p_run, greatest(v_count.o_total - v_count.o_here, 0));
  if v_count.o_here < v_count.o_total then
    perform sync.close_run(p_run.id, 'partial', format('the API counts %s, there are %s: %s',
      v_count.o_total, v_count.o_here, case when v_is_next_full
      then 'the next scan reads everything' else 'full scans show no more of them' end));
  else
    perform sync.close_run(p_run.id, 'completed', null);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_feed(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams;
  v_pages_read int;
  v_has_gaps boolean;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  if p_run.phase = 'cursor' then
    perform sync.close_feed(p_run) where not sync.plan_skipped(p_run);
    return;
  end if;
  select count(*) into v_pages_read from (
    select page, row_number() over (order by page) as n from sync.seen_pages
    where run_id = p_run.id and scan = p_run.scan and page is not null
  ) as read_in_a_row where page = n;
  v_has_gaps := v_stream.cursor_codec is not null
    and sync.plan_between_pages(p_run, v_pages_read);
  if v_pages_read >= p_run.needed_pages and v_has_gaps then
    update public.workspace_sync_runs set phase = 'cursor' where id = p_run.id;
    perform sync.refill_slots(p_run.id);
  elsif v_pages_read >= p_run.needed_pages then
    perform sync.close_feed(p_run);
  elsif v_stream.cursor_params is not null then
    perform sync.begin_cursors(p_run, v_pages_read);
  else
    perform sync.close_run(p_run.id, 'partial', concat_ws(': ', format('%s of %s read',
      v_pages_read, sync.counted(p_run.needed_pages, 'page was', 'pages were')), (
      select min(s.refusal) from sync.seen_pages as s
      where s.run_id = p_run.id and s.scan = p_run.scan)));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_followed(p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select 1 from public.sync_streams as child
    where child.source_id = p_stream.source_id and child.parent_stream = p_stream.stream_name
      and (child.completeness = 'items' or child.fan_out = 'changed'));
end; $function$;

CREATE OR REPLACE FUNCTION sync.stage_items(p_changed sync.changed_record[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
AS $function$
begin
  insert into sync.staged_items as s (workspace_id, stream_id, record_id)
  select distinct c.workspace_id, child.id, c.record_id from unnest(p_changed) as c
  join public.sync_streams as parent on parent.id = c.stream_id
  join public.sync_streams as child on child.source_id = parent.source_id
    and child.parent_stream = parent.stream_name
    and (child.completeness = 'items' or child.fan_out = 'changed')
  order by c.workspace_id, child.id, c.record_id
  on conflict (workspace_id, stream_id, record_id) where processed_at is null do update
  set staged_at = sync.now();
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_items(p_page sync.page_in_hand)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  if jsonb_typeof(p_page.answer) <> 'object' then
    perform sync.refuse_shape('the answer is not a JSON object',
      'The item is tried again by the next job.');
  end if;
  v_page.answer := jsonb_build_array(p_page.answer);
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.pick_staged(p_run public.workspace_sync_runs, p_limit integer, OUT o_ids bigint[], OUT o_record_ids text[])
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_sort TO 'off'
AS $function$
begin
  select array_agg(s.id order by s.id), array_agg(s.record_id order by s.id)
  into o_ids, o_record_ids
  from (
    select x.id, x.record_id from sync.staged_items as x
    where x.workspace_id = p_run.workspace_id and x.stream_id = p_run.stream_id
      and x.processed_at is null and x.id > coalesce(p_run.mark, 0)
    order by x.id limit p_limit for no key update skip locked
  ) as s;
end; $function$;

CREATE OR REPLACE FUNCTION sync.queue_items(p_run_id bigint, p_limit integer DEFAULT 1000)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_staged record;
  v_keys text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  v_staged := sync.pick_staged(v_run, p_limit);
  if v_staged.o_ids is null then
    return false;
  end if;
  v_keys := sync.item_keys(v_run, v_staged.o_record_ids);
  perform sync.plan_chunks(p_run_id, 'item', null, array(
    select distinct k from unnest(v_keys) as k where not exists (
      select 1 from public.chunked_sync_jobs as c
      where c.run_id = p_run_id and c.scan = v_run.scan and c.kind = 'item' and c.page is null
        and c.record_id = k offset 0)));
  update sync.staged_items as s set
    item_key = c.record_id, chunk_id = c.id,
    processed_at = case when q.status = 'completed'
      and s.staged_at <= coalesce(q.started_at, q.completed_at) then sync.now() end
  from unnest(v_staged.o_ids, v_keys) as staged (id, item_key)
  cross join lateral (
    select x.id, x.record_id from public.chunked_sync_jobs as x
    where x.run_id = p_run_id and x.scan = v_run.scan and x.kind = 'item' and x.page is null
      and x.record_id = staged.item_key offset 0
  ) as c
  cross join lateral (
    select x.status, x.started_at, x.completed_at from public.chunk_processing_queue as x
    where x.id = c.id offset 0
  ) as q
  where s.workspace_id = v_run.workspace_id and s.stream_id = v_run.stream_id
    and s.id = staged.id and s.processed_at is null
    and s.id between v_staged.o_ids[1] and v_staged.o_ids[cardinality(v_staged.o_ids)];
  update public.workspace_sync_runs set
    mark = v_staged.o_ids[cardinality(v_staged.o_ids)],
    progress_total = case when cardinality(v_staged.o_ids) < p_limit
      then greatest(1, least(progress_total, planned_chunks)) else progress_total end
  where id = p_run_id;
  return true;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_items(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_failed bigint;
begin
  for v_part in 1 .. 20 loop
    if not sync.queue_items(p_run.id) then
      select count(*) into v_failed from public.chunk_processing_queue
      where run_id = p_run.id and status = 'failed';
      update public.workspace_sync_runs set
        expected_total = planned_chunks, warnings = warnings || sync.item_warnings(p_run)
      where id = p_run.id;
      perform sync.close_run(p_run.id, case v_failed when 0 then 'completed' else 'partial' end,
        case when v_failed > 0 then format('%s: %s could not be fetched', (
          select stream_name from public.sync_streams where id = p_run.stream_id), v_failed) end);
      return;
    end if;
    exit when sync.refill_slots(p_run.id) > 0;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.unstage_items(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  -- Apart: to lock rows that are joined with pages would carry each page's body with each row.
  v_queue_ids bigint[] := array(select queue_id from unnest(p_pages) where kind = 'item');
  v_found record;
  v_ids bigint[];
begin
  -- Offset 0: one look by key for each, whatever the planner knows of the tables; and found first,
  -- or it may look through all that is staged, because that has the order in which to lock.
  select array_agg(s.id order by s.workspace_id, s.stream_id, s.record_id) as ids,
    array_agg(q.started_at order by s.workspace_id, s.stream_id, s.record_id) as asked_at
  into v_found from unnest(v_queue_ids) as given (id)
  cross join lateral (
    select x.started_at from public.chunk_processing_queue as x where x.id = given.id offset 0
  ) as q
  cross join lateral (
    select x.id, x.workspace_id, x.stream_id, x.record_id from sync.staged_items as x
    where x.chunk_id = given.id and x.processed_at is null offset 0
  ) as s;
  -- By id alone: what else they are would offer indices that the id only comes last in.
  v_ids := array(
    select t.id from unnest(v_found.ids, v_found.asked_at) as f (id, asked_at)
    cross join lateral (
      select x.id from sync.staged_items as x
      where x.id = f.id and x.staged_at <= f.asked_at for no key update offset 0
    ) as t);
  update sync.staged_items set processed_at = sync.now() where id = any (v_ids);
end; $function$;

CREATE OR REPLACE FUNCTION sync.cover_items(p_page sync.page_in_hand, p_joined bigint[], p_in_call bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_covered bigint[];
begin
  with pending as (
    select id from public.chunk_processing_queue
    where id = any (p_joined) and run_id = p_page.run_id and status = 'pending'
    order by id for no key update skip locked
  ), covered as (
    update public.chunk_processing_queue as q
    set status = 'completed', slot = null, ready_seq = null, next_retry_at = null, turn = null,
    line_budget_id = null,
    completed_at = sync.now()
    from pending where q.id = pending.id returning q.id
  )
  select coalesce(array_agg(id), '{}') into v_covered from covered;
  insert into public.chunk_events (chunk_id, run_id, event, details)
  select id, p_page.run_id, 'covered', jsonb_build_object('by_chunk', p_page.queue_id)
  from unnest(v_covered) as id;
  update sync.staged_items as s set processed_at = sync.now()
  from (
    select t.id from public.chunk_processing_queue as q
    join sync.staged_items as t on t.chunk_id = any (v_covered) and t.staged_at <= q.started_at
    where q.id = p_page.queue_id and t.processed_at is null for no key update of t skip locked
  ) as came
  where s.id = came.id;
  update public.workspace_sync_runs set
    chunks_completed = chunks_completed + cardinality(v_covered),
    extra_fetches = extra_fetches + exists (
      select 1 from public.chunk_processing_queue as q
      where q.id = any (array(select unnest(p_joined) except select unnest(v_covered)))
        and q.status = 'completed'
        and (q.id < p_page.queue_id or q.id <> all (p_in_call)))::int
  where id = p_page.run_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_items(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.cover_items(x.page, x.joined, array(select queue_id from unnest(p_pages)))
  from (
    select p as page, j.joined from unnest(p_pages) as p
    join sync.joined_items(array(
      select queue_id from unnest(p_pages) where kind = 'item')) as j on j.queue_id = p.queue_id
    order by p.turn
  ) as x;
end; $function$;

CREATE OR REPLACE FUNCTION sync.parent_of(p_stream public.sync_streams)
 RETURNS public.sync_streams
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select s from public.sync_streams as s
    where s.source_id = p_stream.source_id and s.stream_name = p_stream.parent_stream);
end; $function$;

CREATE OR REPLACE FUNCTION sync.live_rows(p_stream_id bigint, p_workspace_id bigint, p_ids text[], p_after text DEFAULT NULL::text, p_limit integer DEFAULT NULL::integer)
 RETURNS SETOF sync.live_row
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_target regclass := (
    select to_regclass(target_table) from public.sync_streams where id = p_stream_id);
  v_is_keyed boolean := sync.is_keyed_by_parent(v_target);
  v_sql text := 'select %3$s, t.raw from %1$s as t where %2$s and t.deleted_at is null';
begin
  -- By the key in its own type, so that each is looked up.
  v_sql := v_sql || case when v_is_keyed then '
    and ($3 is null or (t.parent_id, t.id::text) in (select p.o_parent_id, p.o_own_id
      from unnest($3) as x (id) cross join lateral sync.scoped_parts(x.id) as p))
    and ($4 is null or (t.parent_id, t.id) > (select p.o_parent_id, p.o_own_id::<type>
      from sync.scoped_parts($4) as p))
    order by t.parent_id, t.id limit $5'
    else '
    and ($3 is null or t.id = any ($3::<type>[])) and ($4 is null or t.id > $4::<type>)
    order by t.id limit $5' end;
  return query execute sync.target_sql(replace(v_sql, '<type>', (
    select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
    where attrelid = v_target and attname = 'id')), p_stream_id)
  using p_workspace_id, p_stream_id, p_ids, p_after, p_limit;
end; $function$;

CREATE OR REPLACE FUNCTION sync.picked(p_record jsonb, p_paths text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_picked jsonb := '{}'::jsonb;
  v_name text;
  v_path text[];
begin
  foreach v_name in array p_paths loop
    v_path := string_to_array(v_name, '.');
    for v_depth in 1 .. cardinality(v_path) - 1 loop
      v_picked := jsonb_set(v_picked, v_path[:v_depth],
        coalesce(v_picked #> v_path[:v_depth], '{}'));
    end loop;
    if p_record #> v_path is not null then
      v_picked := jsonb_set(v_picked, v_path, p_record #> v_path);
    end if;
  end loop;
  return v_picked;
end; $function$;

CREATE OR REPLACE FUNCTION sync.parent_values(p_parent public.sync_streams, p_workspace_id bigint, p_rows sync.live_row[], p_paths text[])
 RETURNS jsonb[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_above public.sync_streams;
  v_deeper text[] := array(
    select substr(x.path, 8) from unnest(p_paths) as x (path)
    where x.path like 'parent.%' and p_parent.parent_stream is not null);
  v_ids text[];
  v_rows sync.live_row[];
  v_values jsonb := '{}'::jsonb;
begin
  if cardinality(v_deeper) > 0 then
    v_above := sync.parent_of(p_parent);
    v_ids := array(
      select (
        select min(b.parent_id) from sync.record_parents as b
        where b.workspace_id = p_workspace_id and b.stream_id = p_parent.id
          and b.record_id = x.record_id and b.parent_id <> '')
      from unnest(p_rows) with ordinality as x (record_id, raw, n) order by x.n);
    v_rows := array(
      select l from sync.live_rows(v_above.id, p_workspace_id,
        array(select distinct id from unnest(v_ids) as id where id is not null)) as l);
    select coalesce(jsonb_object_agg(v_rows[above.n].record_id, above.value), '{}') into v_values
    from unnest(sync.parent_values(v_above, p_workspace_id, v_rows, v_deeper))
      with ordinality as above (value, n);
  end if;
  return array(
    select sync.picked(x.raw, array(
        select path from unnest(p_paths) as path
        where path not like 'parent.%' or p_parent.parent_stream is null))
      || case when v_values ? v_ids[x.n::int]
        then jsonb_build_object('parent', v_values -> v_ids[x.n::int]) else '{}' end
    from unnest(p_rows) with ordinality as x (record_id, raw, n) order by x.n);
end; $function$;

CREATE OR REPLACE FUNCTION sync.parent_paths(p_stream public.sync_streams)
 RETURNS text[]
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return array(
    select distinct array_to_string(t.path, '.')
    from sync.templates_in(concat_ws(' ', p_stream.path, p_stream.item_path, p_stream.params,
      p_stream.headers, p_stream.body)) as t where t.name = 'parent');
end; $function$;

CREATE OR REPLACE FUNCTION sync.queue_below(p_run public.workspace_sync_runs, p_kind text, p_scans integer[], p_pages integer[], p_record_ids text[], p_readings jsonb[])
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_ids bigint[];
begin
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, record_id,
      reading)
    select p_run.job_id, p_run.id, p_kind, x.scan, x.page, x.record_id, x.reading
    from unnest(p_scans, p_pages, p_record_ids, p_readings)
      with ordinality as x (scan, page, record_id, reading, n)
    order by x.n
    returning id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select planned.id, p_run.job_id, p_run.id from planned order by planned.id
    returning id
  )
  select array_agg(id order by id) into v_ids from queued;
  update public.workspace_sync_runs set planned_chunks = planned_chunks + cardinality(v_ids),
    pages_planned = pages_planned + case p_kind when 'page' then cardinality(v_ids) else 0 end
  where id = p_run.id and v_ids is not null;
  return coalesce(v_ids, '{}');
end; $function$;

CREATE OR REPLACE FUNCTION sync.queue_parts(p_run public.workspace_sync_runs, p_room integer)
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_part_ids bigint[];
  v_scans int[];
  v_pages int[];
  v_readings jsonb[];
begin
  -- Lists that were begun go on before others begin.
  select array_agg(due.id order by due.n), array_agg(due.scan order by due.n),
    array_agg(due.page order by due.n),
    array_agg(jsonb_build_object('parent', due.parent) || case when due.step is not null
      then jsonb_build_object('offset', (due.page - 1)::bigint * due.step) else '{}' end
      order by due.n)
  into v_part_ids, v_scans, v_pages, v_readings
  from (
    select x.*, row_number() over (order by x.state <> 'reading', x.id, x.page) as n
    from (
      (select p.id, p.scan, p.parent, p.state, p.step, page from sync.run_parts as p
      cross join lateral generate_series(p.planned_pages + 1,
        least(p.known_pages, p.planned_pages + p_room)) as page
      where p.run_id = p_run.id and p.state = 'reading' and p.planned_pages < p.known_pages
      order by p.id, page limit p_room)
      union all
      (select p.id, p.scan, p.parent, p.state, p.step, 1 from sync.run_parts as p
      where p.run_id = p_run.id and p.state = 'waiting' order by p.id limit p_room)
    ) as x
    order by n limit p_room
  ) as due;
  update sync.run_parts as p set state = 'reading', planned_pages = due.page
  from (
    select id, max(page) as page from unnest(v_part_ids, v_pages) as x (id, page) group by id
  ) as due
  where p.id = due.id;
  return sync.queue_below(p_run, 'page', v_scans, v_pages, array[]::text[], v_readings);
end; $function$;

CREATE OR REPLACE FUNCTION sync.cancel_part(p_part sync.run_parts, p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
begin
  with pending as (
    select q.id from public.chunked_sync_jobs as c
    join public.chunk_processing_queue as q on q.id = c.id
    where c.run_id = p_part.run_id and c.scan = p_part.scan and c.kind = 'page'
      and q.status = 'pending'
    order by q.id for no key update of q skip locked
  ), cancelled as (
    update public.chunk_processing_queue as q
    set status = 'cancelled', slot = null, ready_seq = null, next_retry_at = null, turn = null,
    line_budget_id = null, completed_at = sync.now(), error_message = p_reason
    from pending where q.id = pending.id returning q.id
  ), events as (
    insert into public.chunk_events (chunk_id, run_id, event, details)
    select id, p_part.run_id, 'cancelled', jsonb_build_object('message', p_reason) from cancelled
  )
  update public.workspace_sync_runs as r set chunks_cancelled = r.chunks_cancelled + c.chunks
  from (select count(*) as chunks from cancelled) as c
  where r.id = p_part.run_id and c.chunks > 0;
  update sync.run_parts set known_pages = planned_pages where id = p_part.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.walk_part(p_part sync.run_parts, p_stream public.sync_streams, p_result sync.part_result)
 RETURNS sync.part_result
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_result sync.part_result := p_result;
  v_walk sync.walk := sync.walk_list(p_part.run_id, p_part.scan, p_stream);
begin
  v_result.finding := v_walk.flaw;
  v_result.is_final := v_walk.is_final;
  v_result.pages := v_walk.pages;
  if v_walk.flaw is null and not v_walk.is_ended then
    v_result.next := v_walk.next;
  elsif v_walk.flaw is null and p_result.distinct_ids >= p_stream.result_cap
    and sync.position_of(p_stream) <> 'last' then
    v_result.finding := format('%s were shown, and the API shows no more than result_cap (%s) of a '
      'list', sync.counted(p_result.distinct_ids, 'record'), p_stream.result_cap);
    v_result.is_final := true;
  end if;
  return v_result;
end; $function$;

CREATE OR REPLACE FUNCTION sync.compare_part(p_part sync.run_parts, p_stream public.sync_streams, p_result sync.part_result)
 RETURNS sync.part_result
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_result sync.part_result := sync.walk_part(p_part, p_stream, p_result);
  v_run public.workspace_sync_runs;
  v_repeated text;
begin
  if v_result.finding is not null or v_result.next is not null then
    return v_result;
  end if;
  select * into strict v_run from public.workspace_sync_runs where id = p_part.run_id;
  v_run.scan := p_part.scan;
  v_run.sound_scan := p_part.sound_scan;
  v_repeated := sync.repeated_id(v_run);
  if v_repeated is not null then
    v_result.finding := format('record %s stands on two pages', v_repeated);
  else
    v_result.is_sound := true;
    v_result.finding := case when v_run.sound_scan is null
      then 'one scan only: it takes two that agree' else sync.disagreement(v_run) end;
  end if;
  return v_result;
end; $function$;

CREATE OR REPLACE FUNCTION sync.sum_up_part(p_part sync.run_parts, p_stream public.sync_streams)
 RETURNS sync.part_result
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_result sync.part_result;
begin
  select case p_stream.completeness when 'single' then s.o_distinct_ids else s.o_total end,
    s.o_distinct_ids, s.o_finding, false, false, null::jsonb, null::int
  into v_result from sync.sum_up_scan(p_part.run_id, p_part.scan) as s;
  return case p_stream.completeness when 'chained' then sync.walk_part(p_part, p_stream, v_result)
    when 'agreed' then sync.compare_part(p_part, p_stream, v_result) else v_result end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.repeat_part(p_part sync.run_parts, p_finding text, p_sound_scan integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_scan int;
begin
  update sync.run_parts set state = 'repeated', finding = p_finding where id = p_part.id;
  update public.workspace_sync_runs set last_part_scan = greatest(scan, last_part_scan) + 1
  where id = p_part.run_id returning last_part_scan into v_scan;
  insert into sync.run_parts (run_id, scan, parent_id, attempt, sound_scan, parent, created_at)
  values (p_part.run_id, v_scan, p_part.parent_id, p_part.attempt + 1, p_sound_scan, p_part.parent,
    p_part.created_at);
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_rest_of_part(p_part sync.run_parts, p_run public.workspace_sync_runs, p_page integer, p_reading jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.queue_below(p_run, 'page', array[p_part.scan], array[p_page], array[]::text[],
    array[p_reading]);
  update sync.run_parts set known_pages = greatest(known_pages, p_page),
    planned_pages = greatest(planned_pages, p_page)
  where id = p_part.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.unstage_parent(p_part sync.run_parts, p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.staged_items as s set processed_at = sync.now()
  from (
    select id from sync.staged_items
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and record_id = p_part.parent_id and processed_at is null and staged_at <= p_part.created_at
    for no key update skip locked
  ) as done
  where s.id = done.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.leave_unproven(p_part sync.run_parts, p_run public.workspace_sync_runs, p_finding text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.run_parts set state = 'unproven', finding = p_finding where id = p_part.id;
  insert into sync.staged_items (workspace_id, stream_id, record_id)
  values (p_run.workspace_id, p_run.stream_id, p_part.parent_id)
  on conflict (workspace_id, stream_id, record_id) where processed_at is null do nothing;
end; $function$;

CREATE OR REPLACE FUNCTION sync.end_part(p_part sync.run_parts, p_run public.workspace_sync_runs, p_stream public.sync_streams, p_failure text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_result sync.part_result := sync.sum_up_part(p_part, p_stream);
begin
  if p_failure is null and v_result.next is not null then
    perform sync.plan_rest_of_part(p_part, p_run, v_result.pages + 1, v_result.next);
    return;
  elsif p_failure is null and v_result.finding is not null and not v_result.is_final
    -- One more than where one scan is enough.
    and p_part.attempt < sync.setting('max_scans') + (p_stream.completeness = 'agreed')::int then
    perform sync.repeat_part(p_part, v_result.finding,
      case when v_result.is_sound then p_part.scan end);
    return;
  end if;
  v_result.finding := coalesce(p_failure, v_result.finding);
  update sync.run_parts set total = v_result.total, distinct_ids = v_result.distinct_ids,
    state = case when v_result.finding is null then 'proven' else state end
  where id = p_part.id;
  update public.workspace_sync_runs set parts_ended = parts_ended + 1 where id = p_run.id;
  if v_result.finding is null then
    perform sync.unstage_parent(p_part, p_run);
  else
    perform sync.leave_unproven(p_part, p_run, v_result.finding);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.end_parts(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_stream public.sync_streams;
  v_part sync.run_parts;
  v_chunks record;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  for v_part in
    select * from sync.run_parts where run_id = p_run.id and state = 'reading' order by id
  loop
    select count(*) filter (where q.status = 'pending') as pending,
      count(*) filter (where q.status = 'processing') as processing,
      (array_agg(coalesce(q.error_message, 'a page failed') order by q.id)
        filter (where q.status = 'failed'))[1] as failure
    into v_chunks
    from public.chunked_sync_jobs as c
    join public.chunk_processing_queue as q on q.id = c.id
    where c.run_id = p_run.id and c.scan = v_part.scan and c.kind = 'page';
    if v_chunks.failure is not null and v_chunks.pending > 0 then
      perform sync.cancel_part(v_part, v_chunks.failure);
    end if;
    if v_chunks.processing = 0 and (v_chunks.failure is not null
      or (v_chunks.pending = 0 and v_part.planned_pages = v_part.known_pages)) then
      perform sync.end_part(v_part, p_run, v_stream, v_chunks.failure);
    end if;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.miss_in_lists(p_run public.workspace_sync_runs)
 RETURNS text[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_parent public.sync_streams := sync.parent_of((
    select s from public.sync_streams as s where s.id = p_run.stream_id));
  v_unknown text[];
  v_gone text[];
begin
  -- Of what has no row there is no list: parents of another stream, as an old page noted them.
  if p_run.mark is null then
    execute sync.target_sql('select array(
      select b.parent_id from sync.record_parents as b
      where b.workspace_id = $1 and b.stream_id = $3 and b.parent_id <> ''''
      except
      select %3$s from %1$s as t where %2$s)', v_parent.id)
    into v_unknown using p_run.workspace_id, v_parent.id, p_run.stream_id;
    delete from sync.record_parents
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and parent_id = any (v_unknown);
  end if;
  with shown as materialized (
    select s.scan, x.id from sync.seen_pages as s cross join unnest(s.record_ids) as x (id)
    where s.run_id = p_run.id
  )
  update sync.record_parents as m
  set missed_scans = m.missed_scans + 1, missed_by_run_id = p_run.id
  from sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven'
    and m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and m.parent_id = p.parent_id and m.missed_by_run_id is distinct from p_run.id
    and not exists (select 1 from shown where shown.scan = p.scan and shown.id = m.record_id);
  execute sync.target_sql('select array(
    select %3$s from %1$s as t where %2$s and t.deleted_at is not null
    intersect
    select b.parent_id from sync.record_parents as b
    where b.workspace_id = $1 and b.stream_id = $3)', v_parent.id)
  into v_gone using p_run.workspace_id, v_parent.id, p_run.stream_id;
  update sync.record_parents set missed_scans = greatest(missed_scans, 2),
    missed_by_run_id = p_run.id
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
    and parent_id = any (v_gone);
  return v_gone;
end; $function$;

CREATE OR REPLACE FUNCTION sync.remember_emptied(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  delete from sync.emptied_lists as e using sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven' and p.distinct_ids > 0
    and e.workspace_id = p_run.workspace_id and e.stream_id = p_run.stream_id
    and e.parent_id = p.parent_id;
  insert into sync.emptied_lists (workspace_id, stream_id, parent_id, emptied_at)
  select p_run.workspace_id, p_run.stream_id, p.parent_id, sync.now()
  from sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven' and p.distinct_ids = 0 and exists (
    select 1 from sync.record_parents as b
    where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.parent_id = p.parent_id)
  on conflict (workspace_id, stream_id, parent_id) do nothing;
end; $function$;

CREATE OR REPLACE FUNCTION sync.miss_children(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_ids text[];
  v_scans int[];
  v_are_held boolean[];
begin
  -- Of what a list has shown since, only lists say that it is missing.
  if exists (
    select 1 from sync.record_parents
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id and parent_id = '')
  then
    delete from sync.record_parents as m
    where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
      and m.parent_id = '' and exists (
        select 1 from sync.record_parents as b
        where b.workspace_id = m.workspace_id and b.stream_id = m.stream_id
          and b.record_id = m.record_id and b.parent_id <> '');
  end if;
  -- What no list is known to show counts as missed by a run that proved every list, one at the
  -- least: without parents nothing was looked at.
  if p_run.mark is null and exists (
    select 1 from sync.run_parts where run_id = p_run.id and state = 'proven')
    and not exists (
      select 1 from sync.run_parts where run_id = p_run.id and state = 'unproven') then
    execute sync.target_sql('with unlisted as (
        select %3$s as id from %1$s as t where %2$s and t.deleted_at is null
        except
        select b.record_id from sync.record_parents as b
        where b.workspace_id = $1 and b.stream_id = $2 and b.parent_id <> ''''
      )
      insert into sync.record_parents as m
        (workspace_id, stream_id, parent_id, record_id, missed_scans, missed_by_run_id)
      select $1, $2, '''', id, 1, $3 from unlisted order by id
      on conflict (workspace_id, stream_id, parent_id, record_id) do update
      set missed_scans = m.missed_scans + 1, missed_by_run_id = $3
      where m.missed_by_run_id is distinct from $3', p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, p_run.id;
  end if;
  execute sync.target_sql('
    select array_agg(x.record_id order by x.record_id), array_agg(x.scans order by x.record_id),
      array_agg(x.is_held order by x.record_id)
    from (
      select b.record_id, min(b.missed_scans) as scans,
        coalesce(bool_or(e.emptied_at > $3::timestamptz), false) as is_held
      from sync.record_parents as b
      left join sync.emptied_lists as e on e.workspace_id = b.workspace_id
        and e.stream_id = b.stream_id and e.parent_id = b.parent_id
      where b.workspace_id = $1 and b.stream_id = $2 and b.record_id in (
        select m.record_id from sync.record_parents as m
        where m.workspace_id = $1 and m.stream_id = $2 and m.missed_scans > 0)
      group by b.record_id having min(b.missed_scans) > 0
    ) as x
    where x.record_id in (select %3$s from %1$s as t where %2$s and t.deleted_at is null)',
    p_run.stream_id)
  into v_ids, v_scans, v_are_held using p_run.workspace_id, p_run.stream_id,
    case when sync.setting('empty_list_minutes') > 0 then p_run.started_at
      - sync.setting('empty_list_minutes') * interval '1 minute' else 'infinity' end;
  delete from sync.missing_records as m
  where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and not exists (select 1 from unnest(v_ids) as missed (id) where missed.id = m.record_id);
  insert into sync.missing_records as m (workspace_id, stream_id, record_id, missed_by_run_id,
    missed_scans, is_confirmed, held_by_run_id, last_seen_at)
  select p_run.workspace_id, p_run.stream_id, x.id, p_run.id, x.scans, x.scans > 1 and not x.is_held,
    case when x.is_held then p_run.id end, (
      select last_complete_sync_at from public.sync_workspace_streams
      where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id)
  from unnest(v_ids, v_scans, v_are_held) as x (id, scans, is_held)
  where exists (
    select 1 from sync.record_parents as b
    where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.record_id = x.id and b.missed_by_run_id = p_run.id)
  order by x.id
  on conflict (workspace_id, stream_id, record_id) do update set
    missed_by_run_id = excluded.missed_by_run_id, missed_scans = excluded.missed_scans,
    is_confirmed = m.answers = 0 and excluded.is_confirmed, held_by_run_id = excluded.held_by_run_id;
  perform sync.recount_held_by(p_run);
end; $function$;

CREATE OR REPLACE FUNCTION sync.gone_below(p_run public.workspace_sync_runs, p_parent_ids text[])
 RETURNS text[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
begin
  return array(
    select b.record_id from sync.record_parents as b
    left join unnest(p_parent_ids) as gone (id) on gone.id = b.parent_id
    where cardinality(p_parent_ids) > 0
      and b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.record_id in (
        select m.record_id from sync.missing_records as m
        where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
          and m.is_confirmed)
    group by b.record_id having bool_and(gone.id is not null));
end; $function$;

CREATE OR REPLACE FUNCTION sync.ask_below(p_run public.workspace_sync_runs, p_ids text[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams;
  v_parent public.sync_streams;
  v_parent_ids text[];
  v_rows sync.live_row[];
  v_values jsonb;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  v_parent := sync.parent_of(v_stream);
  v_parent_ids := array(
    select coalesce((
      select min(b.parent_id) from sync.record_parents as b
      where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
        and b.record_id = x.id and b.parent_id <> ''), '')
    from unnest(p_ids) with ordinality as x (id, n) order by x.n);
  v_rows := array(
    select l from sync.live_rows(v_parent.id, p_run.workspace_id,
      array(select distinct id from unnest(v_parent_ids) as id where id <> '')) as l);
  select coalesce(jsonb_object_agg(v_rows[x.n].record_id, x.value), '{}') into v_values
  from unnest(sync.parent_values(v_parent, p_run.workspace_id, v_rows, sync.parent_paths(v_stream)))
    with ordinality as x (value, n);
  perform sync.queue_below(p_run, 'confirmation', array_fill(p_run.scan, array[cardinality(p_ids)]),
    array[]::int[], p_ids, array(
      select jsonb_strip_nulls(jsonb_build_object('parent_id', v_parent_ids[x.n],
        'parent', v_values -> v_parent_ids[x.n], 'id', case v_stream.id_scope
          when 'parent' then to_jsonb((sync.scoped_parts(x.id)).o_own_id) end))
      from unnest(p_ids) with ordinality as x (id, n) order by x.n));
end; $function$;

CREATE OR REPLACE FUNCTION sync.reject_below(p_run public.workspace_sync_runs, p_finding text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_part sync.run_parts;
  v_parent_ids text[] := array(
    select distinct b.parent_id from public.chunked_sync_jobs as c
    join sync.missing_records as m on m.workspace_id = p_run.workspace_id
      and m.stream_id = p_run.stream_id and m.record_id = c.record_id and m.answers = 1
    join sync.record_parents as b on b.workspace_id = m.workspace_id
      and b.stream_id = m.stream_id and b.record_id = m.record_id
      and b.missed_by_run_id = p_run.id
    where c.run_id = p_run.id and c.scan = p_run.scan and c.kind = 'confirmation');
  v_is_any_repeated boolean := false;
begin
  for v_part in
    select * from sync.run_parts
    where run_id = p_run.id and state = 'proven' and parent_id = any (v_parent_ids) order by id
  loop
    if v_part.attempt < sync.setting('max_scans') then
      perform sync.repeat_part(v_part, p_finding, null);
      update public.workspace_sync_runs set parts_ended = parts_ended - 1 where id = p_run.id;
      v_is_any_repeated := true;
    else
      perform sync.leave_unproven(v_part, p_run, p_finding);
    end if;
  end loop;
  perform sync.forget_missed_below(p_run.workspace_id, p_run.stream_id, p_run.id, v_parent_ids);
  perform sync.forget_shown_below(p_run);
  if v_is_any_repeated then
    update public.workspace_sync_runs
    set scan = greatest(scan, last_part_scan) + 1, phase = 'parts', window_turn = 0,
      begun_again = begun_again + greatest(scan, last_part_scan) - scan
    where id = p_run.id;
  end if;
  return v_is_any_repeated;
end; $function$;

CREATE OR REPLACE FUNCTION sync.takes_up_lists(p_run public.workspace_sync_runs, p_parent_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return exists (
    select 1 from public.polling_job_status as j
    join public.workspace_sync_runs as retried on retried.job_id = j.retry_of_job_id
      and retried.workspace_id = p_run.workspace_id and retried.stream_id = p_run.stream_id
    where j.id = p_run.job_id and retried.status = 'partial' and retried.ending is null
      and retried.parts_total > 0 and not exists (
        select 1 from public.workspace_sync_runs as parents
        where parents.workspace_id = p_run.workspace_id and parents.stream_id = p_parent_id
          and parents.job_id <> retried.job_id and (parents.id > retried.id
            or (parents.completed_at <= retried.started_at) is not true)));
end; $function$;

CREATE OR REPLACE FUNCTION sync.takes_all_parents(p_run public.workspace_sync_runs, p_stream public.sync_streams)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return coalesce((
    select s.marks -> 'of' <> sync.feed_identity(w, p_stream) or case p_stream.fan_out
      when 'changed' then (s.marks ->> 'all_parents_at')::timestamptz
        < sync.now() - make_interval(days => p_stream.full_scan_days)
      else not sync.takes_up_lists(p_run, (sync.parent_of(p_stream)).id) end
    from public.sync_workspace_streams as s
    join public.sync_workspaces as w on w.id = s.workspace_id
    where s.workspace_id = p_run.workspace_id and s.stream_id = p_stream.id), true);
end; $function$;

CREATE OR REPLACE FUNCTION sync.add_parts(p_run_id bigint, p_limit integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_parent public.sync_streams;
  v_rows sync.live_row[];
  v_staged_ids bigint[];
  v_record_ids text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  v_parent := sync.parent_of(v_stream);
  if v_run.mark is null then
    v_rows := array(
      select l from sync.live_rows(v_parent.id, v_run.workspace_id, null, v_run.parts_mark, p_limit)
        as l);
    v_record_ids := array(select x.record_id from unnest(v_rows) as x);
  else
    select o_ids, o_record_ids into v_staged_ids, v_record_ids
    from sync.pick_staged(v_run, p_limit);
    v_record_ids := coalesce(v_record_ids, '{}');
    v_rows := array(
      select l from sync.live_rows(v_parent.id, v_run.workspace_id, v_record_ids) as l);
    -- What is deleted has no list; its children go with it.
    update sync.staged_items as s set processed_at = sync.now()
    where s.id = any (v_staged_ids) and s.processed_at is null
      and s.record_id <> all (array(select x.record_id from unnest(v_rows) as x));
  end if;
  insert into sync.run_parts (run_id, scan, parent_id, parent)
  select v_run.id, greatest(v_run.scan, v_run.last_part_scan) + x.n, v_rows[x.n].record_id, x.value
  from unnest(sync.parent_values(v_parent, v_run.workspace_id, v_rows,
    sync.parent_paths(v_stream))) with ordinality as x (value, n)
  order by x.n
  on conflict (run_id, parent_id, attempt) do nothing;
  update public.workspace_sync_runs set
    last_part_scan = greatest(scan, last_part_scan) + cardinality(v_rows),
    has_more_parts = cardinality(v_record_ids) = p_limit,
    parts_mark = coalesce(v_record_ids[cardinality(v_record_ids)], parts_mark),
    mark = coalesce(v_staged_ids[cardinality(v_staged_ids)], mark)
  where id = v_run.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_parts(p_run_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_ahead int;
  v_waiting bigint[];
  v_is_rest boolean;
begin
  select * into v_run from public.workspace_sync_runs
  where id = p_run_id and (status = 'running') is true and ending is null and phase = 'parts';
  if v_run.id is null then
    return;
  end if;
  perform sync.end_parts(v_run);
  v_ahead := sync.pages_ahead(v_run.max_concurrency);
  -- What waits was planned last: the bound skips index entries of what waited before.
  v_waiting := array(
    select id from public.chunk_processing_queue
    where (run_id, id) >= (p_run_id, coalesce(v_run.window_turn, 0)) and run_id = p_run_id
      and status = 'pending' and slot is null order by id);
  if cardinality(v_waiting) > v_ahead / 2 then
    return;
  end if;
  if v_run.has_more_parts and (
    select count(*) from sync.run_parts where run_id = p_run_id and state = 'waiting') < v_ahead
  then
    perform sync.add_parts(p_run_id, 1000);
  end if;
  v_waiting := v_waiting || sync.queue_parts(v_run, v_ahead - cardinality(v_waiting));
  select not (r.has_more_parts or exists (
    select 1 from sync.run_parts as p where p.run_id = r.id and (p.state = 'waiting'
      or (p.state = 'reading' and p.planned_pages < p.known_pages))))
  into v_is_rest from public.workspace_sync_runs as r where r.id = p_run_id;
  update public.workspace_sync_runs set window_turn = case when not v_is_rest then coalesce(
    v_waiting[greatest(1, cardinality(v_waiting) - v_run.max_concurrency - v_ahead / 2)], 0) end
  where id = p_run_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_children(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand;
  v_part sync.run_parts;
  v_run public.workspace_sync_runs;
begin
  for v_page in
    select p.* from unnest(p_pages) as p
    join public.sync_streams as st on st.id = p.stream_id
      and st.completeness in ('chained', 'agreed')
    where p.kind = 'page' and p.ends is false and p.next is not null order by p.turn
  loop
    select * into v_part from sync.run_parts
    where id = v_page.part_id and state = 'reading' and known_pages = v_page.page;
    if found then
      select * into strict v_run from public.workspace_sync_runs where id = v_page.run_id;
      perform sync.plan_rest_of_part(v_part, v_run,
        v_page.page + case when v_page.is_past_pages then 0 else 1 end, v_page.next)
      where v_run.ending is null;
    end if;
  end loop;
  perform sync.cancel_part(p, 'a page is gone: the list is read again')
  from sync.run_parts as p
  where p.id in (select x.part_id from unnest(p_pages) as x where x.refusal is not null);
  update sync.run_parts as p set known_pages = greatest(p.known_pages, said.last_page),
    step = coalesce(p.step, said.step)
  from (
    select x.part_id, max(x.last_page) as last_page, max(x.records) filter (
      where x.page = 1 and x.records between 1 and st.page_size - 1
        and sync.position_of(st) = 'offset') as step
    from unnest(p_pages) as x
    join public.sync_streams as st on st.id = x.stream_id
      and st.completeness not in ('chained', 'agreed')
    where x.reveals_pages and not exists (
        select 1 from sync.seen_pages as s
        where s.run_id = x.run_id and s.scan = x.scan and s.refusal is not null)
    group by x.part_id
  ) as said
  where p.id = said.part_id and p.state = 'reading';
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_children(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_takes_all boolean;
  v_parents bigint;
begin
  for v_run in
    select * from public.workspace_sync_runs where id = any (p_run_ids)
    order by id for no key update
  loop
    select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
    v_takes_all := sync.takes_all_parents(v_run, v_stream);
    if v_takes_all then
      execute sync.target_sql('select count(*) from %1$s as t where %2$s and t.deleted_at is null',
        (sync.parent_of(v_stream)).id)
      into v_parents using v_run.workspace_id, (sync.parent_of(v_stream)).id;
    else
      select count(*) into v_parents from sync.staged_items
      where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id
        and processed_at is null;
    end if;
    delete from sync.run_parts where run_id = v_run.id;
    update public.workspace_sync_runs set phase = 'parts', parts_total = v_parents, parts_ended = 0,
      parts_mark = null, has_more_parts = true, window_turn = 0,
      mark = case when not v_takes_all then 0 end, known_pages = 0, planned_pages = 0,
      progress_total = greatest(1, v_parents)
    where id = v_run.id returning * into v_run;
    perform sync.advance_children(v_run);
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.close_children(p_run_id bigint, p_warning text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_parts record;
  v_finding text;
  v_warning text := p_warning;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  select count(*) filter (where state in ('proven', 'unproven')) as lists,
    count(*) filter (where state = 'unproven') as unproven,
    sum(total) filter (where state = 'proven') as total,
    array_agg(parent_id order by id) filter (where state = 'unproven') as parent_ids,
    (array_agg(finding order by id) filter (where state = 'unproven'))[1] as finding
  into v_parts from sync.run_parts where run_id = p_run_id;
  v_finding := case
    when v_parts.unproven > 0 then format('%s of %s not read completely, below %s; the first: %s',
      v_parts.unproven, sync.counted(v_parts.lists, 'list was', 'lists were'),
      sync.some_of(v_parts.parent_ids), v_parts.finding)
    when v_parts.lists = 0 and v_run.mark is null and not exists (
      select 1 from public.sync_workspace_streams as s
      where s.workspace_id = v_run.workspace_id and s.stream_id = (sync.parent_of(v_stream)).id
        and s.last_complete_sync_at is not null)
    then format('there are no parents: %s was never synced completely', v_stream.parent_stream) end;
  if v_finding is null then
    v_warning := coalesce(sync.take_over_held(v_run, '{}'), v_warning);
  end if;
  update public.workspace_sync_runs set parts_total = v_parts.lists, parts_ended = v_parts.lists,
    progress_total = greatest(1, v_parts.lists), expected_total = v_parts.total, distinct_ids = (
      select count(distinct shown.id) from sync.run_parts as p
      join sync.seen_pages as s on s.run_id = p.run_id and s.scan = p.scan
      cross join unnest(s.record_ids) as shown (id)
      where p.run_id = p_run_id and p.state in ('proven', 'unproven')),
    warnings = warnings || case
      when v_warning is not null then array[v_warning]
      when deletions_waiting > 0 then array[format('%s of lists that became empty would be deleted: '
        'waiting for approve_deletions(%s), or a later run that finds them so too',
        sync.counted(deletions_waiting, 'row'), p_run_id)]
      else '{}' end
  where id = p_run_id;
  if v_run.mark is null then
    insert into public.sync_workspace_streams as s (workspace_id, stream_id, marks)
    select v_run.workspace_id, v_run.stream_id, jsonb_build_object('of',
      sync.feed_identity(w, v_stream), 'all_parents_at', v_run.started_at)
    from public.sync_workspaces as w where w.id = v_run.workspace_id and v_parts.lists > 0
    on conflict (workspace_id, stream_id) do update set marks = s.marks || excluded.marks;
    -- What is still staged of those that had no list is deleted.
    update sync.staged_items as s set processed_at = sync.now()
    where s.workspace_id = v_run.workspace_id and s.stream_id = v_run.stream_id
      and s.processed_at is null and s.staged_at <= v_run.started_at and not exists (
        select 1 from sync.run_parts as p
        where p.run_id = p_run_id and p.parent_id = s.record_id);
  end if;
  delete from sync.record_parents as b
  where b.workspace_id = v_run.workspace_id and b.stream_id = v_run.stream_id
    and b.missed_scans > 1 and not exists (
      select 1 from sync.missing_records as m
      where m.workspace_id = b.workspace_id and m.stream_id = b.stream_id
        and m.record_id = b.record_id);
  perform sync.close_run(p_run_id, case when v_finding is null then 'completed' else 'partial' end,
    v_finding);
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_children(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_finding text;
  v_gone_parents text[];
  v_gone text[];
  v_asked record;
  v_run public.workspace_sync_runs := p_run;
begin
  if p_run.phase = 'confirm' then
    v_finding := sync.judge_confirmations(p_run);
    if v_finding is null or not sync.reject_below(p_run, v_finding) then
      perform sync.close_children(p_run.id, sync.delete_confirmed(p_run.id));
      return;
    end if;
  end if;
  loop
    perform sync.plan_parts(p_run.id);
    if sync.refill_slots(p_run.id) > 0 then
      return;
    end if;
    select * into strict v_run from public.workspace_sync_runs where id = p_run.id;
    exit when v_run.window_turn is null;
  end loop;
  v_gone_parents := sync.miss_in_lists(v_run);
  perform sync.remember_emptied(v_run);
  perform sync.miss_children(v_run);
  perform sync.revive_shown(v_run, array(
    select scan from sync.run_parts where run_id = v_run.id and state = 'proven'));
  v_gone := sync.gone_ids(v_run);
  perform sync.miss_deleted(v_run, v_gone);
  v_asked := sync.ask_missing(v_run, v_gone || sync.gone_below(v_run, v_gone_parents));
  if v_asked.o_ids is null then
    perform sync.close_children(v_run.id, v_asked.o_warning);
  else
    update public.workspace_sync_runs set phase = 'confirm' where id = v_run.id;
    perform sync.ask_below(v_run, v_asked.o_ids);
    perform sync.refill_slots(v_run.id);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_connection(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.begin_phase(p_run_ids, 'connect');
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_connection(p_page sync.page_in_hand, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_stream public.sync_streams;
  v_owner_id text;
begin
  select * into strict v_stream from public.sync_streams
  where source_id = p_source.id and completeness = 'connection';
  v_owner_id := sync.trim_blanks(p_page.answer #>> v_stream.id_path);
  -- What could be anybody's tells two owners apart as little as nothing does.
  if (v_owner_id <> '' and jsonb_typeof(p_page.answer #> v_stream.id_path) in ('string', 'number')
    and (p_page.is_mended and strpos(v_owner_id, chr(65533)) > 0) is not true) is not true then
    perform sync.refuse_shape(format('the answer does not tell whose key it is at %s: there is %s',
      array_to_string(v_stream.id_path, '.'),
      coalesce(sync.shown(p_page.answer #> v_stream.id_path), 'nothing')),
      'declare_stream() says where the id of a key''s owner stands, a text or a number.');
  end if;
  v_page.key_owner := jsonb_build_object('id', v_owner_id, 'name',
    p_page.answer #>> v_stream.name_path);
  v_page.answer := '[]';
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.note_key_owners(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_said record;
  v_is_taken boolean;
begin
  perform 1 from public.sync_workspaces where id in (
    select p.workspace_id from unnest(p_pages) as p where p.kind = 'connection'
      and (p.verdict).outcome = 'completed')
  order by id for no key update;
  -- In the order of the owners: two calls that name the same ones do not wait for each other.
  for v_said in
    select p.workspace_id, r.access_revision, p.key_owner ->> 'id' as owner_id,
      concat_ws(' ', p.key_owner ->> 'id', '(' || (p.key_owner ->> 'name') || ')') as owner
    from unnest(p_pages) as p
    join public.workspace_sync_runs as r on r.id = p.run_id and r.scan = p.scan
    where p.kind = 'connection' and (p.verdict).outcome = 'completed'
    order by p.key_owner ->> 'id', p.workspace_id
  loop
    begin
      v_is_taken := false;
      update public.sync_workspaces as w set
        key_owner = v_said.owner, key_owner_id = v_said.owner_id, key_checked_at = sync.now(),
        external_id = coalesce(w.external_id, v_said.owner_id),
        is_external_id_found = w.is_external_id_found or w.external_id is null,
        key_status = case when w.external_id <> v_said.owner_id then 'other_workspace'
        else 'accepted' end
      where w.id = v_said.workspace_id and w.access_revision = v_said.access_revision;
    exception when unique_violation or sqlstate 'SY019' then
      v_is_taken := true;
    end;
    update public.sync_workspaces as w set
      key_owner = v_said.owner, key_owner_id = v_said.owner_id, key_checked_at = sync.now(),
      key_status = 'other_workspace'
    where v_is_taken and w.id = v_said.workspace_id
      and w.access_revision = v_said.access_revision;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_connection(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_workspace public.sync_workspaces;
begin
  select * into strict v_workspace from public.sync_workspaces where id = p_run.workspace_id;
  if v_workspace.key_status = 'other_workspace' then
    update public.workspace_sync_runs
    set error_message = format('its key belongs to workspace %s, %s. rotate_workspace_key() gives '
      'it its own.', v_workspace.key_owner, coalesce('not to ' || v_workspace.external_id, (
        select format('which is registered as %L', x.workspace_name)
        from public.sync_workspaces as x
        where x.source_id = v_workspace.source_id and x.removed_at is null
          and x.instance = v_workspace.instance and x.external_id = v_workspace.key_owner_id),
        'not to this one'))
    where id = p_run.id;
    perform sync.close_run(p_run.id, 'failed', null);
  elsif exists (select 1 from public.sync_streams
    where id = p_run.stream_id and completeness = 'connection') then
    perform sync.close_run(p_run.id, 'completed', null);
  else
    perform sync.begin_kinds(array[p_run.id]);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_single(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.begin_phase(p_run_ids, 'scan');
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_single(p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  if jsonb_typeof(v_page.answer) = 'object' then
    v_page.answer := jsonb_build_array(v_page.answer);
  end if;
  perform sync.require_records(v_page, p_stream);
  v_page.last_page := 1;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.sum_up_answer(p_run_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_distinct_ids bigint;
begin
  select count(distinct shown.id) into v_distinct_ids
  from public.workspace_sync_runs as r
  join sync.seen_pages as s on s.run_id = r.id and s.scan = r.scan
  left join lateral unnest(s.record_ids) as shown (id) on true
  where r.id = p_run_id having count(s.page) > 0;
  update public.workspace_sync_runs
  set expected_total = v_distinct_ids, distinct_ids = v_distinct_ids where id = p_run_id;
  return v_distinct_ids is not null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_single(p_run public.workspace_sync_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_finding text := case
    when p_run.phase = 'confirm' then sync.judge_confirmations(p_run)
    when not sync.sum_up_answer(p_run.id) then 'no answer was read' end;
begin
  if v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding);
  elsif p_run.phase = 'scan' then
    perform sync.begin_confirmations(p_run.id);
  else
    perform sync.close_run(p_run.id, 'completed', sync.delete_confirmed(p_run.id));
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_kinds(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'on'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_counted bigint[];
  v_listed bigint[];
  v_feed bigint[];
  v_items bigint[];
  v_single bigint[];
  v_children bigint[];
begin
  -- Each is looked up by its key: a join of tables that were just filled may compare all with all.
  select array_agg(given.id order by given.id) filter (where k.kind = 'counted'),
    array_agg(given.id order by given.id) filter (where k.kind in ('chained', 'agreed')),
    array_agg(given.id order by given.id) filter (where k.kind = 'feed'),
    array_agg(given.id order by given.id) filter (where k.kind = 'items'),
    array_agg(given.id order by given.id) filter (where k.kind = 'single'),
    array_agg(given.id order by given.id) filter (where k.kind = 'children')
  into v_counted, v_listed, v_feed, v_items, v_single, v_children
  from unnest(p_run_ids) as given (id)
  cross join lateral (
    select case when sync.has_parts(st) then 'children' else st.completeness end as kind
    from public.workspace_sync_runs as r
    join public.sync_streams as st on st.id = r.stream_id
    where r.id = given.id offset 0
  ) as k;
  if v_counted is not null then
    perform sync.begin_counted(v_counted);
  end if;
  if v_listed is not null then
    perform sync.begin_listed(v_listed);
  end if;
  if v_feed is not null then
    perform sync.begin_feed(v_feed);
  end if;
  if v_items is not null then
    perform sync.begin_items(v_items);
  end if;
  if v_single is not null then
    perform sync.begin_single(v_single);
  end if;
  if v_children is not null then
    perform sync.begin_children(v_children);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_runs(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'on'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_wait bigint[];
  v_connect bigint[];
  v_go bigint[];
begin
  perform sync.forget_what_says_nothing(p_run_ids);
  -- Each is looked up by its key: a join of tables that were just filled may compare all with all.
  select array_agg(id) filter (where first = 'parent'),
    array_agg(id order by id) filter (where first = 'connect'),
    array_agg(id order by id) filter (where first = 'kind')
  into v_wait, v_connect, v_go
  from unnest(p_run_ids) as given (id)
  cross join lateral (
    select case
      when sync.live_parent_of(r) is not null then 'parent'
      when st.completeness = 'connection'
        or (w.key_status <> 'accepted' and sync.connection_path(st.source_id) is not null)
        then 'connect'
      else 'kind' end as first
    from public.workspace_sync_runs as r
    join public.sync_streams as st on st.id = r.stream_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    where r.id = given.id offset 0
  ) as begins;
  update public.workspace_sync_runs as r
  set phase = 'parent', parent_run_id = sync.live_parent_of(r) where id = any (v_wait);
  if v_connect is not null then
    perform sync.begin_connection(v_connect);
  end if;
  if v_go is not null then
    perform sync.begin_kinds(v_go);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_page(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_has_rules constant boolean := p_stream.class_rules <> '[]' or p_source.class_rules <> '[]';
  v_class text;
  v_is_guess boolean := coalesce(p_page.reading ?| '{guess,beside}', false);
begin
  if p_page.http_status = 304 then
    v_page := sync.read_unchanged(p_page, p_stream, p_source);
    v_page.reveals_pages := coalesce(v_page.reveals_pages,
      (v_page.last_page <= v_page.known_pages) is not true);
    v_page.body := null;
    return v_page;
  end if;
  if p_page.http_status not between 200 and 299 then
    if v_has_rules then
      v_page.answer := sync.json_or_null(p_page.body);
      v_class := sync.content_class(v_page, p_stream, p_source);
      perform sync.require_page(v_class, v_page, p_source);
    end if;
    if p_page.http_status in (400, 404, 422) and (v_is_guess or v_class is distinct from 'page')
      and sync.may_be_gone(p_stream, p_page.kind, p_page.page, p_page.reading) then
      -- A proxy's page says nothing of where a list ends.
      perform sync.read_json(p_page) where btrim(p_page.body) <> ''
        and (p_page.http_status <> 422 or p_stream.cursor_params is null);
      v_page := case when v_is_guess then sync.read_past_end(p_page, p_stream)
        else sync.read_refused(p_page, p_source) end;
      v_page.is_past_pages := v_page.is_past_pages or p_stream.completeness = 'feed'
        and not v_is_guess;
      v_page.answer := '[]';
      v_page.body := null;
      return v_page;
    end if;
    -- Before class_rules: that a record is gone no rule about lists can say.
    if p_page.kind in ('confirmation', 'item') and p_page.http_status in (404, 410) then
      perform sync.require_own_error(p_page, p_source);
    elsif v_class = 'page' then
      null;
    elsif (p_page.kind = 'page' and p_page.page > 1 and p_page.http_status = 422
        and p_stream.cursor_params is not null) is not true then
      perform sync.refuse_shape(format('a page with status %s has no records', p_page.http_status),
        'The status classes of its stream should not call it a page.');
    end if;
    v_page.answer := '[]';
    v_page.is_past_pages := p_page.kind = 'page';
    v_page.reveals_pages := v_page.is_past_pages;
    v_page.body := null;
    return v_page;
  end if;
  if v_has_rules and p_page.body !~ '^[[:space:]]*[{[]' then
    perform sync.require_page(sync.content_class(v_page, p_stream, p_source), v_page, p_source);
  end if;
  v_page := sync.read_json(p_page);
  if v_has_rules then
    perform sync.require_page(sync.content_class(v_page, p_stream, p_source), v_page, p_source);
  end if;
  if v_page.answer #> p_source.success_path = 'false'::jsonb then
    raise exception using errcode = 'SY013',
      message = format('the API answers %s and reports a failure: %s', p_page.http_status,
        coalesce(sync.foreign_text(v_page.answer #>> p_source.message_path,
        sync.workspace_secret(v_page.workspace_id)), 'it says no more')),
      hint = 'It is tried again; if it stays, ask the API''s operator.';
  end if;
  v_page := case
    when p_page.kind = 'connection' then sync.read_connection(v_page, p_source)
    when p_page.kind = 'confirmation' then sync.read_confirmation(v_page, p_stream)
    when p_stream.completeness = 'counted' then sync.read_counted(v_page, p_stream)
    when p_stream.completeness in ('chained', 'agreed')
    then sync.read_listed(v_page, p_stream, p_source)
    when p_stream.completeness = 'feed' then sync.read_feed(v_page, p_stream, p_source)
    when p_stream.completeness = 'single' then sync.read_single(v_page, p_stream)
    else sync.read_items(v_page) end;
  if p_stream.drop_paths <> '[]' then
    v_page.answer := sync.without_paths(v_page, p_stream.drop_paths);
  end if;
  v_page.records := jsonb_array_length(v_page.answer);
  if p_stream.conditional and p_page.kind = 'page' then
    v_page.condition := jsonb_build_object('key', sync.request_key_of(p_page, p_stream, p_source),
      'said', sync.said_by(v_page, p_page));
  end if;
  v_page.reveals_pages := coalesce(v_page.reveals_pages, v_page.kind = 'page'
    and (v_page.last_page <= v_page.known_pages) is not true);
  -- It is in the answer now; every statement over the pages would copy it.
  v_page.body := null;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_pages(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand;
  v_stream public.sync_streams;
  v_source public.sync_sources;
  v_read sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  foreach v_page in array p_pages loop
    if v_stream.id is distinct from v_page.stream_id then
      select * into strict v_stream from public.sync_streams where id = v_page.stream_id;
      select * into strict v_source from public.sync_sources where id = v_stream.source_id;
    end if;
    v_read := v_read || sync.read_page(v_page, v_stream, v_source);
  end loop;
  return v_read;
end; $function$;

CREATE OR REPLACE FUNCTION sync.plan_revealed(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_kinds text[] := array(
    select distinct case when p.part_id is not null then 'children' else st.completeness end
    from unnest(p_pages) as p join public.sync_streams as st on st.id = p.stream_id);
  v_kind text;
  v_pages sync.page_in_hand[];
begin
  foreach v_kind in array v_kinds loop
    v_pages := array(
      select p from unnest(p_pages) as p
      join public.sync_streams as st on st.id = p.stream_id
        and case when p.part_id is not null then 'children' else st.completeness end = v_kind
      order by p.turn);
    case v_kind
      when 'counted', 'single' then perform sync.plan_counted(v_pages);
      when 'chained' then perform sync.plan_listed(v_pages);
      when 'agreed' then perform sync.plan_listed(v_pages);
      when 'feed' then perform sync.plan_feed(v_pages);
      when 'items' then perform sync.plan_items(v_pages);
      when 'children' then perform sync.plan_children(v_pages);
      else null;
    end case;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_run(p_run_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'auto'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_completeness text;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select completeness into strict v_completeness from public.sync_streams
  where id = v_run.stream_id;
  if v_run.ending is not null then
    perform sync.close_run(p_run_id,
      case v_run.ending when 'timeout' then 'partial' else v_run.ending end,
      case v_run.ending when 'timeout' then 'time ran out' end);
  elsif exists (
    select 1 from public.chunk_processing_queue as q
    join public.chunked_sync_jobs as c on c.id = q.id
    where q.run_id = p_run_id and q.status = 'failed' and (c.kind in ('connection', 'cursor')
      or (c.kind = 'page' and v_run.parts_total is null))
  ) then
    perform sync.close_run(p_run_id, 'failed', null);
  elsif v_run.phase = 'connect' then
    perform sync.advance_connection(v_run);
  elsif v_run.phase = 'parent' then
    perform sync.begin_runs(array[p_run_id]) where not exists (
      select 1 from public.workspace_sync_runs
      where id = v_run.parent_run_id and (status = 'running') is true);
  elsif v_run.phase = 'items' then
    perform sync.advance_items(v_run);
  elsif v_run.parts_total is not null then
    perform sync.advance_children(v_run);
  else
    case v_completeness
      when 'chained' then perform sync.advance_chained(v_run);
      when 'agreed' then perform sync.advance_agreed(v_run);
      when 'feed' then perform sync.advance_feed(v_run);
      when 'single' then perform sync.advance_single(v_run);
      else perform sync.advance_counted(v_run);
    end case;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.shape_of(p_value jsonb, p_depth integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case
    when jsonb_typeof(p_value) = 'object' and p_depth > 0 then (
      select coalesce(jsonb_object_agg(left(f.key, 100), sync.shape_of(f.value, p_depth - 1)), '{}')
      from (select e.key, e.value from jsonb_each(p_value) as e limit 50) as f)
    when jsonb_typeof(p_value) = 'array'
    then to_jsonb(format('list of %s', jsonb_array_length(p_value)))
    else to_jsonb(jsonb_typeof(p_value)) end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fields_of(p_records jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('field', f.field, 'types', f.types) order by f.field),
    '[]')
  from (
    select left(e.key, 200) as field, jsonb_agg(distinct jsonb_typeof(e.value)) as types
    from jsonb_array_elements(p_records) as r (record)
    cross join lateral jsonb_each(case when jsonb_typeof(r.record) = 'object' then r.record
      else '{}' end) as e
    group by 1 order by 1 limit 500
  ) as f;
$function$;

CREATE OR REPLACE FUNCTION sync.tried_ids(p_records jsonb, p_stream public.sync_streams)
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(array_agg(left(r.record #>> p_stream.id_path, 500) order by r.n), '{}')
  from jsonb_array_elements(p_records) with ordinality as r (record, n);
$function$;

CREATE OR REPLACE FUNCTION sync.complaints_of_page(p_page sync.page_in_hand, p_stream public.sync_streams, p_shown jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_ids text[] := sync.tried_ids(p_page.answer, p_stream);
  v_count int := cardinality(v_ids);
  v_before text[] := array(select jsonb_array_elements_text(p_shown -> 'ids'));
  v_again int := (select count(*) from unnest(v_ids) as id where id = any (v_before));
  v_overlap int := coalesce((p_page.reading ->> 'overlap')::int, 0);
  v_position text := sync.position_of(p_stream);
  v_is_down boolean := p_stream.order_direction = 'desc';
  -- Whether that is known, and not only asked for.
  v_follows boolean := (p_page.next is not null and not p_page.next ? 'guess')
    or p_page.last_page > p_page.page or p_page.total > v_count;
  v_times record;
  v_ties bigint;
begin
  select count(*) as records, count(r.record #>> p_stream.updated_at_path) as given,
    count(sync.record_time(r.record, p_stream)) as read,
    min(r.record #>> p_stream.updated_at_path)
      filter (where sync.record_time(r.record, p_stream) is null) as unread
  into v_times from jsonb_array_elements(p_page.answer) as r (record);
  v_ties := v_count - (select count(distinct r.record #> p_stream.order_path)
    from jsonb_array_elements(p_page.answer) as r (record));
  return (
    select coalesce(jsonb_agg(jsonb_build_object('what', c.what, 'says', c.says) order by c.n), '[]')
    from (values
      (1, 'repeats', p_page.page > 1 and v_count > v_overlap and v_again = v_count,
        format('page %s repeats page 1: the same %s', p_page.page,
        sync.counted(v_count, 'record'))),
      (2, 'ids', p_page.page > 1 and v_again < v_count and v_again > v_overlap, format(
        '%s of page %s were on page 1 already', sync.counted(v_again, 'id'), p_page.page)),
      (3, 'ids', (select count(distinct id) < count(id) from unnest(v_ids) as id),
        'ids repeat on one page'),
      (8, 'answer', p_page.refusal is not null, p_page.refusal),
      (4, 'order', p_page.disorder is not null,
        'the order does not hold: ' || p_page.disorder),
      (5, 'order', p_page.page > 1 and v_again < v_count and case
          when v_is_down then p_page.first_key > (p_shown ->> 'first_key')::numeric
            or convert_to(p_page.first_text, 'UTF8')
              > convert_to(p_shown ->> 'first_text', 'UTF8')
          else p_page.first_key < (p_shown ->> 'first_key')::numeric
            or convert_to(p_page.first_text, 'UTF8')
              < convert_to(p_shown ->> 'first_text', 'UTF8') end,
        format('the order does not hold: page %s begins before page 1 does', p_page.page)),
      (6, 'gap', p_page.page > 1 and v_count > 0 and v_overlap > 0 and v_again = 0,
        format('page %s shares no record with page 1, and was asked to begin %s before its end',
        p_page.page, sync.counted(v_overlap, 'record'))),
      (7, 'ties', v_ties > 0 and p_stream.completeness = 'chained' and v_position <> 'last'
          and p_stream.cursor_is is null, format(
        '%s of page %s share their place in the order with another',
        sync.counted(v_ties, 'record'), p_page.page)),
      (9, 'next', p_page.page = 1 and v_position in ('next', 'url', 'link')
          and v_count >= p_stream.page_size and p_page.ends,
        format('page 1 is full and nothing says what comes next: %s would be all there are',
        sync.counted(v_count, 'record'))),
      (10, 'short', p_page.page = 1 and v_count between 1 and p_stream.page_size - 1 and v_follows,
        format('page 1 has %s, page_size is %s, and there are more',
        sync.counted(v_count, 'record'), p_stream.page_size)),
      (11, 'short', p_page.page > 1 and p_page.reading ? 'guess' and v_again < v_count
          and (p_shown ->> 'records')::int < p_stream.page_size,
        format('page 1 has %s, page_size is %s, and page %s has more',
        sync.counted((p_shown ->> 'records')::int, 'record'), p_stream.page_size, p_page.page)),
      (12, 'long', v_count > p_stream.page_size, format('page %s has %s, page_size is %s',
        p_page.page, sync.counted(v_count, 'record'), p_stream.page_size)),
      (13, 'times', v_times.read < v_times.given, format(
        'times cannot be read: updated_at_path leads to %s, and time_format is %s',
        sync.shown(to_jsonb(v_times.unread)), p_stream.time_format)),
      (14, 'times', p_stream.updated_at_path is not null and v_count > 0 and v_times.given = 0,
        'times cannot be read: no record has anything at updated_at_path')
    ) as c (n, what, is_so, says)
    where c.is_so);
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_try(p_page sync.page_in_hand, p_stream public.sync_streams, p_source public.sync_sources)
 RETURNS sync.tried_answer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_tried sync.tried_answer;
  v_message text;
  v_hint text;
  v_records jsonb;
begin
  v_tried.page := p_page;
  v_tried.complaints := '[]'::jsonb;
  begin
    v_tried.shape := sync.shape_of((sync.read_json(p_page)).answer, 2);
    v_tried.page := sync.read_page(p_page, p_stream, p_source);
  exception when others then
    if sync.is_own_trouble(sqlstate) then
      raise;
    end if;
    get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
    v_tried.page.verdict.code := sqlstate;
    v_message := case when v_tried.shape is null and sqlstate ~ '^22' then 'the body is not JSON'
      else sync.mask_workspace_key(v_message, p_page.workspace_id) end;
    v_tried.complaints := jsonb_build_array(jsonb_build_object('what', 'answer', 'says',
      concat_ws('. ', rtrim(v_message, '.'), nullif(v_hint, ''))));
    v_records := case when v_tried.shape is not null then sync.json_or_null(p_page.body)
      #> p_stream.records_path end;
    v_tried.page.answer := case when jsonb_typeof(v_records) = 'array' then v_records
      else '[]'::jsonb end;
    v_tried.page.body := null;
  end;
  return v_tried;
end; $function$;

CREATE OR REPLACE FUNCTION sync.next_of_try(p_try sync.stream_tries, p_page sync.page_in_hand, p_stream public.sync_streams, OUT o_kind text, OUT o_page integer, OUT o_record_id text, OUT o_reading jsonb)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_count int := jsonb_array_length(p_page.answer);
begin
  if p_try.kind = 'page' and p_try.page = 1 and v_count > 0 and (p_page.next is not null
    or sync.position_of(p_stream) in ('page', 'offset') and p_page.ends is not true
      and coalesce(p_page.last_page > 1, p_page.total > v_count, v_count >= p_stream.page_size))
  then
    o_kind := 'page';
    o_page := 2;
    o_reading := p_page.next;
  elsif p_try.kind = 'page' and p_stream.item_path is not null
    and coalesce(p_try.shown #>> '{ids,0}', p_page.answer -> 0 #>> p_stream.id_path) is not null
  then
    o_kind := 'confirmation';
    o_record_id := coalesce(p_try.shown #>> '{ids,0}', p_page.answer -> 0 #>> p_stream.id_path);
    o_reading := case when p_try.reading ? 'parent'
      then jsonb_build_object('parent', p_try.reading -> 'parent') end;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.step_of(p_try sync.stream_tries, p_page sync.page_in_hand, p_stream public.sync_streams, p_shape jsonb, p_complaints jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_ids text[] := sync.tried_ids(p_page.answer, p_stream);
begin
  return jsonb_build_object(
    'step', case p_try.kind when 'page' then 'page ' || p_try.page else 'item' end,
    'request', p_try.request, 'status', p_page.http_status, 'duration_ms', p_page.duration_ms,
    'shape', p_shape, 'records', cardinality(v_ids), 'first_ids', to_jsonb(v_ids[:5]),
    'last_id', v_ids[cardinality(v_ids)], 'total', p_page.total, 'last_page', p_page.last_page,
    'next', p_page.next, 'ends', p_page.ends, 'complaints', p_complaints);
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_again(p_run_id bigint, p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.cancel_pending(p_run_id, p_reason);
  perform sync.forget_unaccepted(p_run_id);
  update public.workspace_sync_runs as r
  set scan = greatest(scan, last_part_scan) + 1,
    begun_again = begun_again + greatest(scan, last_part_scan) + 1 - scan, mark = null,
    needed_pages = null, parts_total = null, parts_ended = null, window_turn = null,
    reading = null, sound_scan = null, is_full_scan = true,
    stream_revision = st.revision, warnings = warnings || p_reason,
    access_revision = w.access_revision
  from public.sync_workspaces as w, public.sync_streams as st
  where r.id = p_run_id and w.id = r.workspace_id and st.id = r.stream_id;
  perform sync.begin_runs(array[p_run_id]);
end; $function$;

CREATE OR REPLACE FUNCTION sync.begin_again_if_outdated(p_run_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_found record;
begin
  select r.workspace_id, r.stream_id, r.phase, sync.is_outdated(r, w, st) as is_outdated, case
      when r.stream_revision <> st.revision then 'its stream was declared anew'
      when sync.connection_path(w.source_id) is null then 'its workspace has another key or URL'
      else 'it had to be asked whose key it is' end as why_again, case
      when w.removed_at is not null then 'its workspace was removed'
      when w.source_id <> st.source_id then 'its workspace moved to another source' end as why_ended
  into v_found
  from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.sync_streams as st on st.id = r.stream_id
  -- A plain comparison would offer the planner to look through all that is live.
  where r.id = p_run_id and (r.status = 'running') is true and r.ending is null;
  if v_found.is_outdated is not true then
    return;
  end if;
  perform sync.forget_missing(v_found.workspace_id, v_found.stream_id);
  if v_found.why_ended is not null then
    perform sync.end_run_early(p_run_id, 'cancelled', v_found.why_ended);
    perform sync.cancel_pending(p_run_id, v_found.why_ended);
  elsif v_found.phase = 'parent' then
    update public.workspace_sync_runs as r
    set access_revision = w.access_revision, stream_revision = st.revision
    from public.sync_workspaces as w, public.sync_streams as st
    where r.id = p_run_id and w.id = r.workspace_id and st.id = r.stream_id;
  else
    perform sync.begin_again(p_run_id, 'begun again: ' || v_found.why_again);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.decide_failures(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand;
  v_decided sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  foreach v_page in array p_pages loop
    if not (v_page.verdict).is_repeat and (v_page.verdict).outcome = 'retry' then
      if not sync.is_own_trouble(coalesce((v_page.verdict).code, '')) then
        v_page.postponements := 0;
        v_page.postponed_since := null;
      end if;
      if (v_page.verdict).is_permanent or v_page.attempts + 1 >= v_page.max_attempts then
        v_page.verdict.outcome := 'failed';
      else
        v_page.verdict.wait := coalesce((v_page.verdict).wait, random() * make_interval(
          secs => least(sync.setting('retry_cap_seconds'),
          sync.setting('retry_base_seconds') * 2 ^ least(v_page.attempts, 20))::double precision));
      end if;
    end if;
    v_decided := v_decided || v_page;
  end loop;
  return v_decided;
end; $function$;

CREATE OR REPLACE FUNCTION sync.end_or_delay(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
begin
  with written as (
    update public.chunk_processing_queue as q set
      status = case when (p.verdict).outcome in ('completed', 'failed', 'cancelled')
        then (p.verdict).outcome else 'pending' end,
      slot = case when (p.verdict).outcome in ('completed', 'failed', 'cancelled') then null
      else q.slot end,
      completed_at = case when (p.verdict).outcome in ('completed', 'failed', 'cancelled')
        then v_now end,
      attempts = case when (p.verdict).outcome in ('retry', 'failed')
        then coalesce(p.attempts + 1, q.attempts) else q.attempts end,
      postponements = coalesce(p.postponements, 0), postponed_since = p.postponed_since,
      ready_seq = case when (p.verdict).outcome = 'released'
        then coalesce(q.turn, nextval('sync.ready_seq')) end,
      turn = case when (p.verdict).outcome = 'delayed' then q.turn end,
      next_retry_at = case when (p.verdict).outcome in ('retry', 'delayed', 'postponed')
        then v_now + (p.verdict).wait end,
      lease_expires_at = null,
      error_message = coalesce((p.verdict).message,
      case when (p.verdict).outcome = 'completed' then null else q.error_message end)
    from unnest(p_pages) as p
    where q.id = p.queue_id
  ), events as (
    insert into public.chunk_events (chunk_id, run_id, event, occurred_at, lease_token, worker_id,
      details)
    select p.queue_id, p.run_id, (p.verdict).outcome, v_now, p.lease_token, p.worker_id,
      jsonb_strip_nulls(jsonb_build_object(
      'records', p.records, 'changed', p.changed, 'total', p.total, 'duration_ms', p.duration_ms,
      'http_status', p.http_status,
      'code', (p.verdict).code, 'message', (p.verdict).message, 'attempt',
      case when (p.verdict).outcome in ('retry', 'failed') then p.attempts + 1 end,
      'for_ms', ceil(extract(epoch from (p.verdict).wait) * 1000)))
    from unnest(p_pages) as p
  )
  insert into sync.run_counters as c (run_id, slot, completed, failed, cancelled, records, changed,
    pages)
  select p.run_id, p.slot, count(*) filter (where (p.verdict).outcome = 'completed'),
    count(*) filter (where (p.verdict).outcome = 'failed'),
    count(*) filter (where (p.verdict).outcome = 'cancelled'), coalesce(sum(p.records), 0),
    coalesce(sum(p.changed), 0),
    count(*) filter (where (p.verdict).outcome = 'completed' and p.kind in ('page', 'cursor'))
  from unnest(p_pages) as p where (p.verdict).outcome in ('completed', 'failed', 'cancelled')
  group by p.run_id, p.slot order by p.run_id, p.slot
  on conflict (run_id, slot) do update set
    completed = c.completed + excluded.completed, failed = c.failed + excluded.failed,
    cancelled = c.cancelled + excluded.cancelled,
    records = c.records + excluded.records, changed = c.changed + excluded.changed,
    pages = c.pages + excluded.pages;
end; $function$;

CREATE OR REPLACE FUNCTION sync.pass_slots(p_pages sync.page_in_hand[])
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_short bigint[];
begin
  with freed as (
    select p.run_id, array_agg(p.slot) as slots, min(p.queue_id) as floor
    from unnest(p_pages) as p where (p.verdict).outcome in ('completed', 'failed', 'cancelled')
    group by p.run_id
  ), picked as materialized (
    -- On its own: a plan that looked once per updated row would give each of them the first slot.
    select w.id, f.slots[w.turn] as slot, r.is_paused from freed as f
    join public.workspace_sync_runs as r on r.id = f.run_id and r.ending is null
    cross join lateral (
      select next.id, row_number() over () as turn from (
        select x.id from public.chunk_processing_queue as x
        where x.run_id = f.run_id and (x.run_id, x.id) > (f.run_id, f.floor)
          and x.status = 'pending' and x.slot is null
        order by x.run_id, x.id limit cardinality(f.slots) for no key update skip locked
      ) as next
    ) as w
  ), promoted as (
    update public.chunk_processing_queue as q set
      slot = w.slot,
      ready_seq = case when w.is_paused then null else nextval('sync.ready_seq') end,
      next_retry_at = case when w.is_paused then 'infinity'::timestamptz end
    from picked as w
    where q.id = w.id
    returning q.run_id
  )
  select coalesce(array_agg(f.run_id), '{}') into v_short from freed as f
  where cardinality(f.slots) > (select count(*) from promoted as p where p.run_id = f.run_id);
  return v_short;
end; $function$;

CREATE OR REPLACE FUNCTION sync.warn_of_unfit(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.workspace_sync_runs as r set warnings = r.warnings || said.warnings
  from (
    select run.id, array_agg(found.about || found.record_id order by found.about) as warnings
    from (
      select distinct on (p.run_id, about) p.run_id, about, u.value as record_id
      from unnest(p_pages) as p
      cross join jsonb_each_text(p.unfit) as u
      cross join lateral (select case u.key
        when '' then 'characters that Postgres cannot store became U+FFFD, first in record '
        else format('values that do not fit column %s became null there, first of record ', u.key)
        end) as x (about)
      order by p.run_id, about, p.turn
    ) as found
    join public.workspace_sync_runs as run on run.id = found.run_id
    where not exists (
      select 1 from unnest(run.warnings) as w (text) where starts_with(w.text, found.about))
    group by run.id
  ) as said
  where r.id = said.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_runs(p_run_ids bigint[], p_seconds integer DEFAULT 5)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_run_id bigint;
  v_until timestamptz := sync.now() + make_interval(secs => p_seconds);
  v_is_in_time boolean;
begin
  foreach v_run_id in array array(select distinct id from unnest(p_run_ids) as id order by id) loop
    v_is_in_time := sync.now() < v_until
      and not sync.is_out_of_time();
    begin
      if not v_is_in_time then
        raise exception using errcode = 'query_canceled', message = 'the next sweep closes it: '
          'the call that ended its last chunk had no time left';
      end if;
      perform sync.begin_again_if_outdated(v_run_id);
      select * into strict v_run from public.workspace_sync_runs where id = v_run_id;
      if v_run.status = 'running' and v_run.ending is null then
        perform sync.plan_window(v_run_id);
        perform sync.plan_parts(v_run_id) where v_run.phase = 'parts';
        perform sync.refill_slots(v_run_id);
      elsif v_run.status = 'running' then
        perform sync.cancel_pending(v_run_id,
          coalesce(v_run.error_message, 'the run was ' || v_run.ending));
      end if;
      if v_run.status = 'running' and not sync.has_live_chunks(v_run_id) then
        perform sync.advance_run(v_run_id);
      end if;
      if v_run.status = 'running' and v_run.close_error is not null then
        update public.workspace_sync_runs set close_error = null, is_slow_to_close = false
        where id = v_run_id;
      end if;
    exception when query_canceled or assert_failure or others then
      if sqlstate = '57014' then
        perform sync.set_out_of_time();
      end if;
      -- A time limit goes off once: what waits after it would wait without an end.
      perform set_config('lock_timeout', '1s', true) where current_setting('lock_timeout') = '0';
      update public.workspace_sync_runs set close_error = sync.mask_secrets(sqlerrm),
        is_slow_to_close = is_slow_to_close or (sqlstate = '57014' and v_is_in_time)
      where id = v_run_id;
    end;
  end loop;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_runs_and_jobs(p_run_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.advance_runs(p_run_ids);
  perform sync.close_jobs(array(
    select distinct job_id from public.workspace_sync_runs
    where id = any (p_run_ids) and status <> 'running' order by job_id));
end; $function$;

CREATE OR REPLACE FUNCTION sync.settle_chunks(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_pages sync.page_in_hand[] := sync.decide_failures(p_pages);
  v_ended sync.page_in_hand[] := array(select p from unnest(v_pages) as p
    where not (p.verdict).is_repeat and (p.verdict).outcome <> 'refused');
  v_item_ids bigint[];
  v_is_unfit boolean;
  v_is_connection boolean;
  v_is_about_keys boolean;
  v_run_ids bigint[];
begin
  if cardinality(v_ended) = 0 then
    return v_pages;
  end if;
  select coalesce(array_agg(p.queue_id)
      filter (where p.kind = 'item' and (p.verdict).outcome = 'completed'), '{}'),
    bool_or(p.unfit is not null), bool_or(p.kind = 'connection'),
    bool_or((p.access).is_rate_limited or (p.verdict).code = 'SY021' or p.http_status = 401
      or ((p.verdict).outcome = 'completed' and not (p.access).is_key_accepted))
  into v_item_ids, v_is_unfit, v_is_connection, v_is_about_keys
  from unnest(v_ended) as p;
  perform sync.end_or_delay(v_ended);
  v_run_ids := sync.pass_slots(v_ended) || array(
    select p.run_id from unnest(v_ended) as p
    where (p.verdict).outcome = 'cancelled'
      or ((p.verdict).outcome = 'failed' and (p.verdict).is_permanent
        and p.kind in ('connection', 'page', 'cursor'))
      or ((p.verdict).outcome in ('completed', 'failed') and p.uses_up_window)
      or ((p.verdict).outcome = 'completed' and (
        p.reveals_pages or p.kind = 'cursor' or p.unfit is not null)));
  if cardinality(v_item_ids) > 0 then
    v_run_ids := v_run_ids || array(
      select p.run_id from unnest(v_ended) as p
      join sync.joined_items(v_item_ids) as j on j.queue_id = p.queue_id);
  end if;
  if cardinality(v_run_ids) > 0 then
    -- With those that wait for them: whoever ends a run opens them, and another may hold them. By
    -- the index of parents: a plain comparison would offer to look through all that is live.
    perform 1 from public.workspace_sync_runs
      where id = any (v_run_ids || array(
        select c.id from public.workspace_sync_runs as c
        where c.parent_run_id = any (v_run_ids) and (c.status = 'running') is true))
      order by id for no key update;
    perform sync.end_run_early(f.run_id, 'failed', f.message) from (
      select p.run_id, (array_agg((p.verdict).message order by p.turn))[1] as message
      from unnest(v_ended) as p
      where (p.verdict).outcome = 'failed' and (p.verdict).is_permanent
        and p.kind in ('connection', 'page', 'cursor')
        and (p.part_id is null or p.http_status = 401)
      group by p.run_id
    ) as f;
    perform sync.plan_revealed(array(
      select p from unnest(v_ended) as p
      join public.workspace_sync_runs as r on r.id = p.run_id
        and (r.scan = p.scan or p.part_id is not null)
      where (p.verdict).outcome = 'completed' and p.run_id = any (v_run_ids)));
    if v_is_unfit then
      perform sync.warn_of_unfit(v_ended);
    end if;
    if v_is_connection then
      -- Jobs come before workspaces, and runs that end with what is found close theirs.
      perform 1 from public.polling_job_status where id in (
        select job_id from public.workspace_sync_runs where id = any (v_run_ids))
        order by id for no key update;
      perform sync.note_key_owners(v_ended);
    end if;
    perform sync.advance_runs_and_jobs(v_run_ids);
  end if;
  if v_is_about_keys then
    perform sync.learn_of_keys(v_ended);
  end if;
  return v_pages;
end; $function$;

CREATE OR REPLACE FUNCTION sync.learn_of_keys(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  -- A rate limit says nothing of a key, and its budget is held already: budgets come last.
  v_workspace_ids bigint[] := array(
    select p.workspace_id from unnest(p_pages) as p
    where ((p.verdict).outcome = 'completed' and not (p.access).is_key_accepted)
      or (p.http_status = 401 and (p.verdict).outcome <> 'delayed'));
begin
  if cardinality(v_workspace_ids) > 0 then
    perform 1 from public.sync_workspaces where id = any (v_workspace_ids)
      order by id for no key update;
    update public.sync_workspaces as w
    set key_status = said.key_status, key_checked_at = sync.now()
    from (
      select p.workspace_id, r.access_revision, case when bool_or((p.verdict).outcome = 'completed')
        then 'accepted' else 'refused' end as key_status
      from unnest(p_pages) as p join public.workspace_sync_runs as r on r.id = p.run_id
      where p.workspace_id = any (v_workspace_ids)
        and ((p.verdict).outcome = 'completed'
          or (p.http_status = 401 and (p.verdict).outcome <> 'delayed'))
      group by p.workspace_id, r.access_revision order by p.workspace_id, r.access_revision
    ) as said
    where w.id = said.workspace_id and w.access_revision = said.access_revision
      and w.key_status is distinct from said.key_status
      and (said.key_status = 'refused' or (w.key_status not in ('other_workspace', 'unreadable')
        and not sync.is_key_unproven(w)));
  end if;
  v_workspace_ids := array(
    select p.workspace_id from unnest(p_pages) as p where (p.verdict).code = 'SY021');
  if cardinality(v_workspace_ids) > 0 then
    perform 1 from public.sync_workspaces where id = any (v_workspace_ids)
      order by id for no key update;
    perform sync.learn_of_refusal(p.workspace_id, p.requested_at, (p.verdict).retry_after) from (
      select x.* from unnest(p_pages) as x
      join public.sync_workspaces as w on w.id = x.workspace_id
      where (x.verdict).code = 'SY021' and not (x.verdict).is_repeat
      order by w.budget_id, w.id, x.turn
    ) as p;
  end if;
  if exists (select 1 from unnest(p_pages) as p where (p.access).is_rate_limited) then
    perform sync.learn_of_answers(array_agg(p.queue_id)) from unnest(p_pages) as p
    where (p.verdict).outcome = 'completed' and not (p.verdict).is_repeat having count(*) > 0;
    perform sync.let_next_probe(array_agg(p.queue_id)) from unnest(p_pages) as p
    where (p.verdict).outcome not in ('completed', 'delayed') having count(*) > 0;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.read_token_answer(p_status integer, p_body text)
 RETURNS sync.token_answer
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_answer sync.token_answer;
  v_body jsonb := sync.json_object(p_body);
  v_seconds text := v_body ->> 'expires_in';
  v_code text;
begin
  v_answer.is_refusal := false;
  if p_status between 300 and 399 then
    v_answer.finding := format('HTTP %s, the token endpoint redirects', p_status);
    return v_answer;
  elsif v_body is null then
    v_answer.finding := format('HTTP %s, the token endpoint''s answer is no JSON object', p_status);
    return v_answer;
  end if;
  if p_status between 200 and 299 and jsonb_typeof(v_body -> 'access_token') = 'string'
    and v_body ->> 'access_token' ~ '^[\u0021-\u007e]+$' then
    v_answer.access_token := v_body ->> 'access_token';
    v_answer.refresh_token := case when jsonb_typeof(v_body -> 'refresh_token') = 'string'
      then nullif(v_body ->> 'refresh_token', '') end;
    v_answer.lifetime := case when v_seconds ~ '^[0-9]{1,9}(\.[0-9]{1,9})?$'
      and v_seconds::numeric > 0 then make_interval(secs => v_seconds::double precision) end;
    return v_answer;
  end if;
  select c.code into v_code from (values
    (v_body -> 'error'), (v_body #> '{error,code}'), (v_body #> '{error,type}'),
    (v_body #> '{error,status}'), (v_body -> 'status'), (v_body -> 'code'), (v_body -> 'type')
  ) as f (said)
  cross join lateral (select case when jsonb_typeof(f.said) = 'string'
    then lower(left(f.said #>> '{}', 60)) end) as c (code)
  where c.code ~ '^[a-z][a-z0-9_.-]*$'
  order by c.code ~ '^(invalid|bad|expired)_(grant|client|refresh_token)$' desc limit 1;
  v_answer.is_refusal := coalesce(p_status < 500 and p_status <> 429
    and v_code ~ '^((invalid|bad|expired)_(grant|client|refresh_token)|unauthorized_client)$',
    false);
  -- A code of ours to compare with is no part of a secret; any other may be.
  v_answer.finding := format('HTTP %s, %s', p_status, case when v_answer.is_refusal then v_code
    else 'the token endpoint gave no access token' end);
  v_answer.said := concat_ws(', ', case when not v_answer.is_refusal then v_code end,
    coalesce(v_body ->> 'error_description', v_body ->> 'message'));
  return v_answer;
end; $function$;

CREATE OR REPLACE FUNCTION sync.take_token(p_request sync.token_requests, p_answer sync.token_answer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_token sync.workspace_tokens;
  v_before jsonb;
  v_secret_id uuid;
begin
  select * into strict v_token from sync.workspace_tokens
  where workspace_id = p_request.workspace_id for no key update;
  v_before := coalesce(sync.json_object(sync.read_secret(v_token.secret_id)), '{}');
  v_secret_id := sync.write_secret('chunkwise/token/' || p_request.workspace_id,
    jsonb_strip_nulls(jsonb_build_object('access_token', p_answer.access_token,
      'refresh_token', coalesce(p_answer.refresh_token, v_before ->> 'refresh_token'),
      -- What is on its way with them may come back in a text.
      'before', nullif(v_before - 'before', '{}')))::text, 'Tokens of a Chunkwise workspace');
  update sync.workspace_tokens set secret_id = v_secret_id, base_url = p_request.base_url,
    generation = generation + 1, issued_at = p_request.requested_at,
    expires_at = p_request.requested_at + p_answer.lifetime, is_proven = false, refusals = 0,
    refused_until = null, refusal = null
  where workspace_id = p_request.workspace_id;
  perform sync.end_token_request(p_request.id, 'completed', 'completed', null);
  -- Nowhere else is a refresh token that was just rotated.
  perform set_config('synchronous_commit', 'on', true);
  perform sync.wake_workspaces(array[p_request.workspace_id]);
  update sync.stream_tries as t set due_at = sync.now()
  from (
    select id from sync.stream_tries
    where workspace_id = p_request.workspace_id and due_at > sync.now()
    order by id for no key update skip locked
  ) as waiting
  where t.id = waiting.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.suspend_grant(p_request sync.token_requests, p_message text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.workspace_tokens set refusal = p_message, refusals = refusals + 1,
    refused_until = sync.now() + least(interval '1 hour',
      interval '1 minute' * 2 ^ least(refusals, 10))
  where workspace_id = p_request.workspace_id;
  perform sync.end_token_request(p_request.id, 'failed', 'failed', p_message);
end; $function$;

CREATE OR REPLACE FUNCTION sync.delay_token_request(p_request sync.token_requests, p_outcome text, p_message text, p_seconds numeric)
 RETURNS interval
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_is_failure constant boolean := p_outcome in ('retry', 'delayed');
  v_wait constant interval := case
    when v_is_failure then make_interval(secs => greatest(
      case when p_seconds > 0 then least(p_seconds, sync.setting('max_block_seconds')) end,
      (0.5 + random() / 2) * least(300, sync.setting('retry_base_seconds')
        * 2 ^ least(p_request.failures, 20)))::double precision)
    when p_outcome = 'postponed' then interval '1 second'
    else interval '0' end;
begin
  update sync.token_requests set status = 'pending', outcome = p_outcome,
    lease_expires_at = null, due_at = sync.now() + v_wait,
    failures = failures + v_is_failure::int,
    failing_since = case when p_outcome = 'retry' then coalesce(failing_since, sync.now())
    else failing_since end,
    error_message = coalesce(p_message, error_message)
  where id = p_request.id;
  return v_wait;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lock_token_request(p_queue_id bigint, p_lease_token bigint)
 RETURNS sync.token_requests
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_request sync.token_requests;
begin
  select * into v_request from sync.token_requests where id = p_queue_id for no key update;
  -- Nobody has asked since, so that a late answer is as good as one in time.
  return case when v_request.lease_token = p_lease_token then v_request end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lock_token_requests(p_pages sync.page_in_hand[])
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '10s'
AS $function$
declare
  v_ids bigint[] := array(
    select r.id from unnest(p_pages) as p
    join sync.token_requests as r on r.id = p.queue_id and r.lease_token = p.lease_token
    where (p.verdict).outcome = 'refused');
begin
  if v_ids = array[]::bigint[] then
    return v_ids;
  end if;
  begin
    perform 1 from sync.token_requests where id = any (v_ids) order by id for no key update;
    perform 1 from sync.workspace_tokens where workspace_id in (
      select workspace_id from sync.token_requests where id = any (v_ids))
      order by workspace_id for no key update;
    return v_ids;
  exception when lock_not_available then
    null;
  end;
  -- Whoever holds one for so long has only that one wait.
  v_ids := array(
    select id from sync.token_requests where id = any (v_ids)
    order by id for no key update skip locked);
  return array(
    select r.id from sync.token_requests as r
    join sync.workspace_tokens as t on t.workspace_id = r.workspace_id
    where r.id = any (v_ids) order by t.workspace_id for no key update of t skip locked);
end; $function$;

CREATE OR REPLACE FUNCTION sync.take_token_answer(p_page sync.page_in_hand, p_is_held boolean)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_request sync.token_requests;
  v_answer sync.token_answer;
  v_message text;
begin
  -- Nobody has asked since, so that a late answer is as good as one in time.
  select * into v_request from sync.token_requests
  where id = p_page.queue_id and lease_token = p_page.lease_token;
  v_page.body := null;
  if v_request.id is null then
    return v_page;
  end if;
  v_page.verdict.code := null;
  v_page.verdict.message := null;
  begin
    if not p_is_held then
      raise exception using errcode = 'lock_not_available',
        message = 'another session holds the workspace''s tokens';
    end if;
    if coalesce(v_request.outcome, v_request.status) in ('processing', 'pending', 'postponed') then
      v_answer := sync.read_token_answer(p_page.http_status, p_page.body);
      v_message := concat_ws(': ', v_answer.finding, sync.foreign_text(
        nullif(v_answer.said, ''), sync.workspace_secret(v_request.workspace_id)));
      if v_answer.access_token is not null then
        perform sync.take_token(v_request, v_answer);
      elsif v_answer.is_refusal then
        perform sync.suspend_grant(v_request, v_message);
      else
        perform sync.delay_token_request(v_request, 'retry', v_message, null);
      end if;
      if v_answer.access_token is not null or v_answer.is_refusal then
        perform sync.learn_of_lone_answer(null, v_request.budget_id, v_request.requested_at);
      end if;
      perform sync.let_probe(v_request.budget_id);
      select * into v_request from sync.token_requests where id = v_request.id;
    end if;
    v_page.verdict.outcome := coalesce(v_request.outcome, v_request.status);
    v_page.verdict.message := v_request.error_message;
  exception when others then
    v_page.verdict.code := sqlstate;
    v_page.verdict.outcome := case
      when sync.is_own_trouble(sqlstate) then 'postponed' else 'retry' end;
    -- Of what stands in the answer nothing is known here, so nothing of the error's text is kept.
    v_page.verdict.message := format('the token endpoint''s answer could not be kept (SQLSTATE %s)',
      sqlstate);
    perform sync.delay_token_request(v_request, (v_page.verdict).outcome,
      (v_page.verdict).message, null)
      where p_is_held;
  end;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.take_token_answers(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_held bigint[] := sync.lock_token_requests(p_pages);
  v_page sync.page_in_hand;
  v_pages sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  for v_page in select * from unnest(p_pages) as p order by p.queue_id loop
    v_pages := v_pages || case when (v_page.verdict).outcome = 'refused'
      then sync.take_token_answer(v_page, v_page.queue_id = any (v_held)) else v_page end;
  end loop;
  return v_pages;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fail_token(p_page sync.page_in_hand, p_error_class text, p_error_message text, p_retry_after numeric)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_request sync.token_requests := sync.lock_token_request(p_page.queue_id, p_page.lease_token);
  v_source public.sync_sources;
  v_outcome text := coalesce(v_request.outcome,
    case when v_request.status = 'cancelled' then 'cancelled' end);
  v_wait interval;
begin
  if v_request.id is null then
    return null;
  end if;
  if v_outcome is null then
    v_outcome := case
      when p_error_class = 'postponed' then 'postponed'
      when p_error_class = 'released' and sync.is_unsent(p_error_message) then 'released'
      when p_error_class = 'rate_limited' then 'delayed' else 'retry' end;
    select so.* into v_source from public.sync_workspaces as w
    join public.sync_sources as so on so.id = w.source_id where w.id = v_request.workspace_id;
    v_wait := sync.delay_token_request(v_request, v_outcome, case when v_outcome <> 'released'
      then sync.failure_text(p_error_message, v_request.workspace_id) end, coalesce(
      sync.wait_asked_for(v_source, p_page.headers, sync.json_object(p_page.body),
      v_outcome = 'delayed'), p_retry_after));
    perform sync.slow_down(v_request.budget_id, v_request.requested_at, sync.now() + v_wait, false)
      where v_outcome = 'delayed';
    perform sync.let_probe(v_request.budget_id) where v_outcome <> 'delayed';
  end if;
  return jsonb_build_object('queue_id', v_request.id, 'outcome', v_outcome);
end; $function$;

CREATE OR REPLACE FUNCTION sync.reclaim_token_requests()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_taken_back int;
begin
  update sync.token_requests as r set status = 'pending', lease_losses = r.lease_losses + 1,
    due_at = v_now + case when r.lease_losses = 0 then interval '0'
    else least(interval '5 minutes', interval '1 second' * 2 ^ least(r.lease_losses, 10)) end,
    failing_since = coalesce(r.failing_since, v_now),
    error_message = coalesce(r.error_message, 'its worker fell silent: chunkwise worker says why')
  from (
    select id from sync.token_requests
    where status = 'processing' and lease_expires_at <= v_now
    order by id for no key update skip locked
  ) as lost
  where r.id = lost.id;
  get diagnostics v_taken_back = row_count;
  -- The clock may have been set back.
  update sync.token_requests as r set due_at = least(r.due_at, v_now + interval '15 minutes'),
    lease_expires_at = least(r.lease_expires_at, v_now + sync.setting_seconds('lease_seconds'))
  from (
    select id from sync.token_requests
    where ended_at is null and (due_at > v_now + greatest(interval '15 minutes',
        sync.setting_seconds('max_block_seconds'))
      or lease_expires_at > v_now + greatest(interval '1 minute',
        sync.setting_seconds('lease_seconds')))
    for no key update skip locked
  ) as ahead
  where r.id = ahead.id;
  return v_taken_back;
end; $function$;

CREATE OR REPLACE FUNCTION sync.follow_grants()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
begin
  update public.sync_workspaces as w set key_status = 'refused', key_checked_at = v_now
  where w.id = any (array(
    select x.id from sync.workspace_tokens as t
    join public.sync_workspaces as x on x.id = t.workspace_id
    where t.refused_until > v_now and x.key_status not in ('refused', 'unreadable')
    order by x.id for no key update of x skip locked));
  -- A job that waited on would hold its name, and with it the next sync of everybody else.
  update public.workspace_sync_runs as r set ending = 'failed', error_message = waiting.message
  from (
    select r.id, coalesce(
      'its grant is refused: ' || t.refusal || '. rotate_workspace_key() sets another',
      'it waited ten minutes for an access token: ' || x.error_message) as message
    from public.workspace_sync_runs as r
    left join sync.workspace_tokens as t on t.workspace_id = r.workspace_id
      and t.refused_until > v_now
    left join sync.token_requests as x on x.workspace_id = r.workspace_id and x.ended_at is null
      and greatest(x.failing_since, r.started_at) <= v_now - interval '10 minutes'
    where r.status = 'running' and r.ending is null and (t.workspace_id is not null
      or x.failing_since is not null)
    order by r.id for no key update of r skip locked
  ) as waiting
  where r.id = waiting.id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.end_try(p_id bigint, p_status text, p_message text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.stream_tries set status = p_status, ended_at = sync.now(), error_message = p_message,
    due_at = null, lease_expires_at = null, shown = null, request = null
  where id = p_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.delay_try(p_id bigint, p_wait interval, p_is_failure boolean, p_message text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.stream_tries set lease_expires_at = null, due_at = sync.now() + p_wait,
    attempts = attempts + p_is_failure::int, error_message = coalesce(p_message, error_message)
  where id = p_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.wait_of_try(p_id bigint)
 RETURNS interval
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return (
    select greatest(due_at - sync.now(), interval '0') from sync.stream_tries where id = p_id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.lease_try(p_try sync.stream_tries, p_worker_id text)
 RETURNS sync.leased
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_workspace public.sync_workspaces;
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_chunk public.chunked_sync_jobs;
  v_token sync.workspace_tokens;
  v_access sync.access;
  v_made sync.made_request;
  v_held record;
  v_leased sync.leased;
begin
  select * into strict v_workspace from public.sync_workspaces where id = p_try.workspace_id;
  select * into v_token from sync.workspace_tokens where workspace_id = v_workspace.id;
  v_access := sync.access_of(v_workspace, v_source, v_token);
  if v_workspace.removed_at is not null or v_workspace.source_id <> v_source.id then
    perform sync.end_try(p_try.id, 'failed', 'its workspace was removed, or has another source now');
    return null;
  end if;
  v_chunk.id := p_try.request_id;
  v_chunk.kind := p_try.kind;
  v_chunk.page := p_try.page;
  v_chunk.record_id := p_try.record_id;
  v_chunk.reading := p_try.reading;
  if v_access.obstacle = 'token' and v_token.refused_until > v_now then
    perform sync.end_try(p_try.id, 'failed', format('its grant is refused: %s. '
      'rotate_workspace_key() sets another', v_token.refusal));
    return null;
  elsif v_access.obstacle = 'token' then
    perform sync.ask_for_tokens(array[v_workspace.id]);
    perform sync.delay_try(p_try.id, sync.token_wait(v_workspace.id), false, concat_ws(': ',
      'it waits for an access token', (
        select error_message from sync.token_requests where workspace_id = v_workspace.id
        order by id desc limit 1)));
    return null;
  elsif v_access.credentials is null then
    perform sync.end_try(p_try.id, 'failed', 'the workspace''s key cannot be read: '
      'rotate_workspace_key() sets another');
    return null;
  elsif sync.is_paused(v_workspace.id) then
    perform sync.delay_try(p_try.id, interval '5 seconds', false,
      'its workspace is paused: resume_sync() goes on');
    return null;
  elsif v_workspace.rate_limited_until > v_now then
    perform sync.delay_try(p_try.id, v_workspace.rate_limited_until - v_now, false,
      'its workspace met a rate limit and waits');
    return null;
  end if;
  v_made := sync.make_request(v_chunk, v_stream, v_source, v_workspace.base_url);
  if v_made.code is not null then
    perform sync.end_try(p_try.id, 'failed', v_made.message);
    return null;
  end if;
  v_held := sync.reserve_send_time(p_try.budget_id);
  if v_held.o_send_after is null then
    perform sync.delay_try(p_try.id, v_held.o_look_after, false, 'it waits for its budget');
    return null;
  end if;
  v_leased.lease_token := sync.new_token();
  update sync.stream_tries set lease_token = v_leased.lease_token, due_at = null, started_at = v_now,
    lease_expires_at = v_now + sync.setting_seconds('lease_seconds'), worker_id = p_worker_id,
    requested_at = v_now + v_held.o_send_after, token_generation = v_access.token_generation,
    request = v_made.request
  where id = p_try.id;
  v_leased.queue_id := p_try.request_id;
  v_leased.send_after := v_held.o_send_after;
  v_leased.budget_id := p_try.budget_id;
  v_leased.workspace := v_workspace.workspace_name;
  v_leased.workspace_id := v_workspace.id;
  v_leased.stream := v_stream.stream_name;
  v_leased.attempt := p_try.attempts + 1;
  v_leased.timeout_ms := v_stream.timeout_ms;
  v_leased.max_body_bytes := v_stream.max_body_bytes;
  v_leased.request := v_made.request || jsonb_build_object('reach',
    sync.reach_below(v_workspace.base_url, sync.is_switched_on('allow_private_addresses')));
  v_leased.origin := v_access.origin;
  v_leased.credentials := v_access.credentials;
  v_leased.status_classes := sync.status_classes(v_stream, v_source, p_try.kind, p_try.page,
    p_try.reading, false);
  v_leased.answer_headers := sync.answer_headers(v_stream, v_source);
  return v_leased;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lease_tries(p_worker_id text, p_room integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_try sync.stream_tries;
  v_lease sync.leased;
  v_leased sync.leased[] := array[]::sync.leased[];
begin
  for v_try in
    select * from sync.stream_tries where due_at <= v_now
    order by due_at, id limit greatest(p_room, 0) for no key update skip locked
  loop
    v_lease := sync.lease_try(v_try, p_worker_id);
    if v_lease.lease_token is not null then
      v_leased := v_leased || v_lease;
    end if;
  end loop;
  return sync.lease_documents(v_leased, sync.setting('lease_seconds'));
end; $function$;

CREATE OR REPLACE FUNCTION sync.claim_try(p_request_id bigint, p_worker_id text, OUT o_leases jsonb, OUT o_reason text, OUT o_look_again_ms bigint)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_try sync.stream_tries;
  v_lease sync.leased;
  v_wait interval;
begin
  o_leases := '[]'::jsonb;
  o_reason := 'not_pending';
  select * into v_try from sync.stream_tries
  where request_id = p_request_id for no key update skip locked;
  if v_try.due_at is null then
    return;
  elsif v_try.due_at <= sync.now() then
    v_lease := sync.lease_try(v_try, p_worker_id);
    -- What it needs first may be leased in its place.
    o_leases := case when v_lease.lease_token is not null
      then sync.lease_documents(array[v_lease], sync.setting('lease_seconds'))
      else sync.lease_token_requests(p_worker_id, 1, array[v_try.workspace_id]) end;
    if o_leases <> '[]' then
      o_reason := null;
      return;
    end if;
  end if;
  v_wait := sync.wait_of_try(v_try.id);
  if v_wait is not null then
    o_reason := 'not_due';
    o_look_again_ms := ceil(extract(epoch from v_wait) * 1000);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.extend_requests_of_no_run(p_leases jsonb, p_now timestamp with time zone)
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_longest interval := sync.setting_seconds('max_lease_seconds');
  v_until timestamptz := p_now + sync.setting_seconds('lease_seconds');
  v_kept bigint[];
begin
  with given as (
    select distinct (l ->> 'queue_id')::bigint as id, (l ->> 'lease_token')::bigint as lease_token
    from jsonb_array_elements(p_leases) as l
  ), free_tries as (
    select t.id from sync.stream_tries as t
    join given on given.id = t.request_id and given.lease_token = t.lease_token
    where t.lease_expires_at > p_now and t.started_at + v_longest > p_now
    order by t.id for no key update of t skip locked
  ), free_tokens as (
    select r.id from sync.token_requests as r join given using (id, lease_token)
    where r.status = 'processing' and r.lease_expires_at > p_now
      and r.started_at + v_longest > p_now
    order by r.id for no key update of r skip locked
  ), tries as (
    update sync.stream_tries as t
    set lease_expires_at = least(v_until, t.started_at + v_longest)
    from free_tries as f where t.id = f.id returning t.request_id as id
  ), tokens as (
    update sync.token_requests as r
    set lease_expires_at = least(v_until, r.started_at + v_longest)
    from free_tokens as f where r.id = f.id returning r.id
  )
  select coalesce(array_agg(id), '{}') into v_kept
  from (select id from tries union all select id from tokens) as extended;
  -- What another call has locked is its own business: as a rule it ends the request.
  return v_kept || array(
    select t.request_id from jsonb_array_elements(p_leases) as l
    join sync.stream_tries as t on t.request_id = (l ->> 'queue_id')::bigint
      and t.lease_token = (l ->> 'lease_token')::bigint
    where t.lease_expires_at > p_now and t.request_id <> all (v_kept)
    union all
    select r.id from jsonb_array_elements(p_leases) as l
    join sync.token_requests as r on r.id = (l ->> 'queue_id')::bigint
      and r.lease_token = (l ->> 'lease_token')::bigint
    where r.status = 'processing' and r.lease_expires_at > p_now and r.id <> all (v_kept));
end; $function$;

CREATE OR REPLACE FUNCTION sync.reclaim_tries()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_try sync.stream_tries;
  v_taken_back int := 0;
begin
  for v_try in
    select * from sync.stream_tries
    where status = 'waiting' and (lease_expires_at <= v_now
      or created_at < v_now - interval '10 minutes')
    order by id for no key update skip locked
  loop
    if v_try.created_at < v_now - interval '10 minutes' then
      perform sync.end_try(v_try.id, 'failed', concat_ws(': ', 'nothing came of it in ten minutes',
        coalesce(v_try.error_message, 'is a worker running?')));
    elsif v_try.attempts >= 2 then
      perform sync.end_try(v_try.id, 'failed', 'three workers fell silent over its request');
    else
      perform sync.delay_try(v_try.id, interval '0', true, 'its worker fell silent');
    end if;
    v_taken_back := v_taken_back + (v_try.lease_expires_at is not null)::int;
  end loop;
  delete from sync.stream_tries where id in (
    select id from sync.stream_tries where ended_at < v_now - interval '1 hour'
    order by id limit 100 for update skip locked);
  return v_taken_back;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lock_try(p_queue_id bigint, p_lease_token bigint)
 RETURNS sync.stream_tries
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_try sync.stream_tries;
begin
  select * into v_try from sync.stream_tries where request_id = p_queue_id for no key update;
  return case when v_try.lease_token = p_lease_token and v_try.lease_expires_at > sync.now()
    then v_try end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.advance_try(p_try sync.stream_tries, p_page sync.page_in_hand, p_stream public.sync_streams)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_next record := sync.next_of_try(p_try, p_page, p_stream);
begin
  update sync.stream_tries set error_message = null, attempts = 0, has_renewed = false,
    lease_expires_at = null, due_at = sync.now(), kind = coalesce(v_next.o_kind, kind),
    page = v_next.o_page, record_id = v_next.o_record_id, reading = v_next.o_reading,
    request_id = nextval('public.chunked_sync_jobs_id_seq')
  where id = p_try.id and v_next.o_kind is not null;
  if not found then
    perform sync.end_try(p_try.id, 'done', null);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.page_of_try(p_try sync.stream_tries, p_given sync.page_in_hand)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_given;
begin
  v_page.verdict.outcome := null;
  v_page.verdict.code := null;
  v_page.verdict.message := null;
  v_page.workspace_id := p_try.workspace_id;
  v_page.stream_id := (p_try.stream ->> 'id')::bigint;
  v_page.kind := p_try.kind;
  v_page.page := p_try.page;
  v_page.record_id := p_try.record_id;
  v_page.reading := p_try.reading;
  v_page.scan := 1;
  v_page.is_full_scan := true;
  v_page.requested_at := p_try.requested_at;
  v_page.access.token_generation := p_try.token_generation;
  v_page.access.is_token_proven := false;
  v_page.verdict.is_repeat := false;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fail_try_step(p_try sync.stream_tries, p_given sync.page_in_hand, p_message text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_page sync.page_in_hand := p_given;
  v_is_past_end boolean := p_try.page > 1 and p_try.reading ? 'guess'
    and p_given.http_status in (400, 404, 422);
begin
  v_page.answer := '[]';
  v_page.is_past_pages := v_is_past_end;
  v_page.ends := case when v_is_past_end then true end;
  update sync.stream_tries set steps = steps || jsonb_build_array(sync.step_of(p_try, v_page,
    v_stream, sync.shape_of(sync.json_or_null(p_given.body), 2), case when v_is_past_end then '[]'
    else jsonb_build_array(jsonb_build_object('what', case p_try.kind when 'page' then 'answer'
      else 'item' end, 'says', p_message)) end))
  where id = p_try.id;
  if p_try.shown is null then
    perform sync.end_try(p_try.id, 'failed', p_message);
  else
    perform sync.advance_try(p_try, v_page, v_stream);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.hold_back_try(p_try sync.stream_tries, p_retry_after numeric, p_message text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.delay_try(p_try.id, sync.learn_of_refusal(p_try.workspace_id, p_try.requested_at,
    p_retry_after, false), false, p_message);
  return 'delayed';
end; $function$;

CREATE OR REPLACE FUNCTION sync.complete_try_step(p_try sync.stream_tries, p_page sync.page_in_hand)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, p_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_try.stream);
  v_page sync.page_in_hand;
  v_read sync.tried_answer;
begin
  v_read := sync.read_try(p_page, v_stream, v_source);
  v_page := v_read.page;
  if (v_page.verdict).code = 'SY021' then
    return sync.hold_back_try(p_try, sync.wait_asked_for(v_source, p_page.headers,
      sync.json_or_null(p_page.body), true), v_read.complaints #>> '{0,says}');
  elsif (v_page.verdict).code = 'SY013' and p_try.attempts < 2 then
    perform sync.delay_try(p_try.id, interval '1 second', true,
      v_read.complaints #>> '{0,says}');
    return 'retry';
  elsif p_try.kind = 'page' then
    v_read.complaints := v_read.complaints
      || sync.complaints_of_page(v_page, v_stream, p_try.shown);
  elsif v_page.is_past_pages is not true and v_page.answer = '[]' and v_read.complaints = '[]' then
    v_read.complaints := jsonb_build_array(jsonb_build_object('what', 'item', 'says',
      format('the API says that record %s, which is on page 1, is not there', p_try.record_id)));
  end if;
  update sync.stream_tries set
    steps = steps || jsonb_build_array(
      sync.step_of(p_try, v_page, v_stream, v_read.shape, v_read.complaints)
      || case when jsonb_array_length(steps) = 0
        then jsonb_build_object('fields', sync.fields_of(v_page.answer)) else '{}' end),
    shown = coalesce(shown, jsonb_build_object('ids', sync.tried_ids(v_page.answer, v_stream),
      'records', v_page.records, 'first_key', v_page.first_key, 'first_text', v_page.first_text))
  where id = p_try.id;
  perform sync.advance_try(p_try, v_page, v_stream);
  perform sync.learn_of_lone_answer(p_try.workspace_id, p_try.budget_id, p_try.requested_at);
  return 'completed';
end; $function$;

CREATE OR REPLACE FUNCTION sync.take_try_answer(p_try sync.stream_tries, p_page sync.page_in_hand)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := sync.page_of_try(p_try, p_page);
  v_message text;
begin
  begin
    v_page.verdict.outcome := sync.complete_try_step(p_try, v_page);
  exception when others then
    get stacked diagnostics v_message = message_text;
    v_page.verdict.code := sqlstate;
    v_page.verdict.message := sync.mask_workspace_key(v_message, p_try.workspace_id);
    if sync.is_own_trouble(sqlstate) then
      perform sync.delay_try(p_try.id, interval '1 second', false, (v_page.verdict).message);
      v_page.verdict.outcome := 'postponed';
    else
      perform sync.end_try(p_try.id, 'failed', (v_page.verdict).message);
      v_page.verdict.outcome := 'failed';
    end if;
  end;
  perform sync.let_probe(p_try.budget_id) where (v_page.verdict).outcome <> 'delayed';
  v_page.verdict.wait := case
    when (v_page.verdict).outcome <> 'completed' then sync.wait_of_try(p_try.id) end;
  v_page.body := null;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.take_try_answers(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand;
  v_try sync.stream_tries;
  v_pages sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  for v_page in select * from unnest(p_pages) as p order by p.queue_id loop
    v_try := case when (v_page.verdict).outcome = 'refused'
      then sync.lock_try(v_page.queue_id, v_page.lease_token) end;
    v_pages := v_pages || case when v_try.id is null then v_page
      else sync.take_try_answer(v_try, v_page) end;
  end loop;
  return v_pages;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fail_try(p_given sync.page_in_hand, p_error_class text, p_error_message text, p_retry_after numeric)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_try sync.stream_tries := sync.lock_try(p_given.queue_id, p_given.lease_token);
  v_source public.sync_sources := jsonb_populate_record(null::public.sync_sources, v_try.source);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, v_try.stream);
  v_page sync.page_in_hand := sync.page_of_try(v_try, p_given);
  v_found record;
begin
  if v_try.id is null then
    return null;
  elsif sync.is_page_by_rules(v_page, p_error_class, v_stream, v_source) then
    v_page := sync.take_try_answer(v_try, v_page);
    perform sync.prove_tokens(array[v_page]);
    return sync.outcome_of(v_page);
  end if;
  v_page.verdict.message := sync.failure_text(p_error_message, v_try.workspace_id);
  v_page.body := coalesce(v_page.body, p_error_message);
  v_page.http_status := coalesce(v_page.http_status,
    (regexp_match(p_error_message, '^HTTP ([0-9]{3})\M'))[1]::int);
  v_found := sync.class_of_failure(v_page, p_given.http_status is not null, p_error_class, v_stream,
    v_source);
  if v_found.o_class = 'permanent' and v_page.http_status = 401
    and (v_page.access).token_generation is not null then
    v_page := sync.judge_unauthorized(v_page, v_try.has_renewed);
  else
    v_page.verdict.outcome := case
      when p_error_class = 'postponed'
        or (p_error_class = 'released' and sync.is_unsent(p_error_message)) then 'released'
      when v_found.o_class = 'rate_limited' then 'delayed' else 'retry' end;
    v_page.verdict.is_permanent := v_found.o_class = 'permanent';
  end if;
  if (v_page.verdict).outcome = 'released' then
    perform sync.delay_try(v_try.id, interval '0', false, (v_page.verdict).message);
  elsif (v_page.verdict).outcome = 'delayed' and v_found.o_class = 'rate_limited' then
    perform sync.hold_back_try(v_try, coalesce(v_found.o_retry_after, p_retry_after),
      (v_page.verdict).message);
  elsif (v_page.verdict).outcome = 'delayed' then
    perform sync.renew_token(v_page);
    update sync.stream_tries set has_renewed = true where id = v_try.id;
    perform sync.delay_try(v_try.id, interval '0', false, (v_page.verdict).message);
  elsif (v_page.verdict).is_permanent or v_try.attempts >= 2 then
    v_page.verdict.outcome := 'failed';
    perform sync.fail_try_step(v_try, v_page, (v_page.verdict).message);
  else
    perform sync.delay_try(v_try.id, make_interval(secs => least(60, greatest(1, p_retry_after,
      v_found.o_retry_after))::double precision), true, (v_page.verdict).message);
  end if;
  perform sync.let_probe(v_try.budget_id) where v_found.o_class <> 'rate_limited';
  v_page.verdict.wait := sync.wait_of_try(v_try.id);
  return sync.outcome_of(v_page);
end; $function$;

CREATE OR REPLACE FUNCTION sync.unfit_in(p_pages sync.page_in_hand[], p_records sync.incoming_record[], p_changed sync.changed_record[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
AS $function$
begin
  if not exists (select 1 from unnest(p_changed) as c where cardinality(c.unfit) > 0)
    and not exists (select 1 from unnest(p_pages) as p where p.is_mended)
    and not exists (select 1 from unnest(p_records) as r where r.updated_at is null
      and r.stream_id = any (array(
        select st.id from public.sync_streams as st where st.updated_at_path is not null))) then
    return '{}'::jsonb;
  end if;
  return (
    select coalesce(jsonb_object_agg(found.turn, found.unfit), '{}') from (
      -- Of several records the first one stays: it is the last one written.
      select f.turn, jsonb_object_agg(u.what, f.record_id order by f.n desc) as unfit
      from unnest(p_records) with ordinality as f (workspace_id, stream_id, record_id, updated_at,
        record, turn, requested_at, is_truth, parent_id, own_id, n)
      join unnest(p_changed) as c on c.workspace_id = f.workspace_id
        and c.stream_id = f.stream_id and c.record_id = f.record_id
      join unnest(p_pages) as p on p.turn = f.turn
      join public.sync_streams as st on st.id = f.stream_id
      cross join unnest(coalesce(c.unfit, '{}')
        || case when f.updated_at is null and f.record #>> st.updated_at_path is not null
          then '{updated_at}'::text[] else '{}' end
        || case when p.is_mended and strpos(f.record::text, chr(65533)) > 0
          then array[''] else '{}' end) as u (what)
      group by f.turn
    ) as found
  );
end; $function$;

CREATE OR REPLACE FUNCTION sync.applied(p_pages sync.page_in_hand[], p_records sync.incoming_record[], p_changed sync.changed_record[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_changed int[];
  v_unfit jsonb := '{}'::jsonb;
  v_page sync.page_in_hand;
  v_applied sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  if cardinality(p_changed) > 0 then
    v_changed := array(
      select count(c.record_id) from unnest(p_pages) with ordinality as p
      left join (unnest(p_records) as f join unnest(p_changed) as c
        using (workspace_id, stream_id, record_id)) on f.turn = p.turn
      group by p.ordinality order by p.ordinality);
    v_unfit := sync.unfit_in(p_pages, p_records, p_changed);
  end if;
  foreach v_page in array p_pages loop
    v_page.verdict.outcome := 'completed';
    v_page.records := coalesce(v_page.records, 0);
    v_page.changed := coalesce(v_changed[cardinality(v_applied) + 1], 0);
    v_page.unfit := v_unfit -> v_page.turn::text;
    v_page.body := null;
    v_page.answer := null;
    v_applied := v_applied || v_page;
  end loop;
  return v_applied;
end; $function$;

CREATE OR REPLACE FUNCTION sync.note_seen(p_pages sync.page_in_hand[], p_records sync.incoming_record[], p_changed sync.changed_record[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_listed int[] := array(
    select p.turn from unnest(p_pages) as p where p.ends is not null or p.next is not null);
begin
  insert into sync.seen_pages (run_id, scan, page, chunk_id, record_ids, new_ids, total, last_page,
    first_key, last_key, disorder, refusal, first_text, last_text, next, ends,
    latest_at)
  select p.run_id, p.scan, case when p.is_past_pages then null else p.page end, p.queue_id,
    coalesce(p.seen_ids, f.record_ids, '{}'), n.new_ids, p.total, p.last_page, p.first_key,
    p.last_key, p.disorder, p.refusal, p.first_text, p.last_text, p.next, p.ends, p.latest_at
  from unnest(p_pages) as p
  left join (
    select turn, array_agg(record_id order by n) as record_ids
    from unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
      record, turn, requested_at, is_truth, parent_id, own_id, n) group by turn
  ) as f on f.turn = p.turn
  left join (
    select r.turn, array_agg(r.record_id) as new_ids
    from unnest(p_records) as r
    join unnest(p_changed) as c on c.workspace_id = r.workspace_id
      and c.stream_id = r.stream_id and c.record_id = r.record_id
    where (c.change = 'inserted' and not r.is_truth) or (
      r.turn = any (v_listed) and c.change in ('inserted', 'revived')) group by r.turn
  ) as n on n.turn = p.turn
  where p.kind in ('page', 'cursor');
end; $function$;

CREATE OR REPLACE FUNCTION sync.apply_pages(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_records sync.incoming_record[] := sync.found_records(p_pages);
  v_changed sync.changed_record[] := '{}'::sync.changed_record[];
  v_part sync.changed_record[];
  v_unseen sync.seen_fields[];
  v_stream_ids bigint[];
  v_functions text[];
  v_function text;
  v_is_followed boolean;
  v_has_parents boolean;
  v_has_confirmations boolean;
  v_has_items boolean;
  v_has_versions boolean;
  v_applied sync.page_in_hand[];
begin
  select array_agg(distinct p.stream_id), bool_or(p.part_id is not null),
    bool_or(p.kind = 'confirmation'), bool_or(p.kind = 'item'), bool_or(p.condition is not null)
  into v_stream_ids, v_has_parents, v_has_confirmations, v_has_items, v_has_versions
  from unnest(p_pages) as p;
  select array_agg(distinct st.apply_function order by st.apply_function),
    bool_or(sync.is_followed(st))
  into v_functions, v_is_followed from public.sync_streams as st where st.id = any (v_stream_ids);
  foreach v_function in array v_functions loop
    execute format('select %s($1)', v_function) into v_part
    using case when cardinality(v_functions) = 1 then v_records else array(
      select f from unnest(v_records) as f join public.sync_streams as st on st.id = f.stream_id
      where st.apply_function = v_function) end;
    v_changed := v_changed || coalesce(v_part, '{}');
  end loop;
  perform sync.note_seen(p_pages, v_records, v_changed);
  if v_has_parents then
    perform sync.note_parents(p_pages, v_records);
  end if;
  if v_has_confirmations then
    perform sync.note_confirmations(p_pages);
  end if;
  if cardinality(v_changed) > 0 then
    v_unseen := sync.unseen_fields(v_records, v_changed);
    if cardinality(v_unseen) > 0 then
      perform sync.note_fields(v_unseen);
    end if;
    if v_is_followed then
      perform sync.stage_items(v_changed);
    end if;
  end if;
  if v_has_items then
    perform sync.unstage_items(p_pages);
  end if;
  -- What a user's table checks when a transaction ends would take the whole call with it.
  set constraints all immediate;
  v_applied := sync.applied(p_pages, v_records, v_changed);
  if v_has_versions then
    perform sync.note_versions(v_applied, v_records);
  end if;
  return v_applied;
end; $function$;

CREATE OR REPLACE FUNCTION sync.rehearse_page(p_page sync.page_in_hand, p_patience interval)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_is_sound boolean := false;
  v_message text;
  v_hint text;
begin
  perform set_config('lock_timeout', ceil(extract(epoch from p_patience) * 1000)::text, true);
  v_page := (sync.read_pages(array[p_page]))[1];
  perform sync.apply_pages(array[v_page]);
  perform 1 from public.workspace_sync_runs where id = p_page.run_id for no key update;
  perform 1 from public.sync_workspaces where id = p_page.workspace_id for no key update;
  v_is_sound := true;
  raise exception 'this was a trial';
exception when assert_failure or others then
  if v_is_sound then
    return v_page;
  end if;
  get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
  return sync.judge_error(v_page, sqlstate, v_message, v_hint);
end; $function$;

CREATE OR REPLACE FUNCTION sync.rehearse_pages(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_page sync.page_in_hand;
  v_tried sync.page_in_hand[] := '{}'::sync.page_in_hand[];
  v_since timestamptz := sync.now();
begin
  foreach v_page in array p_pages loop
    -- Among many pages that meet locks only the first have time: the others are held by this call.
    v_tried := v_tried || case when (v_page.verdict).outcome is not null then v_page
      else sync.rehearse_page(v_page, greatest(interval '10 milliseconds',
        least(interval '200 milliseconds',
          interval '1 second' - (sync.now() - v_since)))) end;
  end loop;
  return v_tried;
end; $function$;

CREATE OR REPLACE FUNCTION sync.rehearse_together(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_sound sync.page_in_hand[] := '{}'::sync.page_in_hand[];
  v_decided sync.page_in_hand[] := array(
    select p from unnest(p_pages) as p where (p.verdict).outcome is not null);
  v_rest sync.page_in_hand[] := array(
    select p from unnest(p_pages) as p where (p.verdict).outcome is null);
  v_take int := cardinality(v_rest) / 2;
  v_until timestamptz := sync.now() + interval '5 seconds';
  v_is_sound boolean;
  v_message text;
  v_hint text;
begin
  while cardinality(v_rest) > 0 loop
    v_take := least(greatest(v_take, 1), cardinality(v_rest));
    v_is_sound := false;
    begin
      perform sync.apply_pages(v_sound || v_rest[:v_take]);
      v_is_sound := true;
      raise exception 'this was a trial';
    exception when assert_failure or others then
      if v_is_sound then
        v_sound := v_sound || v_rest[:v_take];
        v_rest := v_rest[v_take + 1:];
      elsif sync.now() > v_until then
        get stacked diagnostics v_message = message_text;
        return v_decided || v_sound || array(
          select sync.postpone(p, sqlstate, v_message) from unnest(v_rest) as p);
      elsif v_take > 1 then
        v_take := v_take / 2;
      else
        get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
        v_decided := v_decided || sync.judge_error(v_rest[1], sqlstate, v_message, v_hint);
        v_rest := v_rest[2:];
        v_take := cardinality(v_rest);
      end if;
    end;
  end loop;
  return v_decided || v_sound;
end; $function$;

CREATE OR REPLACE FUNCTION sync.require_declared(p_pages sync.page_in_hand[])
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if exists (
    select 1 from unnest(p_pages) as p
    join public.workspace_sync_runs as r on r.id = p.run_id
    join public.sync_streams as st on st.id = r.stream_id
    where (p.verdict).outcome = 'completed' and st.revision <> r.stream_revision) then
    raise exception 'a stream was declared anew while its pages were applied';
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.complete_pages(p_pages sync.page_in_hand[])
 RETURNS sync.page_in_hand[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '500ms'
AS $function$
declare
  v_pages sync.page_in_hand[] := p_pages;
  v_decided sync.page_in_hand[];
  v_to_apply sync.page_in_hand[];
  v_settled sync.page_in_hand[];
  v_message text;
begin
  -- One that met a lock before would meet it again, and hold up the others.
  for v_attempt in 1 + exists (select 1 from unnest(p_pages) as p
    where (p.verdict).outcome is null and p.postponements > 0)::int .. 3 loop
    if v_attempt > 1 then
      v_pages := sync.give_up_outdated(v_pages);
    end if;
    if v_attempt = 2 then
      v_pages := sync.rehearse_pages(v_pages);
    end if;
    begin
      v_decided := array(select p from unnest(v_pages) as p where (p.verdict).outcome is not null);
      v_to_apply := case when cardinality(v_decided) = 0 then v_pages
        else array(select p from unnest(v_pages) as p where (p.verdict).outcome is null) end;
      if cardinality(v_to_apply) > 0 then
        v_decided := v_decided || sync.apply_pages(case v_attempt
          when 1 then sync.read_pages(v_to_apply) else v_to_apply end);
        perform sync.require_declared(v_decided);
      end if;
      v_settled := sync.settle_chunks(v_decided);
      exit;
    exception when assert_failure or others then
      if v_attempt = 2 and sync.is_own_trouble(sqlstate) then
        get stacked diagnostics v_message = message_text;
        v_pages := array(
          select case when (p.verdict).outcome is null
            then sync.postpone(p, sqlstate, v_message) else p end
          from unnest(v_pages) as p);
      elsif v_attempt = 2 then
        v_pages := sync.rehearse_together(v_pages);
      elsif v_attempt > 2 then
        raise;
      end if;
    end;
  end loop;
  return v_settled;
end; $function$;

CREATE OR REPLACE FUNCTION public.complete_chunk_jobs_safe(p_pages jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '25s'
 SET default_transaction_isolation TO 'read committed'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_pages sync.page_in_hand[];
begin
  perform sync.require_service();
  v_pages := sync.complete_pages(sync.fence(sync.given_pages(p_pages)));
  if exists (select 1 from unnest(v_pages) as p where (p.verdict).outcome = 'refused') then
    v_pages := sync.take_token_answers(sync.take_try_answers(v_pages));
  end if;
  if exists (select 1 from unnest(v_pages) as p where (p.access).token_generation is not null) then
    v_pages := sync.prove_tokens(v_pages);
  end if;
  return jsonb_build_object(
    'outcomes', (select jsonb_agg(sync.outcome_of(p) order by p.turn) from unnest(v_pages) as p),
    'blocked_budgets', sync.blocked_budgets());
end; $function$;

CREATE OR REPLACE FUNCTION sync.judge_release(p_queue_id bigint, p_error_message text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_unanswered int;
begin
  if sync.is_unsent(p_error_message) then
    return true;
  end if;
  update public.chunk_processing_queue set unanswered = unanswered + 1
  where id = p_queue_id returning unanswered into v_unanswered;
  return v_unanswered <= sync.setting('max_unanswered');
end; $function$;

CREATE OR REPLACE FUNCTION sync.judge_failure(p_page sync.page_in_hand, p_error_class text, p_error_message text, p_retry_after numeric)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_page sync.page_in_hand := p_page;
  v_class text := p_error_class;
  v_stream public.sync_streams;
  v_source public.sync_sources;
  v_found record;
  v_retry_after numeric := p_retry_after;
begin
  if (v_page.verdict).outcome is not null then
    return v_page;
  end if;
  if p_error_class = 'postponed' then
    return sync.postpone(v_page, coalesce(substring(p_error_message from '^([0-9A-Z]{5}): '),
      '57014'), regexp_replace(p_error_message, '^[0-9A-Z]{5}: ', ''));
  end if;
  v_page.verdict.message := sync.failure_text(p_error_message, v_page.workspace_id);
  if v_page.body is null then
    v_page.body := p_error_message;
  end if;
  v_page.http_status := coalesce(v_page.http_status,
    (regexp_match(p_error_message, '^HTTP ([0-9]{3})\M'))[1]::int);
  if v_page.http_status is not null and v_class in ('transient', 'rate_limited', 'permanent') then
    select * into strict v_stream from public.sync_streams where id = v_page.stream_id;
    select * into strict v_source from public.sync_sources where id = v_stream.source_id;
    v_found := sync.class_of_failure(v_page, p_page.http_status is not null, v_class, v_stream,
      v_source);
    v_class := v_found.o_class;
    v_retry_after := coalesce(v_found.o_retry_after, p_retry_after);
  end if;
  v_page.body := null;
  v_page.verdict.message := concat_ws('. ', rtrim((v_page.verdict).message, '.'),
    case when v_class <> 'rate_limited'
    then sync.way_out(v_page.http_status, p_error_message) end);
  v_page.verdict.is_permanent := v_class = 'permanent';
  if v_class = 'permanent' and v_page.http_status = 401
    and (v_page.access).token_generation is not null then
    return sync.judge_unauthorized(v_page, exists (
      select 1 from public.chunk_events as e
      where e.chunk_id = v_page.queue_id and e.event = 'delayed'
        and e.details ->> 'http_status' = '401'));
  end if;
  v_page.verdict.outcome := case v_class when 'rate_limited' then 'delayed' when 'released'
    then case when sync.judge_release(v_page.queue_id, p_error_message) then 'released'
    else 'retry' end
    else 'retry' end;
  v_page.verdict.wait := case v_class
    when 'rate_limited' then sync.learn_of_refusal(v_page.workspace_id,
      v_page.requested_at, v_retry_after)
    when 'transient' then case when v_retry_after > 0
    then make_interval(secs => least(v_retry_after,
      sync.setting('max_block_seconds'))::double precision) end end;
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.fail_chunk(p_page sync.page_in_hand, p_error_class text, p_error_message text, p_retry_after numeric)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '500ms'
AS $function$
declare
  v_page sync.page_in_hand;
  v_message text;
begin
  v_page := (sync.settle_chunks(array[sync.judge_failure(p_page, p_error_class, p_error_message,
    p_retry_after)]))[1];
  perform sync.renew_token(v_page) where (v_page.access).token_generation is not null;
  return v_page;
exception when others then
  if (p_page.verdict).outcome is not null or not sync.is_own_trouble(sqlstate) then
    raise;
  end if;
  get stacked diagnostics v_message = message_text;
  return (sync.settle_chunks(array[sync.postpone(p_page, sqlstate, v_message)]))[1];
end; $function$;

CREATE OR REPLACE FUNCTION sync.given_failure(p_queue_id bigint, p_lease_token bigint, p_answer jsonb)
 RETURNS sync.page_in_hand
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET standard_conforming_strings TO 'on'
AS $function$
declare
  v_page sync.page_in_hand;
begin
  v_page.turn := 1;
  v_page.queue_id := p_queue_id;
  v_page.lease_token := p_lease_token;
  v_page.verdict.is_repeat := false;
  v_page.verdict.is_permanent := false;
  if coalesce(jsonb_typeof(p_answer), 'null') = 'null' then
    return v_page;
  end if;
  if (jsonb_typeof(p_answer) = 'object' and p_answer ->> 'status' ~ '^[1-9][0-9]{2}$'
    and sync.are_headers(p_answer -> 'headers')
    and coalesce(jsonb_typeof(p_answer -> 'body'), 'null') in ('null', 'string')) is not true then
    raise exception using errcode = 'SY006', message = 'p_answer is not what came of a request',
      hint = '{"status": 403, "headers": {"retry-after": "30"}, "body": "…"}, or null.';
  end if;
  v_page.http_status := (p_answer ->> 'status')::int;
  v_page.headers := p_answer -> 'headers';
  v_page.body := left(p_answer ->> 'body', 16384);
  return v_page;
end; $function$;

CREATE OR REPLACE FUNCTION sync.is_page_all_the_same(p_page sync.page_in_hand, p_error_class text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams;
  v_source public.sync_sources;
begin
  if (p_page.verdict).outcome is not null or p_page.body is null then
    return false;
  end if;
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  select * into strict v_source from public.sync_sources where id = v_stream.source_id;
  return sync.is_page_by_rules(p_page, p_error_class, v_stream, v_source);
end; $function$;

CREATE OR REPLACE FUNCTION sync.fail_unmade(p_made sync.made_request[], p_worker_id text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '500ms'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_pages sync.page_in_hand[];
  v_made sync.made_request;
begin
  with leased as (
    update public.chunk_processing_queue as q set status = 'processing',
      lease_token = sync.new_token(), lease_expires_at = v_now + interval '1 minute',
      started_at = v_now, worker_id = p_worker_id, ready_seq = null,
      turn = coalesce(q.ready_seq, q.turn), line_budget_id = null, next_retry_at = null
    from unnest(p_made) as m where q.id = m.queue_id
    returning q.id, q.lease_token
  )
  select array_agg(sync.given_failure(l.id, l.lease_token, null)) into v_pages from leased as l;
  v_pages := sync.fence(v_pages);
  for v_turn in 1 .. cardinality(v_pages) loop
    if (v_pages[v_turn].verdict).outcome is null then
      v_pages[v_turn].verdict.outcome := 'retry';
      v_pages[v_turn].verdict.is_permanent := true;
      select m.* into strict v_made from unnest(p_made) as m
      where m.queue_id = v_pages[v_turn].queue_id;
      v_pages[v_turn].verdict.code := v_made.code;
      v_pages[v_turn].verdict.message := sync.mask_workspace_key(v_made.message,
        v_pages[v_turn].workspace_id);
    end if;
  end loop;
  perform sync.settle_chunks(v_pages);
exception when others then
  if not sync.is_own_trouble(sqlstate) then
    raise;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION public.fail_chunk_job_safe(p_queue_id bigint, p_lease_token bigint, p_error_class text, p_error_message text DEFAULT NULL::text, p_retry_after numeric DEFAULT NULL::numeric, p_answer jsonb DEFAULT NULL::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '20s'
 SET default_transaction_isolation TO 'read committed'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_pages sync.page_in_hand[];
  v_other jsonb;
  v_began_at timestamptz;
begin
  perform sync.require_service();
  v_began_at := sync.now();
  if p_error_class is null or p_error_class not in ('transient', 'rate_limited', 'permanent',
    'postponed', 'released') then
    raise exception using errcode = 'SY006',
      message = format('%L is no error class', p_error_class),
      hint = 'transient, rate_limited, permanent, postponed or released';
  end if;
  v_pages := sync.fence(array[sync.given_failure(p_queue_id, p_lease_token, p_answer)]);
  if (v_pages[1].verdict).outcome = 'refused' then
    v_other := coalesce(
      sync.fail_token(v_pages[1], p_error_class, p_error_message, p_retry_after),
      sync.fail_try(v_pages[1], p_error_class, p_error_message, p_retry_after));
    if v_other is not null then
      return v_other || jsonb_build_object('blocked_budgets', sync.blocked_budgets());
    end if;
    raise exception using errcode = 'SY001', message = (v_pages[1].verdict).message,
      hint = 'Stop: another worker owns it.';
  end if;
  v_pages := case when sync.is_page_all_the_same(v_pages[1], p_error_class)
    then sync.prove_tokens(sync.complete_pages(v_pages))
    else array[sync.fail_chunk(v_pages[1], p_error_class, p_error_message, p_retry_after)] end;
  return sync.outcome_of(v_pages[1]) || jsonb_build_object('blocked_budgets',
    sync.blocked_budgets(case when (v_pages[1].verdict).outcome = 'delayed' then v_began_at end));
end; $function$;

CREATE OR REPLACE FUNCTION sync.requested_runs(p_streams text[], p_workspaces text[])
 RETURNS sync.requested_run[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_name text;
  v_workspace_id bigint;
  v_workspace_ids bigint[] := array[]::bigint[];
  v_requested sync.requested_run[];
begin
  perform sync.require_read_committed();
  foreach v_name in array coalesce(p_workspaces, '{}') loop
    v_workspace_id := sync.workspace_id_of(v_name);
    v_workspace_ids := v_workspace_ids || v_workspace_id;
    if not (select w.is_active from public.sync_workspaces as w where w.id = v_workspace_id) then
      raise exception using errcode = 'SY004',
        message = format('workspace %L is not active', v_name),
        hint = 'register_workspace() activates it again.';
    end if;
  end loop;
  foreach v_name in array coalesce(p_streams, '{}') loop
    if not exists (select 1 from public.sync_streams as s where s.stream_name = v_name) then
      raise exception using errcode = 'SY003', message = format('there is no stream %L', v_name),
        hint = 'select stream_name from sync_streams lists them; declare_stream() adds one.';
    end if;
  end loop;
  select named.name into v_name from unnest(p_workspaces, v_workspace_ids) as named (name, id)
  where not exists (
    select 1 from public.sync_workspaces as w
    join public.sync_streams as s on s.source_id = w.source_id
    where w.id = named.id
      and case when p_streams is null then s.is_default else s.stream_name = any (p_streams) end
  ) limit 1;
  if found then
    raise exception using errcode = 'SY005',
      message = format('workspace %L serves none of the requested streams', v_name),
      hint = 'select * from sync_streams shows what its source serves.';
  end if;
  select array_agg(row(w.id, s.id)::sync.requested_run order by w.id, s.id) into v_requested
  from public.sync_workspaces as w
  join public.sync_streams as s on s.source_id = w.source_id
  where w.is_active and (p_workspaces is null or w.id = any (v_workspace_ids))
    and case when p_streams is null then s.is_default else s.stream_name = any (p_streams) end;
  if v_requested is null then
    raise exception using errcode = 'SY005',
      message = 'there is nothing to sync: no active workspace serves the requested streams',
      hint = 'register_workspace() adds one; select * from sync_streams shows what its source '
        'serves.';
  end if;
  return v_requested;
end; $function$;

CREATE OR REPLACE FUNCTION sync.start_job(p_job_name text, p_requested sync.requested_run[], p_retry_of_job_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_job_id uuid;
  v_live_job_id uuid;
  v_started record;
  v_kind text := case when exists (
    select 1 from unnest(p_requested) as q join public.sync_streams as st on st.id = q.stream_id
    where st.completeness <> 'connection') then 'sync' else 'key_check' end;
begin
  perform sync.require_read_committed();
  if coalesce(btrim(p_job_name), '') = '' then
    raise exception using errcode = 'SY006', message = 'a job needs a '
      'name', hint = 'start_sync_job(''nightly'')';
  end if;
  -- What was found taken may close before it is looked at: then it is free, and taken by the next
  -- try. More than a few tries only what is not there at all would need.
  for v_try in 1 .. 100 loop
    insert into public.polling_job_status (job_name, kind, retry_of_job_id)
    values (p_job_name, v_kind, p_retry_of_job_id)
    on conflict (job_name) where status = 'running' do nothing returning id into v_job_id;
    exit when v_job_id is not null;
    select id into v_live_job_id from public.polling_job_status
    where job_name = p_job_name and status = 'running';
    if v_live_job_id is not null then
      return sync.answer_of_start('already_running', v_live_job_id, format('job %s is already '
        'running', p_job_name), '{}');
    end if;
  end loop;
  for v_try in 1 .. 100 loop
    v_started := sync.start_runs(v_job_id, p_requested);
    exit when v_started.o_started > 0 or v_started.o_requested = 0;
    select r.job_id into v_live_job_id from unnest(p_requested) as q
    join public.workspace_sync_runs as r on r.workspace_id = q.workspace_id
      and r.stream_id = q.stream_id and r.status = 'running'
    limit 1;
    if v_live_job_id is not null then
      delete from public.polling_job_status where id = v_job_id;
      return sync.answer_of_start('already_running', v_live_job_id,
        'everything requested is already being synced', '{}');
    end if;
  end loop;
  if v_job_id is null or v_started.o_started = 0 then
    raise exception using errcode = 'SY005',
      message = 'there is nothing to sync: what was requested was removed, moved or ended meanwhile',
      hint = 'Ask again: select * from sync_workspaces shows what there is now.';
  end if;
  update public.polling_job_status set
    total_workspaces = v_started.o_requested,
    workspaces_skipped = cardinality(v_started.o_skipped),
    warnings = array(select format('%s: skipped, '
    'it is already being synced', name) from unnest(v_started.o_skipped) as name)
  where id = v_job_id;
  perform sync.learn_of_filled_tables();
  perform sync.begin_runs(array(
    select id from public.workspace_sync_runs where job_id = v_job_id));
  perform sync.close_job(v_job_id);
  return sync.answer_of_start('accepted', v_job_id, format('syncing %s',
    sync.counted(v_started.o_requested - cardinality(v_started.o_skipped), 'workspace')),
    v_started.o_skipped);
end; $function$;

CREATE OR REPLACE FUNCTION sync.answer_of_start(p_status text, p_job_id uuid, p_message text, p_skipped text[])
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select jsonb_build_object('success', true, 'job_id', p_job_id, 'status', p_status, 'message',
    p_message,
    'workspaces_skipped', to_jsonb(p_skipped));
$function$;

CREATE OR REPLACE FUNCTION sync.live_record_ids(p_run public.workspace_sync_runs)
 RETURNS text[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_ids text[];
begin
  execute sync.target_sql('select array(
    select %3$s from %1$s as t where %2$s and t.deleted_at is null order by t.id)',
      p_run.stream_id)
  into v_ids using p_run.workspace_id, p_run.stream_id;
  return v_ids;
end; $function$;

CREATE OR REPLACE FUNCTION sync.remember_records(p_job_id uuid)
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.start_audit(p_workspaces text[] DEFAULT NULL::text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '20s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
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
end; $function$;

CREATE OR REPLACE FUNCTION sync.audit_of(p_run public.workspace_sync_runs)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
end; $function$;

CREATE OR REPLACE FUNCTION sync.cancel_sync_job(p_job_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_status text;
  v_run_ids bigint[];
begin
  perform sync.require_operator();
  perform sync.require_read_committed();
  perform sync.require_job(p_job_id);
  select array_agg(id) into v_run_ids from (
    select id from public.workspace_sync_runs where job_id = p_job_id and status = 'running'
    order by id for no key update) as live;
  update public.polling_job_status
  set cancel_requested_at = coalesce(cancel_requested_at, sync.now())
  where id = p_job_id and status = 'running' returning status into v_status;
  if v_status is null then
    raise exception using errcode = 'SY008', message = format('job %s has ended already', p_job_id),
      hint = 'select status from polling_job_status tells how.';
  end if;
  perform sync.end_run_early(id, 'cancelled', null) from unnest(v_run_ids) as id;
  perform sync.advance_runs_and_jobs(coalesce(v_run_ids, '{}'));
  perform sync.close_job(p_job_id);
  return (select jsonb_build_object('job_id', id, 'status', status,
    'chunks_in_flight', (select count(*) from public.chunk_processing_queue as q
      where q.run_id = any (v_run_ids) and q.slot is not null))
    from public.polling_job_status where id = p_job_id);
end; $function$;

CREATE OR REPLACE FUNCTION sync.follow_pause()
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_run_ids bigint[];
begin
  v_run_ids := array(
    select id from public.workspace_sync_runs
    where status = 'running' and is_paused <> sync.is_paused(workspace_id)
    order by id for no key update skip locked);
  update public.workspace_sync_runs set is_paused = not is_paused where id = any (v_run_ids);
  update public.chunk_processing_queue as q set
    ready_seq = case when not (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then nextval('sync.ready_seq') end,
    next_retry_at = case when (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then 'infinity'::timestamptz end,
    turn = null, line_budget_id = null
  where q.id = any (array(
    select s.id from public.workspace_sync_runs as r
    cross join lateral (
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'pending' and (
        r.is_paused and (x.ready_seq is not null or x.next_retry_at <= sync.now())
        or not r.is_paused and x.next_retry_at = 'infinity')
      for no key update skip locked
    ) as s
    where r.status = 'running'));
  return v_run_ids;
end; $function$;

CREATE OR REPLACE FUNCTION sync.write_pause(p_source text, p_workspace text, p_paused_at timestamp with time zone)
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_source_id bigint;
  v_workspace_id bigint;
begin
  if p_source is not null and p_workspace is not null then
    raise exception using errcode = 'SY006', message = 'name a source or a workspace, '
      'not both', hint = 'Neither means everything.';
  end if;
  v_workspace_id := case when p_workspace is not null then sync.workspace_id_of(p_workspace) end;
  select id into v_source_id from public.sync_sources where source_name = p_source;
  if p_source is not null and v_source_id is null then
    raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them.';
  end if;
  perform 1 from public.workspace_sync_runs as r
  where r.status = 'running' and (v_workspace_id is null or r.workspace_id = v_workspace_id)
    and (v_source_id is null or v_source_id = (
      select w.source_id from public.sync_workspaces as w where w.id = r.workspace_id))
  order by r.id for no key update of r;
  if v_workspace_id is not null then
    update public.sync_workspaces set paused_at = p_paused_at where id = v_workspace_id;
  elsif v_source_id is not null then
    update public.sync_sources set paused_at = p_paused_at where id = v_source_id;
  else
    update public.sync_settings set value = to_jsonb(p_paused_at is not null) where name = 'paused';
  end if;
  return sync.follow_pause();
end; $function$;

CREATE OR REPLACE FUNCTION sync.pause_sync(p_source text, p_workspace text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run_ids bigint[];
begin
  perform sync.require_operator();
  v_run_ids := sync.write_pause(p_source, p_workspace, sync.now());
  return jsonb_build_object('paused', true, 'live_runs', cardinality(v_run_ids));
end; $function$;

CREATE OR REPLACE FUNCTION sync.resume_sync(p_source text, p_workspace text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run_ids bigint[];
begin
  perform sync.require_operator();
  v_run_ids := sync.write_pause(p_source, p_workspace, null);
  return jsonb_build_object('paused', false, 'live_runs', cardinality(v_run_ids));
end; $function$;

CREATE OR REPLACE FUNCTION sync.rows_of_source(p_source_name text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select jsonb_build_object('source', to_jsonb(so), 'streams', coalesce((
    select jsonb_object_agg(st.stream_name, to_jsonb(st)) from public.sync_streams as st
    where st.source_id = so.id), '{}'))
  from public.sync_sources as so where so.source_name = p_source_name;
$function$;

CREATE OR REPLACE FUNCTION sync.changed_fields(p_what text, p_before jsonb, p_after jsonb, p_given jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('field', f.field, 'old', p_before -> f.field,
    'new', p_after -> f.field) order by f.n), '[]')
  from (
    select a.attname::text, a.attnum from pg_catalog.pg_attribute as a
    where a.attrelid = case p_what when 'source' then 'public.sync_sources'::regclass
      else 'public.sync_streams'::regclass end
  ) as f (field, n)
  where f.field in (select d.field from sync.declared_fields(p_what) as d)
    and p_before -> f.field is distinct from p_after -> f.field
    -- Of what is new its defaults are no news.
    and (p_before is not null or p_given ->> f.field is not null)
    and f.field <> all ('{source_name,stream_name}');
$function$;

CREATE OR REPLACE FUNCTION sync.require_declaration(p_declaration jsonb)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_form text := '{"source": {"source_name": …}, "streams": [{"stream_name": …}, …]}; "about" may '
    'say what no program reads.';
  v_wrong text;
begin
  if coalesce(jsonb_typeof(p_declaration), 'null') <> 'object' then
    raise exception using errcode = 'SY006',
      message = format('the declaration is %s and no JSON object',
        coalesce(sync.shown(p_declaration), 'null')),
      hint = v_form;
  end if;
  select string_agg(sync.shown(to_jsonb(k)), ', ') into v_wrong
  from jsonb_object_keys(p_declaration) as k where k <> all ('{about,source,streams}');
  v_wrong := case
    when v_wrong is not null then 'unknown fields: ' || v_wrong
    when jsonb_typeof(p_declaration -> 'source') is distinct from 'object'
    then '"source" is no object'
    when jsonb_typeof(p_declaration -> 'streams') is distinct from 'array'
    then '"streams" is no list'
    when jsonb_array_length(p_declaration -> 'streams') > 1000
    then 'more than 1,000 streams' end;
  select coalesce(v_wrong, min(w.what)) into v_wrong from (
    select case
      when jsonb_typeof(s.stream) <> 'object' then format('stream %s is no object', s.n)
      when coalesce(s.stream ->> 'source_name', '') <> coalesce(p_declaration
        #>> '{source,source_name}', '') and s.stream ? 'source_name'
      then format('stream %s is of the source %s', s.n, sync.shown(s.stream -> 'source_name'))
      when s.stream ->> 'stream_name' is not null
        and count(*) over (partition by s.stream ->> 'stream_name') > 1
      then format('the stream %s stands there twice', sync.shown(s.stream -> 'stream_name'))
      end as what
    from jsonb_array_elements(case when v_wrong is null then p_declaration -> 'streams'
      else '[]' end) with ordinality as s (stream, n)
  ) as w;
  if v_wrong is not null then
    raise exception using errcode = 'SY006', message = 'the declaration: ' || v_wrong,
      hint = v_form;
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.declare_all(p_declaration jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_source record;
  v_stream record;
  v_written record;
  v_asks_whose_keys boolean := false;
  v_message text;
  v_hint text;
begin
  v_source := sync.write_source(p_declaration -> 'source');
  for v_stream in
    select s.stream, s.n from jsonb_array_elements(p_declaration -> 'streams') with ordinality
      as s (stream, n) order by s.n
  loop
    begin
      v_written := sync.write_declared_stream(v_stream.stream
        || jsonb_build_object('source_name', p_declaration #>> '{source,source_name}'));
      v_asks_whose_keys := v_asks_whose_keys or v_written.o_asks_whose_keys;
    exception when sqlstate 'SY006' then
      get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
      raise exception using errcode = 'SY006', hint = v_hint,
        message = case when v_message like 'stream %' then v_message
        else format('stream %s: %s', coalesce(sync.shown(v_stream.stream -> 'stream_name'),
          v_stream.n::text), v_message) end;
    end;
  end loop;
  -- Workspaces come behind what streams lock.
  perform sync.ask_whose_keys(v_source.o_id) where v_asks_whose_keys;
  perform sync.follow_source(v_source.o_id, v_source.o_before);
end; $function$;

CREATE OR REPLACE FUNCTION public.apply_declaration(p_declaration jsonb, p_is_trial boolean DEFAULT false)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '30s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_name text := p_declaration #>> '{source,source_name}';
  v_before jsonb;
  v_after jsonb;
  v_changes jsonb;
begin
  perform sync.require_service();
  perform sync.require_declaration(p_declaration);
  v_before := coalesce(sync.rows_of_source(v_name), '{}');
  begin
    perform sync.declare_all(p_declaration);
    v_after := sync.rows_of_source(v_name);
    if coalesce(p_is_trial, true) then
      raise exception 'this was a trial';
    end if;
  exception when raise_exception then
    if v_after is null then
      raise;
    end if;
  end;
  select coalesce(jsonb_agg(jsonb_build_object('what', c.what, 'name', c.name,
    'is_new', c.before is null, 'fields', c.fields, 'live_runs', c.live_runs) order by c.n), '[]')
  into v_changes from (
    select d.*, sync.changed_fields(d.what, d.before, d.after, d.given) as fields, (
      select count(*) from public.workspace_sync_runs as r
      where d.what = 'stream' and r.stream_id = (d.before ->> 'id')::bigint
        and r.completed_at is null) as live_runs
    from (
      select 0, 'source', v_name, v_before -> 'source', v_after -> 'source',
        p_declaration -> 'source'
      union all
      select s.n, 'stream', s.stream ->> 'stream_name',
        v_before -> 'streams' -> (s.stream ->> 'stream_name'),
        v_after -> 'streams' -> (s.stream ->> 'stream_name'), s.stream
      from jsonb_array_elements(p_declaration -> 'streams') with ordinality as s (stream, n)
    ) as d (n, what, name, before, after, given)
  ) as c
  where c.before is null or c.fields <> '[]';
  return jsonb_build_object('source_name', v_name, 'is_applied', not coalesce(p_is_trial, true),
    'changes', v_changes, 'untouched', (
      select coalesce(jsonb_agg(k order by k), '[]')
      from jsonb_object_keys(coalesce(v_before -> 'streams', '{}')) as k
      where k not in (select s ->> 'stream_name'
        from jsonb_array_elements(p_declaration -> 'streams') as s)));
end; $function$;

CREATE OR REPLACE FUNCTION sync.undeclared_rows(OUT o_source jsonb, OUT o_stream jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_name text := 'defaults ' || gen_random_uuid();
begin
  begin
    perform public.declare_source(jsonb_build_object('source_name', v_name));
    perform public.declare_stream(jsonb_build_object('source_name', v_name, 'stream_name', v_name,
      'path', '/', 'page_size', 1));
    select to_jsonb(so), to_jsonb(st) into strict o_source, o_stream
    from public.sync_sources as so join public.sync_streams as st on st.source_id = so.id
    where so.source_name = v_name;
    raise exception 'this was a trial';
  exception when raise_exception then
    if o_stream is null then
      raise;
    end if;
  end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.declaration_of(p_what text, p_row jsonb, p_defaults jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(jsonb_object_agg(f.field, case when f.field = 'status_classes' then (
      select coalesce(jsonb_object_agg(c.key, c.value), '{}')
      from jsonb_each(p_row -> 'status_classes') as c
      where c.value is distinct from p_defaults -> 'status_classes' -> c.key)
    else p_row -> f.field end), '{}')
  from sync.declared_fields(p_what) as f
  where p_row ? f.field and (p_row -> f.field is distinct from p_defaults -> f.field
    or f.field = any ('{path,page_size}'))
    -- Of declared columns it is made.
    and not (f.field = 'apply_function' and p_row ->> 'columns' is not null);
$function$;

CREATE OR REPLACE FUNCTION public.get_declarations(p_source text DEFAULT NULL::text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '30s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_defaults record;
begin
  perform sync.require_service();
  if p_source is not null and not exists (
    select 1 from public.sync_sources where source_name = p_source) then
    raise exception using errcode = 'SY003',
      message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them.';
  end if;
  v_defaults := sync.undeclared_rows();
  return jsonb_build_object('declarations', (
    with recursive placed (id, stream_name, depth) as (
      select id, stream_name, 0 from public.sync_streams where parent_stream is null
      union all
      select child.id, child.stream_name, p.depth + 1 from placed as p
      join public.sync_streams as parent on parent.id = p.id
      join public.sync_streams as child on child.source_id = parent.source_id
        and child.parent_stream = parent.stream_name
      where p.depth < 100
    )
    select coalesce(jsonb_agg(jsonb_build_object(
      'source', sync.declaration_of('source', to_jsonb(so), v_defaults.o_source),
      'streams', (
        select coalesce(jsonb_agg(
          jsonb_build_object('source_name', so.source_name)
            || sync.declaration_of('stream', to_jsonb(st), v_defaults.o_stream)
          order by p.depth, st.id), '[]')
        from public.sync_streams as st
        join (select id, max(depth) as depth from placed group by id) as p on p.id = st.id
        where st.source_id = so.id)) order by so.id), '[]')
    from public.sync_sources as so where p_source is null or so.source_name = p_source));
end; $function$;

CREATE OR REPLACE FUNCTION sync.rows_to_try(p_declaration jsonb, p_source_name text, p_stream text, OUT o_source jsonb, OUT o_stream jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_is_file boolean := p_declaration ?| '{source,streams}';
  v_source_name text := case when v_is_file then p_declaration #>> '{source,source_name}'
    else p_source_name end;
  v_stream_name text := coalesce(p_stream, case
    when not v_is_file then p_declaration ->> 'stream_name'
    when jsonb_array_length(p_declaration -> 'streams') = 1
    then p_declaration #>> '{streams,0,stream_name}' end);
begin
  begin
    if v_is_file then
      perform sync.declare_all(p_declaration);
    elsif p_declaration - '{source_name,stream_name}'::text[] <> '{}' then
      perform public.declare_stream(p_declaration
        || jsonb_build_object('source_name', p_source_name));
    end if;
    select to_jsonb(so), to_jsonb(st) into o_source, o_stream
    from public.sync_sources as so join public.sync_streams as st on st.source_id = so.id
    where so.source_name = v_source_name and st.stream_name = v_stream_name;
    raise exception 'this was a trial';
  exception when raise_exception then
    null;
  end;
  if o_stream is null then
    raise exception using errcode = 'SY003', message = case when v_stream_name is null
        then 'the declaration has several streams, and none is named'
        else format('there is no stream %L of source %L', v_stream_name, v_source_name) end,
      hint = 'select stream_name from sync_streams lists those that are declared; p_stream says '
        'which one of a declaration is tried.';
  end if;
  if v_source_name <> p_source_name then
    raise exception using errcode = 'SY006',
      message = format('the workspace speaks %L, and the stream is one of %L', p_source_name,
        v_source_name),
      hint = 'Name a workspace of that source; register_workspace() adds one.';
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.some_parent(p_workspace_id bigint, p_stream jsonb, OUT o_parent jsonb, OUT o_id text)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams, p_stream);
  v_parent public.sync_streams := sync.parent_of(v_stream);
  v_rows sync.live_row[];
begin
  if v_parent.id is null then
    return;
  end if;
  v_rows := array(
    select l from sync.live_rows(v_parent.id, p_workspace_id, null, null, 1) as l);
  o_id := v_rows[1].record_id;
  o_parent := (sync.parent_values(v_parent, p_workspace_id, v_rows,
    sync.parent_paths(v_stream)))[1];
end; $function$;

CREATE OR REPLACE FUNCTION public.try_stream(p_declaration jsonb, p_workspace text, p_stream text DEFAULT NULL::text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_workspace public.sync_workspaces;
  v_source_name text;
  v_rows record;
  v_parent record;
  v_is_item boolean;
  v_changed text;
  v_id bigint;
begin
  perform sync.require_service();
  select * into v_workspace from public.sync_workspaces
  where workspace_name = p_workspace and removed_at is null;
  if v_workspace.id is null then
    raise exception using errcode = 'SY002', message = format('there is no workspace %L',
        p_workspace),
      hint = 'select workspace_name from sync_workspaces lists them.';
  end if;
  select source_name into strict v_source_name from public.sync_sources
  where id = v_workspace.source_id;
  if coalesce(jsonb_typeof(p_declaration), 'null') <> 'object' then
    raise exception using errcode = 'SY006',
      message = format('the declaration is %s and no JSON object',
        coalesce(sync.shown(p_declaration), 'null')),
      hint = 'A stream as declare_stream() takes it, a source with its streams, or '
        '{"stream_name": …} of one that is declared.';
  end if;
  if p_declaration ?| '{source,streams}' then
    perform sync.require_declaration(p_declaration);
  end if;
  v_rows := sync.rows_to_try(p_declaration, v_source_name, p_stream);
  select string_agg(f.field, ', ') into v_changed
  from unnest('{auth,token_url,token_params,token_auth}'::text[]) as f (field)
  join public.sync_sources as so on so.id = v_workspace.source_id
    and to_jsonb(so) -> f.field is distinct from v_rows.o_source -> f.field
  where sync.is_oauth(v_rows.o_source ->> 'auth');
  if v_changed is not null then
    raise exception using errcode = 'SY006',
      message = format('the declaration changes %s, and access tokens are asked for as the source '
        'stands', v_changed),
      hint = 'Declare the source first: chunkwise streams declare, or apply_declaration().';
  end if;
  v_is_item := v_rows.o_stream ->> 'completeness' = 'items';
  v_parent := sync.some_parent(v_workspace.id, v_rows.o_stream);
  if v_rows.o_stream ->> 'parent_stream' is not null and v_parent.o_id is null then
    raise exception using errcode = 'SY005',
      message = format('stream %L is read of each record of %L, and workspace %L has none',
        v_rows.o_stream ->> 'stream_name', v_rows.o_stream ->> 'parent_stream', p_workspace),
      hint = 'start_sync_job() reads the parents first.';
  end if;
  insert into sync.stream_tries (workspace_id, budget_id, source, stream, request_id, kind, page,
    record_id, reading)
  -- A first answer is wanted, and no word that nothing changed.
  values (v_workspace.id, v_workspace.budget_id, v_rows.o_source,
    v_rows.o_stream || '{"conditional": false}',
    nextval('public.chunked_sync_jobs_id_seq'), case when v_is_item then 'item'
    else 'page' end, case when not v_is_item then 1 end,
    case when v_is_item then v_parent.o_id end,
    case when v_rows.o_stream ->> 'parent_stream' is not null and not v_is_item
    then jsonb_build_object('parent', v_parent.o_parent) end)
  returning id into v_id;
  return jsonb_build_object('try_id', v_id, 'workspace', v_workspace.workspace_name,
    'stream', v_rows.o_stream ->> 'stream_name');
end; $function$;

CREATE OR REPLACE FUNCTION public.get_stream_try(p_try_id bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '5s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_try sync.stream_tries;
  v_stream public.sync_streams;
  v_first jsonb;
begin
  perform sync.require_service();
  select * into v_try from sync.stream_tries
  where id = p_try_id and coalesce(ended_at, 'infinity') > sync.now() - interval '1 hour';
  if v_try.id is null then
    raise exception using errcode = 'SY007', message = format('there is no try %s', coalesce(
        p_try_id::text, 'null')),
      hint = 'They are kept for an hour; try_stream() begins another.';
  end if;
  v_stream := jsonb_populate_record(null::public.sync_streams, v_try.stream);
  v_first := v_try.steps -> 0;
  return jsonb_build_object(
    'try_id', v_try.id, 'status', v_try.status, 'stream', v_stream.stream_name,
    'workspace', (select workspace_name from public.sync_workspaces where id = v_try.workspace_id),
    'error_message', v_try.error_message,
    'complaints', (
      select coalesce(jsonb_agg(c.complaint || jsonb_build_object('step', s.step -> 'step')
        order by s.n, c.n), '[]')
      from jsonb_array_elements(v_try.steps) with ordinality as s (step, n)
      cross join jsonb_array_elements(s.step -> 'complaints') with ordinality as c (complaint, n)),
    'planned', jsonb_build_object('completeness', v_stream.completeness,
      'position', sync.position_of(v_stream), 'records', v_first -> 'total',
      'pages', coalesce((v_first ->> 'last_page')::bigint,
        ceil((v_first ->> 'total')::numeric / v_stream.page_size)::bigint)),
    'written', jsonb_build_object('table', v_stream.target_table,
      'records_of_page_1', v_first -> 'records'),
    'fields', coalesce(v_first -> 'fields', '[]'),
    'steps', (select coalesce(jsonb_agg(s.step - 'fields' order by s.n), '[]')
      from jsonb_array_elements(v_try.steps) with ordinality as s (step, n)));
end; $function$;

CREATE OR REPLACE FUNCTION sync.follow_workspaces()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_held bigint[];
begin
  perform sync.require_trigger_of(tg_relid, 'public.sync_workspaces');
  perform sync.follow_pause() where exists (
    select 1 from new_rows as n join old_rows as o using (id)
    where (n.key_status = 'unreadable') <> (o.key_status = 'unreadable'));
  v_held := array(
    select r.id from public.workspace_sync_runs as r
    join new_rows as n on n.id = r.workspace_id join old_rows as o on o.id = n.id
    where r.status = 'running' and n.access_revision <> o.access_revision
    order by r.id for no key update of r skip locked);
  perform sync.begin_again_if_outdated(id) from unnest(v_held) as id;
  perform sync.forget_missing(n.id, st.id)
  from new_rows as n join old_rows as o on o.id = n.id and o.access_revision <> n.access_revision
  join public.sync_streams as st on st.source_id = o.source_id
  where not exists (
    select 1 from public.workspace_sync_runs as r
    where r.workspace_id = n.id and r.stream_id = st.id and r.status = 'running'
      and r.id <> all (v_held));
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lock_runs(p_workspace_name text)
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run_ids bigint[];
begin
  v_run_ids := array(
    select r.id from public.workspace_sync_runs as r
    join public.sync_workspaces as w on w.id = r.workspace_id
    where w.name_key = (select sync.name_key(p_workspace_name))
      and r.status = 'running'
    order by r.id for no key update of r);
  perform 1 from public.polling_job_status where id in (
    select job_id from public.workspace_sync_runs where id = any (v_run_ids))
  order by id for no key update;
  return v_run_ids;
end; $function$;

CREATE OR REPLACE FUNCTION sync.write_workspace_key(p_workspace_id bigint, p_source_id bigint, p_api_key text, OUT o_secret_id uuid, OUT o_is_same boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_source public.sync_sources;
  v_key text := nullif(sync.trim_blanks(p_api_key), '');
  v_name text := 'chunkwise/workspace/' || p_workspace_id;
  v_wrong text;
begin
  select * into strict v_source from public.sync_sources where id = p_source_id;
  v_wrong := sync.wrong_in_secret(v_source.auth, v_source.auth_in, v_key);
  if v_wrong is not null then
    raise exception using errcode = 'SY014', message = v_wrong,
      hint = sync.secret_form(v_source.auth);
  end if;
  select sync.read_secret(id) is not distinct from v_key into o_is_same
  from vault.secrets where name = v_name;
  if v_source.auth = 'none' then
    o_is_same := o_is_same is null;
    delete from vault.secrets where name = v_name;
  else
    o_is_same := coalesce(o_is_same, false);
    o_secret_id := sync.write_secret(v_name, v_key, 'API key of a Chunkwise workspace');
  end if;
  perform sync.follow_new_secret(p_workspace_id, p_source_id, v_key, o_is_same);
end; $function$;

CREATE OR REPLACE FUNCTION public.register_workspace(p_workspace_name text, p_base_url text, p_api_key text, p_source text DEFAULT NULL::text, p_external_id text DEFAULT NULL::text, p_max_concurrency integer DEFAULT NULL::integer, p_replace boolean DEFAULT false)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_name text;
  v_url text;
  v_external_id text;
  v_workspace public.sync_workspaces;
  v_source_id bigint;
  v_run_ids bigint[];
  v_key record;
  v_is_new boolean;
  v_is_moved boolean;
begin
  perform sync.require_service();
  v_name := sync.tidy_name(p_workspace_name);
  v_url := sync.checked_base_url(regexp_replace(p_base_url, '/+$', ''));
  v_external_id := nullif(sync.trim_blanks(p_external_id), '');
  if p_max_concurrency not between 1 and 64 then
    raise exception using errcode = 'SY006', message = format('p_max_concurrency is %s; a '
        'workspace has 1 to 64 slots', p_max_concurrency),
      hint = 'register_workspace(…, p_max_concurrency => 8)';
  end if;
  v_run_ids := sync.lock_runs(v_name);
  insert into public.sync_workspaces (workspace_name, source_id, base_url, external_id)
  select v_name, sync.source_id_of(p_source), v_url, v_external_id
  where not exists (select 1 from public.sync_workspaces
    where name_key = (select sync.name_key(v_name)))
  on conflict (name_key) do nothing;
  v_is_new := found;
  select * into strict v_workspace from public.sync_workspaces
  where name_key = (select sync.name_key(v_name)) for no key update;
  v_source_id := case when p_source is null then v_workspace.source_id
  else sync.source_id_of(p_source) end;
  v_is_moved := (v_source_id, v_url) is distinct
    from (v_workspace.source_id, v_workspace.base_url);
  if v_is_moved and p_replace is not true then
    raise exception using errcode = 'SY019',
      message = format('the name %L is taken by a workspace at %s', v_workspace.workspace_name,
        v_workspace.base_url),
      hint = 'p_replace => true gives it the other source or base URL; what is here of it stays.';
  end if;
  v_key := sync.write_workspace_key(v_workspace.id, v_source_id, p_api_key);
  update public.sync_workspaces set
    source_id = v_source_id, base_url = v_url, is_active = true, removed_at = null,
    external_id = coalesce(v_external_id, external_id),
    is_external_id_found = is_external_id_found and v_external_id is null,
    max_concurrency = coalesce(p_max_concurrency, max_concurrency),
    secret_id = v_key.o_secret_id,
    key_status = case when v_key.o_is_same and key_status = 'accepted' then key_status
    else 'unchecked' end,
    key_checked_at = case when v_key.o_is_same and key_status = 'accepted' then key_checked_at end,
    key_owner = case when v_key.o_is_same then key_owner end,
    key_owner_id = case when v_key.o_is_same then key_owner_id end,
    access_revision = access_revision + case when v_key.o_is_same then 0 else 1 end
  where id = v_workspace.id;
  perform sync.advance_runs_and_jobs(v_run_ids);
  return jsonb_build_object('workspace_id', v_workspace.id, 'workspace_name',
    v_workspace.workspace_name, 'created', v_is_new);
end; $function$;

CREATE OR REPLACE FUNCTION public.compare_workspace_names(p_names text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
AS $function$
begin
  perform sync.require_service();
  return jsonb_build_object('names', (
    select coalesce(jsonb_agg(jsonb_build_object('workspace_name', w.workspace_name, 'first',
      x.first) order by x.n), '[]')
    from (
      select k.n, k.name_key, min(k.n) over (partition by k.name_key) as first
      from (
        select u.n, sync.name_key(u.name) as name_key
        from unnest(p_names) with ordinality as u (name, n) offset 0
      ) as k
    ) as x
    left join public.sync_workspaces as w on w.name_key = x.name_key));
end; $function$;

CREATE OR REPLACE FUNCTION public.rotate_workspace_key(p_workspace_name text, p_api_key text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_run_ids bigint[];
  v_workspace public.sync_workspaces;
  v_key record;
begin
  perform sync.require_service();
  v_run_ids := sync.lock_runs(p_workspace_name);
  select * into v_workspace from public.sync_workspaces
  where id = sync.workspace_id_of(p_workspace_name) for no key update;
  v_key := sync.write_workspace_key(v_workspace.id, v_workspace.source_id, p_api_key);
  update public.sync_workspaces set
    secret_id = v_key.o_secret_id,
    key_status = case when v_key.o_is_same and key_status = 'accepted' then key_status
    else 'unchecked' end,
    key_checked_at = case when v_key.o_is_same and key_status = 'accepted' then key_checked_at end,
    key_owner = case when v_key.o_is_same then key_owner end,
    key_owner_id = case when v_key.o_is_same then key_owner_id end,
    access_revision = access_revision + case when v_key.o_is_same then 0 else 1 end
  where id = v_workspace.id;
  perform sync.advance_runs_and_jobs(v_run_ids);
  return jsonb_build_object('workspace_id', v_workspace.id, 'workspace_name',
    v_workspace.workspace_name);
end; $function$;

CREATE OR REPLACE FUNCTION sync.erase_workspace_rows(p_workspace_id bigint, p_limit bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_table record;
  v_deleted bigint;
  v_total bigint := 0;
begin
  for v_table in
    select c.conrelid::regclass as name, a.attname as key from pg_catalog.pg_constraint as c
    join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.confrelid = 'public.sync_workspaces'::regclass
    order by c.conrelid
  loop
    execute format('delete from %1$s where ctid = any (array(
      select ctid from %1$s where %2$I = $1 limit $2))', v_table.name, v_table.key)
    using p_workspace_id, p_limit - v_total;
    get diagnostics v_deleted = row_count;
    v_total := v_total + v_deleted;
    exit when v_total >= p_limit;
  end loop;
  return v_total;
end; $function$;

CREATE OR REPLACE FUNCTION public.remove_workspace(p_workspace_name text, p_delete_records boolean DEFAULT false)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '60s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_run_ids bigint[];
  v_workspace public.sync_workspaces;
  v_deleted bigint := 0;
  v_is_finished boolean := true;
begin
  perform sync.require_service();
  v_run_ids := sync.lock_runs(p_workspace_name);
  select * into v_workspace from public.sync_workspaces
  where name_key = (select sync.name_key(p_workspace_name)) for no key update;
  if v_workspace.id is null or (v_workspace.removed_at is not null
    and p_delete_records is not true) then
    perform sync.workspace_id_of(p_workspace_name);
  end if;
  delete from vault.secrets where id = v_workspace.secret_id;
  perform sync.forget_token(v_workspace.id);
  delete from sync.workspace_tokens where workspace_id = v_workspace.id;
  perform sync.end_run_early(id, 'cancelled', 'its workspace was removed')
  from unnest(v_run_ids) as id;
  update public.polling_job_status as j
  set cancel_requested_at = coalesce(cancel_requested_at, sync.now())
  from public.workspace_sync_runs as r
  where r.id = any (v_run_ids) and j.id = r.job_id and j.status = 'running' and not exists (
    select 1 from public.workspace_sync_runs as x
    where x.job_id = j.id and x.workspace_id <> v_workspace.id);
  update public.sync_workspaces set
    removed_at = coalesce(removed_at, sync.now()), is_active = false, secret_id = null,
    key_status = 'unchecked', key_checked_at = null, key_owner = null, key_owner_id = null,
    access_revision = access_revision + 1
  where id = v_workspace.id;
  perform sync.advance_runs_and_jobs(v_run_ids);
  update public.sync_alerts as a set resolved_at = sync.now()
  where a.resolved_at is null and a.kind in ('stale_workspace', 'key_refused', 'token_failing',
      'key_of_other_workspace', 'counts_disagree', 'deletions_waiting')
    and (a.subject = v_workspace.workspace_name or exists (
      select 1 from public.sync_streams as st where st.source_id = v_workspace.source_id
        and a.subject = format('%s %s', v_workspace.workspace_name, st.stream_name)));
  if p_delete_records then
    -- Only where no run is live: whoever writes rows of one may wait for what this call holds.
    perform 1 from public.sync_workspaces where id = v_workspace.id and not exists (
      select 1 from public.workspace_sync_runs
      where workspace_id = v_workspace.id and status = 'running') for update;
    v_is_finished := found and not exists (select 1 from public.workspace_sync_runs
      where workspace_id = v_workspace.id and status = 'running');
    if v_is_finished then
      v_deleted := sync.erase_workspace_rows(v_workspace.id, 50000);
      v_is_finished := v_deleted < 50000;
    end if;
    delete from public.sync_workspaces where id = v_workspace.id and v_is_finished;
  end if;
  return jsonb_build_object('workspace_id', v_workspace.id, 'workspace_name',
    v_workspace.workspace_name, 'rows_deleted', v_deleted, 'is_finished', v_is_finished);
end; $function$;

CREATE OR REPLACE FUNCTION sync.forget_workspaces()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.require_trigger_of(tg_relid, 'public.sync_workspaces');
  delete from vault.secrets as s using gone as g
  where s.id = g.secret_id
    or s.name in ('chunkwise/workspace/' || g.id, 'chunkwise/token/' || g.id);
  delete from public.sync_budgets as b using gone as g where b.scope_key = 'workspace:' || g.id;
  return null;
end; $function$;

CREATE TRIGGER hint_state_stay BEFORE DELETE OR TRUNCATE ON sync.hint_state FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_removal();

CREATE OR REPLACE FUNCTION sync.push_chunks(p_queue_ids bigint[])
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_sent int;
begin
  if to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') is null then
    return 0;
  end if;
  with reachable as materialized (
    select x.id, x.url, x.streams, x.token from (
      select e.id, e.url, e.streams, sync.read_secret(e.secret_id) as token
      from public.worker_endpoints as e
      where e.is_active and (e.resting_until is null or e.resting_until <= sync.now()) offset 0
    ) as x where x.token is not null
  )
  insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at)
  select c.id, e.id, net.http_post(
      url => e.url,
      body => jsonb_build_object('type', 'UPDATE', 'table',
      case when c.is_item then 'chunk_processing_queue' else 'sync_page_queue' end, 'schema',
      'public',
        'record', jsonb_build_object('id', c.id, 'status', c.status, 'attempts', c.attempts,
        'created_at', c.created_at), 'old_record', null),
      headers => jsonb_build_object('Content-Type', 'application/json', 'Authorization',
        'Bearer ' || e.token, 'Chunkwise-Message', 'hint/' || c.id),
      timeout_milliseconds => 2000),
    c.attempt, sync.now()
  from (
    select ready.*,
      1 + (select count(*) from sync.hints as h where h.chunk_id = ready.id)::int as attempt
    from (
      select q.id, q.status, q.attempts, q.created_at, q.ready_seq, st.stream_name,
        st.completeness = 'items' as is_item
      from public.chunk_processing_queue as q
      join public.workspace_sync_runs as r on r.id = q.run_id
      join public.sync_streams as st on st.id = r.stream_id
      where q.id = any (p_queue_ids)
      union all
      -- What is tried may be declared nowhere yet: whoever is woken for some stream will do.
      select t.request_id, 'pending', t.attempts, t.created_at, null, null, t.kind = 'item'
      from sync.stream_tries as t where t.request_id = any (p_queue_ids)
    ) as ready
    order by ready.ready_seq limit (select greatest(0, sync.room_for_posts()))
  ) as c
  cross join lateral (
    select x.*, row_number() over (order by x.id) - 1 as position, count(*) over () as endpoints
    from reachable as x
    where x.streams is null or c.stream_name is null or c.stream_name = any (x.streams)
  ) as e
  where e.position = (c.id + c.attempt) % e.endpoints
  order by c.ready_seq;
  get diagnostics v_sent = row_count;
  perform sync.note_hint_failure('push', null)
  where exists (select 1 from sync.hint_state where last_push_error is not null);
  return v_sent;
exception when others then
  perform sync.note_hint_failure('push', sqlerrm);
  return 0;
end; $function$;

CREATE OR REPLACE FUNCTION sync.hint_work(p_queue_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  begin
    perform sync.broadcast_work(interval '250 milliseconds');
  exception when others then
    perform sync.note_hint_failure('realtime', sqlerrm);
  end;
  if exists (select 1 from public.worker_endpoints where is_active) then
    perform sync.push_chunks(p_queue_ids);
  end if;
end; $function$;

CREATE OR REPLACE FUNCTION sync.hint_ready_chunks()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.require_trigger_of(tg_relid, 'public.chunk_processing_queue');
  if exists (select 1 from changed where ready_seq is not null) then
    perform sync.hint_work(array(select id from changed where ready_seq is not null));
  end if;
  return null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.hint_try()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.require_trigger_of(tg_relid, 'sync.stream_tries');
  if new.due_at <= sync.now() then
    perform sync.hint_work(array[new.request_id]);
  end if;
  return null;
end; $function$;

CREATE TRIGGER stream_tries_hint AFTER INSERT OR UPDATE OF due_at ON sync.stream_tries FOR EACH ROW EXECUTE FUNCTION sync.hint_try();

CREATE OR REPLACE FUNCTION sync.collect_hint_answers()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if to_regclass('net._http_response') is null
    or not exists (select 1 from sync.hints where outcome = 'sent') then
    return;
  end if;
  with tokens as (
    select e.id as endpoint_id, sync.read_secret(e.secret_id) as token
    from public.worker_endpoints as e
  ), found as materialized (
    -- Answers have no index by their request, and a claim's sweep has no other join than one by one.
    select h.id, r.timed_out, r.error_msg, r.status_code, r.created, r.content
    from net._http_response as r
    cross join lateral (
      select x.id, x.posted_at from sync.hints as x
      where x.request_id = r.id and x.outcome = 'sent' offset 0
    ) as h
    where r.created >= (select min(x.posted_at) from sync.hints as x where x.outcome = 'sent')
      - interval '10 seconds'
      and sync.may_answer(r.created, h.posted_at, h.posted_at)
  ), answered as (
    update sync.hints as h set
      outcome = case when r.timed_out then 'timed_out' when r.error_msg is not null then 'failed'
      when r.status_code = 503 then 'busy'
        when r.status_code >= 300 then 'refused' else 'answered' end,
      status_code = r.status_code, settled_at = r.created,
      -- Of a token that cannot be read nobody can see whether the answer repeats it.
      message = case when exists (
        select 1 from tokens as t where t.endpoint_id = h.endpoint_id and t.token is null
      ) then '(not shown: the wake token cannot be read)'
        else sync.foreign_text(coalesce(r.error_msg, r.content),
        (select t.token from tokens as t where t.endpoint_id = h.endpoint_id)) end
    from found as r
    where h.id = r.id
    returning h.endpoint_id, h.outcome, h.message
  ), by_endpoint as (
    select endpoint_id, bool_or(outcome in ('answered', 'busy')) as is_alive, count(*) as failures,
      max(message) filter (where outcome not in ('answered', 'busy')) as message
    from answered group by endpoint_id
  ), free as (
    select id from public.worker_endpoints order by id for no key update skip locked
  )
  update public.worker_endpoints as e set
    last_answered_at = case when b.is_alive then sync.now() else e.last_answered_at end,
    consecutive_failures = case when b.is_alive then 0 else e.consecutive_failures + b.failures end,
    last_error = case when b.is_alive then null else b.message end,
    resting_until = case when not b.is_alive and e.consecutive_failures + b.failures >= 3
      then sync.now() + least(30 * 2 ^ least(e.consecutive_failures + b.failures - 3, 5),
      900) * interval '1 second' end
  from by_endpoint as b join free on free.id = b.endpoint_id
  where e.id = free.id;
  update sync.hints set outcome = 'lost', settled_at = sync.now()
  where outcome = 'sent' and sent_at < sync.now() - interval '60 seconds';
  perform sync.open_alert('endpoint_failing', url,
    format('%s wake-ups in a row failed: %s', consecutive_failures,
    coalesce(last_error, 'no reason')))
  from public.worker_endpoints where is_active and resting_until > sync.now();
  perform sync.resolve_alert('endpoint_failing', url) from public.worker_endpoints
    where consecutive_failures = 0;
end; $function$;

CREATE OR REPLACE FUNCTION sync.resend_hints(p_at_once boolean)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_ready bigint[];
  v_tries bigint[] := array(
    select request_id from sync.stream_tries where due_at <= v_now order by id limit 100);
begin
  select coalesce(array_agg(q.id order by q.ready_seq), '{}') into v_ready
  from public.workspace_sync_runs as r
  cross join lateral (
    -- A plain comparison would offer the planner to look through all that is ready.
    select x.id, x.ready_seq from public.chunk_processing_queue as x
    where x.run_id = r.id and x.slot is not null and (x.ready_seq is not null) is true offset 0
  ) as q
  where r.status = 'running';
  if cardinality(v_ready || v_tries) = 0 then
    return 0;
  end if;
  perform sync.broadcast_work(case when p_at_once then interval '0' else interval '250 milliseconds'
    end);
  if exists (select 1 from public.worker_endpoints where is_active)
    and to_regclass('net.http_request_queue') is not null then
    perform sync.push_chunks(array(
      select c.ready_id from unnest(v_tries || v_ready) as c (ready_id)
      where (p_at_once or not exists (
          select 1 from sync.hints as h where h.chunk_id = c.ready_id
          having max(h.sent_at) > v_now - least(5 * 2 ^ least(count(*) - 1, 6),
            300) * interval '1 second'))
        and c.ready_id not in (select p.chunk_id from sync.held_posts() as p)
      limit 200));
  end if;
  return cardinality(v_ready);
end; $function$;

CREATE OR REPLACE FUNCTION sync.tend_hints()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform sync.wake_due_chunks(1000);
  perform sync.wake_lines(1000);
  perform sync.drop_old_posts();
  perform sync.collect_hint_answers();
  perform sync.resend_hints(false);
exception
  when lock_not_available then
    -- Another holds what this reads: the next sweep comes.
    null;
  when others then
    perform sync.note_hint_failure('realtime', sqlerrm);
end; $function$;

create or replace view sync.run_progress with (security_invoker = true) as
select
  r.id as run_id, r.job_id, r.workspace_id, r.stream_id, r.status, r.ending, r.is_paused,
  r.close_error, r.phase, r.scan, r.expected_total,
  r.planned_chunks + case when r.status = 'running' and r.ending is null
    then r.known_pages - r.planned_pages else 0 end as planned,
  r.chunks_completed + coalesce(c.completed, 0) as completed,
  r.chunks_failed + coalesce(c.failed, 0) as failed,
  r.chunks_cancelled + coalesce(c.cancelled, 0) as cancelled,
  r.records_seen + coalesce(c.records, 0) as records,
  r.records_changed + coalesce(c.changed, 0) as changed,
  r.pages_planned, r.pages_completed + coalesce(c.pages, 0) as pages_completed,
  coalesce(q.processing, 0) as processing, coalesce(q.ready, 0) as ready,
  coalesce(q.delayed, 0) as delayed, q.next_retry_at, q.last_claim_at,
  case when r.status = 'running' then r.progress_total else coalesce(r.progress_total, 1) end
  as progress_total,
  case r.status when 'running'
    then least(r.progress_total,
      coalesce(r.parts_ended, r.chunks_completed + coalesce(c.completed, 0)))
    when 'completed' then coalesce(r.progress_total, 1)
    else least(coalesce(r.progress_total, 1), r.chunks_completed) end as progress_done
from public.workspace_sync_runs as r
left join lateral (
  select sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
    sum(records) as records, sum(changed) as changed, sum(pages) as pages
  from sync.run_counters where run_id = r.id and r.status = 'running'
) as c on true
left join lateral (
  select count(*) filter (where status = 'processing') as processing,
    count(*) filter (where ready_seq is not null) as ready,
    count(*) filter (where next_retry_at is not null and status = 'pending') as delayed,
    min(next_retry_at) filter (where status = 'pending') as next_retry_at,
    max(started_at) as last_claim_at
  from public.chunk_processing_queue
  where run_id = r.id and slot is not null and r.status = 'running'
) as q on true;

CREATE OR REPLACE FUNCTION sync.sum_up_runs(p_job_id uuid)
 RETURNS TABLE(planned bigint, processing bigint, completed bigint, failed bigint, cancelled bigint, ready bigint, delayed bigint, percentage numeric, workspaces_completed bigint, last_claim_at timestamp with time zone)
 LANGUAGE plpgsql
 STABLE ROWS 1
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
AS $function$
begin
  return query
  select coalesce(sum(r.planned), 0)::bigint, coalesce(sum(r.processing), 0)::bigint,
    coalesce(sum(r.completed), 0)::bigint, coalesce(sum(r.failed), 0)::bigint,
    coalesce(sum(r.cancelled), 0)::bigint, coalesce(sum(r.ready), 0)::bigint,
    coalesce(sum(r.delayed), 0)::bigint,
    case when not bool_or(r.progress_total is null)
    then least(99.9, trunc(100.0 * sum(r.progress_done) / sum(r.progress_total), 1)) end,
    count(distinct r.workspace_id)
    - count(distinct r.workspace_id) filter (where r.status <> 'completed'),
    max(r.last_claim_at)
  from sync.run_progress as r where r.job_id = p_job_id;
end; $function$;

create or replace view sync.job_progress with (security_invoker = true) as
select
  j.id as job_id, j.job_name, j.kind, j.status, j.total_workspaces,
  j.chunks_completed + j.chunks_failed + j.chunks_cancelled as planned, 0::bigint as pending,
  0::bigint as processing,
  j.chunks_completed as completed, j.chunks_failed as failed, j.chunks_cancelled as cancelled,
  case j.status when 'completed' then 'completed' when 'cancelled' then 'cancelled'
    else 'partial_failure' end as overall_status,
  coalesce(j.progress_percentage, case j.status when 'completed' then 100.0 end) as percentage,
  j.workspaces_processed::bigint as workspaces_completed, j.updated_at,
  coalesce(j.error_message, j.warnings[1]) as happening_now
from public.polling_job_status as j
where j.status <> 'running'
union all
select
  j.id, j.job_name, j.kind, j.status, j.total_workspaces,
  p.planned, left_over.pending, p.processing,
  p.completed, p.failed, p.cancelled,
  case when p.planned = left_over.pending then 'pending' else 'processing' end,
  p.percentage, p.workspaces_completed, greatest(j.updated_at, p.last_claim_at),
  case
    when j.cancel_requested_at is not null
    then format('cancelled; %s still in flight', sync.counted(p.processing, 'chunk'))
    else format('%s in flight, %s ready, %s delayed, %s waiting',
    sync.counted(p.processing, 'chunk'), p.ready, p.delayed,
    left_over.pending - p.ready - p.delayed) end
from public.polling_job_status as j
cross join lateral sync.sum_up_runs(j.id) as p
cross join lateral (
  select p.planned - p.completed - p.failed - p.cancelled - p.processing as pending
) as left_over
where j.status = 'running';

create or replace view public.chunk_processing_status with (security_invoker = true) as
select
  job_id as parent_sync_job_id, pending as pending_chunks, processing as processing_chunks,
  completed as completed_chunks, failed as failed_chunks, overall_status,
  percentage as progress_percentage
from sync.job_progress;

create or replace view public.sync_progress with (security_invoker = true) as
select
  job_id, job_name, kind, status, workspaces_completed, total_workspaces,
  percentage as progress_percentage, updated_at, happening_now
from sync.job_progress;

create or replace view public.worker_health with (security_invoker = true) as
select
  k.worker_id, k.first_seen_at, k.last_seen_at, sync.now() - k.last_seen_at as time_since_seen,
  k.last_seen_at > sync.now() - interval '30 seconds' as is_alive,
  (select coalesce(sum(q.held), 0)::bigint from public.workspace_sync_runs as r
    cross join lateral (
      select count(*) as held from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.worker_id = k.worker_id
    ) as q
    where r.status = 'running') as chunks_in_flight,
  k.alone_with, k.is_listening, k.idle_finds
from sync.workers as k;

create or replace view public.queue_health with (security_invoker = true) as
select
  (select count(*) from public.polling_job_status where status = 'running') as live_jobs,
  coalesce(p.live_runs, 0) as live_runs, coalesce(p.ready, 0) as ready_chunks,
  coalesce(p.delayed, 0) as delayed_chunks,
  coalesce(p.processing, 0) as chunks_in_flight,
  coalesce(p.unfinished - p.ready - p.delayed - p.processing, 0) as waiting_chunks,
  p.next_retry_at,
  (select count(*) from sync.workers where last_seen_at > sync.now() - interval '30 seconds')
  as workers_alive,
  (select count(*) from public.sync_budgets where blocked_until > sync.now()) as blocked_budgets,
  s.swept_at as last_sweep_at, s.last_error as last_sweep_error
from sync.sweep_state as s
left join lateral (
  select count(*) as live_runs, sum(r.ready) as ready, sum(r.delayed) as delayed,
    sum(r.processing) as processing,
    sum(r.planned - r.completed - r.failed - r.cancelled) as unfinished,
    min(r.next_retry_at) as next_retry_at
  from sync.run_progress as r where r.status = 'running'
) as p on true;

create or replace view sync.live_runs with (security_invoker = true) as
select
  p.job_id, p.run_id, p.workspace_id, p.stream_id, w.workspace_name, p.planned, p.completed,
  p.progress_done, p.progress_total, p.expected_total, found.why,
  case when found.why = 'rate_limited' then limited.until
    when found.why = 'token' then asked.due_at
    when found.why in ('database', 'retry') then p.next_retry_at end as waits_until,
  case found.why
    when 'ending' then format('it ends (%s) with the next sweep', p.ending)
    when 'no_key' then format('its key cannot be read from Vault: chunkwise keys rotate %s',
      sync.shell_word(w.workspace_name))
    when 'paused' then format('paused: chunkwise resume%s lifts that', case
      when sync.is_switched_on('paused') then ''
      else coalesce((
        select format(' --source %s', sync.shell_word(so.source_name))
        from public.sync_sources as so where so.id = w.source_id and so.paused_at is not null
      ), format(' --workspace %s', sync.shell_word(w.workspace_name))) end)
    when 'parent' then 'it waits for the stream it depends on, in the same job'
    when 'closing_failed' then format('closing failed and is tried again: %s', p.close_error)
    when 'no_worker' then 'no worker is alive: start one with chunkwise worker'
    when 'rate_limited' then format('the API limits the rate of %s', (
      select x.scope_key from public.sync_budgets as x where x.id = w.budget_id))
    when 'token' then concat_ws(': ', 'it waits for an access token', asked.error_message)
    when 'database' then (
      select case when count(*) = 0
        then 'another session has locked the row of its budget in sync_budgets'
        else concat_ws(': ', format('the database itself does not take %s',
          sync.counted(count(*), 'chunk')),
          (array_agg(q.error_message order by q.next_retry_at))[1]) end
      from public.chunk_processing_queue as q
      where q.run_id = p.run_id and q.slot is not null and q.postponements > 0)
    when 'retry' then (
      select concat_ws(': ', sync.counted(count(*), 'chunk is', 'chunks are') || ' tried again',
        (array_agg(q.error_message order by q.next_retry_at)
        filter (where q.error_message is not null))[1])
      from public.chunk_processing_queue as q
      where q.run_id = p.run_id and q.slot is not null
        and (q.attempts > 0 or q.error_message is not null))
    when 'budget' then 'its budget is used up: set_budget() allows more'
    else format('%s for their turn',
      sync.counted(p.ready, 'chunk is ready and waits', 'chunks are ready and wait')) end as message
from sync.run_progress as p
join public.sync_workspaces as w on w.id = p.workspace_id
left join public.sync_budgets as b on b.id = w.budget_id and b.blocked_until > sync.now()
cross join lateral (
  select greatest(b.blocked_until, case when w.rate_limited_until > sync.now()
    then w.rate_limited_until end) as until
) as limited
left join sync.token_requests as asked on asked.workspace_id = w.id and asked.ended_at is null
cross join lateral (
  select case
    when p.processing > 0 then null
    when p.ending is not null then 'ending'
    when w.key_status = 'unreadable' then 'no_key'
    when p.is_paused then 'paused'
    when p.phase = 'parent' then 'parent'
    when p.close_error is not null then 'closing_failed'
    when not exists (
      select 1 from sync.workers where last_seen_at > sync.now() - interval '30 seconds'
    ) and not exists (
      select 1 from public.worker_endpoints
      where is_active and last_answered_at > sync.now() - interval '5 minutes'
    ) then 'no_worker'
    when limited.until is not null then 'rate_limited'
    when asked.id is not null and p.ready = 0 then 'token'
    when p.delayed > 0 and p.ready = 0 then (
      select case when bool_or(q.postponements > 0)
        or bool_or(q.turn is not null and q.line_budget_id is null
          and w.rate_limited_until is null) then 'database'
        when bool_or(q.attempts > 0 or q.error_message is not null) then 'retry'
        else 'budget' end
      from public.chunk_processing_queue as q where q.run_id = p.run_id and q.slot is not null)
    else 'turn' end as why
  order by why limit 1
) as found
where p.status = 'running';

create or replace view public.waiting_runs with (security_invoker = true) as
select
  l.job_id, l.run_id, l.workspace_name,
  (select st.stream_name from public.sync_streams as st where st.id = l.stream_id) as stream,
  l.why, l.waits_until, l.message
from sync.live_runs as l
where l.why is not null;

create or replace view public.workspace_health with (security_invoker = true) as
select
  w.workspace_name, st.stream_name as stream, w.is_active, s.last_complete_sync_at,
  sync.now() - s.last_complete_sync_at as time_since_sync, s.last_sync_duration_ms, s.record_count,
  w.key_status, w.key_checked_at, w.paused_at, greatest(b.blocked_until, case
    when w.rate_limited_until > sync.now() then w.rate_limited_until end) as rate_limited_until,
  s.last_complete_run_id, r.job_id as last_job_id, r.id as last_run_id, r.status as last_run_status,
  r.error_message as last_error, r.warnings as last_warnings,
  coalesce(held.deletions_waiting, 0) as deletions_waiting,
  ended.status as last_ended_status, ended.error_message as last_ended_error,
  ended.warnings as last_ended_warnings
from public.sync_workspaces as w
join public.sync_streams as st on st.source_id = w.source_id
left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
left join public.sync_budgets as b on b.id = w.budget_id and b.blocked_until > sync.now()
left join lateral (
  select x.* from public.workspace_sync_runs as x
  where x.workspace_id = w.id and x.stream_id = st.id
  order by x.started_at desc, x.id desc limit 1
) as r on true
left join lateral (
  select x.status, x.error_message, x.warnings from public.workspace_sync_runs as x
  where x.workspace_id = w.id and x.stream_id = st.id and x.status <> 'running'
  order by x.started_at desc, x.id desc limit 1
) as ended on true
left join public.workspace_sync_runs as held on held.id = s.last_complete_run_id
where w.removed_at is null;

CREATE OR REPLACE FUNCTION public.set_alert_url(p_kind text, p_url text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_name text := 'chunkwise/alert/' || p_kind;
  v_secret_id uuid;
begin
  perform sync.require_service();
  if p_kind is null or p_kind not in ('webhook', 'dead_man') then
    raise exception using errcode = 'SY006', message = format('%L is no kind of alert URL', p_kind),
      hint = 'webhook takes alerts as {"text": …}; dead_man is pinged every 5 minutes.';
  end if;
  -- What is being sent goes to the old URL still, and is noted before it is forgotten.
  perform sync.lock_engine('alerts');
  select id into v_secret_id from vault.secrets where name = v_name;
  if p_url is null then
    delete from vault.secrets where id = v_secret_id;
  else
    p_url := sync.checked_url(p_url, p_takes_private_http => true);
    if v_secret_id is null then
      perform vault.create_secret(p_url, v_name, 'Where Chunkwise sends alerts');
    else
      perform vault.update_secret(v_secret_id, p_url);
    end if;
  end if;
  if p_kind = 'webhook' then
    -- The other place knows nothing of what is open: forget who was told, and how often it failed.
    delete from sync.alert_deliveries as d using public.sync_alerts as a
    where a.id = d.alert_id and a.resolved_at is null;
  end if;
  return jsonb_build_object('kind', p_kind, 'is_set', p_url is not null);
end; $function$;

CREATE OR REPLACE FUNCTION sync.add_deliveries()
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  insert into sync.alert_deliveries (alert_id, event)
  select id, 'opened' from public.sync_alerts where resolved_at is null
  on conflict do nothing;
  insert into sync.alert_deliveries (alert_id, event)
  select a.id, 'resolved' from public.sync_alerts as a
  join sync.alert_deliveries as d on d.alert_id = a.id and d.event = 'opened'
  where a.resolved_at > sync.now() - interval '1 day'
  on conflict do nothing;
$function$;

CREATE OR REPLACE FUNCTION sync.collect_delivery_answers(p_url text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update sync.alert_posts as p set held_at = default
  from net.http_request_queue as q
  where q.id = p.request_id and q.headers ->> 'Chunkwise-Message' = p.name;
  with answered as (
    delete from sync.alert_posts as p using net._http_response as r
    where r.id = p.request_id and p.net_queue = to_regclass('net.http_request_queue')
      and sync.may_answer(r.created, p.posted_at, p.held_at)
    returning p.alert_id, p.event, r.status_code, r.error_msg
  )
  update sync.alert_deliveries as d set
    delivered_at = case when a.status_code between 200 and 299 then sync.now() end,
    last_error = case when a.status_code between 200 and 299 then null
      else sync.mask_secrets(replace(coalesce(a.error_msg, 'HTTP ' || a.status_code, 'timed out'),
        p_url, 'the webhook')) end
  from answered as a
  where d.delivered_at is null and d.alert_id = a.alert_id and d.event = a.event;
end; $function$;

CREATE OR REPLACE FUNCTION sync.deliver_alerts()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_url text;
begin
  if not sync.lock_engine_if_free('alerts') then
    return;
  end if;
  v_url := sync.alert_url('webhook');
  if v_url is null or to_regclass('net.http_request_queue') is null then
    return;
  end if;
  perform sync.add_deliveries();
  perform sync.collect_delivery_answers(v_url);
  perform sync.send_deliveries(v_url);
exception when others then
  update sync.heartbeats set last_error = sync.mask_secrets(sqlerrm) where name = 'health';
end; $function$;

CREATE TRIGGER heartbeats_stay BEFORE DELETE OR TRUNCATE ON sync.heartbeats FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_removal();

CREATE OR REPLACE FUNCTION sync.why_stalled(p_job_id uuid)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(string_agg(x.message, '; ' order by x.runs desc, x.message),
    'nothing of it is live: cleanup_stuck_chunks() closes it')
  from (
    select concat_ws(', until ', w.message, sync.in_utc(w.waits_until)) as message,
      count(*) as runs
    from public.waiting_runs as w where w.job_id = p_job_id group by 1
    union all
    select sync.counted(sum(p.processing), 'request is in flight and does not end',
      'requests are in flight and do not end'), count(*)
    from sync.run_progress as p
    where p.job_id = p_job_id and p.status = 'running' and p.processing > 0
    having count(*) > 0
    order by 2 desc, 1 limit 3
  ) as x;
$function$;

CREATE OR REPLACE FUNCTION sync.stale_causes()
 RETURNS SETOF sync.cause
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  -- What stale_workspaces and workspace_health say, each workspace looked at once: joined by their
  -- names, which is all that views have, each would be compared with all the others.
  select 'stale_workspace', format('%s %s', w.workspace_name, st.stream_name), concat_ws('; ',
    case when s.last_complete_sync_at is null
      then 'never synced completely, registered at ' || sync.in_utc(w.created_at)
      else format('last complete sync at %s, %s ago', sync.in_utc(s.last_complete_sync_at),
        sync.counted(trunc(extract(epoch from sync.now() - s.last_complete_sync_at) / 86400, 1),
          'day')) end,
    case when w.paused_at is not null then 'it is paused' end,
    case when ended.status <> 'completed' then format('its last run ended %s',
      concat_ws(': ', ended.status, ended.error_message)) end)
  from public.sync_workspaces as w
  join public.sync_streams as st on st.source_id = w.source_id and st.is_default
  left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
  left join lateral (
    select x.status, x.error_message from public.workspace_sync_runs as x
    where x.workspace_id = w.id and x.stream_id = st.id and x.status <> 'running'
    order by x.started_at desc, x.id desc limit 1
  ) as ended on true
  where w.is_active and coalesce(s.last_complete_sync_at, w.created_at) < (
    select sync.now() - make_interval(hours => sync.setting('stale_after_hours')::int))
  order by s.last_complete_sync_at nulls first, w.workspace_name;
$function$;

CREATE OR REPLACE FUNCTION sync.workspace_causes()
 RETURNS SETOF sync.cause
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select 'key_refused', w.workspace_name, case
    when t.refusal is not null then format('its grant is refused: %s. rotate_workspace_key() sets '
      'another', t.refusal)
    else 'the API refuses its key: rotate_workspace_key() sets a new one' end
  from public.sync_workspaces as w left join sync.workspace_tokens as t on t.workspace_id = w.id
  where w.is_active and w.key_status = 'refused'
  union all
  select 'token_failing', w.workspace_name, format('no access token since %s: %s. It is asked for '
    'again by itself, by %s', sync.in_utc(r.failing_since), rtrim(r.error_message, '.'),
    sync.in_utc(r.due_at))
  from sync.token_requests as r join public.sync_workspaces as w on w.id = r.workspace_id
  where r.ended_at is null and r.failures + r.lease_losses >= 3
  union all
  select 'key_of_other_workspace', w.workspace_name,
    format('its key belongs to %s: rotate_workspace_key() sets its own', w.key_owner)
  from public.sync_workspaces as w where w.is_active and w.key_status = 'other_workspace'
  union all
  select 'keys_unreadable', 'vault', format('%s not in Vault, unreadable there, or not of the form '
    'that the auth of the source takes (%s%s); chunkwise keys rotate gives a workspace its key '
    'again', sync.counted(count(*), 'key is', 'keys are'),
    string_agg(w.workspace_name, ', ' order by w.workspace_name) filter (where w.n <= 10),
    case when count(*) > 10 then ', …' end)
  from (
    select workspace_name, row_number() over (order by workspace_name) as n
    from public.sync_workspaces where is_active and key_status = 'unreadable'
  ) as w having count(*) > 0
  union all
  -- Live and failed runs say nothing new of the counts: the last one that could tell decides.
  select 'counts_disagree', format('%s %s', w.workspace_name, st.stream_name),
    array_to_string(r.warnings, '; ')
  from public.sync_workspaces as w
  join public.sync_streams as st on st.source_id = w.source_id and st.completeness = 'counted'
  cross join lateral (
    select x.status, x.ending, x.warnings from public.workspace_sync_runs as x
    where x.workspace_id = w.id and x.stream_id = st.id
      and (x.status = 'completed' or x.status = 'partial' and x.ending is null)
    order by x.started_at desc, x.id desc limit 1
  ) as r
  where w.is_active and r.status = 'partial'
  union all
  select 'deletions_waiting', format('%s %s', h.workspace_name, h.stream), format(
    '%s would be deleted; approve_deletions(%s) lets that happen',
    sync.counted(h.deletions_waiting, 'row'), h.last_complete_run_id)
  from public.workspace_health as h where h.is_active and h.deletions_waiting > 0;
$function$;

CREATE OR REPLACE FUNCTION sync.engine_causes()
 RETURNS SETOF sync.cause
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select 'no_worker', 'workers', format(
    '%s; no worker was heard of since %s',
    sync.counted(q.ready_chunks, 'chunk is ready', 'chunks are ready'),
    coalesce(sync.in_utc((select max(last_seen_at) from sync.workers)), 'ever'))
  from public.queue_health as q
  where q.ready_chunks > 0 and q.workers_alive = 0
    and exists (select 1 from public.polling_job_status
      where status = 'running' and started_at < sync.now() - interval '1 minute')
    and not exists (select 1 from public.worker_endpoints
      where is_active and last_answered_at > sync.now() - interval '5 minutes')
  union all
  select 'cron_silent', 'pg_cron', format(
    'no job of pg_cron ended well since %s: cron.job_run_details tells more',
    sync.in_utc(b.beat_at))
  from sync.heartbeats as b
  where b.name = 'cron' and b.beat_at < sync.now() - interval '3 minutes'
  union all
  select 'hints_silent', 'realtime', 'hints by Realtime fail: ' || s.last_error
  from sync.hint_state as s where s.last_error is not null
  union all
  select 'hints_silent', 'realtime', 'Realtime takes no broadcast, so that every hint by it is '
    'lost: chunkwise doctor tells why; where no worker is meant to listen, '
    'set_setting(''expect_realtime'', ''false'') says so'
  where sync.is_switched_on('expect_realtime') and not sync.takes_broadcasts() and exists (
    select 1 from sync.workers where first_seen_at < sync.now() - interval '1 minute'
      and last_seen_at > sync.now() - interval '30 seconds')
  union all
  select 'hints_silent', 'realtime', format('workers that listen to Realtime hear nothing of it '
    '(%s), and find work by idle looks only: see whether the project''s Realtime is at work; '
    'where no worker is meant to hear hints, set_setting(''expect_realtime'', ''false'') says so',
    string_agg(k.worker_id, ', ' order by k.worker_id))
  from (
    -- Once is none: where the machine stalls, a hint comes later than an idle look.
    select worker_id from sync.workers
    where is_listening and idle_finds >= 2 and last_seen_at > sync.now() - interval '30 seconds'
    order by worker_id limit 10
  ) as k
  where sync.is_switched_on('expect_realtime') having count(*) > 0
  union all
  select 'hints_silent', 'pg_net', 'hints by POST fail: ' || s.last_push_error
  from sync.hint_state as s where s.last_push_error is not null
  union all
  select 'hints_silent', 'pg_net', 'pg_net sends nothing: none of the last POSTs was answered'
  from (
    select h.outcome from sync.hints as h where h.outcome <> 'sent' order by h.id desc limit 10
  ) as h
  where exists (select 1 from public.worker_endpoints where is_active)
  having count(*) > 2 and bool_and(h.outcome = 'lost')
  union all
  select 'keys_unreadable', 'wake tokens', format('wake tokens that are not in Vault, or cannot be '
    'read there: of %s; register_worker_endpoint() sets one again', string_agg(e.url, ', '
    order by e.url))
  from public.worker_endpoints as e
  where e.is_active and sync.read_secret(e.secret_id) is null having count(*) > 0
  union all
  select 'keys_unreadable', 'alert urls', format('alert URLs that cannot be read in Vault: %s; '
    'set_alert_url() sets one again', string_agg(k.kind, ', ' order by k.kind))
  from unnest('{webhook,dead_man}'::text[]) as k (kind)
  join vault.secrets as s on s.name = 'chunkwise/alert/' || k.kind
  where sync.read_secret(s.id) is null having count(*) > 0
  union all
  select 'open_grants', g.grantee, format('it was granted more of Chunkwise than is for it (%s), '
    'such as %s: chunkwise doctor lists what to revoke', sync.counted(count(*), 'privilege'),
    min(format('%s on %s', g.privilege, g.object)))
  from sync.careless_grants() as g group by g.grantee;
$function$;

CREATE OR REPLACE FUNCTION sync.check_health()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'auto'
 SET enable_seqscan TO 'on'
 SET enable_bitmapscan TO 'on'
 SET enable_hashjoin TO 'on'
 SET enable_mergejoin TO 'on'
AS $function$
declare
  v_part text;
  v_causes sync.cause[] := array[]::sync.cause[];
  v_error text;
  v_error_before text;
begin
  if not sync.lock_engine_if_free('health') then
    return null;
  end if;
  select last_error into v_error_before from sync.heartbeats where name = 'health';
  -- Somebody's transaction may hold a job's row for hours. Within a sweep its limit holds.
  perform set_config('lock_timeout', '1s', true) where current_setting('lock_timeout') = '0';
  foreach v_part in array
    '{watch_jobs,stale_causes,workspace_causes,job_causes,engine_causes,cron_causes}'::text[]
  loop
    begin
      if v_part = 'watch_jobs' then
        perform sync.watch_jobs();
        continue;
      end if;
      v_causes := v_causes || case v_part
        when 'stale_causes' then array(select c from sync.stale_causes() as c)
        when 'workspace_causes' then array(select c from sync.workspace_causes() as c)
        when 'job_causes' then array(select c from sync.job_causes() as c)
        when 'engine_causes' then array(select c from sync.engine_causes() as c)
        else array(select c from sync.cron_causes() as c) end;
    exception when others then
      -- A lock that others hold for a moment is nothing to wake anybody for.
      if sqlstate <> '55P03' or strpos(v_error_before, v_part || ': ') > 0 then
        v_causes := v_causes || row('check_failing', v_part, sqlerrm)::sync.cause;
      end if;
      v_error := concat_ws('; ', v_error, format('%s: %s', v_part, sqlerrm));
    end;
  end loop;
  perform sync.open_alert(c.kind, c.subject, coalesce(string_agg(c.message, '; '), ''))
  from unnest(v_causes) as c group by c.kind, c.subject order by c.kind, c.subject;
  update public.sync_alerts as a set resolved_at = sync.now()
  where v_error is null and a.resolved_at is null and a.kind <> 'endpoint_failing' and not exists (
    select 1 from unnest(v_causes) as c where c.kind = a.kind and c.subject = a.subject);
  update sync.heartbeats set beat_at = sync.now(), last_error = sync.mask_secrets(v_error)
  where name = 'health';
  perform sync.deliver_alerts();
  perform sync.ping_dead_man();
  return cardinality(v_causes);
end; $function$;

CREATE OR REPLACE FUNCTION sync.fleet_rows(p_workspace_id bigint)
 RETURNS SETOF sync.fleet_row
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
 SET jit TO 'off'
AS $function$
declare
  v_stale_after int := sync.setting('stale_after_hours');
  v_fresh_since timestamptz := sync.now() - make_interval(hours => v_stale_after);
  v_is_paused boolean := sync.is_switched_on('paused');
begin
  return query
  with live as materialized (
    select x.workspace_id, x.stream_id, x.job_id, x.completed, x.planned,
      trunc(100.0 * x.progress_done / x.progress_total, 1) as percentage, x.expected_total,
      x.why, x.message, x.waits_until
    from sync.live_runs as x where p_workspace_id is null or x.workspace_id = p_workspace_id
  )
  select w.id, st.id, w.workspace_name, st.stream_name,
    st.completeness = 'counted', f.state, t.tone, t.severity,
    case f.state
      when 'key refused' then 'the API refuses its key'
      when 'key of another workspace' then format('its key belongs to %s', w.key_owner)
      when 'key unreadable' then 'its key is not in Vault, or cannot be read there'
      when 'waiting' then l.message
      when 'no worker' then l.message
      when 'syncing' then case when l.why in ('parent', 'budget', 'ending') then l.message end
      when 'failed' then coalesce(e.error_message, 'its last run failed')
      when 'partial' then coalesce(nullif(array_to_string(e.warnings, '; '), ''),
        'its last run found other numbers than the API names')
      when 'stale' then case when s.last_complete_sync_at is null then 'never synced completely'
        else 'no complete sync within ' || sync.counted(v_stale_after, 'hour') end
      when 'never synced' then 'registered, and not synced yet'
      when 'awaiting approval' then sync.counted(h.deletions_waiting, 'row') || ' would be deleted'
      when 'paused' then 'it was paused and waits to be resumed'
    end,
    case f.state
      when 'key refused' then 'chunkwise keys rotate sets a new one'
      when 'key of another workspace' then 'chunkwise keys rotate sets its own'
      when 'key unreadable' then 'chunkwise keys rotate gives it its key again'
      when 'failed' then 'a retry reads it again from page 1'
      when 'partial' then 'a sync reads it again'
      when 'stale' then 'a sync reads it now'
      when 'never synced' then 'a sync reads it now'
      when 'awaiting approval' then 'look at what would go, then approve that or leave it'
      when 'paused' then 'resuming lets it go on'
      when 'no worker' then 'chunkwise worker starts one'
    end,
    case
      when f.state like 'key %' or f.state = 'no worker' then 'command'
      when f.state = 'failed' then 'retry'
      when f.state in ('partial', 'stale', 'never synced', 'fresh') then 'sync'
      when f.state = 'awaiting approval' then 'approve'
      when f.state = 'paused' or l.why = 'paused' then 'resume'
    end,
    case
      when f.state like 'key %' then 'chunkwise keys rotate ' || sync.shell_word(w.workspace_name)
      when f.state = 'no worker' then 'chunkwise worker'
    end,
    l.waits_until,
    f.is_in_time and t.tone not in ('wrong', 'off'), w.is_active and not f.is_in_time,
    s.last_complete_sync_at, s.last_sync_duration_ms, s.record_count,
    coalesce(l.expected_total, e.expected_total), l.job_id, l.percentage, l.completed::bigint,
    l.planned, case when f.state = 'failed' then e.job_id end, h.id,
    coalesce(h.deletions_waiting, 0)
  from public.sync_workspaces as w
  join public.sync_sources as so on so.id = w.source_id
  join public.sync_streams as st on st.source_id = w.source_id and st.completeness <> 'connection'
  left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
  left join live as l on l.workspace_id = w.id and l.stream_id = st.id
  left join lateral (
    select x.status, x.job_id, x.error_message, x.warnings, x.expected_total
    from public.workspace_sync_runs as x
    where x.workspace_id = w.id and x.stream_id = st.id and x.status in ('completed', 'partial',
      'failed')
    order by x.started_at desc, x.id desc limit 1
  ) as e on true
  left join public.workspace_sync_runs as h
    on h.id = s.last_complete_run_id and h.deletions_waiting > 0
  -- Offset 0: a state is found once, not wherever it is named.
  cross join lateral (
    select coalesce(s.last_complete_sync_at, '-infinity') >= v_fresh_since as is_in_time,
      case
        when not w.is_active then 'inactive'
        when w.key_status = 'refused' then 'key refused'
        when w.key_status = 'other_workspace' then 'key of another workspace'
        when w.key_status = 'unreadable' then 'key unreadable'
        when l.why = 'no_worker' then 'no worker'
        when l.why in ('paused', 'closing_failed', 'rate_limited', 'database', 'retry')
          then 'waiting'
        when l.job_id is not null then 'syncing'
        when v_is_paused or w.paused_at is not null or so.paused_at is not null then 'paused'
        when e.status = 'failed' then 'failed'
        when e.status = 'partial' then 'partial'
        when coalesce(s.last_complete_sync_at, w.created_at) < v_fresh_since then 'stale'
        when s.last_complete_sync_at is null then 'never synced'
        when h.deletions_waiting > 0 then 'awaiting approval'
        else 'fresh'
      end as state
    offset 0
  ) as f
  cross join lateral (
    select case
        when f.state in ('key refused', 'key of another workspace', 'key unreadable', 'no worker',
          'failed', 'partial', 'stale') then 'wrong'
        when f.state in ('waiting', 'paused', 'never synced', 'awaiting approval') then 'waiting'
        when f.state = 'syncing' then 'working'
        when f.state = 'fresh' then 'fresh'
        else 'off' end as tone,
      case f.state
        when 'key refused' then 10 when 'key of another workspace' then 11
        when 'key unreadable' then 12 when 'no worker' then 20 when 'failed' then 30
        when 'partial' then 31 when 'stale' then 32 when 'awaiting approval' then 40
        when 'waiting' then 41 when 'never synced' then 42 when 'paused' then 43
        when 'syncing' then 50 when 'fresh' then 60 else 70 end as severity
    offset 0
  ) as t
  where w.removed_at is null and (p_workspace_id is null or w.id = p_workspace_id)
    and (st.is_default or s.workspace_id is not null or l.job_id is not null or e.status is not null);
end; $function$;

CREATE OR REPLACE FUNCTION sync.count_rows(p_stream_id bigint, p_workspace_ids bigint[])
 RETURNS SETOF sync.counted_rows
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_target text := (select target_table from public.sync_streams where id = p_stream_id);
begin
  return query execute format('select t.workspace_id, count(*) from %s as t
    where t.workspace_id = any ($1) and t.deleted_at is null and %s group by 1', v_target,
    case when sync.is_shared_target(to_regclass(v_target)) then 't.stream_id = $2'
    else '$2 is not null' end) using p_workspace_ids, p_stream_id;
end; $function$;

CREATE OR REPLACE FUNCTION sync.get_fleet(p_search text, p_states text[], p_limit integer, p_offset integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_search text;
  v_offset int;
  v_limit int;
begin
  perform sync.require_operator();
  v_offset := greatest(p_offset, 0);
  v_limit := least(p_limit, 500);
  v_search := lower(coalesce(sync.trim_blanks(p_search), ''));
  return sync.page_head() || (
    with fleet as materialized (
      select * from sync.fleet_rows(null)
    ), matching as materialized (
      -- What is well stays where it is while it is looked at.
      select m.*, row_number() over (order by m.severity,
        case when m.tone in ('wrong', 'waiting') then m.last_complete_sync_at end nulls first,
        m.workspace_name, m.stream) as n
      from fleet as m
      where (v_search = '' or position(v_search in lower(m.workspace_name)) > 0
          or position(v_search in m.state) > 0 or position(v_search in lower(m.reason)) > 0)
        and (p_states is null or m.state = any (p_states) or m.tone = any (p_states))
    ), page as materialized (
      select * from matching where n > v_offset and n <= v_offset + v_limit
    ), counted as materialized (
      select c.stream_id, r.workspace_id, r.row_count
      from (
        select p.stream_id, array_agg(p.workspace_id) as workspace_ids
        from page as p where p.is_counted group by 1
      ) as c
      cross join lateral sync.count_rows(c.stream_id, c.workspace_ids) as r
    )
    select jsonb_build_object(
      'total', count(*), 'matching', (select count(*) from matching),
      'fresh', count(*) filter (where f.is_fresh),
      'states', (
        select coalesce(jsonb_agg(jsonb_build_object('state', s.state, 'tone', s.tone, 'count',
          s.count) order by s.severity), '[]')
        from (
          select r.state, r.tone, r.severity, count(*) as count from fleet as r group by 1, 2, 3
        ) as s),
      'records', sum(f.record_count),
      'api_total', sum(coalesce(f.api_total, f.record_count)),
      'jobs', (
        select coalesce(jsonb_agg(jsonb_build_object('job_id', j.id, 'job_name', j.job_name,
          'percentage', a.percentage, 'workspaces_completed', a.workspaces_completed,
          'total_workspaces', j.total_workspaces) order by j.started_at, j.id), '[]')
        from public.polling_job_status as j cross join lateral sync.sum_up_runs(j.id) as a
        where j.status = 'running'),
      'rows', (
        select coalesce(jsonb_agg(jsonb_build_object('workspace_name', p.workspace_name,
          'stream', p.stream, 'is_counted', p.is_counted, 'state', p.state, 'tone', p.tone,
          'reason', p.reason, 'remedy', p.remedy, 'act', p.act, 'waits_until', p.waits_until,
          'is_stale', p.is_stale, 'last_complete_sync_at', p.last_complete_sync_at,
          'last_sync_duration_ms', p.last_sync_duration_ms, 'api_total', p.api_total,
          'live_job_id', p.live_job_id, 'percentage', p.percentage, 'pages_done', p.pages_done,
          'pages_planned', p.pages_planned, 'retry_job_id', p.retry_job_id,
          'held_run_id', p.held_run_id, 'deletions_waiting', p.deletions_waiting,
          'rows_here', case when p.is_counted then coalesce(c.row_count, 0)
            else p.record_count end,
          'runs', past.runs) order by p.n), '[]')
        from page as p
        left join counted as c on c.workspace_id = p.workspace_id and c.stream_id = p.stream_id
        cross join lateral (
          -- One text: an array costs as much as all else of a row.
          select string_agg(concat((date_part('epoch', r.completed_at - r.started_at) * 1000)
            ::bigint, ' ', r.status), ',') as runs
          from (
            select x.started_at, x.completed_at, x.status
            from public.workspace_sync_runs as x
            where x.workspace_id = p.workspace_id and x.stream_id = p.stream_id
              and x.status <> 'running'
            order by x.started_at desc, x.id desc limit 30
          ) as r
        ) as past))
    from fleet as f);
end; $function$;

CREATE OR REPLACE FUNCTION public.get_fleet(p_search text DEFAULT NULL::text, p_states text[] DEFAULT NULL::text[], p_limit integer DEFAULT 100, p_offset integer DEFAULT 0)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_fleet(p_search, p_states, p_limit, p_offset);
end; $function$;

CREATE OR REPLACE FUNCTION sync.held_deletions(p_run_id bigint, p_after text, p_limit integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run public.workspace_sync_runs;
  v_records jsonb;
begin
  select * into v_run from public.workspace_sync_runs where id = p_run_id;
  if v_run.id is null then
    return '[]'::jsonb;
  end if;
  execute sync.target_sql('select coalesce(jsonb_agg(jsonb_build_object(''id'', m.record_id,
      ''name'', coalesce(t.raw ->> ''email'', t.raw ->> ''name'', t.raw ->> ''title'', m.record_id),
      ''detail'', t.raw ->> ''status'', ''last_changed_at'', t.last_changed_at,
      ''last_seen_at'', m.last_seen_at, ''is_confirmed'', m.is_confirmed) order by m.record_id), ''[]'')
    from (
      select x.* from sync.missing_records as x
      where x.held_by_run_id = $3 and ($4 is null or x.record_id > $4)
      order by x.record_id limit $5
    ) as m
    left join %1$s as t on %2$s and %3$s = m.record_id', v_run.stream_id)
  into v_records using v_run.workspace_id, v_run.stream_id, p_run_id, p_after, p_limit;
  return v_records;
end; $function$;

CREATE OR REPLACE FUNCTION public.get_held_deletions(p_run_id bigint, p_after text DEFAULT NULL::text, p_limit integer DEFAULT 200)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_held_deletions(p_run_id, p_after, p_limit);
end; $function$;

CREATE OR REPLACE FUNCTION sync.workspace_stream_detail(p_row sync.fleet_row)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_unlisted jsonb;
  v_unlisted_count bigint;
begin
  execute sync.target_sql('select count(*), coalesce(jsonb_agg(jsonb_build_object(
      ''id'', t.id, ''name'', coalesce(t.raw ->> ''email'', t.raw ->> ''name'', t.id),
      ''unlisted_at'', t.unlisted_at)) filter (where t.n <= 50), ''[]'')
    from (
      select %3$s as id, t.raw, t.unlisted_at, row_number() over (order by t.unlisted_at desc, t.id) as n
      from %1$s as t where %2$s and t.unlisted_at is not null and t.deleted_at is null
    ) as t', p_row.stream_id)
  into v_unlisted_count, v_unlisted using p_row.workspace_id, p_row.stream_id;
  return to_jsonb(p_row) - '{workspace_id,stream_id,severity}'::text[] || jsonb_build_object(
    'rows_here', coalesce((select c.row_count
      from sync.count_rows(p_row.stream_id, array[p_row.workspace_id]) as c), 0),
    'unlisted_count', v_unlisted_count, 'unlisted', v_unlisted,
    'held', case when p_row.held_run_id is not null
      then sync.held_deletions(p_row.held_run_id, null, 50) else '[]' end,
    'history', (
      select coalesce(jsonb_agg(jsonb_build_object('run_id', r.id, 'job_id', r.job_id, 'status',
        r.status, 'started_at', r.started_at, 'completed_at', r.completed_at,
        'duration_ms', round(extract(epoch from coalesce(r.completed_at, sync.now())
          - r.started_at) * 1000),
        'records', coalesce(r.distinct_ids, r.records_seen), 'expected_total', r.expected_total,
        'changed', r.records_changed, 'deleted', r.records_deleted,
        'deletions_waiting', r.deletions_waiting, 'scans', r.scan - r.begun_again,
        'error_message', r.error_message, 'warnings', to_jsonb(r.warnings))
        order by r.started_at, r.id), '[]')
      from (
        select x.* from public.workspace_sync_runs as x
        where x.workspace_id = p_row.workspace_id and x.stream_id = p_row.stream_id
        order by x.started_at desc, x.id desc limit 60
      ) as r));
end; $function$;

CREATE OR REPLACE FUNCTION sync.get_workspace_page(p_workspace_name text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_workspace public.sync_workspaces;
begin
  perform sync.require_operator();
  select * into v_workspace from public.sync_workspaces
  where id = sync.workspace_id_of(p_workspace_name);
  return sync.page_head() || jsonb_build_object(
    'workspace_name', v_workspace.workspace_name, 'base_url', v_workspace.base_url,
    'source_name', (select s.source_name from public.sync_sources as s
      where s.id = v_workspace.source_id),
    'external_id', v_workspace.external_id, 'is_active', v_workspace.is_active,
    'created_at', v_workspace.created_at, 'paused_at', v_workspace.paused_at,
    'max_concurrency', v_workspace.max_concurrency,
    'key_status', v_workspace.key_status, 'key_checked_at', v_workspace.key_checked_at,
    'key_owner', v_workspace.key_owner, 'key_owner_id', v_workspace.key_owner_id,
    'rate_limited_until', case when v_workspace.rate_limited_until > sync.now()
      then v_workspace.rate_limited_until end,
    'streams', (
      select coalesce(jsonb_agg(sync.workspace_stream_detail(f) order by f.severity, f.stream),
        '[]') from sync.fleet_rows(v_workspace.id) as f),
    'failed', (
      select coalesce(jsonb_agg(to_jsonb(c) order by c.failed_at desc, c.id desc), '[]')
      from (
        select q.id, r.job_id as parent_sync_job_id, st.stream_name as stream, c.kind, c.page,
          c.record_id, q.attempts, q.error_message, q.completed_at as failed_at
        from public.sync_streams as st
        cross join lateral (
          select x.id, x.job_id, x.chunks_failed from public.workspace_sync_runs as x
          where x.workspace_id = v_workspace.id and x.stream_id = st.id
          order by x.started_at desc, x.id desc limit 60
        ) as r
        join public.chunk_processing_queue as q on q.run_id = r.id and q.status = 'failed'
        join public.chunked_sync_jobs as c on c.id = q.id
        where st.source_id = v_workspace.source_id and r.chunks_failed > 0
        order by q.completed_at desc limit 50
      ) as c));
end; $function$;

CREATE OR REPLACE FUNCTION public.get_workspace_page(p_workspace_name text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_workspace_page(p_workspace_name);
end; $function$;

CREATE OR REPLACE FUNCTION sync.get_jobs_page(p_before timestamp with time zone, p_status text, p_limit integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_limit int;
  v_jobs jsonb[];
begin
  perform sync.require_operator();
  v_limit := least(greatest(p_limit, 1), 500);
  v_jobs := array(
    select jsonb_build_object('job_id', j.id, 'job_name', j.job_name, 'status', j.status,
      'started_at', j.started_at, 'completed_at', j.completed_at, 'duration_ms', j.duration_ms,
      'total_workspaces', j.total_workspaces, 'workspaces_processed', j.workspaces_processed,
      'workspaces_skipped', j.workspaces_skipped, 'records', j.total_accounts_synced,
      'percentage', j.progress_percentage, 'retry_of_job_id', j.retry_of_job_id,
      'message', coalesce(j.error_message, j.warnings[1]))
    from public.polling_job_status as j
    where (p_before is null or j.started_at < p_before)
      and (p_status is null or j.status = p_status) and j.status <> 'running'
    order by j.started_at desc limit v_limit + 1);
  return sync.page_head() || jsonb_build_object(
    'live', (
      select coalesce(jsonb_agg(sync.job_summary(j.id) || jsonb_build_object(
        'waits', sync.waits_of(j.id), 'budgets', sync.budgets_of(j.id))
        order by j.started_at desc), '[]')
      from public.polling_job_status as j where j.status = 'running'),
    'oldest_ready_at', (
      select min(coalesce(q.started_at, q.created_at)) from public.workspace_sync_runs as r
      cross join lateral (
        select x.started_at, x.created_at from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null and (x.ready_seq is not null) is true
        offset 0
      ) as q
      where r.status = 'running'),
    'jobs', to_jsonb(v_jobs[1 : v_limit]), 'has_more', cardinality(v_jobs) > v_limit);
end; $function$;

CREATE OR REPLACE FUNCTION public.get_jobs_page(p_before timestamp with time zone DEFAULT NULL::timestamp with time zone, p_status text DEFAULT NULL::text, p_limit integer DEFAULT 50)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_jobs_page(p_before, p_status, p_limit);
end; $function$;

CREATE OR REPLACE FUNCTION public.get_job_page(p_job_id uuid, p_limit integer DEFAULT 200, p_offset integer DEFAULT 0)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_job_page(p_job_id, p_limit, p_offset);
end; $function$;

CREATE OR REPLACE FUNCTION public.get_alerts_page(p_before bigint DEFAULT NULL::bigint, p_limit integer DEFAULT 50)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_alerts_page(p_before, p_limit);
end; $function$;

CREATE OR REPLACE FUNCTION sync.get_engine_page()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  perform sync.require_operator();
  return sync.page_head() || jsonb_build_object(
    'queue', (select to_jsonb(q) from public.queue_health as q),
    'oldest_ready_at', (
      select min(coalesce(q.started_at, q.created_at)) from public.workspace_sync_runs as r
      cross join lateral (
        select x.started_at, x.created_at from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null and (x.ready_seq is not null) is true
        offset 0
      ) as q
      where r.status = 'running'),
    'workers', (
      select coalesce(jsonb_agg(jsonb_build_object('worker_id', k.worker_id, 'first_seen_at',
        k.first_seen_at, 'last_seen_at', k.last_seen_at, 'is_alive', k.is_alive,
        'chunks_in_flight', k.chunks_in_flight, 'alone_with', k.alone_with)
        order by k.last_seen_at desc), '[]')
      from (
        select * from public.worker_health where last_seen_at > sync.now() - interval '1 day'
        order by last_seen_at desc limit 200
      ) as k),
    'budgets', sync.budgets_of(null),
    'hints', (
      select jsonb_build_object('takes_broadcasts', sync.takes_broadcasts(),
        'expect_realtime', sync.is_switched_on('expect_realtime'),
        'last_broadcast_at', nullif(s.last_broadcast_at, '-infinity'),
        'broadcasts', s.broadcasts, 'last_error', s.last_error,
        'last_push_error', s.last_push_error)
      from sync.hint_state as s),
    'endpoints', (
      select coalesce(jsonb_agg(jsonb_build_object('url', e.url, 'is_active', e.is_active,
        'resting_until', e.resting_until, 'last_answered_at', e.last_answered_at,
        'consecutive_failures', e.consecutive_failures, 'last_error', e.last_error)
        order by e.url), '[]') from public.worker_endpoints as e),
    'posts', (
      select jsonb_build_object('count', count(*), 'answered', count(*)
        filter (where h.outcome in ('answered', 'busy')),
        'failed', count(*) filter (where h.outcome in ('failed', 'refused', 'timed_out', 'lost')),
        'median_ms', round(percentile_cont(0.5) within group (order by extract(epoch
          from h.settled_at - h.sent_at) * 1000) filter (where h.outcome = 'answered')))
      from (select * from sync.hints order by id desc limit 200) as h),
    'cron', jsonb_build_object(
      'beat_at', (select b.beat_at from sync.heartbeats as b where b.name = 'cron'),
      'checked_at', (select b.beat_at from sync.heartbeats as b where b.name = 'health'),
      'last_error', (select b.last_error from sync.heartbeats as b where b.name = 'health'),
      'jobs', sync.cron_job_states()),
    'causes', (
      select coalesce(jsonb_agg(jsonb_build_object('kind', a.kind, 'subject', a.subject,
        'message', a.message, 'opened_at', a.opened_at) order by a.opened_at), '[]')
      from public.sync_alerts as a
      where a.resolved_at is null and a.kind in ('no_worker', 'cron_silent', 'cron_job_missing',
        'hints_silent', 'endpoint_failing', 'open_grants', 'check_failing')),
    'versions', public.chunkwise_version());
end; $function$;

CREATE OR REPLACE FUNCTION public.get_engine_page()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_engine_page();
end; $function$;

CREATE OR REPLACE FUNCTION sync.get_sources_page()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  perform sync.require_operator();
  return sync.page_head() || jsonb_build_object('sources', (
    select coalesce(jsonb_agg(jsonb_build_object('source_name', so.source_name, 'base_path',
      so.base_path, 'auth', so.auth, 'auth_in', so.auth_in, 'auth_name', so.auth_name,
      'token_url', so.token_url, 'token_auth', so.token_auth, 'budget_scope', so.budget_scope,
      'requests_per_second', so.requests_per_second, 'max_in_flight', so.max_in_flight,
      'paused_at', so.paused_at,
      'workspaces', (select count(*) from public.sync_workspaces as w
        where w.source_id = so.id and w.is_active),
      'streams', (
        select coalesce(jsonb_agg(jsonb_build_object('stream', st.stream_name, 'path', st.path,
          'item_path', st.item_path, 'completeness', st.completeness, 'is_default',
          st.is_default, 'revision', st.revision, 'page_size', st.page_size, 'target_table',
          st.target_table, 'parent_stream', st.parent_stream, 'params', st.params,
          'synced', s.synced, 'records', s.records, 'last_complete_sync_at', s.last_at,
          'command', format('chunkwise sync --stream %s%s --watch',
            sync.shell_word(st.stream_name), coalesce(' --workspace ' || sync.shell_word((
              select w.workspace_name from public.sync_workspaces as w
              where w.source_id = so.id and w.is_active order by w.workspace_name limit 1)), '')))
          order by st.is_default desc, st.stream_name), '[]')
        from public.sync_streams as st
        cross join lateral (
          select count(*) as synced, sum(x.record_count) as records,
            max(x.last_complete_sync_at) as last_at
          from public.sync_workspace_streams as x
          where x.stream_id = st.id and x.last_complete_sync_at is not null
        ) as s
        where st.source_id = so.id and st.completeness <> 'connection'))
      order by so.source_name), '[]')
    from public.sync_sources as so));
end; $function$;

CREATE OR REPLACE FUNCTION public.get_sources_page()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '8s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
begin
  return sync.get_sources_page();
end; $function$;

CREATE OR REPLACE FUNCTION sync.reclaim_chunks()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_most numeric := sync.setting('max_lease_losses');
  v_lost bigint[];
  v_alone bigint[];
  v_expired sync.page_in_hand[];
begin
  v_lost := array(
    select q.id from public.workspace_sync_runs as r
    cross join lateral (
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.lease_expires_at <= v_now for no key update skip locked
    ) as q
    where r.status = 'running' order by q.id);
  if v_lost = '{}' then
    return 0;
  end if;
  v_alone := sync.lost_alone(v_lost);
  select array_agg(jsonb_populate_record(null::sync.page_in_hand, jsonb_build_object(
    'queue_id', x.id, 'run_id', x.run_id, 'workspace_id', x.workspace_id, 'slot', x.slot,
    'lease_token', x.lease_token,
    'worker_id', x.worker_id, 'kind', 'page', 'http_status', null,
    'verdict', jsonb_build_object('is_repeat', false, 'is_permanent', false,
      'outcome', case when x.ending is not null then 'cancelled'
        when x.losses_alone >= v_most then 'failed' end,
      'message', case when x.ending is null and x.losses_alone >= v_most
        then format('its worker died %s while it held nothing else: a poison page',
          sync.counted(x.losses_alone, 'time')) end))))
  into v_expired
  from (
    select q.id, q.run_id, q.slot, q.lease_token, q.worker_id, r.workspace_id, r.ending,
      q.losses_alone + case when q.id = any (v_alone) then 1 else 0 end as losses_alone
    from public.chunk_processing_queue as q
    join public.workspace_sync_runs as r on r.id = q.run_id
    where q.id = any (v_lost)
  ) as x;
  insert into public.chunk_events (chunk_id, run_id, event, lease_token, worker_id)
  select e.queue_id, e.run_id, 'lease_lost', e.lease_token, e.worker_id from unnest(v_expired) as e;
  update public.chunk_processing_queue as q set
    status = case when (e.verdict).outcome is null then 'pending' else q.status end,
    ready_seq = case when (e.verdict).outcome is null then nextval('sync.ready_seq') end,
    turn = case when (e.verdict).outcome is not null then q.turn end,
    lease_expires_at = case when (e.verdict).outcome is not null then q.lease_expires_at end,
    lease_losses = q.lease_losses + 1,
    losses_alone = q.losses_alone + case when q.id = any (v_alone) then 1 else 0 end
  from unnest(v_expired) as e where q.id = e.queue_id;
  perform sync.end_or_delay(array(select e from unnest(v_expired) as e
    where (e.verdict).outcome is not null));
  return cardinality(v_lost);
end; $function$;

CREATE OR REPLACE FUNCTION sync.repair_runs(p_is_in_claim boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_run_ids bigint[];
begin
  select array_agg(id) into v_run_ids from (
    select r.id from public.workspace_sync_runs as r
    join public.polling_job_status as j on j.id = r.job_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    join public.sync_streams as st on st.id = r.stream_id
    where r.status = 'running' and not (r.is_slow_to_close and p_is_in_claim) and (
      r.ending is not null
      or sync.is_outdated(r, w, st)
      or not sync.has_live_chunks(r.id)
      or (select count(*) from public.chunk_processing_queue as q
      where q.run_id = r.id and q.slot is not null) < r.max_concurrency
        and (r.phase = 'scan' and r.planned_pages < r.known_pages
          or r.phase = 'parts' and r.window_turn is not null
          or exists (select 1 from public.chunk_processing_queue as q
          where q.run_id = r.id and q.status = 'pending' and q.slot is null)))
    order by r.id for no key update of r, j skip locked
  ) as needy;
  perform sync.advance_runs(v_run_ids, case when p_is_in_claim then 2 else 40 end)
  where v_run_ids is not null;
end; $function$;

CREATE OR REPLACE FUNCTION sync.reread_keys()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.sync_workspaces as w set key_status = 'unchecked', key_checked_at = sync.now()
  from (
    select id from public.sync_workspaces
    where key_status = 'unreadable' order by random() limit 100 for no key update skip locked
  ) as asked
  where w.id = asked.id and exists (
    select 1 from unnest(sync.access_of_workspaces(array[w.id])) as a
    where a.obstacle is distinct from 'keyless');
  -- A job that waited on would hold its name, and with it the next sync of everybody else.
  update public.workspace_sync_runs as r set ending = 'failed',
    error_message = 'its key cannot be read from Vault, or is not of the form that the auth of its '
      'source takes: rotate_workspace_key() sets it again'
  where r.id = any (array(
    select live.id from public.workspace_sync_runs as live
    cross join lateral (
      select x.key_checked_at from public.sync_workspaces as x
      where x.id = live.workspace_id and x.key_status = 'unreadable' offset 0
    ) as w
    where live.status = 'running' and live.ending is null
      and greatest(live.started_at, w.key_checked_at) <= sync.now() - interval '10 minutes'
    order by live.id for no key update of live skip locked));
end; $function$;

CREATE OR REPLACE FUNCTION sync.bound_waits()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_sort TO 'off'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_lease interval := sync.setting_seconds('lease_seconds');
  v_block interval := sync.setting_seconds('max_block_seconds');
  v_longest interval := greatest(sync.setting_seconds('retry_cap_seconds'), interval '15 seconds');
begin
  update public.sync_budgets as b set
    next_send_at = least(b.next_send_at, v_now + sync.setting_seconds('send_ahead_seconds')
      + make_interval(secs => coalesce(1 / sync.effective_rate(b), 0)::double precision)),
    reduced_at = least(b.reduced_at, v_now),
    line_due_at = case when b.line_due_at is not null then v_now end,
    probe_until = least(b.probe_until, v_now + v_lease),
    blocked_until = case when b.blocked_at > v_now then v_now + (b.blocked_until - b.blocked_at)
      else b.blocked_until end,
    blocked_at = least(b.blocked_at, v_now)
  -- An array is made once; what is joined may be looked through for each.
  where b.id = any (array(
    select x.id from public.sync_budgets as x
    where x.blocked_at > v_now or x.reduced_at > v_now or x.probe_until > v_now + v_lease
      or x.next_send_at > v_now + sync.setting_seconds('send_ahead_seconds')
        + make_interval(secs => coalesce(1 / sync.effective_rate(x), 0)::double precision)
    for no key update skip locked));
  update public.sync_workspaces as w set rate_limited_until = v_now + v_block
  where w.id = any (array(
    select id from public.sync_workspaces where rate_limited_until > v_now + v_block
    for no key update skip locked));
  -- What a refusal or a backoff asked for stands in the chunk's last event; a budget only asks to
  -- look again.
  update public.chunk_processing_queue as q set next_retry_at = v_now + ahead.longest
  from (
    select x.id, greatest(v_longest, case when x.turn is not null and x.line_budget_id is null
      then v_block end, (
      select make_interval(secs => (e.details ->> 'for_ms')::double precision / 1000)
      from public.chunk_events as e where e.chunk_id = x.id order by e.id desc limit 1
    )) as longest
    from public.chunk_processing_queue as x
    where x.status = 'pending' and x.slot is not null and x.ready_seq is null
      and x.next_retry_at > v_now + v_longest and x.next_retry_at < 'infinity'
    order by x.next_retry_at for no key update of x skip locked
  ) as ahead
  where q.id = ahead.id and q.next_retry_at > v_now + ahead.longest;
  update public.chunk_processing_queue as q set
    lease_expires_at = least(q.lease_expires_at, v_now + v_lease),
    started_at = least(q.started_at, v_now)
  where q.id = any (array(
    select x.id from public.workspace_sync_runs as r
    cross join lateral (
      select held.id from public.chunk_processing_queue as held
      where held.run_id = r.id and held.slot is not null and held.status = 'processing'
        and (held.started_at > v_now
          or held.lease_expires_at > v_now + greatest(v_lease, interval '1 minute'))
      for no key update skip locked
    ) as x
    where r.status = 'running'));
end; $function$;

CREATE OR REPLACE FUNCTION sync.sweep(p_is_in_claim boolean)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '10ms'
AS $function$
declare
  v_taken_back int;
begin
  begin
    -- Before anything of a run is locked. What another holds is for the next sweep.
    perform sync.fill_columns(case when p_is_in_claim then 500 else 5000 end);
  exception when lock_not_available then
    null;
  end;
  perform sync.learn_of_filled_tables();
  perform sync.forget_future();
  perform sync.bound_waits();
  v_taken_back := sync.reclaim_chunks() + sync.reclaim_tries() + sync.reclaim_token_requests();
  perform sync.end_overdue_runs();
  perform sync.reread_keys();
  perform sync.follow_grants();
  perform sync.follow_pause();
  perform sync.repair_runs(p_is_in_claim);
  perform sync.close_left_jobs();
  perform sync.refresh_live_jobs();
  perform sync.tend_hints();
  begin
    perform sync.check_health_if_late();
    perform sync.deliver_alerts() where exists (
      select 1 from public.sync_alerts
      where resolved_at is null or resolved_at > sync.now() - interval '1 day');
  exception when lock_not_available then
    -- Mostly a health check holds the alerts, and delivers them itself.
    null;
  end;
  update sync.sweep_state as s set swept_at = sync.now(), last_error = null,
    claim_floor = sync.lowest_turn()
  from (select is_only_row from sync.sweep_state for no key update skip locked) as free
  where s.is_only_row;
  return v_taken_back;
end; $function$;

CREATE OR REPLACE FUNCTION sync.lowest_turn()
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(least(
    (select min(ready_seq) from public.chunk_processing_queue where ready_seq is not null),
    (select min(q.turn) from public.workspace_sync_runs as r
      cross join lateral (
        select x.turn from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null offset 0
      ) as q
      where r.status = 'running')), s.last_value) - 1000
  from sync.ready_seq as s;
$function$;

CREATE OR REPLACE FUNCTION sync.sweep_if_due()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_state sync.sweep_state;
  v_is_due boolean;
begin
  select * into v_state from sync.sweep_state;
  v_is_due := v_state.swept_at < v_now - sync.setting_seconds('sweep_interval_seconds')
    or v_state.swept_at > v_now;
  if not (v_is_due or v_state.refreshed_at < v_now - interval '2 seconds'
      or v_state.refreshed_at > v_now)
    or not sync.lock_engine_if_free('sweep') then
    return;
  end if;
  begin
    if v_is_due then
      perform sync.sweep(true);
    else
      perform sync.refresh_live_jobs();
    end if;
  exception when query_canceled or assert_failure or others then
    if sqlstate = '57014' then
      perform sync.set_out_of_time();
    end if;
    update sync.sweep_state as s
    set swept_at = sync.now(), last_error = sync.mask_secrets(sqlerrm)
    from (select is_only_row from sync.sweep_state for no key update skip locked) as free
    where s.is_only_row;
  end;
end; $function$;

CREATE OR REPLACE FUNCTION public.cleanup_stuck_chunks()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '60s'
 SET default_transaction_isolation TO 'read committed'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
begin
  perform sync.require_service();
  perform sync.require_read_committed();
  perform sync.lock_engine('sweep');
  return sync.sweep(false);
end; $function$;

CREATE OR REPLACE FUNCTION sync.claim_chunks(p_queue_ids bigint[], p_worker_id text, p_room integer, OUT o_admissions sync.admission[], OUT o_answer jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_now timestamptz := sync.now();
  v_queue_ids bigint[] := p_queue_ids;
  v_access sync.access[] := sync.access_of_workspaces(array(
    select distinct r.workspace_id from unnest(p_queue_ids) as p (id)
    join public.chunk_processing_queue as q on q.id = p.id
    join public.workspace_sync_runs as r on r.id = q.run_id));
  v_made sync.made_request[] := sync.made_requests(p_queue_ids, v_access);
  v_unmade sync.made_request[] := array[]::sync.made_request[];
  v_keyless bigint[];
  v_tokenless bigint[];
  v_has_tokens boolean;
  v_is_locked boolean;
  v_is_withheld boolean;
  v_leases jsonb := '[]'::jsonb;
  v_token_due_at timestamptz;
begin
  -- What a crash takes back of a claim is fetched again.
  perform set_config('synchronous_commit', 'off', true);
  if cardinality(v_made) > 0 then
    v_unmade := array(select m from unnest(v_made) as m where m.code is not null);
  end if;
  if cardinality(v_unmade) > 0 then
    perform sync.fail_unmade(v_unmade, p_worker_id);
    -- With them others of their runs may have ended.
    v_queue_ids := array(
      select q.id from unnest(p_queue_ids) with ordinality as p (id, turn)
      join public.chunk_processing_queue as q on q.id = p.id
      where q.status = 'pending' and q.slot is not null
        and q.id <> all (array(select m.queue_id from unnest(v_unmade) as m)) order by p.turn);
  end if;
  select coalesce(array_agg(a.workspace_id) filter (where a.obstacle = 'keyless'), '{}'),
    coalesce(array_agg(a.workspace_id order by a.workspace_id)
      filter (where a.obstacle = 'token'), '{}'),
    coalesce(bool_or(a.token_generation is not null), false)
  into v_keyless, v_tokenless, v_has_tokens from unnest(v_access) as a;
  if cardinality(v_keyless) > 0 then
    perform sync.hold_unreadable(v_keyless);
  end if;
  if cardinality(v_tokenless) > 0 then
    perform sync.ask_for_tokens(v_tokenless);
  end if;
  o_admissions := array[]::sync.admission[];
  if cardinality(v_queue_ids) > 0 then
    o_admissions := sync.admit_chunks(v_queue_ids, p_worker_id, v_keyless, v_tokenless);
    v_leases := sync.lease_chunks(o_admissions, p_worker_id, v_access, v_made);
  end if;
  select coalesce(bool_or(a.verdict = 'locked'), false),
    coalesce(bool_or(a.verdict in ('moved', 'keyless', 'token')), false)
  into v_is_locked, v_is_withheld from unnest(o_admissions) as a;
  if v_is_locked then
    perform sync.hurry_worker(p_worker_id);
  end if;
  if v_has_tokens then
    perform sync.write_token_generations(array(
      select a.queue_id from unnest(o_admissions) as a where a.verdict = 'admitted'), v_access);
  end if;
  v_token_due_at := (
    select min(due_at) from sync.token_requests where status = 'pending');
  -- One that was just requested is due later than the claim began.
  if v_token_due_at <= sync.now() and coalesce(p_room, cardinality(v_tokenless)) > 0 then
    v_leases := v_leases || sync.lease_token_requests(p_worker_id, case when p_room is null
      then cardinality(v_tokenless) else p_room - jsonb_array_length(v_leases) end,
      case when p_room is null then v_tokenless end);
    v_token_due_at := (
      select min(due_at) from sync.token_requests where status = 'pending');
  end if;
  if p_room > jsonb_array_length(v_leases)
    and exists (select 1 from sync.stream_tries where due_at <= v_now) then
    v_leases := v_leases
      || sync.lease_tries(p_worker_id, p_room - jsonb_array_length(v_leases));
  end if;
  if cardinality(v_unmade) > 0 then
    o_admissions := o_admissions || array(
      select row(m.queue_id, 'unmade', null, null)::sync.admission from unnest(v_unmade) as m);
  end if;
  o_answer := jsonb_build_object('leases', v_leases,
    'blocked_budgets', sync.blocked_budgets(),
    -- Behind chunks that were withheld there may be others.
    'next_look_ms', case when v_is_withheld or cardinality(v_unmade) > 0 then 0 else least((
      select greatest(0, ceil(extract(epoch from d.due_at - v_now) * 1000))::bigint
      from (select sync.next_due_at() as due_at) as d where d.due_at is not null), (
      select greatest(100, ceil(extract(epoch from min(b.line_due_at) - v_now) * 1000))::bigint
      from public.sync_budgets as b
      where b.line_due_at is not null and exists (
        select 1 from public.chunk_processing_queue as q where q.line_budget_id = b.id)
      having count(*) > 0),
      case when v_token_due_at is not null
        then greatest(0, ceil(extract(epoch from v_token_due_at - v_now) * 1000))::bigint end) end,
    'versions', public.chunkwise_version());
end; $function$;

CREATE OR REPLACE FUNCTION sync.outdated_protocol(p_protocol integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_versions jsonb := public.chunkwise_version();
begin
  if p_protocol = (v_versions ->> 'protocol_version')::int then
    return null;
  end if;
  -- No error: a worker from before an upgrade would repeat the call, and not read the versions.
  return jsonb_build_object('leases', '[]'::jsonb, 'blocked_budgets', '[]'::jsonb,
    'next_look_ms', null, 'reason', 'protocol', 'versions', v_versions,
    'error', jsonb_build_object('code', 'SY023', 'message', format('the worker speaks protocol %s, '
      'the database %s', coalesce(p_protocol::text, 'null'), v_versions ->> 'protocol_version'),
      'hint', 'Update the worker; one that speaks this protocol says so in p_protocol.'));
end; $function$;

CREATE OR REPLACE FUNCTION public.claim_next_chunk_job_safe(p_worker_id text, p_limit integer DEFAULT 1, p_listening jsonb DEFAULT NULL::jsonb, p_protocol integer DEFAULT 1)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_alone record;
  v_claim record;
  v_now timestamptz;
  v_is_delayed_due boolean;
  v_has_lines boolean;
  v_of_no_run int;
  v_most int;
  v_refusal jsonb;
  v_echo jsonb;
begin
  perform sync.require_service();
  perform sync.require_read_committed();
  if p_limit is null or p_limit not between 1 and 100 then
    raise exception using errcode = 'SY006', message = format('p_limit is '
      '%s', coalesce(p_limit::text, 'null')),
      hint = 'A claim takes 1 to 100 chunks.';
  end if;
  perform sync.note_worker(p_worker_id, p_listening);
  v_refusal := sync.outdated_protocol(p_protocol);
  if v_refusal is not null then
    return v_refusal;
  end if;
  v_echo := case when p_listening is null then '{}'::jsonb
    else jsonb_build_object('echo_age_ms', sync.send_echo()) end;
  perform sync.sweep_if_due();
  if sync.is_out_of_time() then
    return (sync.claim_chunks('{}', p_worker_id, 0)).o_answer || v_echo;
  end if;
  v_now := sync.now();
  -- What most claims find nothing of. For what belongs to no run a claim keeps room, a place for one
  -- try: where there are always more chunks than room, none of it would be sent otherwise.
  select sync.next_due_at() <= sync.now(),
    exists (select 1 from public.sync_budgets where line_due_at is not null),
    (select count(*) from (
        select 1 from sync.token_requests where status = 'pending' and due_at <= v_now
        limit p_limit) as due)
      + (exists (select 1 from sync.stream_tries where due_at <= v_now))::int
  into v_is_delayed_due, v_has_lines, v_of_no_run;
  if v_is_delayed_due then
    perform sync.wake_due_chunks(p_limit);
  end if;
  if v_has_lines then
    perform sync.wake_lines(p_limit);
  end if;
  v_alone := sync.hold_alone(p_worker_id);
  if v_alone.o_is_alone then
    v_claim := sync.claim_chunks(array_remove(array[v_alone.o_queue_id], null), p_worker_id, null);
    -- Turned away, it leaves the worker to others at once.
    return v_claim.o_answer || v_echo || jsonb_build_object('next_look_ms',
      case when v_alone.o_queue_id is not null and v_claim.o_answer -> 'leases' = '[]' then 0 end);
  end if;
  v_most := p_limit - v_of_no_run;
  v_claim := sync.claim_chunks(case when v_most > 0
    then sync.pick_ready_chunks(v_most, sync.fair_shares(v_most, p_worker_id))
    else array[]::bigint[] end, p_worker_id, p_limit);
  return v_claim.o_answer || v_echo;
end; $function$;

CREATE OR REPLACE FUNCTION public.claim_chunk_job_safe(p_queue_id bigint, p_worker_id text, p_protocol integer DEFAULT 1)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_chunk public.chunk_processing_queue;
  v_alone record;
  v_claim record;
  v_try record;
  v_look_again_ms bigint;
  v_refusal jsonb;
  v_reason text;
begin
  perform sync.require_service();
  perform sync.require_read_committed();
  if p_queue_id is null then
    raise exception using errcode = 'SY006', message = 'p_queue_id is null',
      hint = 'claim_next_chunk_job_safe() takes whatever is ready.';
  end if;
  perform sync.note_worker(p_worker_id, null);
  v_refusal := sync.outdated_protocol(p_protocol);
  if v_refusal is not null then
    return v_refusal;
  end if;
  perform sync.sweep_if_due();
  if sync.is_out_of_time() then
    return (sync.claim_chunks('{}', p_worker_id, null)).o_answer
      || '{"reason": "not_due", "look_again_ms": 1000}'::jsonb;
  end if;
  select * into v_chunk from public.chunk_processing_queue
  where id = p_queue_id for no key update skip locked;
  v_reason := case
    when v_chunk.id is null and exists (select 1 from public.chunk_processing_queue
    where id = p_queue_id) then 'not_pending'
    when v_chunk.id is null and exists (select 1 from sync.stream_tries
    where request_id = p_queue_id) then 'try'
    when v_chunk.id is null then 'not_found'
    when v_chunk.status <> 'pending' then 'not_pending'
    when v_chunk.next_retry_at = 'infinity' then 'paused'
    when v_chunk.slot is null or v_chunk.next_retry_at > sync.now() then 'not_due' end;
  if v_reason is null or v_reason = 'try' then
    v_alone := sync.hold_alone(p_worker_id, p_queue_id);
    v_reason := case when v_alone.o_is_alone and v_alone.o_queue_id is distinct from p_queue_id
      then 'alone' else v_reason end;
  end if;
  if v_reason = 'try' then
    v_claim := sync.claim_chunks('{}', p_worker_id, null);
    v_try := sync.claim_try(p_queue_id, p_worker_id);
    v_claim.o_answer := v_claim.o_answer || jsonb_build_object('leases', v_try.o_leases);
    v_reason := v_try.o_reason;
    v_look_again_ms := v_try.o_look_again_ms;
  elsif v_reason is null then
    v_claim := sync.claim_chunks(array[p_queue_id], p_worker_id, null);
    v_reason := case (v_claim.o_admissions)[1].verdict
      when 'budget' then 'budget' when 'workspace' then 'budget' when 'locked' then 'budget'
      when 'paused' then 'paused' when 'keyless' then 'paused'
      when 'ending' then 'not_pending' when 'moved' then 'not_pending'
      when 'unmade' then 'not_pending'
      -- What it needs first may have been leased in its place.
      when 'token' then case when v_claim.o_answer -> 'leases' = '[]' then 'not_due' end end;
  else
    v_claim := sync.claim_chunks('{}', p_worker_id, null);
  end if;
  insert into sync.hinted_claims as h (chunk_id, worker_id, verdict)
  values (p_queue_id, p_worker_id, coalesce(v_reason, 'claimed'))
  on conflict ((case when verdict = 'not_found' then chunk_id % 1000 else chunk_id end), verdict)
    where verdict <> 'claimed' do update set
    times = case when h.chunk_id = excluded.chunk_id then h.times + 1 else 1 end,
    chunk_id = excluded.chunk_id, worker_id = excluded.worker_id,
    occurred_at = excluded.occurred_at;
  return v_claim.o_answer || case when v_reason is null then '{}'::jsonb else jsonb_build_object(
    'reason', v_reason, 'look_again_ms', case
      when v_look_again_ms is not null then v_look_again_ms
      when v_reason in ('budget', 'not_due') then (
        select greatest(0, ceil(extract(epoch from next_retry_at - sync.now()) * 1000))::bigint
        from public.chunk_processing_queue where id = p_queue_id and next_retry_at < 'infinity')
      when v_reason = 'alone' then 1000 end) end;
end; $function$;

CREATE OR REPLACE FUNCTION public.extend_chunk_leases(p_leases jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '10s'
 SET default_transaction_isolation TO 'read committed'
 SET lock_timeout TO '250ms'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_now timestamptz;
  v_longest interval;
  v_ids bigint[];
  v_free bigint[];
  v_doubtful bigint[];
  v_lost jsonb;
  v_others bigint[];
  v_cancelled jsonb;
  v_worker_ids text[];
begin
  perform sync.require_service();
  if coalesce(jsonb_typeof(p_leases), 'null') <> 'array' or jsonb_array_length(p_leases) > 1000
    or exists (select 1 from jsonb_array_elements(p_leases) as l
      where (l ->> 'queue_id' ~ '^[0-9]{1,18}$'
        and l ->> 'lease_token' ~ '^[0-9]{1,18}$') is not true) then
    raise exception using errcode = 'SY006', message = 'p_leases is not a list of at most 1,000 '
      'leases',
      hint = '[{"queue_id": 1, "lease_token": 2}]';
  end if;
  v_longest := sync.setting_seconds('max_lease_seconds');
  v_ids := array(select (l ->> 'queue_id')::bigint from jsonb_array_elements(p_leases) as l);
  v_free := array(
    select id from public.chunk_processing_queue
    where id = any (v_ids) order by id for no key update skip locked);
  v_now := sync.now();
  v_doubtful := array(
    select id from public.chunk_processing_queue
    where id = any (v_ids) and id <> all (v_free) and status = 'processing'
      and lease_expires_at <= v_now);
  if cardinality(v_doubtful) > 0 then
    begin
      perform 1 from public.chunk_processing_queue
      where id = any (v_doubtful) order by id for no key update;
      v_free := v_free || v_doubtful;
    exception when lock_not_available then
      null;
    end;
  end if;
  with given as (
    select distinct (l ->> 'queue_id')::bigint as id, (l ->> 'lease_token')::bigint as lease_token
    from jsonb_array_elements(p_leases) as l
  ), extended as (
    update public.chunk_processing_queue as q
    set lease_expires_at = least(v_now + sync.setting_seconds('lease_seconds'),
    q.started_at + v_longest)
    from given
    where q.id = given.id and q.id = any (v_free) and q.lease_token = given.lease_token
      and q.status = 'processing' and q.lease_expires_at > v_now
      and q.started_at + v_longest > v_now
    returning q.id, q.run_id, q.worker_id
  ), held as (
    select * from extended
    union all
    -- What a call that ends it has locked is its own business: it was told to be in time.
    select q.id, q.run_id, q.worker_id from public.chunk_processing_queue as q
    join given on given.id = q.id and given.lease_token = q.lease_token
    where q.id <> all (v_free) and q.status = 'processing'
  )
  select
    coalesce(jsonb_agg(given.id order by given.id) filter (where held.id is null), '[]'),
    coalesce(jsonb_agg(given.id order by given.id) filter (where r.ending is not null), '[]'),
    coalesce(array_agg(distinct held.worker_id) filter (where held.id is not null), '{}')
  into v_lost, v_cancelled, v_worker_ids
  from given left join held using (id)
  left join public.workspace_sync_runs as r on r.id = held.run_id;
  if v_lost <> '[]' then
    -- Apart: in a condition they would be extended once for each that is lost.
    v_others := sync.extend_requests_of_no_run(p_leases, v_now);
    v_lost := (
      select coalesce(jsonb_agg(l.id), '[]') from jsonb_array_elements(v_lost) as l (id)
      where l.id::text::bigint <> all (v_others));
  end if;
  update sync.workers as k set last_seen_at = v_now
  from (
    select worker_id from sync.workers
    where worker_id = any (v_worker_ids) and last_seen_at < v_now - interval '5 seconds'
    order by worker_id for no key update skip locked
  ) as silent
  where k.worker_id = silent.worker_id;
  return jsonb_build_object('lease_ms', sync.setting('lease_seconds') * 1000, 'lost', v_lost,
    'cancelled', v_cancelled,
    'blocked_budgets', sync.blocked_budgets());
end; $function$;

CREATE OR REPLACE FUNCTION sync.prune_runs(p_rows integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_until timestamptz := sync.now()
    - make_interval(days => sync.setting('chunks_kept_days')::int);
  v_chunks int;
begin
  -- An audit goes before the pages that it speaks of.
  delete from sync.audits where run_id in (
    select a.run_id from public.workspace_sync_runs as r
    join sync.audits as a on a.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  delete from sync.seen_pages where (run_id, scan, chunk_id) in (
    select s.run_id, s.scan, s.chunk_id from public.workspace_sync_runs as r
    join sync.seen_pages as s on s.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  delete from sync.staged_items where id in (
    select id from sync.staged_items where processed_at < v_until limit p_rows);
  delete from sync.run_parts where id in (
    select p.id from public.workspace_sync_runs as r
    join sync.run_parts as p on p.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  delete from public.chunked_sync_jobs where id in (
    select c.id from public.workspace_sync_runs as r
    join public.chunked_sync_jobs as c on c.run_id = r.id
    where r.completed_at < v_until limit p_rows);
  get diagnostics v_chunks = row_count;
  return v_chunks;
end; $function$;

CREATE OR REPLACE FUNCTION sync.prune_log(p_rows integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_until timestamptz := sync.now()
    - make_interval(days => sync.setting('events_kept_days')::int);
  v_week_ago timestamptz := sync.now() - interval '7 days';
  v_events int;
begin
  delete from public.sync_alerts where id in (
    select id from public.sync_alerts where resolved_at < v_until limit p_rows);
  -- Older than full_scan_days nobody asks for them, which is a week as a rule.
  delete from sync.page_etags where (workspace_id, stream_id, request_key) in (
    select e.workspace_id, e.stream_id, e.request_key from sync.page_etags as e
    where e.read_at < v_week_ago and not exists (
      select from public.sync_streams as st where st.id = e.stream_id
        and e.read_at > sync.now() - make_interval(days => st.full_scan_days)) limit p_rows);
  delete from sync.hints where id in (
    select id from sync.hints where sent_at < v_week_ago limit p_rows);
  delete from sync.hinted_claims where id in (
    select id from sync.hinted_claims where occurred_at < v_week_ago limit p_rows);
  delete from sync.workers where worker_id in (
    select worker_id from sync.workers where last_seen_at < v_week_ago limit p_rows);
  delete from sync.named_locks where lock_name in (
    select lock_name from sync.named_locks where expires_at < v_week_ago limit p_rows)
    and expires_at < v_week_ago;
  delete from cron.job_run_details where runid in (
    select d.runid from cron.job_run_details as d join cron.job as j on j.jobid = d.jobid
    where j.jobname like 'chunkwise %' and d.end_time < v_week_ago limit p_rows);
  delete from public.chunk_events where (chunk_id, id) in (
    select chunk_id, id from public.chunk_events where occurred_at < v_until limit p_rows);
  get diagnostics v_events = row_count;
  return v_events;
end; $function$;

do $put_back$
declare
  v_one record;
begin
  for v_one in select * from chunkwise_set_aside where to_regprocedure(name) is null loop
    execute v_one.made;
    execute format('revoke all on function %s from public, anon, authenticated, service_role',
      v_one.name);
    if v_one.grantees is not null then
      execute format('grant execute on function %s to %s', v_one.name,
        array_to_string(v_one.grantees, ', '));
    end if;
    execute format('comment on function %s is %L', v_one.name, v_one.words);
  end loop;
end; $put_back$;

comment on function public.chunkwise_version() is 'What a worker asks before its first claim, and every claim says again: it may have been upgraded
meanwhile. Returns: {"schema_version", "protocol_version", "release"}.';

comment on function sync.refuse_removal() is 'Trigger: without rows that were there from the beginning everything would stand still. Raises:
SY018.';

comment on function sync.lock_engine_if_free(text) is 'Hold one of the engine''s locks until the transaction ends, unless another holds it. Returns:
whether it is held. Locks: its row, by SKIP LOCKED.';

comment on function sync.lock_engine(text) is 'Hold one of the engine''s locks until the transaction ends. Locks: its row.';

comment on function sync.set_out_of_time() is 'The time limit of a statement goes off once. Whoever answers it notes that, so that nothing that
takes time is begun any more in this transaction.';

comment on function sync.time_or_null(text) is 'Returns: the time, or null if it is none; without a zone it is the session''s, which callers set to
UTC.';

comment on function sync.json_or_null(text) is 'Returns: a text as JSON, null if it is none, or deeper than can be read.';

comment on function sync.origin_of(text) is 'Returns: scheme, host and port of a URL, in the one spelling of parse_url(), or null if it is
none.';

comment on function sync.reach_below(text,boolean) is 'Returns: how far a request below a base URL, as it is stored, may reach: see
docs/worker-protocol.md.';

comment on function sync.strings_of(text) is 'Returns: a secret; if it is JSON every string in it, and if it reads user:password both, but none
of fewer than 4 characters, which stand in too many words.';

comment on function sync.json_object(text) is 'Returns: a text as the JSON object that it is; null if it is none.';

comment on function sync.wrong_in_secret(text,text,text) is 'Returns: what of a secret is not of the form that its source''s auth takes, in words that show
nothing of it; null if it fits.';

comment on function sync.secret_form(text) is 'Returns: how a secret reads by a source''s auth, in words.';

comment on function sync.workspace_secret(bigint) is 'Returns: a workspace''s key, with its tokens where it has some; null if there is none that can be
read.';

comment on column public.sync_sources.auth is 'none; key: the secret as it is; basic: the secret is user:password; oauth2_client and
oauth2_refresh: the secret is JSON with client_id, client_secret and, of the latter,
refresh_token.';

comment on column public.sync_sources.class_rules is 'What answers mean whose status says too little, [{"status": 403, "text": "Too Many Attempts",
"class": "rate_limited"}, {"status": 403, "header": "x-ratelimit-remaining", "is": "0", "class":
"rate_limited"}, {"status": 200, "path": ["success"], "is": false, "class": "transient"}]: the first
rule that an answer meets in all that it names decides. text: stands in the answer''s error,
whatever the case of its letters; header, path: have this value. Without status it is any, a 2xx
too.';

comment on column public.sync_sources.reset_header is 'Which header says when a rate limit ends, {"name": "x-ratelimit-reset", "is": "epoch"}; is: epoch,
seconds or date; null: Retry-After alone.';

comment on column public.sync_sources.retry_after_path is 'Where the body of a refusal says after how many seconds to ask again.';

comment on column public.sync_sources.token_auth is 'Of OAuth2: how a token request says which client asks: form (client_id and client_secret in its
form), or basic (by HTTP Basic).';

comment on column public.sync_sources.token_params is 'Of OAuth2: added to the token request''s form.';

comment on column public.sync_sources.token_url is 'Of OAuth2: where access tokens come from, a path below the base URL or an https URL.';

comment on column public.sync_budgets.blocked_until is 'After several 429s in a row nobody sends until then; on a key''s own budget after each.';

comment on function sync.ensure_scope(bigint,text) is 'A source''s budget of a scope, made with the source''s defaults if new. Returns: its id. Locks: the
new row.';

comment on function sync.name_key(text) is 'Returns: by what names are the same: without blanks around them and without case, however their
letters are composed, how many blanks stand between words, or which dash or apostrophe was
typed.';

comment on function sync.workspace_id_of(text) is 'Returns: a workspace''s id, by its name as name_key() compares them. Raises: SY002 unknown, or
removed.';

comment on column sync.workspace_tokens.base_url is 'The workspace''s base URL when the token was asked for: it is for no other.';

comment on column sync.workspace_tokens.expires_at is 'From when on no page is leased with it; null: the endpoint did not say.';

comment on column sync.workspace_tokens.fingerprint is 'A hash of the grant as it was registered: one grant serves one workspace of a source.';

comment on column sync.workspace_tokens.generation is 'Counts access tokens, and is never taken back: what was sent with an older one says nothing of
it.';

comment on column sync.workspace_tokens.is_proven is 'Whether the API answered a page with 2xx to
it.';

comment on column sync.workspace_tokens.issued_at is 'When the request for the token was sent at the earliest; null: there is no token.';

comment on column sync.workspace_tokens.refusal is 'What the token endpoint said then.';

comment on column sync.workspace_tokens.refusals is 'How often in a row the grant was refused.';

comment on column sync.workspace_tokens.refused_until is 'The grant was refused, and until then it is not tried again; null: it was not.';

comment on column sync.workspace_tokens.renewed_at is 'When a 401 last had a proven token renewed.';

comment on column sync.workspace_tokens.secret_id is 'In Vault: access token, rotated refresh token, and both as they were before. Null: none yet.';

comment on table sync.workspace_tokens is 'The grant of each workspace whose source has OAuth2, and how its access token is. The tokens
themselves are in Vault.';

comment on column sync.token_requests.base_url is 'The workspace''s, when it was made.';

comment on column sync.token_requests.budget_id is 'That of the token endpoint''s host.';

comment on column sync.token_requests.due_at is 'While it is pending: when it is handed out.';

comment on column sync.token_requests.error_message is 'Why it failed last; of no secret.';

comment on column sync.token_requests.failing_since is 'Since when it fails, for reasons that may pass; null: it does not.';

comment on column sync.token_requests.lease_token is 'The last claim''s token.';

comment on column sync.token_requests.outcome is 'What its last holder was told when it ended the lease; null while it has not.';

comment on table sync.token_requests is 'Requests for access tokens: of a workspace, outside of runs and slots, one live at a time. Their
ids are drawn with the chunks'', so that workers end and extend them by the same verbs.';

comment on function sync.is_oauth(text) is 'Returns: whether an auth of a source has tokens.';

comment on function sync.token_wait(bigint) is 'Returns: after how long to look again at what waits for an access token. Its coming wakes it
earlier.';

comment on function sync.token_url_of(text,text) is 'Returns: where a workspace''s access tokens come from.';

comment on function sync.fingerprint_of(text,jsonb) is 'Returns: by what grants are told apart: the client, with its refresh token where there is one. A
client secret that is renewed makes no other grant.';

comment on function sync.forget_token(bigint) is 'A workspace''s tokens leave Vault, and what was asked for is not taken. Its generation stays.
The caller holds the workspace. Locks: its request, its row, what Vault has of it, in the order in
which an answer takes them.';

comment on function sync.follow_new_secret(bigint,bigint,text,boolean) is 'A workspace was given a secret: with another one than before its tokens are forgotten, and without
OAuth2 it has none. The caller holds the workspace and has checked the secret''s form. Raises: SY019
another workspace of the source has this grant. Locks: its request, its row.';

comment on column public.sync_streams.body is 'What a POST sends as JSON; values may hold templates. Null: no body.';

comment on column public.sync_streams.class_rules is 'As those of its source, and looked at before them.';

comment on column public.sync_streams.columns is 'Columns of its own table, {"name": "type"} or {"name": {"path", "type", "format"}}; null: records
go to synced_records or to target_table.';

comment on column public.sync_streams.completeness is 'counted: every page of one scan, distinct ids = the API''s total, total unmoved; may delete.
chained: pages that join, in order_path''s order, to a proven end; may delete. agreed: two scans in
a row, of which the later one shows all that the one before showed; may delete. feed: newest first,
read until the end or the mark of the last complete scan; never deletes. single: one answer holds
the whole list, or the one record; may delete. items: one request per record that the parent stream
staged. connection: one request that tells whose key it is (id_path, name_path).';

comment on column public.sync_streams.conditional is 'Whether requests carry what the last answer said of its version, so that an unchanged page costs no
body, unless it ends its list and may be full: of a counted list so is an only page.';

comment on column public.sync_streams.cursor_is is 'keyset: the API says that its cursor stands for a place in the order, so that nothing is missed
between two pages; null: it may be an offset.';

comment on column public.sync_streams.deleted_when is 'Fields whose values say that a record is gone, {"status": "deleted"}; null: none does.';

comment on column public.sync_streams.fan_out is 'Below which parents children are read: all that live, or those that changed or were revived since;
changed reads below all at first and every full_scan_days.';

comment on column public.sync_streams.first_page is 'The number of the first page, 0 or 1.';

comment on column public.sync_streams.full_scan_days is 'How often a run ignores a feed''s mark or {since} and reads everything, and how often an unlisted
record is asked for.';

comment on column public.sync_streams.headers is 'Headers of its requests, beside Accept and the credential; values may hold templates.';

comment on column public.sync_streams.id_scope is 'Whether ids are unique in a workspace (global) or below one parent only (parent).';

comment on column public.sync_streams.is_default is 'Whether start_sync_job() without a list of streams, and the scheduled sync, read it.';

comment on column public.sync_streams.last_path is 'Which value of a page''s last record is {last}; null: its id.';

comment on column public.sync_streams.method is 'GET or POST.';

comment on column public.sync_streams.more_is is 'The value there that means that more follows.';

comment on column public.sync_streams.more_path is 'Where an answer says whether more follows.';

comment on column public.sync_streams.next_absent_ends is 'Whether a full page without anything at next_path is the last one.';

comment on column public.sync_streams.next_is is 'What next_path leads to: token, for {next}; url: the next request; link_header: no path, the header
Link with rel="next" says so.';

comment on column public.sync_streams.next_path is 'Where an answer names what comes next, which is {next} in the request or the URL itself.';

comment on column public.sync_streams.order_direction is 'asc or desc.';

comment on column public.sync_streams.order_is_unique is 'Whether no two records have one order key; null: where that is the id.';

comment on column public.sync_streams.order_moves is 'never: a record''s order key stays; forward: it grows with every change, as updated_at does.';

comment on column public.sync_streams.order_path is 'Where a record says what its list is ordered by; null: its id. A feed has to be newest first.';

comment on column public.sync_streams.order_type is 'What order_path leads to: number, time or text.';

comment on column public.sync_streams.overlap is 'By how many records pages by {offset} overlap, at most half of a page as it is served; null: a
tenth of one, at least 1.';

comment on column public.sync_streams.page_size is 'Records per page as the API serves them: {size} in a request, the step of {offset}, and what a page
is measured by where short_page_ends.';

comment on column public.sync_streams.parent_stream is 'Of items, and of lists of children, one below each of its records: the stream whose run must have
closed first. {parent.id} and the like in a request are fields of its record.';

comment on column public.sync_streams.result_cap is 'How many records the API shows of a list at most; a total at or above it is none.';

comment on column public.sync_streams.short_page_ends is 'Whether a page with fewer than page_size records is the last one: not where a server filters after
paging.';

comment on column public.sync_streams.since_format is 'How {since} is written: iso, epoch, epoch_ms or date.';

comment on column public.sync_streams.since_overlap is 'How many seconds before the last known change {since} lies.';

comment on column public.sync_streams.time_format is 'Of updated_at_path: iso, epoch (seconds) or epoch_ms.';

comment on column public.sync_workspace_streams.marks is 'Of a feed, where the next scan may stop. run_id and read_at: the last scan that was complete, of
newest_id: the first record of its list; full_scan_at: when everything was read last; short_by: how
many the API counted then that it did not show; of: of which address, owner and declaration all that
is, of others it says nothing. Of other lists: since: the latest change that the last complete run
saw, or its start; pages: how many it read, page_records: how many records its page 1 had.';

comment on column sync.target_tables.upsert_name is 'The apply function that sync.write_upsert() made of it; null: it made none.';

comment on type sync.incoming_record is 'A record of a page, on its way to an apply function. turn: of which page of the call; requested_at:
when that was asked for, or earlier; is_truth: it is of a full scan, so that what it says counts
whatever its date is; parent_id: below which parent it was listed; own_id: its id as the API has it,
which record_id is too unless it is unique below its parent only.';

comment on type sync.template is 'A template in a text. said: as it stands there, with its braces; name: page, offset, size, next,
last, since, id or parent; path: of parent, the keys of {parent.a.b}; flaw: null, name or default:
what of it is no template''s; fallback: what stands behind its bar.';

comment on function sync.template_default(text) is 'Returns: what stands behind the bar of {last|0}; null if it is no JSON text, number or truth.';

comment on function sync.templates_in(text) is 'Returns: the templates of a text, in order: {name}, {name|default} or {parent.key.key}; last what
begins as one and ends as none. A brace that no letter follows is text.';

comment on function sync.has_template(public.sync_streams,text) is 'Returns: whether a stream''s requests have the template of that name, for instance since.';

comment on function sync.position_of(public.sync_streams) is 'What decides how a list is paged. Returns: page, offset, next or last, the template that its
requests have; url or link, where an answer names the whole next request; none: one answer. A
counted list or a feed without any has its page in page_param.';

comment on type sync.wrong_field is 'A field of a declaration that does not go with the others, and what it would take.';

comment on function sync.placed_templates(public.sync_streams) is 'Returns: the templates of a stream''s requests, each with the field in which it stands.';

comment on function sync.wrong_templates(public.sync_streams) is 'Returns: fields with templates that are unknown, stand where they have no value, or are a second
position.';

comment on function sync.wrong_places(jsonb) is 'Returns: fields with a template that no request has.';

comment on function sync.column_types() is 'Returns: the types that a declared column may have.';

comment on function sync.own_columns() is 'Returns: the columns of a target table that no record sets by itself and no declaration names.';

comment on function sync.without_templates(text) is 'Returns: a path in which something stands for every template.';

comment on function sync.is_list_of_keys(jsonb,numeric,numeric) is 'Returns: whether the value is a path into JSON: texts, and numbers of elements.';

comment on function sync.is_column(text,jsonb) is 'Returns: whether a field of columns names a column and its type, where it stands and its
format.';

comment on function sync.is_class_rule(jsonb) is 'Returns: whether the value is a rule that says what an answer means by its text, a header or a
value in its body.';

comment on function sync.require_target_columns(regclass) is 'Raises: SY006 unless a table has the columns that closing needs, and tells all ids apart.';

comment on function sync.named_table(text) is 'Returns: the table or other relation of a name, null if there is none or that is no name.';

comment on function sync.register_target_table(text) is 'Let streams write to a table of one''s own. Only the database''s owner may: no role that speaks over
the API can execute it. Returns: {"target_table"}. Raises: SY006 no table, one of a closed schema,
one without the columns that closing needs, or whose ids are one in capitals and small letters.
Locks: its row.';

comment on function sync.is_keyed_by_parent(regclass) is 'Returns: whether rows of a target table are kept apart by parent, with its id in a column.';

comment on function sync.holds_rows_of(regclass,regclass) is 'Returns: whether two tables are the same, or one is a partition of the other or inherits from it,
so that rows of one are rows of the other too.';

comment on function sync.default_values(regclass) is 'Returns: the defaults of a table''s columns.';

comment on function sync.without_nulls(jsonb) is 'Returns: a declaration without fields that are null, which are as if left out.';

comment on function sync.is_reserved_header(text) is 'Returns: whether a header is one that only the engine or the HTTP library writes.';

comment on function sync.wrong_requests(public.sync_streams,public.sync_streams,public.sync_sources) is 'Returns: fields that a request cannot have together.';

comment on function sync.wrong_pages(public.sync_streams,public.sync_streams) is 'Returns: fields that do not go with how the list is paged.';

comment on function sync.wrong_proofs(public.sync_streams,public.sync_streams) is 'Returns: fields that do not go with what completeness is to prove.';

comment on function sync.wrong_relations(public.sync_streams,public.sync_streams) is 'Returns: fields that do not go with a stream''s parent, or with its hooks.';

comment on function sync.require_fields_together(jsonb,public.sync_sources) is 'A field at its default goes with everything, so that a row may be declared as it stands. Raises:
SY006 naming a field of a stream that does not go with the others, or with its source.';

comment on function sync.wrong_source(public.sync_sources,public.sync_sources) is 'Returns: fields of a source that do not go with each other, or with its streams.';

comment on function sync.require_source_together(jsonb) is 'Raises: SY006 naming a field of a source that does not go with the others, or with its streams.';

comment on type sync.judged_record is 'A record that is to be written. record: what becomes raw; fitting: that, or as much of it as fits
the columns; change: inserted, updated, revived, or gone, of a deleted one that says so itself;
known_change: last_changed_at of the row that it was compared with; unfit: columns that its values
do not fit; parent_id, own_id: of a table with parent_id in its key, what record_id is made of.';

comment on function sync.fit_records(regclass,sync.judged_record[]) is 'After a value did not fit its column: find all that do not, value by value. Returns: the records
with null for those in fitting, and their columns in unfit. Raises: 23xxx a domain refuses it.';

comment on function sync.epoch_time(text,text) is 'Returns: a moment given in seconds (epoch) or milliseconds (epoch_ms); null if that is none.';

comment on function sync.epoch_value(jsonb,text) is 'Returns: a value in seconds or milliseconds as a column of a time takes it; what is none as a text
that fits no such column.';

comment on function sync.declared_columns(jsonb) is 'Returns: the columns that a stream declares: type, path in a record, format.';

comment on function sync.fitting_sql(text,jsonb,text[]) is 'Returns: the expression that takes a record''s columns out of it: what stands at a path of its own
or is in another format, and its fields of the columns'' names, but for those that are no such
columns.';

comment on function sync.is_gone(bigint,jsonb) is 'Returns: whether a record says itself that it is deleted, as its stream has it (deleted_when).';

comment on function sync.upsert_sql(text,regclass,jsonb) is 'Returns: the statement that makes a target table''s apply function. Filled are the columns that a
stream declares, each from where it says; without such a declaration every column that is not ours,
from the record''s field of that name. The table has updated_at.';

comment on function sync.write_upsert(text,regclass,jsonb) is 'Make a registered table''s apply function, see upsert_sql(). Every typed table and synced_records
have the same one, but for their columns. Locks: its registration.';

comment on function sync.regenerate_upserts() is 'Make every generated apply function anew, which every migration ends with: they are the work of
upsert_sql(), and no part of a migration''s text. Returns: how many.';

comment on function sync.apply_synced_records(sync.incoming_record[]) is 'Upsert records as one set; unchanged ones cost nothing, a deleted one that is seen lives again,
unless it says itself that it is deleted. An answer that was requested before the row''s last change
replaces it only with a later date; one that was requested later is the truth in full scans, and in
others unless its date is older and the row''s is not in the future. A value that does not fit its
column makes that null. Made by sync.write_upsert(). Returns: what changed. Raises: 23xxx a
constraint, P0001 a trigger that lets a record vanish or a column id that is not as it was given, or
takes two for one. Locks: rows in key order.';

comment on schema synced is 'Tables that streams declare by columns. No API serves it unless the owner exposes it.';

comment on function sync.declared_table(jsonb) is 'Returns: the name of the table that a declaration with columns has. Raises: SY006 no such name.';

comment on function sync.upsert_name(text) is 'Returns: the name of a declared table''s apply function.';

comment on function sync.type_of_id(jsonb) is 'Returns: the type of a declared table''s column id.';

comment on function sync.table_form(jsonb) is 'Returns: the columns of a declared table, in order.';

comment on function sync.table_key(jsonb) is 'Returns: the columns of a declared table''s key.';

comment on function sync.table_sql(text,jsonb) is 'Returns: the statement that makes a declared table.';

comment on function sync.access_sql(text,jsonb) is 'Returns: the statements that say what a declared table is and who reads it: operators.';

comment on function sync.flaw_of_table(jsonb,regclass) is 'Returns: what of a table, whose columns are of the declared types, refuses every record; null if
nothing does.';

comment on function sync.require_adoptable(jsonb,regclass) is 'Raises: SY006 unless a table that stands is one that the declaration would make, but for columns
that it lacks or has besides.';

comment on function sync.add_columns(jsonb,regclass) is 'Give a declared table the columns that it lacks. Returns: their names. Raises: 55P03 the table was
not free within 2 s. Locks: the table, all of it, before anything of a run.';

comment on function sync.make_table(jsonb,bigint) is 'Make the table that a stream declares, or adopt one that fits, and add what it lacks. Returns:
{"target_table", "apply_function", "added": columns}. Raises: SY006 a table of another form or
another stream''s, 55P03 not free. Locks: the table, its registration.';

comment on column sync.column_fills.last_key is 'Up to which row that is done; null: to none.';

comment on column sync.column_fills.looked_at is 'Rows that were looked at.';

comment on column sync.column_fills.unfit is '{column: id of the first record whose value does not fit it and is null there}.';

comment on table sync.column_fills is 'Columns that a table got when it had rows, or that are declared otherwise: sweeps fill them from
raw, by the key, in batches.';

comment on function sync.write_columns(public.sync_streams,public.sync_streams,jsonb) is 'Make a declared table''s apply function, where something of it changed, and have what was added,
or comes from elsewhere now, filled. Locks: its registration, its row of column_fills.';

comment on function sync.pick_rows(public.sync_streams,sync.column_fills,integer) is 'Returns: the next rows of a table whose new columns are to be filled, with what goes there. Locks:
those rows, in key order.';

comment on function sync.fill_rows(public.sync_streams,text[],sync.judged_record[]) is 'Write columns of rows that the caller holds. Raises: 22xxx a value that does not fit.';

comment on function sync.fill_columns(integer) is 'Fill new columns of one table from what its rows were made of, at most so many rows; those that
hold it already cost no row version. Returns: rows looked at. Locks: the table''s row of column_fills
by SKIP LOCKED, then rows in key order.';

comment on function sync.require_new_name(text,jsonb,text,text[]) is 'Raises: SY006 where a declaration would add a second source or stream whose name a person takes
for that of the first.';

comment on function sync.write_source(jsonb) is 'Check a source''s declaration and write its row. Returns: its id, and the row before. Raises: SY006
unknown, missing or bad field. Locks: the row.';

comment on function sync.follow_source(bigint,jsonb) is 'What a source''s workspaces take from its row, after it was written. Locks: the workspaces by id,
their budgets, their tokens by workspace.';

comment on function public.declare_source(jsonb) is 'Add an API or declare it anew: the fields are the columns of sync_sources, what is left out has
its default. With another base path its workspaces'' live runs begin again. Returns: {"source_id",
"source_name"}. Raises: SY006 unknown, missing or bad field. Locks: the source, its workspaces by
id, their budgets.';

comment on function sync.require_own_upsert(jsonb) is 'Raises: SY006 where the apply function of a stream is one that was made for another table than its
own.';

comment on function sync.require_uncut_parents(jsonb,bigint) is 'Raises: SY006 where requests of a stream, or of its children, take of a parent what its drop_paths
cut.';

comment on function sync.require_parents(jsonb,bigint) is 'Raises: SY006 unless the parents that streams of a source name are lists of it, and none is its
own.';

comment on function sync.require_same_scope(public.sync_streams,jsonb) is 'Raises: SY006 where a stream that has rows would make its ids otherwise, 55P03 the table was not
free within 2 s. Locks: where they would, the table against writing.';

comment on function sync.write_declared_stream(jsonb) is 'Check a stream''s declaration and write its row, its table, and what these change. Returns: the
stream''s id and its source''s, and whether that one''s workspaces have to be asked whose their keys
are. Raises: as
declare_stream(). Locks: as that does, but no workspace.';

comment on function sync.ask_whose_keys(bigint) is 'Another stream tells whose the keys of a source are: what was known of them is not. Locks: its
workspaces by id.';

comment on function public.declare_stream(jsonb) is 'Add a stream to a source or declare it anew: the fields are the columns of sync_streams, what is
left out has its default. With columns a table is made, adopted or widened. Another content than
before has its live runs begin again, and what they missed forgotten; one that tells whose a key is
has every key of its source asked about anew. Returns: {"stream_id", "stream_name"}. Raises: SY003
unknown source, SY006 unknown, missing or bad field, 55P03 the table that gets a column, or other
ids, was not free within 2 s. Locks: the stream, its table where it gets these, its registration,
missing records by key, then runs that hold some back, for one that tells whose a key is the
source''s workspaces.';

comment on function public.stream_sql(text,text) is 'What a stream''s records go through, to read or to keep: its table, if it declares one, with
rights, policy and revokes, and the function that writes it. The source has to be named where
several have such a stream. Returns: SQL. Raises: SY003 no such stream, SY006 several.';

comment on function sync.prepare_job_end() is 'Trigger: a job ends once, and not before its runs; it notes when and how long it took. Raises:
SY009.';

comment on column public.workspace_sync_runs.has_more_parts is 'Whether there may be parents behind that one.';

comment on column public.workspace_sync_runs.is_full_scan is 'Whether it reads everything: a feed to its end and not only to the mark, other lists without
{since}.';

comment on column public.workspace_sync_runs.last_part_scan is 'The highest scan that a list of children has had: see sync.run_parts.';

comment on column public.workspace_sync_runs.mark is 'Of a feed: the first record of the last complete scan, when this run began. Of an items stream,
and of children that follow what changed: the staged record up to which they are queued.';

comment on column public.workspace_sync_runs.parent_run_id is 'Of children and items: the run of their parents that must close first.';

comment on column public.workspace_sync_runs.parts_ended is 'How many of these were read, proven or not.';

comment on column public.workspace_sync_runs.parts_mark is 'The parent up to which its lists are planned, in the order of the parents'' table.';

comment on column public.workspace_sync_runs.parts_total is 'Of children: how many parents'' lists it reads; null: it reads one list of its own.';

comment on column public.workspace_sync_runs.phase is 'connect: asking whose key it is; scan: reading pages; confirm: asking for records that a complete
scan missed; cursor: reading on where pages end; parent: waiting for its parent run; items: one
request per staged item; parts: reading a list below each parent.';

comment on column public.workspace_sync_runs.reading is 'What all pages of its scan have in their reading: since; of pages side by side also beside, overlap
and step, by how many records one begins after the other.';

comment on column public.workspace_sync_runs.sound_scan is 'Of an agreed list: its last scan that reached the end and showed no id twice; the next one is
compared with it.';

comment on column public.workspace_sync_runs.window_turn is 'Of children: the chunk with which half of what is planned ahead is used up; null: all is planned.';

comment on function sync.is_outdated(public.workspace_sync_runs,public.sync_workspaces,public.sync_streams) is 'Returns: whether a live run has to begin again, because its workspace has another key, URL, id or
source than when it began, its stream another declaration, or its key is another workspace''s.
Nothing of it is applied.';

comment on column sync.run_parts.attempt is 'How often this list was begun: one that does not add up is read again as a part of its own.';

comment on column sync.run_parts.distinct_ids is 'Distinct ids that its pages showed.';

comment on column sync.run_parts.finding is 'What spoke against it.';

comment on column sync.run_parts.known_pages is 'Pages that answers revealed; planned_pages: up to which there are chunks.';

comment on column sync.run_parts.parent is 'What the stream''s templates need of the parent''s record: {"id": 17, "parent": {"id": 4}}.';

comment on column sync.run_parts.parent_id is 'The parent''s record: its id in its own stream.';

comment on column sync.run_parts.scan is 'The scan of the run that its chunks and pages are of: each part has its own.';

comment on column sync.run_parts.sound_scan is 'Of an agreed list: the scan before, with which it is compared.';

comment on column sync.run_parts.state is 'waiting: no chunk of it yet; reading; proven: the whole list was read; unproven: it was not, see
finding; repeated: another attempt took its place.';

comment on column sync.run_parts.step is 'By offsets, where page 1 is shorter than declared: how many records a page has.';

comment on column sync.run_parts.total is 'The API''s own total of this list.';

comment on table sync.run_parts is 'Lists that a run of children reads, one per parent; each is proven by itself.';

comment on function sync.has_parts(public.sync_streams) is 'Returns: whether a stream is lists of children, one below each record of its parent.';

comment on column public.chunked_sync_jobs.reading is 'The values of its request''s templates, by name: next, last, offset, since, parent; url: the whole
next request; what is not there has none. Beside them of a page: overlap: how many records it shares
with the page before; guess: it may lie past the end; beside: it was planned before the page before
was read; back: what was asked first was past the end; again: it is the page before once more. Of a
cursor chunk: {"chain", "cursor" (null: from the top), "low_id": where the chain ends,
"pages_below": in a row}.';

comment on column public.chunked_sync_jobs.scan is 'Which scan of the run, from 1; each list of children has its own.';

comment on column public.chunk_processing_queue.token_generation is 'Which access token its last request carried: sync.workspace_tokens.generation; null: none.';

comment on column sync.seen_pages.disorder is 'What on it is not in the order that was declared, or contradicts that its pages join.';

comment on column sync.seen_pages.ends is 'Of a chained or agreed list: whether its answer says that the list ends here; null: that is for a
comparison with the page before to say.';

comment on column sync.seen_pages.first_key is 'By what its first record is ordered, where that is a number or a time; last_key: its last.';

comment on column sync.seen_pages.first_text is 'By what its first record is ordered, where that is a text; last_text: its last.';

comment on column sync.seen_pages.latest_at is 'Of a list that is read since a time: the latest updated_at on it.';

comment on column sync.seen_pages.new_ids is 'Of a feed that is read to its mark: which of them were stored for the first time. Of a chained or
agreed list: those that did not live before.';

comment on column sync.seen_pages.next is 'Of a chained or agreed list: the reading of the page after it, as its answer says; null: it says
none.';

comment on column sync.seen_pages.page is 'Null for what was read by cursor, and for what lies past the end.';

comment on column sync.seen_pages.refusal is 'What the API answered in place of a page that others had led to: its scan does not count.';

comment on function sync.learn_of_filled_tables() is 'Where all that filled a table was gone when autovacuum came, the planner expects one row in it
until it comes again, which may be a minute after thousands are in there, and joins in any order.
Such tables of live work are analyzed as soon as they hold something. Locks: tables against being
analyzed or altered, for 10 ms at most.';

comment on function sync.refill_slots(bigint) is 'Promote waiting chunks into a run''s free slots. The caller holds the run''s lock. Returns: how
many. Locks: queue rows, by SKIP LOCKED.';

comment on function sync.plan_page(bigint,integer,jsonb) is 'Queue one page of the run''s current scan, with the values that its request takes. The caller holds
the run''s lock and has checked that it lives.';

comment on function sync.reveal_pages(bigint,integer) is 'Know of the pages up to the last one that an answer named; plan_window() queues them. The caller
holds the run''s lock. Nothing happens while the run is ending.';

comment on function sync.refuse_next_url(text,text) is 'Raises: SY010 with the next URL.';

comment on function sync.absolute_url(text,text) is 'Returns: a URL, perhaps relative to the one that was asked, as RFC 3986 resolves it, but for "."
and ".." in its path.';

comment on function sync.next_url(text,text,public.sync_sources,text) is 'What an answer names as its next URL, absolute or relative to the request''s (the base URL if that
is left out). p_base_url is the workspace''s. Returns: the URL, without the key''s own parameter and
without a fragment. Raises: SY010 no URL, another origin, or not below the source''s base path.';

comment on function sync.link_next(text) is 'Returns: of a header Link what it names as rel="next", perhaps relative; null if it names none.
Raises: SY010 a header that cannot be read, which ends no list.';

comment on column sync.page_etags.read_at is 'When its body was last read: after full_scan_days it is again.';

comment on column sync.page_etags.request_key is 'Which request: without headers, and its place.';

comment on column sync.page_etags.run_id is 'The last run that read it, changed or not: only what the last complete run saw is known to be
here.';

comment on column sync.page_etags.said is 'What reading it gave beside its records: total, last page, first and last key, next.';

comment on table sync.page_etags is 'Pages of streams with conditional: their versions as the API named them, and what they showed; a
304 counts as that page.';

comment on function sync.request_key(public.chunked_sync_jobs,jsonb) is 'Returns: by what a page is known again: its request without headers, and its place in the list.';

comment on function sync.known_version(public.chunked_sync_jobs,public.sync_streams,text,interval) is 'Returns: what is known of the page that a chunk asks for; null in audits and full scans, of
another declaration, key or URL, where its body was not read for full_scan_days and the slack, and
of a list whose scan before did not add up.';

comment on function sync.condition_headers(sync.page_etags) is 'Returns: the headers that ask for a page only if it is another than the known one.';

comment on function sync.refuse_request(text,text) is 'Raises: SY022, a chunk''s request cannot be made.';

comment on function sync.template_values(public.chunked_sync_jobs,public.sync_streams) is 'Returns: the values of a chunk''s templates by name; what has none is left out.';

comment on function sync.template_value(text,jsonb) is 'Returns: what stands for a template: the value of its name, or its default, or null.';

comment on function sync.template_parts(text) is 'Returns: a text''s templates and what stands between them, in their order. A text is taken apart
once: what a template''s value holds is never looked at.';

comment on function sync.filled_text(text,jsonb) is 'Returns: a text with its templates filled: one that is a single template keeps its value''s type,
any other is a string; null if a template has no value. Raises: SY022.';

comment on function sync.filled_json(jsonb,jsonb) is 'Returns: a JSON value with its templates filled; a property that has no value is left out, one of
a list takes the list''s property with it; null if nothing is left. Raises: SY022.';

comment on function sync.filled_path(text,jsonb) is 'Returns: a path with its templates filled, each value encoded as part of one segment. Raises:
SY022 a value that is missing, empty or leads elsewhere.';

comment on function sync.filled_headers(jsonb,jsonb) is 'Returns: headers with their templates filled. Raises: SY022 a value that is missing or that no
header may have.';

comment on function sync.as_pairs(jsonb) is 'Returns: parameters as [[name, value], …], the values as texts.';

comment on function sync.is_plain(public.sync_streams) is 'Returns: whether a stream''s requests can be put together without a look for templates, as most
can.';

comment on function sync.position_params(public.chunked_sync_jobs,public.sync_streams) is 'Returns: the parameters that name a chunk''s place where no template does.';

comment on function sync.plain_request(public.chunked_sync_jobs,public.sync_streams,text) is 'Returns: the request of a chunk that has no templates, as a lease carries it.';

comment on function sync.filled_request(public.chunked_sync_jobs,public.sync_streams,public.sync_sources,text) is 'Returns: the request of a chunk with its templates filled, as a lease carries it. Raises: SY022,
or SY010 for a next URL that leads elsewhere.';

comment on type sync.made_request is 'What filling the templates of a chunk gave: its request, or why it has none.';

comment on function sync.make_request(public.chunked_sync_jobs,public.sync_streams,public.sync_sources,text) is 'Fill the templates of one chunk: whatever goes wrong costs only it. Returns: its request, or the
code and message of what keeps it from being made.';

comment on function sync.answer_headers(public.sync_streams,public.sync_sources) is 'Returns: which headers of an answer are handed over, their names in lower case.';

comment on function sync.may_be_gone(public.sync_streams,text,integer,jsonb) is 'Returns: whether an API may answer that there is no such page, and nothing has failed: it was
asked for on the chance that it exists, or because of what pages before it said, and the list has
changed since.';

comment on function sync.status_classes(public.sync_streams,public.sync_sources,text,integer,jsonb,boolean) is 'Returns: the class of each HTTP status for a chunk: of a GET that confirms a deletion 404 is a
page, of one that may be gone 400 and 422 too, of a conditional request 304 is.';

comment on function sync.is_unsent(text) is 'Returns: whether a request that a worker hands back was not sent; one that met a closed connection
was, and its message begins with "no answer".';

comment on function sync.class_of(jsonb,integer) is 'Returns: the class of a status: its own, that of its hundred, or of all others.';

comment on function sync.class_by_rules(jsonb,integer,jsonb,text,jsonb) is 'Returns: the class of the first rule that an answer meets in all that it names, or null. p_text:
where the rules'' texts are looked for; p_answer: the body as JSON, null if it is none.';

comment on function sync.http_date(text) is 'Returns: the moment that a header names, null if it names none.';

comment on function sync.seconds_asked(text) is 'Returns: a number of 0 or more, null if the text is none.';

comment on function sync.wait_asked_for(public.sync_sources,jsonb,jsonb,boolean) is 'Returns: after how many seconds an answer asks to be asked again: by Retry-After, of a rate limit
by the source''s reset_header, or in its body; null if it names nothing above 0.';

comment on function sync.in_flight_of(bigint) is 'Returns: leases that draw on a budget, with those of tries and of requests for access tokens.';

comment on function sync.shares_of(public.sync_budgets) is 'Who holds the places that a budget has in flight. Returns: of each workspace with leases or ready
chunks its live runs, its leases, its share and half of the places, and whether others have ready
chunks; demand: how many chunks of all workspaces are ready within their shares. None where what is
in flight has no limit.';

comment on function sync.has_others_asking(bigint,bigint) is 'Returns: whether another workspace than this one, and none that a 429 holds, has requests in
flight on a budget, or ready for it.';

comment on function sync.wake_lines(integer) is 'Where budgets have room, those that wait in their lines become ready with the turn they had, the
lowest first: a newcomer goes behind them. Whose workspace has its share goes after the others, and
not at all where it has half of the places. Of more than 32 lines, some. Locks: queue rows, by SKIP
LOCKED.';

comment on type sync.admission is 'verdict: admitted (send_after: wait before sending), budget and workspace (send_after: when to look
again), token (its workspace waits for an access token; send_after likewise), locked (another
session holds its budget''s row), paused, ending, keyless (its workspace''s key cannot be read) or
moved (its workspace has another source now).';

comment on function sync.admit_chunks(bigint[],text,bigint[],bigint[]) is 'Reserve send times for picked chunks, oldest turn first and behind those that wait in a budget''s
line. Where places in flight are short, what is within its workspace''s share goes before the rest,
and no workspace gets more than half while others wait, however long its requests take. Of a
workspace that a 429 held, one request asks first, and of a stopped budget none for 2 s in which
others may. Nothing is sent on a budget that another session has locked, nor of workspaces that are
p_keyless or p_tokenless. Returns: which may be sent and which must wait. Locks: the budgets that
have a limit, last of all, as lock_budgets().';

comment on function sync.reserve_send_time(bigint) is 'Reserve a send time for one request of no run, a try''s or one for an access token. Returns: when
it is sent, or after how long to look again. Locks: the budget, by SKIP LOCKED.';

comment on function sync.hold_alone(text,bigint) is 'For a claim of any chunk, or of a named one. Where a chunk must be leased alone, its worker
empties itself: it gets nothing else until it holds nothing, then that chunk, and nothing beside it.
Returns: whether the worker gets nothing else now, and the chunk that it gets, which is locked then.
Locks: the worker''s row, which keeps its calls from leasing at once; the queue row; neither
waits.';

comment on function sync.refusal_wait(numeric,integer) is 'Returns: how long whoever met a 429 waits: for as long as the API asks (at most
max_block_seconds); for a backoff where it named nothing above 0, or where that was too short three
times in a row.';

comment on function sync.slow_down(bigint,timestamp with time zone,timestamp with time zone,boolean) is 'A 429 to a request that was sent at a moment on a budget, whatever it asked for: the budget goes
down to half of what is in flight and to a lower rate, once for what was sent since it last did; it
stops for all, until p_until, where nothing sent since is answered, and in any case if it is one
key''s own. A budget that another session has locked learns nothing of it. Locks: the budget, last of
all, as lock_budgets().';

comment on function sync.learn_of_refusal(bigint,timestamp with time zone,numeric,boolean) is 'A 429 to a request of a workspace, sent at a moment: the workspace waits, and its budget slows
down. One that is refused again after its wait goes to the end of the line, and says nothing of a
budget that others draw on. Of a workspace or budget that another session has locked, a call that
may not wait notes nothing. Returns: how long the request waits. Locks: the workspace, its waiting
chunks by SKIP LOCKED, then its budget, last of all, as lock_budgets().';

comment on function sync.give_back(bigint[],timestamp with time zone[],boolean) is 'Requests on budgets were answered, each sent at its moment: the budgets get back a place and a
little rate for each that was sent after the last 429; a probe lifts the block. An answer to a
request sent before says nothing, nor does any to a budget that another session has locked. Locks:
budgets by id as lock_budgets(), last of all.';

comment on function sync.learn_of_answers(bigint[]) is 'Requests of chunks were answered: their workspaces wait no longer, their budgets get back what
give_back() says. An answer to a request sent before the last 429 says nothing. Locks: workspaces by
id, budgets by id as lock_budgets(), last of all; then what was held, by SKIP LOCKED.';

comment on function sync.learn_of_lone_answer(bigint,bigint,timestamp with time zone) is 'As learn_of_answers(), for one request of no run; without a workspace it says something of its
budget alone. The caller may hold budgets, so it waits for nobody. Locks: the workspace, the budget
and queue rows by SKIP LOCKED.';

comment on function sync.let_probe(bigint) is 'A request of no run, as reserve_send_time() lets go, was the probe of a blocked budget: a page''s
may be next. Locks: the budget, by SKIP LOCKED.';

comment on function public.set_budget(text,numeric,integer,text) is 'Set requests per second and in flight (null: unlimited) of one budget, or of a source''s all,
future ones too. What waits is looked at again at once, what 429s taught is forgotten. Returns:
{"source", "budgets_changed"}. Raises: SY003 unknown source, SY006 bad figure or scope. Locks: the
source, if all are meant; then the budgets, by id, last of all; what waits in their lines by SKIP
LOCKED.';

comment on function sync.fair_shares(integer,text) is 'Where more is ready than a worker has room for, and one workspace has much of what comes next:
chunks of others with later turns come first as far as the worker holds fewer of theirs. Decided
before anything is locked, so that no claim keeps from others what it does not take. Returns: their
ids; none where turns alone decide.';

comment on function sync.send_echo() is 'Send the next echo to all workers that listen, if the last one is older than the interval, or
later than now because the clock was set back. It cannot fail the claim. Returns: how old the last
one is, null where there is none that would be worth waiting for. Locks: the row of echo_state, by
SKIP LOCKED.';

comment on type sync.access is 'Where a workspace''s requests go, and what they carry, [{"in": "header" or "query", "name",
"value"}]; credentials null: there is an obstacle, keyless (its secret cannot be read, or is not of
the form that its source''s auth takes) or token (it has no access token that serves).';

comment on function sync.is_token_served(sync.workspace_tokens,text) is 'Returns: whether a workspace''s access token serves for a request that is leased now: it is for
this base URL, and does not expire before the request is sent.';

comment on function sync.access_of(public.sync_workspaces,public.sync_sources,sync.workspace_tokens) is 'Returns: how a workspace''s requests are made now, or what keeps them from it. In a query it sees
what the query sees.';

comment on function sync.access_of_workspaces(bigint[]) is 'Key and URL of workspaces, in one statement: a registration that commits meanwhile gives both or
neither. Returns: one each, for a claim''s answer and nothing else.';

comment on type sync.leased is 'A request that was just leased, as a worker is told of it: see docs/worker-protocol.md.';

comment on function sync.lease_documents(sync.leased[],numeric) is 'Returns: leases as docs/worker-protocol.md has them, in the order in which they are sent.';

comment on function sync.token_budget(public.sync_workspaces,public.sync_sources) is 'Returns: the budget of a workspace''s token endpoint: its own where that is its own instance.
Locks: a new one''s row.';

comment on function sync.ask_for_tokens(bigint[]) is 'Have access tokens asked for, where none serves, none is asked for already, and the grant was not
just refused. Locks: the workspaces'' tokens by SKIP LOCKED: whoever holds one sees to it.';

comment on function sync.write_token_generations(bigint[],sync.access[]) is 'Note with which access token leased chunks are asked for. The caller holds the rows.';

comment on function sync.end_token_request(bigint,text,text,text) is 'A request for a token has ended. The caller holds its row.';

comment on function sync.token_form(public.sync_sources,jsonb,jsonb) is 'Returns: the form of a request for an access token: {"form": what may be seen, "credentials"}. By
HTTP Basic the client''s id and secret are first encoded as in a form, as RFC 6749 has it. A rotated
refresh token takes the place of the one that was registered.';

comment on function sync.lease_token_request(sync.token_requests,text) is 'Hand out a request for an access token, or say when to look again: while its budget has no room,
its workspace is paused, or its secret cannot be read. What fails is not repeated for a workspace of
which nothing runs. The caller holds its row. Returns: the lease, or null. Locks: the budget, by
SKIP LOCKED.';

comment on function sync.lease_token_requests(text,integer,bigint[]) is 'Hand out requests for access tokens that are due, of any workspace or of these, at most p_room.
The claim is durable then. Returns: the leases, as docs/worker-protocol.md has them. Locks: the
requests, then their budgets, last of all; both by SKIP LOCKED.';

comment on function sync.next_due_at() is 'Returns: when the next delayed chunk falls due, of those that are in no budget''s line; null: there
is none.';

comment on function sync.pick_ready_chunks(integer,bigint[]) is 'Lock ready chunks: those that come first, and then others in the order of their turns, by one
index scan from the floor of the last sweep, whatever is waiting behind. Of those that come first
some may be claimed by others now. What must be leased alone is passed over. Returns: their ids.
Locks: queue rows, by SKIP LOCKED.';

comment on function sync.made_requests(bigint[],sync.access[]) is 'Returns: of the chunks whose requests have templates, what filling them gave.';

comment on function sync.hold_unreadable(bigint[]) is 'The keys of these workspaces cannot be read: until they can, their runs are held as if
paused. Locks: the workspaces by SKIP LOCKED.';

comment on function sync.lease_chunks(sync.admission[],text,sync.access[],sync.made_request[]) is 'Admitted chunks are in flight; the others leave the claim''s index and fall due later. The caller
holds the rows. Returns: the leases, as lease_documents() has them.';

comment on function sync.hurry_worker(text) is 'A claim met a budget that another session has locked: the worker''s next ones wait for none, or
they would wait again and again while others'' chunks are ready. Locks: the worker''s row, by SKIP
LOCKED.';

comment on type sync.page_access is 'With what a request was sent, as the fence found it: whose key and limits an answer tells of.';

comment on type sync.page_verdict is 'What becomes of a chunk whose request ended: what its holder is told and its event says.';

comment on type sync.page_in_hand is 'A chunk on its way through a completing or failing verb: what was handed over, the chunk as the
fence found it, what the answer says, and the verdict.';

comment on function sync.refuse_shape(text,text) is 'Raises: SY010, the answer has the wrong shape.';

comment on function sync.count_in(jsonb,text[]) is 'Returns: a whole number of 0 or more at a path, also one in quotes; null if none stands there.';

comment on function sync.count_at(jsonb,text[]) is 'Returns: the same, where one has to stand. Raises: SY010.';

comment on function sync.page_number_in(jsonb,text[]) is 'Returns: the number of a page at a path, 1 or more; null if none stands there.';

comment on function sync.is_huge_number(text) is 'Returns: whether a number of JSON has more digits before or after the point than Postgres stores,
or an exponent of five digits, with which it stores few.';

comment on function sync.without_huge_numbers(text) is 'Returns: a JSON text in which numbers that Postgres cannot store are the text U+FFFD.';

comment on function sync.read_json(sync.page_in_hand) is 'Returns: the page with its body as JSON; is_mended: some of its characters Postgres cannot store.
Raises: 22P02 not JSON, 22003 a number that cannot be mended.';

comment on function sync.require_records(sync.page_in_hand,public.sync_streams) is 'Raises: SY010 unless what was found is a list of records with usable ids.';

comment on function sync.without_paths(sync.page_in_hand,jsonb) is 'Returns: a page''s records without what their stream''s drop_paths name.';

comment on function sync.require_own_error(sync.page_in_hand,public.sync_sources) is 'That a record is gone only the API can say, not a proxy before it. Raises: SY010 unless the body
is JSON with a message where the source says that its errors have one, 22P02 not JSON.';

comment on function sync.content_class(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Returns: the class of an answer by the class_rules of its stream, then of its source; null if none
speaks of it.';

comment on function sync.require_page(text,sync.page_in_hand,public.sync_sources) is 'Raises: SY021 rate_limited, SY013 transient or SY024 permanent, if that is the class of an answer
that was handed over as a page.';

comment on function sync.scoped_id(text,text) is 'Returns: the id of a record whose own id is unique below its parent only: <parent>/<id>, each part
encoded as in a URL.';

comment on function sync.scoped_parts(text) is 'Returns: what scoped_id() put together.';

comment on function sync.record_time(jsonb,public.sync_streams) is 'Returns: a record''s updated_at as its stream writes it, null if it cannot be read.';

comment on function sync.found_records(sync.page_in_hand[]) is 'Returns: the records of pages that were read, in their order there; a time that
cannot be read is null, one without a zone is UTC.';

comment on table sync.seen_fields is 'Fields of records at their top level, by the types that they had, at most 500 a stream.';

comment on function sync.unseen_fields(sync.incoming_record[],sync.changed_record[]) is 'Returns: fields and types of changed records that were not seen before.';

comment on function sync.note_fields(sync.seen_fields[]) is 'Note fields that were not seen before. Locks: new rows, in key order.';

comment on column public.stream_fields.field is 'A field of a record, its first 200 characters.';

comment on column public.stream_fields.first_id is 'The record that first had it so.';

comment on column public.stream_fields.first_seen_at is 'When that was.';

comment on column public.stream_fields.source_name is 'The source.';

comment on column public.stream_fields.stream_name is 'The stream.';

comment on column public.stream_fields.type is 'string, number, boolean, array, object or null, as JSON has it.';

comment on view public.stream_fields is 'Which fields the records of a stream have, and of which JSON types: a type that came later shows
that the API changed. At most 500 a stream.';

comment on column public.column_fills.began_at is 'When they were added.';

comment on column public.column_fills.columns is 'The columns.';

comment on column public.column_fills.completed_at is 'When all rows had them; null: not yet.';

comment on column public.column_fills.rows_looked_at is 'Rows done, with or without a value.';

comment on column public.column_fills.source_name is 'The source.';

comment on column public.column_fills.stream_name is 'The stream.';

comment on column public.column_fills.target_table is 'Its table.';

comment on column public.column_fills.unfit is '{column: id of the first record whose value does not fit it and is null there}.';

comment on view public.column_fills is 'Columns that a stream''s table got when it had rows, and how far sweeps are with filling them.';

comment on function sync.request_key_of(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Returns: by what the page of a chunk is known again.';

comment on function sync.read_unchanged(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Returns: the page that a 304 stands for, as it was read before, with its ids in place of its
records. Raises: SY013 to a request without a condition.';

comment on function sync.said_by(sync.page_in_hand,sync.page_in_hand) is 'Returns: what reading a page gave beside its records.';

comment on function sync.may_be_full(sync.page_in_hand,public.sync_streams) is 'Returns: whether a page may hold all that the API puts on one: as many records as are asked for,
or as a page of the stream has that is followed by others, because the API serves less.';

comment on function sync.has_version(sync.page_in_hand,public.sync_streams) is 'Returns: whether a page that was read is known again by its version: not one of which a value was
refused, nor one that ends the list and may be full: what follows it some day may show in no part of
it that the version is made of. Pages may be shorter than declared: the last page of a counted list
is full unless a page before it shows more; an only page may be.';

comment on function sync.note_versions(sync.page_in_hand[],sync.incoming_record[]) is 'Keep the versions of pages that were applied, with what they showed, and forget those that are
none any more. Locks: those rows.';

comment on function sync.find_refused_record(sync.page_in_hand,text) is 'After a page failed with an error of its data: apply each record alone and take it back. Returns:
the first that raises the same; null if none does. Locks: one record after the other.';

comment on function sync.is_pages_own_trouble(sync.page_in_hand,text) is 'Returns: whether an error that looks like the database''s own is the page''s: the fifth in a row
that is no lock, while the database took more pages of others than it did not take.';

comment on function sync.postpone(sync.page_in_hand,text,text) is 'The database itself could not take a page: it comes again, after 1 s and then later each time, up
to 15 s; no attempt is burnt, unless it recurs for this page only. Returns: the page with outcome
postponed and wait, or retry.';

comment on function sync.asked_wait(sync.page_in_hand,boolean) is 'Returns: after how many seconds an answer asks to be asked again, null if it does not say.';

comment on function sync.class_of_failure(sync.page_in_hand,boolean,text,public.sync_streams,public.sync_sources) is 'Of a request that failed: its class, by class_rules and, where an answer was handed over, by
status classes, else as its worker says; and after how many seconds the answer asks to be asked
again, null if it does not say. Returns: both.';

comment on function sync.is_page_by_rules(sync.page_in_hand,text,public.sync_streams,public.sync_sources) is 'Returns: whether an answer whose status is a failure is a page by class_rules: an empty one.';

comment on function sync.judge_error(sync.page_in_hand,text,text,text) is 'What an error of reading or applying a page means: SY010 shape, SY012 data and SY024 a class are
permanent, SY011 not JSON, SY013 reported failure and anything unexpected are tried again; SY021 is
a rate limit; the database''s own trouble postpones. Returns: the page with outcome, code, and a
message with the way out.';

comment on function sync.judge_unauthorized(sync.page_in_hand,boolean) is 'A 401 to a request that carried an access token: one that is past, or being renewed, has it only
sent again; one that no answer has proven is refused for good; one that was is renewed, once for
this page (p_has_renewed: it was) and once a minute for its workspace. Returns: the page, with what
that means.';

comment on function sync.renew_token(sync.page_in_hand) is 'A 401 that judge_unauthorized() took for the token''s has it renewed, if it is still the same. A
401 that class_rules call a rate limit has a wait, and is none. Locks: the workspace''s token, after
workspaces and budgets.';

comment on function sync.prove_tokens(sync.page_in_hand[]) is 'A 2xx proves an access token, if it is still the same. Returns: the pages, as they are. Locks: the
workspaces'' tokens by SKIP LOCKED: whoever holds one gives it another, or the next 2xx proves it.';

comment on function sync.are_headers(jsonb) is 'Returns: whether these are the headers of an answer as a worker hands them over, or none.';

comment on function sync.given_pages(jsonb) is 'Returns: the argument of complete_chunk_jobs_safe(), checked. Raises: SY006.';

comment on function sync.first_answer(sync.page_in_hand) is 'For a lease that has ended. Returns: what its holder was told, or refused (SY001) if another ended
it.';

comment on function sync.give_up_outdated(sync.page_in_hand[]) is 'Returns: the pages; cancelled those without an outcome whose runs are ending, have begun again or
have to.';

comment on function sync.fence(sync.page_in_hand[]) is 'Lock the chunks and check the leases, deadline included, so that a late worker is refused before
any sweep ran, that the key may write, and then whether their runs are ending, have begun again or
have to, because their stream was declared anew.
Returns: the pages; those still to be applied have no outcome. Raises: SY016, 55P03 if another holds
one of the chunks for over 500 ms. Locks: the queue rows, by id.';

comment on function sync.outcome_of(sync.page_in_hand) is 'Returns: what the holder is told, see docs/worker-protocol.md.';

comment on column sync.record_parents.missed_by_run_id is 'The run of the last of these.';

comment on column sync.record_parents.missed_scans is 'Complete scans of the parent''s list in a row that did not show it.';

comment on column sync.record_parents.parent_id is 'The parent''s record; empty: no list is known that showed the child.';

comment on column sync.record_parents.stream_id is 'The stream of the children.';

comment on table sync.record_parents is 'Below which parents children were listed: a record is missing when none of their lists shows it.
Without a foreign key to the stream, whose row every record would lock.';

comment on table sync.emptied_lists is 'Since when a parent''s list of children has been empty although it has live rows.';

comment on function sync.note_parents(sync.page_in_hand[],sync.incoming_record[]) is 'Note below which parents pages of children showed their records. Locks: new and missed ones, by
key.';

comment on function sync.forget_emptied_lists(bigint,bigint) is 'Forget which lists of children became empty, of a workspace and stream; null means all. Locks:
these rows by SKIP LOCKED.';

comment on function sync.forget_missed_below(bigint,bigint,bigint,text[]) is 'Forget what scans of children''s lists missed: of a workspace and stream, or only what one run, or
its lists below some parents, missed. Null means all. Locks: these rows by SKIP LOCKED.';

comment on function sync.forget_parents_of_stream() is 'Trigger: below other parents nothing is known to show a stream''s records, and what no new list
shows is missing as any other. Locks: the records'' parents by SKIP LOCKED.';

comment on function sync.recount_held_by(public.workspace_sync_runs) is 'As recount_held(), after a run took something to hold back. The caller holds its lock. Returns:
how much it holds back.';

comment on function sync.forget_missing(bigint,bigint,boolean) is 'Forget what scans of a workspace missed and what its runs hold back for approve_deletions(): for
another key, URL, source or declaration what was missed says nothing. Null means every workspace, or
every stream. Who may not wait leaves what others hold to the run that begins next. Locks: missing
records by key, the workspace''s streams, then runs that hold something. The caller holds the live
runs concerned, if any.';

comment on function sync.forget_missing_of_stream() is 'Trigger: by another declaration what was missed says nothing. Runs that close lock what they
missed in their own order, so this waits for none of it. Locks: as forget_missing(), missing records
by SKIP LOCKED.';

comment on function sync.target_sql(text,bigint) is 'Returns: a statement on a stream''s target table: %1$s is the table, to be called t, %2$s its rows
of workspace $1 and stream $2, %3$s the id of one.';

comment on function sync.miss_records(public.workspace_sync_runs) is 'After a complete scan: which live rows it did not show; those that the complete scan before missed
too are confirmed, unless their own GET has answered. What older runs hold back is superseded.';

comment on function sync.revive_shown(public.workspace_sync_runs,integer[]) is 'What complete scans of a run, or proven lists of children, showed lives, also if it was deleted
(by an approval) after its page had been applied, and is listed; but for what says itself that it is
deleted. The caller holds the run''s lock. Locks: target rows.';

comment on function sync.count_here(public.workspace_sync_runs) is 'Returns: how many rows of a run''s workspace and stream an API''s total may count: those that live,
listed or not, and those that say themselves that they are deleted.';

comment on function sync.gone_ids(public.workspace_sync_runs) is 'Returns: the live rows of a run''s workspace and stream that say themselves that they are
deleted.';

comment on function sync.miss_deleted(public.workspace_sync_runs,text[]) is 'Rows that say themselves that they are deleted count as missing and confirmed. The caller holds
the run''s lock.';

comment on function sync.forget_shown_below(public.workspace_sync_runs) is 'Children that a list shows are not missing, but for what answered for itself. The caller holds the
run''s lock.';

comment on function sync.forget_shown(public.workspace_sync_runs) is 'What a run''s scan showed is not missing, and its list is not empty. The caller holds the run''s
lock.';

comment on function sync.is_read_since(public.sync_streams) is 'Returns: whether a stream''s requests can ask for what changed since a time.';

comment on function sync.latest_time(jsonb,public.sync_streams) is 'Returns: the latest updated_at of records, of a stream that is read since a time; else null.';

comment on function sync.set_since(bigint[]) is 'New runs of lists that can be asked for what changed: since the last completed run, or everything,
for an audit, when that is due, or when that run was of another address, owner or declaration.';

comment on function sync.set_list_marks(public.workspace_sync_runs) is 'A list was read completely: since when the next run has to ask, and how many pages it had, of
which as many are read side by side next time. The caller holds the run''s lock.';

comment on function public.request_full_scan(text,text) is 'Let the next scan of a feed read everything, not only what is newer than its mark, and that of a
list with {since} not only what changed. Returns: {"stream", "workspace"}. Raises: SY002 unknown
workspace, SY003 no such stream. Locks: the workspace''s row of that stream.';

comment on function sync.waiting_warning(public.workspace_sync_runs,bigint,text) is 'Returns: what a run says of the deletions that it holds back.';

comment on function sync.remember_empty_list(public.workspace_sync_runs) is 'After a complete scan that was noted: whether it showed nothing of a list that has live rows, and
no run that began empty_list_minutes earlier did so too. Remembers since when. The caller holds the
run''s lock. Returns: true: nothing may be deleted yet, however few rows there are.';

comment on function sync.pick_to_ask(public.workspace_sync_runs,text[]) is 'Choose whom to ask of what a run''s scan missed and no run holds back: all but those of whom it is
known that they are gone. The caller holds the run''s lock. Returns: them; null: nobody, or the
stream has no path for that. Locks: missing records that only this run writes.';

comment on function sync.ask_missing(public.workspace_sync_runs,text[]) is 'What becomes of what a run''s complete scan missed, when that was noted; of some it is known that
they are gone, and nobody has to be asked. The caller holds the run''s lock. Returns: the records to
ask for, where the stream has a path for that; or null, because there are none, and what was
confirmed is deleted, or because the guard holds it: then with a warning.';

comment on function sync.note_confirmations(sync.page_in_hand[]) is '404 or 410 confirms that a record is gone; any other page shows that it lives although the scan
missed it. Locks: rows that only the run of these chunks writes.';

comment on function sync.judge_confirmations(public.workspace_sync_runs) is 'What the confirmations say of a scan. A record that answers for itself for the second time is
unlisted from now on: archived or moved, but alive; the run names it. The caller holds the run''s
lock. Returns: what speaks against the scan: records that it missed and that answered for the first
time; null if none did. Locks: target rows.';

comment on function sync.take_over_held(public.workspace_sync_runs,text[]) is 'Of a run that completes and did not look at everything: what older runs hold back, and it did not
decide, waits on for the approval of this one, for only the last complete run has any; so do these
records of its own. The caller holds the run''s lock. Returns: a warning with all that it holds back,
or null if it took nothing.';

comment on function sync.delete_gone(public.workspace_sync_runs) is 'Of a run that did not read everything: delete what says itself that it is deleted, unless that is
more than the guard lets pass. Of what another run holds back it decides nothing: that waits on, for
the approval of this one. The caller holds the run''s lock. Returns: a warning where something waits,
or null.';

comment on function sync.forget_what_says_nothing(bigint[]) is 'What runs missed with another key or declaration says nothing for those that begin: mostly that is
forgotten with the change. Looked up by key, as what is missing may be much. Locks: missing
records.';

comment on function sync.live_parent_of(public.workspace_sync_runs) is 'Returns: of a run of children or items the live run of their parents in the same job, if there is
one.';

comment on function sync.is_order_unique(public.sync_streams) is 'Returns: whether no two records of a list have the same place in its order.';

comment on function sync.in_order(sync.page_in_hand,public.sync_streams) is 'Returns: a page with what its first and its last record are ordered by, and its disorder: what on
it is not in the declared order, or has no place in it; null if all is.';

comment on function sync.moved_record(sync.page_in_hand,public.sync_streams) is 'Returns: a record of a page whose place in the order is another than when it was written last, or
null.';

comment on function sync.least_overlap(sync.page_in_hand,public.sync_streams) is 'Returns: how many of a page''s last records the next one has to show, so that it joins: one, or,
where keys are not unique, those with the last key and one before them.';

comment on function sync.may_end_list(integer,integer) is 'Returns: whether a page that shows nothing new may be the end of a list that is read by offsets:
one as long as the longest page of its scan may have been cut where it shows what is new.';

comment on function sync.longest_tie(sync.page_in_hand,public.sync_streams) is 'Returns: how many records of a page share one key, at most.';

comment on function sync.tied_last(sync.page_in_hand,public.sync_streams) is 'Returns: which records of a page share the value that asks for the next one, null if none do: no
scan would ever show a record that stands behind such a page.';

comment on function sync.named_next(sync.page_in_hand,jsonb,public.sync_streams,public.sync_sources) is 'Returns: what an answer names as the next page, null if none, and whether it says so at all.
Raises: SY010 no cursor, or a URL that leads elsewhere.';

comment on function sync.wanted_overlap(sync.page_in_hand,public.sync_streams) is 'Returns: how many records a page by offset is to share with the one before: as declared, or a
tenth of a page, as long as the first one is, whatever was asked for; at most half of it, so that a
list of which the API serves less goes on by pages, and not by records.';

comment on function sync.next_offset(sync.page_in_hand,public.sync_streams) is 'Returns: where a list goes on that is read by offsets, by what was received. Of a chained list the
page shares its first records with the page before. One that turned out to be past the end is asked
again, once, from further up: an empty page joins nothing. After a first page that is too short to
overlap that is the first page again: if it shows the same, there was no other. After a later page
of which the next one had to show all, because its last keys are tied, that page is asked again,
once: it may be shorter than pages are, and then ends the list; else what follows is read.';

comment on function sync.says_more(jsonb,public.sync_streams) is 'Returns: whether an answer says that more follows; null where the stream does not say that it
does. Raises: SY010.';

comment on function sync.with_next(sync.page_in_hand,jsonb,public.sync_streams,public.sync_sources) is 'Returns: a page with the reading of the one after it, and whether the list ends with it: a short
page does not, whatever short_page_ends says, where the answer says or names what follows. By
offsets a page that shows no more than it shares with the page before may be the end: then ends is
null. Raises: SY010.';

comment on function sync.require_progress(sync.page_in_hand,public.sync_streams) is 'Raises: SY020 the next page leads where the scan has been, or the page is the one before again.';

comment on function sync.read_listed(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Returns: a page of a chained or agreed list with its records, its order, what comes next and
whether it is the end. What changed since an incremental run began is the next one''s. Raises: SY010
wrong shape, SY020 it leads where the scan has been.';

comment on function sync.read_past_end(sync.page_in_hand,public.sync_streams) is 'Returns: a page that was asked for on the chance that it exists, and does not.';

comment on function sync.read_refused(sync.page_in_hand,public.sync_sources) is 'Returns: a page that others led to, by a total, a cursor or their last record, and that does not
exist any more. That is no failure: its scan does not count.';

comment on function sync.way_out_of_ties() is 'Returns: what a warning says of ties as long as a page.';

comment on type sync.walk is 'How far a scan of a list got. pages: how many in a row it read, up to the end; flaw: what speaks
against it; is_final: so that another scan cannot help; next: the reading of the page after the last
one, null if nothing names it.';

comment on function sync.walk_list(bigint,integer,public.sync_streams) is 'Returns: how far the pages of a scan are contiguous: each one there, in order, joined to the one
before, up to the first that is the end. By offsets a page joins that shares a record with the one
before, or, where keys are not unique, begins strictly before its end; by keyset one that begins
after it.';

comment on function sync.plan_rest(public.workspace_sync_runs,sync.walk) is 'A scan goes on as a chain after the last of its pages in a row; what was read beyond counts as no
page. The caller holds the run''s lock.';

comment on function sync.plan_beside(public.workspace_sync_runs,sync.page_in_hand) is 'After page 1: know of as many pages as the last complete sync saw, or the scan before, which are
read side by side; the rest is a chain. Not where page 1 is shorter than it was then. The caller
holds the run''s lock. Returns: whether it does.';

comment on function sync.plan_listed(sync.page_in_hand[]) is 'Queue what comes after the last known page of a list. The caller holds the runs'' locks.';

comment on function sync.begin_next_scan(bigint,integer) is 'Begin the next scan of a run, with page 1. p_sound_scan: which one it will be compared with. The
caller holds the run''s lock.';

comment on function sync.close_since(public.workspace_sync_runs) is 'Close a run that read what changed since a time: it says nothing of what it did not show; what it
showed is not missing, and what was held back before waits on. Where
the API counts more records than there are, and more than the last full scan did not show, the next
run is a full scan. The caller holds the run''s lock.';

comment on function sync.accept_list(bigint,integer) is 'A scan of a list is accepted: note what it showed, and confirm what it missed, or close. A total
that differs only warns; a list that reaches its result_cap is partial. The caller holds the run''s
lock.';

comment on function sync.begin_counted(bigint[]) is 'Page 1 of runs, of everything or of what changed since the last one. The caller holds their locks,
or made them.';

comment on function sync.read_counted(sync.page_in_hand,public.sync_streams) is 'Returns: the page with its records, total and last_page, which follows from the total and the
records of page 1 where the answer does not name it. Raises: SY010.';

comment on function sync.read_confirmation(sync.page_in_hand,public.sync_streams) is 'Returns: the page with the one record asked for. Raises: SY010.';

comment on function sync.sum_up_scan(bigint,integer) is 'Whether a counted scan is complete: every page, by one declaration, total unmoved, distinct ids =
total. Returns: the total, the distinct ids, and what speaks against it, with the numbers, or
null.';

comment on function sync.judge_scan(public.workspace_sync_runs) is 'Note how a counted scan adds up. Returns: what speaks against it, with the numbers, or null.';

comment on function sync.reject_scan(bigint,text,integer,integer) is 'A scan is rejected: begin the next one of its run, or close it as partial when it had all it may
have (max_scans, or p_scans); as failed, where the API refused a page of each of them.
p_sound_scan: which scan the next one is compared with. The caller holds the run''s lock.';

comment on function sync.plan_counted(sync.page_in_hand[]) is 'Know of the pages up to the last one that completed pages name; by offsets they are as long as the
first one was received. Where one is gone, no other is read: the scan does not count. The caller
holds the runs'' locks.';

comment on function sync.begin_listed(bigint[]) is 'Page 1 of runs, of everything or of what changed since the last one. The caller holds their locks,
or made them.';

comment on function sync.close_confirmed(public.workspace_sync_runs,integer) is 'Each record that a scan missed was asked for: close, or scan again, at most so many times in all.
The caller holds the run''s lock.';

comment on function sync.advance_chained(public.workspace_sync_runs) is 'The next step of a chained run of which nothing is live: read on where its pages in a row end,
scan again where they do not join, close. A list that is not in the order that was declared is
partial at once. The caller holds its lock.';

comment on function sync.repeated_id(public.workspace_sync_runs) is 'Returns: a record that stands on two pages of a scan, or null.';

comment on function sync.disagreement(public.workspace_sync_runs) is 'Returns: what keeps two scans in a row from agreeing, or null. Between two pages a record is
passed over only if one above it went, which the next scan does not show, or, if pages are read side
by side, if one came, which was new.';

comment on function sync.advance_agreed(public.workspace_sync_runs) is 'The next step of an agreed run of which nothing is live: read on, scan until two scans in a row
agree, close. The caller holds its lock.';

comment on function sync.require_progress_by_cursor(sync.page_in_hand) is 'Raises: SY020 the next cursor leads where the scan has been.';

comment on function sync.with_order(sync.page_in_hand,public.sync_streams) is 'Returns: a feed''s page with what its first and its last record are ordered by, and its disorder:
what on it is not newest first, or null. Records that do not say are passed over.';

comment on function sync.is_walked(sync.page_in_hand,public.sync_streams) is 'Returns: whether a feed is read one page after the other: not by number, or its page 1 does not
name the last one clearly.';

comment on function sync.read_walked(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Returns: a page of a feed that is read one page after the other, with its records, their order,
what comes next and whether it is the end. Raises: SY010 wrong shape, SY020 it leads where the scan
has been.';

comment on function sync.read_feed(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Returns: the page with its records, their order, lowest id, and last_page or next_cursor;
is_past_pages when the install answered in cursor mode. Raises: SY010 wrong shape, SY020 cursor.';

comment on function sync.is_above_mark(sync.page_in_hand) is 'Returns: whether a page of a feed shows a record that was stored for the first time since the last
complete scan, by this run or by one that did not get to its end. No value in a record says where
the mark is: a huge id or a date of the future would stay the highest for ever.';

comment on function sync.pages_below(sync.page_in_hand,public.workspace_sync_runs) is 'Returns: how many pages of a chain lie below the mark of the last complete scan, one after the
other, with this one.';

comment on function sync.plan_feed_pages(sync.page_in_hand) is 'Know of pages as far as a feed needs them: all, or until a whole page lies below the mark plus the
overlap; no deeper than the API serves pages. Where pages end, the pending ones beyond are
cancelled, and no more are planned. The caller holds the run''s lock.';

comment on function sync.plan_walked(sync.page_in_hand) is 'Queue the next page of a feed that is read one page after the other, unless it reached the end, or
the mark and the overlap. The caller holds the run''s lock.';

comment on function sync.plan_next_cursor(sync.page_in_hand) is 'Queue the next page of a chain, unless it reached the end, its range''s lower end, or the mark and
the overlap. The caller holds the run''s lock.';

comment on function sync.plan_feed(sync.page_in_hand[]) is 'Know of pages as far as a feed needs them, and queue the next page of a chain. The caller holds
the runs'' locks.';

comment on function sync.plan_between_pages(public.workspace_sync_runs,integer) is 'Where new records move others on, a page that was read before the one above it lacks what moved
between them: its total is the smaller one. Such gaps are read by cursor. Returns: whether there are
any. The caller holds the run''s lock.';

comment on function sync.plan_skipped(public.workspace_sync_runs) is 'Pages go by date and cursors by id: a high id with an old date stands on no page that was read and
above every cursor. Where a full scan saw fewer ids than the API counts, the part above the first
cursor is read by cursor too, once. Returns: whether it is. The caller holds the run''s lock.';

comment on function sync.set_feed_mark(public.workspace_sync_runs,bigint) is 'A feed was read in order and down to its mark, or its end: that is where the next scan may stop,
unless the API counts more than there are, and more than two full scans in a row did not show.
Returns: whether the next scan reads everything. The caller holds the run''s lock.';

comment on column sync.staged_items.stream_id is 'The stream of the items or children.';

comment on table sync.staged_items is 'Records of a parent stream: new and changed ones that an items stream is to ask for, or whose
children are to be read; and those whose list of children was read, but not proven.';

comment on function sync.is_followed(public.sync_streams) is 'Returns: whether streams of items, or of children that follow what changed, have it as their
parent.';

comment on function sync.stage_items(sync.changed_record[]) is 'Stage changed records for the streams of items, and of children that follow what changed, whose
parents they are. Locks: staged rows in key
order.';

comment on function sync.read_items(sync.page_in_hand) is 'Returns: the page with the whole answer as its one record. Raises: SY010.';

comment on function sync.pick_staged(public.workspace_sync_runs,integer) is 'Returns: the next staged rows of a run and their records, side by side; null where there are none.
Locks: those rows by SKIP LOCKED; what another holds is left to the next job.';

comment on function sync.queue_items(bigint,integer) is 'Queue what the next staged records ask for, those staged first: one chunk per key and run. In
parts, because a first sync stages more than one call may take. Returns: whether there was anything.
The caller holds the run''s lock. Locks: staged rows by SKIP LOCKED; what another holds is left to
the next job.';

comment on function sync.unstage_items(sync.page_in_hand[]) is 'Staged records whose item was fetched are processed, but for those staged again after it was asked
for. Locks: their rows in the order in which they are staged.';

comment on function sync.cover_items(sync.page_in_hand,bigint[],bigint[]) is 'Chunks whose item came with this answer end as covered if they are pending; an answer
that came after one that showed the same is an extra fetch. The caller holds the run''s lock. Locks:
queue rows by SKIP LOCKED, then the staged rows of those it got, likewise.';

comment on function sync.plan_items(sync.page_in_hand[]) is 'cover_items() for each page whose answer came with others. The caller holds the runs'' locks.';

comment on function sync.parent_of(public.sync_streams) is 'Returns: the stream of a stream''s parents.';

comment on type sync.live_row is 'A row of a target table that is not deleted.';

comment on function sync.live_rows(bigint,bigint,text[],text,integer) is 'Returns: live rows of a stream and workspace: those with some ids, or those behind one in the
order of the table''s key, at most so many.';

comment on function sync.picked(jsonb,text[]) is 'Returns: what stands in a record at some paths, written as a.b, in the same places.';

comment on function sync.parent_values(public.sync_streams,bigint,sync.live_row[],text[]) is 'Returns: for each row of a parent''s stream what templates take of it, and, under parent, of the
record above it.';

comment on function sync.parent_paths(public.sync_streams) is 'Returns: what of its parent a stream''s requests need, as a.b.';

comment on function sync.queue_below(public.workspace_sync_runs,text,integer[],integer[],text[],jsonb[]) is 'Queue pages of lists, or confirmations, as waiting chunks. The caller holds the run''s lock and has
checked that it lives. Returns: them.';

comment on function sync.queue_parts(public.workspace_sync_runs,integer) is 'Queue the next pages of a run''s lists, at most so many. The caller holds its lock. Returns: their
chunks.';

comment on function sync.cancel_part(sync.run_parts,text) is 'One page of a list failed: cancel what of it is pending, and plan no more of it. The caller holds
the run''s lock. Locks: queue rows by SKIP LOCKED.';

comment on type sync.part_result is 'What the pages of a list of children add up to. finding: what speaks against them; is_final: so
that reading them again cannot help; is_sound: they have to be compared with another scan first;
next: the reading of the page after them, where they are not the whole list, pages long.';

comment on function sync.walk_part(sync.run_parts,public.sync_streams,sync.part_result) is 'Returns: of a list that is read as a chain whether its pages join up to its end.';

comment on function sync.compare_part(sync.run_parts,public.sync_streams,sync.part_result) is 'Returns: of a list that takes two scans whether this one agrees with the one before.';

comment on function sync.sum_up_part(sync.run_parts,public.sync_streams) is 'Returns: what the pages of a list of children add up to, by its completeness.';

comment on function sync.repeat_part(sync.run_parts,text,integer) is 'A list is read again, as a part of its own. The caller holds the run''s lock.';

comment on function sync.plan_rest_of_part(sync.run_parts,public.workspace_sync_runs,integer,jsonb) is 'Queue the page that comes after the last one of a list that is read as a chain. The caller holds
the run''s lock.';

comment on function sync.unstage_parent(sync.run_parts,public.workspace_sync_runs) is 'A list was read: its parent''s last change needs no other look. Locks: the staged row by SKIP
LOCKED.';

comment on function sync.leave_unproven(sync.run_parts,public.workspace_sync_runs,text) is 'A list was not read completely, and this run reads it no more: its parent is staged, for the next
run that follows what changed, or a retry. The caller holds the run''s lock.';

comment on function sync.end_part(sync.run_parts,public.workspace_sync_runs,public.sync_streams,text) is 'A list of which nothing is live is proven, read again, or left unproven. The caller holds the
run''s lock.';

comment on function sync.end_parts(public.workspace_sync_runs) is 'End the lists of a run of which nothing is live. The caller holds its lock. Locks: queue rows and
staged rows by SKIP LOCKED.';

comment on function sync.miss_in_lists(public.workspace_sync_runs) is 'What lists that were proven did not show, they have missed; that a parent is gone was proven
twice, so its list has missed all it had. A run of all parents forgets lists of which there is no
parent. The caller holds the run''s lock. Returns: the parents that are gone.';

comment on function sync.remember_emptied(public.workspace_sync_runs) is 'Remember since when lists of children that had some have been empty. The caller holds the run''s
lock.';

comment on function sync.miss_children(public.workspace_sync_runs) is 'Which live children no list shows that has shown them: confirmed where each of these has missed
them twice. Those of a list that only became empty are held back. The caller holds the run''s
lock.';

comment on function sync.gone_below(public.workspace_sync_runs,text[]) is 'Returns: the children that are confirmed as gone with their parents: each of theirs is one of
these. The caller holds the run''s lock.';

comment on function sync.ask_below(public.workspace_sync_runs,text[]) is 'Queue a request for each of some children, with what its templates need of its parent. The caller
holds the run''s lock.';

comment on function sync.reject_below(public.workspace_sync_runs,text) is 'Children that their lists missed answered for themselves: what these lists missed is forgotten,
and they are read again. The caller holds the run''s lock. Returns: whether any is.';

comment on function sync.takes_up_lists(public.workspace_sync_runs,bigint) is 'Returns: whether a run only has to read the lists that another left unproven: it is the retry of
one that came to each of its lists, and no other sync of the parents went on when it began, or began
since.';

comment on function sync.takes_all_parents(public.workspace_sync_runs,public.sync_streams) is 'Returns: whether a run reads the children of all parents that live, and not of those alone that
are staged: any but a retry does, where all are followed. Of those that follow what changed the
first run of an address, owner and declaration does, and one every full_scan_days.';

comment on function sync.add_parts(bigint,integer) is 'The next lists of a run: of parents that live, in the order of their table, or of those that are
staged, staged first first. The caller holds the run''s lock. Locks: staged rows of parents that are
deleted.';

comment on function sync.plan_parts(bigint) is 'End lists that were read, and queue the next pages of others, once half of those that waited are
used up: 100,000 parents do not make 100,000 chunks at once. The caller holds the run''s lock, and
fills its slots.';

comment on function sync.plan_children(sync.page_in_hand[]) is 'Know of the pages up to the last one that completed pages of lists name, or queue what comes after
them. Where one is gone, no other of its list is read. The caller holds the runs'' locks.';

comment on function sync.begin_children(bigint[]) is 'The first lists of runs, or their end where no parent has any. Locks: the runs by id.';

comment on function sync.close_children(bigint,text) is 'Close a run of children: completed if each of its lists is proven, else partial, with the numbers;
those that are count all the same. The caller holds its lock.';

comment on function sync.advance_children(public.workspace_sync_runs) is 'The next step of a run of children of which nothing is live: more lists, what they missed, or its
end. The caller holds its lock.';

comment on function sync.begin_connection(bigint[]) is 'The one request of runs. The caller holds their locks, or made them.';

comment on function sync.read_connection(sync.page_in_hand,public.sync_sources) is 'Returns: the page with the id and name of the workspace that the key belongs to; the rest of the
answer is dropped, secrets with it. Raises: SY010.';

comment on function sync.note_key_owners(sync.page_in_hand[]) is 'Write whose keys they are. The first owner seen is the workspace''s external id from then on, where
none was given; a key of another one, or of another workspace that is registered for that instance,
is refused. An answer to the key before, whose run has to begin again, says nothing. The caller
holds the runs'' locks. Locks: the workspaces by id.';

comment on function sync.advance_connection(public.workspace_sync_runs) is 'The key''s owner is known: go on to what the run is for, or end it before it wrote anything. The
caller holds the run''s lock.';

comment on function sync.read_single(sync.page_in_hand,public.sync_streams) is 'Returns: the page with its records: the list that stands at records_path, or the one object. There
is no other page. Raises: SY010.';

comment on function sync.sum_up_answer(bigint) is 'How many records the one answer of a run''s scan shows: they are all there are. The caller holds
its lock. Returns: whether it came.';

comment on function sync.advance_single(public.workspace_sync_runs) is 'The next step of a run of which nothing is live: confirm what its answer does not show, ask again,
or close. The caller holds its lock.';

comment on function sync.read_page(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Cast a body and check it by its stream. 304 is the page as it was read before. A status that the
stream counts as a page although it is
no success has no records: 404 and 410 say that a record is gone, 422 that pages end here, and
of a page that may be gone 400, 404 and 422 say that it is. Returns: the
page with answer = its records, and what it says of others; reveals_pages: the run did not know that
pages end there. Raises: SY010 wrong shape, SY013 the API reports a failure, SY021 and SY024 another
class by class_rules, 22P02 not JSON.';

comment on function sync.read_pages(sync.page_in_hand[]) is 'Returns: the pages, read by their streams. Raises: as read_page().';

comment on function sync.plan_revealed(sync.page_in_hand[]) is 'Take up what completed pages reveal, as the kinds of their streams say. The caller holds the runs''
locks.';

comment on column sync.stream_tries.attempts is 'Failures of the present request.';

comment on column sync.stream_tries.due_at is 'When it is handed out; null: it is leased, or over.';

comment on column sync.stream_tries.has_renewed is 'Whether a 401 to the present request has had the access token renewed: once is enough.';

comment on column sync.stream_tries.kind is 'As of a chunk: page, confirmation (a record''s own GET) or item.';

comment on column sync.stream_tries.request is 'The present request as it was leased, without its credential.';

comment on column sync.stream_tries.request_id is 'The id of its present request, drawn with the chunks'', so that workers end and extend it by the
same verbs.';

comment on column sync.stream_tries.requested_at is 'When its present request was sent at the earliest.';

comment on column sync.stream_tries.shown is 'What page 2 is compared with, of page 1: its ids and where its order began and ended; null once the
try has ended.';

comment on column sync.stream_tries.source is 'The row of sync_sources as it would be declared.';

comment on column sync.stream_tries.steps is 'What each answer said, see get_stream_try().';

comment on column sync.stream_tries.stream is 'The row of sync_streams as it would be declared, but that conditional is off.';

comment on column sync.stream_tries.token_generation is 'With which access token that is; null: the source has none.';

comment on table sync.stream_tries is 'Declarations that are tried: pages 1 and 2 and one item, one request after the other, outside of
runs. Kept for an hour. Records are never stored here.';

comment on function sync.shape_of(jsonb,integer) is 'Returns: which keys a value has, and of which type what stands there is; no value.';

comment on function sync.fields_of(jsonb) is 'Returns: the fields of records with the types that stand in them, [{"field", "types"}]; at most
500.';

comment on function sync.tried_ids(jsonb,public.sync_streams) is 'Returns: the ids of records, in their order; null for one without.';

comment on function sync.complaints_of_page(sync.page_in_hand,public.sync_streams,jsonb) is 'Returns: what does not hold of a page that was read, [{"what", "says"}]; p_shown: what page 1
showed.';

comment on type sync.tried_answer is 'An answer of a try, read as far as it can be. shape: null if it is no JSON.';

comment on function sync.read_try(sync.page_in_hand,public.sync_streams,public.sync_sources) is 'Read an answer as a sync does. Returns: the page, the answer''s shape (null: it is no JSON), and
what kept it from being read, as a complaint; then its records are what stands where they should.';

comment on function sync.next_of_try(sync.stream_tries,sync.page_in_hand,public.sync_streams) is 'Returns: what is asked for after an answer, as a chunk has it: page 2 where the answer says that
there is one, then the own GET of the first record; all null: nothing more.';

comment on function sync.step_of(sync.stream_tries,sync.page_in_hand,public.sync_streams,jsonb,jsonb) is 'Returns: what is kept of an answer.';

comment on function sync.begin_again_if_outdated(bigint) is 'A live run whose workspace has another key, URL or id since it began, or whose stream another
declaration, begins again; one whose workspace has another source, or was removed, is ending. What
was missed is forgotten. The caller holds its lock. Locks: missing records, queue rows by SKIP
LOCKED.';

comment on function sync.decide_failures(sync.page_in_hand[]) is 'A failure is tried again after a backoff with full jitter, or after the wait the API asked for,
until its attempts are used up. Returns: the pages with outcome retry (and wait) or failed.';

comment on function sync.end_or_delay(sync.page_in_hand[]) is 'Write what became of leased chunks: queue row, event, the slot''s counters. The caller holds the
queue rows.';

comment on function sync.pass_slots(sync.page_in_hand[]) is 'Give freed slots to the next waiting chunks of the same runs. The bound by id skips dead index
entries; the look under the run''s lock has none. Returns: runs that did not get one chunk per slot,
which must be refilled or closed under their lock. Locks: queue rows by SKIP LOCKED.';

comment on function sync.warn_of_unfit(sync.page_in_hand[]) is 'Warn of values that did not fit their columns, once per run and column, with the first record. The
caller holds the runs'' locks.';

comment on function sync.advance_runs(bigint[],integer) is 'Let outdated runs begin again, plan the next pages of live ones and refill their slots, cancel
what is pending of ending ones, close those without live chunks. A failure in closing is noted on
the run and left to the next sweep; it never takes a page with it, and neither does the call''s time
limit: nothing is begun when it has gone off, or p_seconds have passed. The caller holds the runs''
locks, taken in order of id. Locks: queue rows by SKIP LOCKED.';

comment on function sync.advance_runs_and_jobs(bigint[]) is 'Refill, cancel or close runs, and then close their jobs. The caller holds the runs'' locks, taken
in order of id. Locks: queue rows by SKIP LOCKED, then jobs by id, workspaces.';

comment on function sync.settle_chunks(sync.page_in_hand[]) is 'The end of completing and failing verbs. A transaction that promoted one waiting chunk for every
chunk it finished needs no lock on the run; otherwise, or where half of the planned window is used
up, it locks the run and, in a new statement, plans the next window, refills the slots or closes.
The caller holds the queue rows. Returns: the pages with their final outcomes. Locks: promotions by
SKIP LOCKED, runs by id, jobs, workspaces, budgets.';

comment on function sync.learn_of_keys(sync.page_in_hand[]) is 'What answers say of the workspaces'' keys, if these are still the same, and that a rate limit lets
requests through again, or was met in a body. That a key is accepted whose owner can be compared is
for note_key_owners() to find. Locks: workspaces by id, only where that changes, then budgets.';

comment on type sync.token_answer is 'What a token endpoint said: an access token, or why not, in a finding of ours and in its own words;
is_refusal: the grant is no good.';

comment on function sync.read_token_answer(integer,text) is 'Returns: what a token endpoint''s answer says.';

comment on function sync.take_token(sync.token_requests,sync.token_answer) is 'An access token goes to Vault, with the refresh token that came along, and what waited for it is
ready. The transaction is durable. The caller holds the request. Locks: the workspace''s token; queue
rows and tries by SKIP LOCKED.';

comment on function sync.suspend_grant(sync.token_requests,text) is 'The token endpoint refuses the grant: it is not tried again for a minute, then longer each time.
The next sweep ends the runs that need it. The caller holds the request. Locks: the workspace''s
token.';

comment on function sync.delay_token_request(sync.token_requests,text,text,numeric) is 'A request for a token is sent again: at once if it was not sent (outcome released), soon if the
database could not take its answer (postponed), else after a backoff up to 5 minutes, or what the
endpoint asked for. Whom the endpoint tells to wait (delayed) is not failing. The caller holds it.
Returns: after how long.';

comment on function sync.lock_token_request(bigint,bigint) is 'Returns: the request for a token that was leased so last, also if that lease has run out; null:
there is none. Locks: its row.';

comment on function sync.lock_token_requests(sync.page_in_hand[]) is 'Of what the fence refused, lock the requests for tokens that these are answers to, and then their
workspaces'' tokens. A rotation in another session is waited for, for 10 s: its answer may be the
only place of a refresh token. Returns: those that are locked now. Locks: the requests by id, then
the tokens by workspace.';

comment on function sync.take_token_answer(sync.page_in_hand,boolean) is 'Take a token endpoint''s answer; p_is_held: whether the caller holds the request and the token of
its workspace. What fails takes nothing with it: the request is sent again, after trouble of the
database''s own (postponed) without counting as a failure. Returns: the page, with its outcome if it
is such an answer. Locks: workspaces, budgets and queue rows by SKIP LOCKED.';

comment on function sync.take_token_answers(sync.page_in_hand[]) is 'Of what the fence refused, the answers of token endpoints are taken: they bypass records, events
and texts. Returns: the pages, those with their outcomes: completed, failed (the grant is refused),
retry, postponed, cancelled; no wait: no id of a request is ever hinted. Locks: the requests by id,
the workspaces'' tokens by id; workspaces, queue rows and budgets by SKIP LOCKED.';

comment on function sync.fail_token(sync.page_in_hand,text,text,numeric) is 'A request for a token ended without an answer that SQL can read: it is sent again. A 429 teaches
the budget of the token endpoint''s host, whoever else draws on it; its workspace waits for the token
anyway. Returns: the outcome, or null if that is no such request, or another''s lease. Locks: its
row, its budget by SKIP LOCKED.';

comment on function sync.reclaim_token_requests() is 'Requests for tokens whose lease ran out are sent again, with the refresh token that is in Vault:
whether the API has rotated it is for it to say. Returns: how many. Locks: their rows by SKIP
LOCKED.';

comment on function sync.follow_grants() is 'A refused grant is a refused key, and its live runs are ending; so are runs that have waited for
an access token for ten minutes. Locks: workspaces, then runs, by SKIP LOCKED.';

comment on function sync.end_try(bigint,text,text) is 'A try is done or has failed. The caller holds its row.';

comment on function sync.delay_try(bigint,interval,boolean,text) is 'A try''s request is handed out again later. The caller holds its row.';

comment on function sync.wait_of_try(bigint) is 'Returns: after how long a try''s request is handed out; null: it is leased, or over.';

comment on function sync.lease_try(sync.stream_tries,text) is 'Hand out a try''s request, as a sync would send it, or say when to look again: while its workspace
is paused, waits for an access token or after a 429, or its budget has no room. The caller holds its
row. Returns: the lease, or null. Locks: the budget, by SKIP LOCKED.';

comment on function sync.lease_tries(text,integer) is 'Returns: leases of what tries ask for now, p_room at most. Locks: their rows, by SKIP LOCKED, then
budgets.';

comment on function sync.claim_try(bigint,text) is 'Take exactly the request of a try that has this id. Returns: the leases, that one or the request
for the access token that it needs first; without one the reason, as claim_chunk_job_safe() has it.
Locks: as lease_tries().';

comment on function sync.extend_requests_of_no_run(jsonb,timestamp with time zone) is 'The heartbeat''s part for tries and requests for tokens. Returns: those that are still held. Locks:
their rows by SKIP LOCKED: what another call holds is being ended.';

comment on function sync.reclaim_tries() is 'Requests of tries whose lease ran out are sent again; a try that is not over after ten minutes has
failed; one is kept for an hour. Returns: how many leases. Locks: their rows by SKIP LOCKED.';

comment on function sync.lock_try(bigint,bigint) is 'Returns: the try whose request is leased so; null if there is none. Locks: its row.';

comment on function sync.advance_try(sync.stream_tries,sync.page_in_hand,public.sync_streams) is 'Ask for what comes after an answer; with nothing more to ask for the try is done. The caller holds
it.';

comment on function sync.page_of_try(sync.stream_tries,sync.page_in_hand) is 'Returns: an answer to a try as the fence gives one to a chunk: with what it was asked for.';

comment on function sync.fail_try_step(sync.stream_tries,sync.page_in_hand,text) is 'A try''s request failed for good: without page 1 the try has failed, otherwise it goes on. A page
that was only guessed and is refused lies past the end. The caller holds the try.';

comment on function sync.hold_back_try(sync.stream_tries,numeric,text) is 'A try met a rate limit, which is one for its workspace and budget as any request''s. The caller
holds it. Returns: the outcome. Locks: the workspace, its waiting chunks and its budget by SKIP
LOCKED.';

comment on function sync.complete_try_step(sync.stream_tries,sync.page_in_hand) is 'Take up what an answer says, and what is asked for next; an answer that class_rules call no page
is a rate limit, or asked for again, as for a sync. The caller holds the try. Returns: the outcome,
completed, delayed or retry. Raises: the database''s own trouble. Locks: the workspace, its waiting
chunks and its budget by SKIP LOCKED.';

comment on function sync.take_try_answer(sync.stream_tries,sync.page_in_hand) is 'Take one answer to a try, which the caller holds. What fails takes nothing with it: after trouble
of the database''s own the request is sent again, otherwise the try has failed. Returns: the page
with its outcome. Locks: the workspace, its waiting chunks and its budget by SKIP LOCKED.';

comment on function sync.take_try_answers(sync.page_in_hand[]) is 'Of what the fence refused, answers to tries are taken: no record of theirs is stored. Returns: the
pages, those with their outcomes. Locks: the tries by request; workspaces, waiting chunks and
budgets by SKIP LOCKED.';

comment on function sync.fail_try(sync.page_in_hand,text,text,numeric) is 'A try''s request ended without a page, and that means what it means for a sync: a rate limit is its
workspace''s and its budget''s, a 401 may have the access token renewed; what fails is sent three
times at most, and no earlier than its answer asks for, up to a minute. Returns: the outcome, or
null if that is no such request, or another''s lease. Locks: its row; workspace, waiting chunks and
budget by SKIP LOCKED; then the workspace''s token.';

comment on function sync.unfit_in(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]) is 'Returns: {turn of a page: {column: id of the first changed record whose value does not fit it}};
column '''' where characters were replaced.';

comment on function sync.applied(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]) is 'Returns: applied pages, with their outcome, how many records of each changed and what did not fit,
and without their bodies.';

comment on function sync.note_seen(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]) is 'Note the ids that pages showed, the proof that a scan is complete, and which were new of a feed
that is read to its mark, or did not live before of a chained or agreed list.';

comment on function sync.apply_pages(sync.page_in_hand[]) is 'Apply pages that were read as one set, note the ids they showed, and stage what changed for the
streams that ask for it. Returns: the pages with outcome completed and counts. Raises: whatever the
data does to the tables. Locks: target rows, new fields, then staged items, in key order.';

comment on function sync.rehearse_page(sync.page_in_hand,interval) is 'Apply one page and take it back; for a lock it waits no longer than its patience. Returns: the
page as read, without an outcome if it can be applied, else with what its error means.';

comment on function sync.rehearse_pages(sync.page_in_hand[]) is 'Try each page alone that has no outcome. Returns: all pages, those that can be applied as read and
without an outcome.';

comment on function sync.rehearse_together(sync.page_in_hand[]) is 'Find what keeps pages apart of which each can be applied alone: ids that a column takes for one, a
value that has to be unique. Returns: all pages; without an outcome those that can be applied
together, the others with what the error means beside these, or, after 5 s, postponed.';

comment on function sync.require_declared(sync.page_in_hand[]) is 'Raises: P0001 unless pages that were applied are of streams as they are declared now: each
statement may have gone by another declaration.';

comment on function sync.complete_pages(sync.page_in_hand[]) is 'Read, apply and settle what was fenced as one set. If that fails, find the pages that cannot be
applied by trying each alone, then those that cannot beside the others, and complete the rest as
one set: pages applied one after the other would lock records out of key order. What meets trouble
of the database''s own is postponed, and holds up the others for 2 s at most. Returns: all pages,
each with its outcome. Raises: what is no page''s fault. Locks: target rows by key, then as
settle_chunks(); for a lock that others hold it waits 500 ms.';

comment on function public.complete_chunk_jobs_safe(jsonb) is 'Hand over 1 to 100 fetched pages [{"queue_id", "lease_token", "status", "body", "duration_ms"}];
the body is the answer''s text. Returns: {"outcomes": [one per page, in order], "blocked_budgets"};
outcomes: completed, cancelled, retry, postponed, failed, refused. Repeated with the same tokens it
answers alike and applies nothing again. Raises: SY006 not such a list, SY016 wrong isolation.
Locks: queue rows by id, target rows by key, promotions by SKIP LOCKED, then runs, jobs, workspaces,
budgets, and last what is no chunk''s: tries, requests for tokens, tokens.';

comment on function sync.judge_release(bigint,text) is 'Whether a released chunk costs no attempt. What was not sent never does; a request that met a
closed connection does after so many of them. The caller holds the row. Returns: false if it is a
transient failure.';

comment on function sync.judge_failure(sync.page_in_hand,text,text,numeric) is 'What a failed fetch means for its chunk: of an answer that came, what the class_rules and status
classes say, else what its worker says. Returns: the page with outcome retry, delayed, postponed or
released. Locks: for rate_limited, the workspace and its budget.';

comment on function sync.fail_chunk(sync.page_in_hand,text,text,numeric) is 'Judge a failure and settle its chunk. What meets trouble of the database''s own, such as a row of
its workspace that another session has locked, is postponed. Returns: the page with its final
outcome. Locks: as settle_chunks(), then the workspace''s token; for a lock that others hold it waits
500 ms.';

comment on function sync.given_failure(bigint,bigint,jsonb) is 'Returns: the arguments of fail_chunk_job_safe() about a chunk and its answer, checked. Raises:
SY006.';

comment on function sync.is_page_all_the_same(sync.page_in_hand,text) is 'Returns: whether a chunk''s answer whose status is a failure is a page by class_rules.';

comment on function sync.fail_unmade(sync.made_request[],text) is 'Chunks whose requests cannot be made fail for good, as if a worker had them and said so. What the
database''s own trouble keeps from it stays as it was, for the next claim. The caller holds the queue
rows, and no budget. Locks: as settle_chunks(); for a lock that others hold it waits 500 ms.';

comment on function public.fail_chunk_job_safe(bigint,bigint,text,text,numeric,jsonb) is 'End a lease without a page. p_answer, where one came: {"status", "headers": those asked for,
"body": at most 16 KB of its text}; its class is found here, and p_error_class counts where none
came, or where it is a page that could not be handed over. transient: tried again after a backoff
(or p_retry_after seconds) until max_attempts, then failed; 0 seconds say no more than none.
rate_limited: the workspace waits, its budget is reduced, no attempt burnt. permanent: the run fails
and its other chunks are cancelled; of a confirmation only that. postponed: the database did not
take the answer (the message begins with the SQLSTATE), no attempt burnt unless it recurs for this
one only. released: handed back, nothing burnt; with a message that begins with "no answer" only
max_unanswered times, then as transient. Returns: the outcome (retry, delayed, postponed, failed,
released, cancelled) and "blocked_budgets"; repeated with the same token, the first outcome. Raises:
SY001 lease lost, SY006 unknown class or bad answer, SY016 wrong isolation. Locks: the queue row,
then run, job, workspace, budget.';

comment on function sync.start_job(text,sync.requested_run[],uuid) is 'The body of every verb that starts a job. Returns: as start_sync_job(). Raises: SY005 what was
requested is gone, SY006 no name, SY016 wrong isolation. Locks: new rows, and tables against being
analyzed that were empty before.';

comment on function sync.answer_of_start(text,uuid,text,text[]) is 'Returns: the answer of start_sync_job().';

comment on function sync.remember_records(uuid) is 'A job that was just started, by this transaction, is an audit: remember which rows are here now,
and have it read everything.';

comment on function public.start_audit(text[]) is 'Read the counted, chained and agreed streams of some workspaces, or of all active ones, as a
whole, and remember which rows were here before: get_audit() compares. Returns: as
start_sync_job(). Raises:
SY002 unknown workspace, SY004 inactive workspace, SY005 nothing to audit, SY016 wrong isolation.
Locks: new rows only.';

comment on function sync.follow_pause() is 'Live runs learn that a pause holds them, or no longer does; their chunks that are ready or due are
held until infinity, or are ready again. A delayed chunk keeps its time: a backoff lasts as long as
without the pause. Returns: the runs that changed. Locks: runs and queue rows by SKIP LOCKED; a
chunk that another holds is caught by the next claim or sweep.';

comment on function sync.write_pause(text,text,timestamp with time zone) is 'Write the pause of a source, a workspace or everything (both null), or lift it. Returns: the live
runs it changes. Raises: SY002 unknown workspace, SY003 unknown source, SY006 both named. Locks: its
live runs by id, then that row.';

comment on function sync.rows_of_source(text) is 'Returns: {"source": its row, "streams": {name: row}}; null if there is no such source.';

comment on function sync.changed_fields(text,jsonb,jsonb,jsonb) is 'Returns: which fields of a declaration differ between two rows, [{"field", "old", "new"}]; of a
row that is new, those that were given.';

comment on function sync.require_declaration(jsonb) is 'Raises: SY006 unless it is a source with its streams; what their fields say is not looked at.';

comment on function sync.declare_all(jsonb) is 'Declares a source, then its streams in their order. Raises: as declare_source() and
declare_stream(), with the stream''s name. Locks: what streams lock, then what the source does.';

comment on function public.apply_declaration(jsonb,boolean) is 'Declare a source with its streams, {"source": {…}, "streams": [{…}]}, all of it or nothing; as a
trial nothing stays. "about" is for people. Streams that it does not name stay as they are. Returns:
{"source_name", "is_applied", "changes": [{"what": source or stream, "name", "is_new", "live_runs":
how many begin again, "fields": [{"field", "old", "new"}]}], "untouched": streams of the source that
it does not name}. Raises: SY006 as declare_source() and declare_stream(). Locks: as those do.';

comment on function sync.undeclared_rows() is 'Returns: the rows of a source and of a stream of which nothing was said, read and taken back: what
declaring makes of a field that is left out stands in one place.';

comment on function sync.declaration_of(text,jsonb,jsonb) is 'Returns: a row as a declaration that gives it: without what declaring would put there anyway.';

comment on function public.get_declarations(text) is 'What was declared, of one source or of all: a parent before its children, without what a field
that is left out means anyway. Returns: {"declarations": [{"source", "streams"}]}, each as
apply_declaration() takes it. Raises: SY003 unknown source. Locks: nothing that stays.';

comment on function sync.rows_to_try(jsonb,text,text) is 'Returns: the rows of a source and a stream as they would be declared, or are; they are taken back.
Raises: SY003 no such stream, SY006 as declaring does.';

comment on function sync.some_parent(bigint,jsonb) is 'Returns: of a live record of a stream''s parent in a workspace its id, and what the stream''s
templates take of it, as of a list that a run reads, and nothing else; null if there is none.';

comment on function public.try_stream(jsonb,text,text) is 'Try a declaration with a workspace''s key: a stream as declare_stream() takes it, {"stream_name"}
of one that is declared, or a source with its streams, of which p_stream names one. Nothing is
declared or written. A worker asks for pages 1 and 2 and one record by its own path, as a sync
would, in budget, outside of runs. Returns: {"try_id", "workspace", "stream"} at once;
get_stream_try() says what came of it. Raises: SY002, SY003, SY005 no parent to ask for, SY006 as
declare_stream(). Locks: as declaring, for a moment.';

comment on function public.get_stream_try(bigint) is 'What came of a try. Returns: {"try_id", "status": waiting, done or failed, "complaints": [{"step",
"what", "says"}], "planned": {"completeness", "position", "pages", "records"}, "written": {"table",
"records_of_page_1"}, "fields": [{"field", "types"}], "steps": [{"step", "request": without the key,
"status", "shape", "records", "first_ids", "total", "next", "ends", …}], "error_message"}; no
record. Raises: SY007 no such try, or older than an hour.';

comment on function sync.follow_workspaces() is 'Trigger, per statement: whoever gives a workspace another key, URL, id or source, its live runs
begin again or end, and what was missed is forgotten; that its key can be read again, or no longer,
lets them go on or holds them. A run that another transaction holds follows at its next step, or
with the next sweep. Locks: runs and queue rows by SKIP LOCKED, missing records.';

comment on function sync.lock_runs(text) is 'Lock a workspace''s live runs and their jobs, as must be done before the workspace itself is
locked. Returns: the runs. Locks: the runs by id, then the jobs by id.';

comment on function sync.write_workspace_key(bigint,bigint,text) is 'Put a workspace''s key into Vault, in place of the one before; where its source takes none there is
none. The caller holds the workspace. Returns: its secret, and whether it is the same key as before.
Raises: SY014 not of the form that the source''s auth takes, SY019 another workspace has that grant.
Locks: the workspace''s token, and a request for one.';

comment on function public.register_workspace(text,text,text,text,text,integer,boolean) is 'Add a workspace, or set the key and slots of one anew and activate it; its source and base URL
only with p_replace. Without p_source the only declared source is meant. Where the source tells
whose a key is, the first owner seen becomes its external id if none is given. The key goes to
Vault. Live runs begin again if key or URL changes, and end if the source does. Returns:
{"workspace_id", "workspace_name", "created"}. Raises: SY003 unknown source, SY006 bad argument,
SY014 no key of the source''s form, SY015 refused address, SY019 taken name, external id or grant.
Locks: as
rotate_workspace_key().';

comment on function public.compare_workspace_names(text[]) is 'Tell of names, before they are registered, which are the same and whose they are. Returns:
{"names": [for each, in order, {"workspace_name": the workspace that has it, removed ones too, or
null; "first": the position, from 1, of the first of these names that is the same}]}.';

comment on function public.rotate_workspace_key(text,text) is 'Give a workspace a new key; claims from now on use it. Live runs begin again, by asking whose key
it is where the source tells; what is in flight is not applied. The same key again changes nothing.
Returns: {"workspace_id", "workspace_name"}. Raises: SY002 unknown workspace, SY014 no key of the
source''s form, SY019 another workspace has that grant. Locks: its live runs by id, their jobs, the
workspace, pending queue rows by SKIP LOCKED.';

comment on function sync.erase_workspace_rows(bigint,bigint) is 'Delete at most so many rows of a removed workspace, of every table that refers to it. The caller
holds it, and has seen that no run of it is live. Returns: how many.';

comment on function sync.push_chunks(bigint[]) is 'Post one wake-up per chunk, or request of a try, spread over the endpoints; each further attempt
goes to the next one. One whose wake token cannot be read gets none. pg_net sends them after commit,
once. Beyond what it may be given at a time nothing is posted: the sweep hints again. A failure is
noted in sync.hint_state and fails nothing else. Returns: how many.';

comment on function sync.hint_work(bigint[]) is 'Tell workers of chunks, or requests of tries, that are ready. A failure is noted in
sync.hint_state and never reaches the caller. Locks: as broadcast_work().';

comment on function sync.hint_try() is 'Trigger: a try has a request that may be handed out. A failure is noted in sync.hint_state and
never reaches the statement.';

comment on function sync.hint_progress() is 'Trigger: a job''s row says that it is further, or at its end; operators who watch are told to look.
While it runs that is about once a second, however many runs end: a channel that is told more than
it may be is shut. It cannot fail the statement.';

comment on function sync.collect_hint_answers() is 'Read what pg_net says of the posts; endpoints that fail three times in a row rest, with an alert,
and longer each time. A post without an answer for a minute is lost. A sweep comes here, so it waits
for nobody: of an endpoint that is being changed nothing is noted. Locks: endpoints by SKIP
LOCKED.';

comment on function sync.resend_hints(boolean) is 'Hint ready chunks again that nobody claimed in time, with backoff per chunk, or all at once; not
those whose last post pg_net did not send yet; requests of tries likewise. Returns: chunks that are
ready.';

comment on view sync.run_progress is 'Totals of each run: of closed ones as written, of live ones summed from one counter row per slot.
progress_done never falls: its 100 % is fixed when page 1 was answered, and re-scans add nothing to
it. What failed or was cancelled is not done. Of a live run planned counts the pages that are known
and have no chunk yet, too.';

comment on function sync.sum_up_runs(uuid) is 'Returns: the totals of a live job, summed over its runs; the percentage is null until every run''s
total is known.';

comment on view sync.job_progress is 'Totals of each job: of closed ones as written, of live ones summed over their runs.';

comment on column public.chunk_processing_status.completed_chunks is 'Chunks whose page was applied.';

comment on column public.chunk_processing_status.failed_chunks is 'Chunks that failed for good: failed_chunks says why.';

comment on column public.chunk_processing_status.overall_status is 'pending (nothing begun), processing, completed, partial_failure or cancelled.';

comment on column public.chunk_processing_status.parent_sync_job_id is 'The job: polling_job_status.id.';

comment on column public.chunk_processing_status.pending_chunks is 'Chunks that wait, are ready or are delayed.';

comment on column public.chunk_processing_status.processing_chunks is 'Chunks that a worker holds.';

comment on column public.chunk_processing_status.progress_percentage is '0 to 99.9 while it runs, 100 when it completed, else how far it came; null until every run''s total
is known.';

comment on view public.chunk_processing_status is 'Chunks per job. The percentage is null until every run''s total is known, and never falls.';

comment on column public.sync_progress.happening_now is 'What its chunks do; of an ended job, what went wrong.';

comment on column public.sync_progress.job_id is 'The job: polling_job_status.id.';

comment on column public.sync_progress.job_name is 'Jobs of one name run one after the other.';

comment on column public.sync_progress.kind is 'sync, audit or key_check.';

comment on column public.sync_progress.progress_percentage is '0 to 99.9 while it runs, 100 when it completed, else how far it came; null until every run''s total
is known.';

comment on column public.sync_progress.status is 'running, completed, partial, failed or cancelled.';

comment on column public.sync_progress.total_workspaces is 'Workspaces that the job has runs for.';

comment on column public.sync_progress.updated_at is 'When it last changed, or a chunk of it was last claimed.';

comment on column public.sync_progress.workspaces_completed is 'Workspaces whose every requested stream completed.';

comment on view public.sync_progress is 'What each job is doing: select * from sync_progress order by updated_at desc limit 3.';

comment on column public.queue_health.blocked_budgets is 'Instances or keys that nobody sends to, after several 429s in a row.';

comment on column public.queue_health.chunks_in_flight is 'What workers hold.';

comment on column public.queue_health.delayed_chunks is 'What waits for its time.';

comment on column public.queue_health.last_sweep_at is 'When lost work was last looked for.';

comment on column public.queue_health.last_sweep_error is 'Why that failed.';

comment on column public.queue_health.live_jobs is 'Jobs that run.';

comment on column public.queue_health.live_runs is 'Runs of theirs that have not ended.';

comment on column public.queue_health.next_retry_at is 'When the next delayed chunk is ready.';

comment on column public.queue_health.ready_chunks is 'What a claim would find.';

comment on column public.queue_health.waiting_chunks is 'What waits for a slot of its run.';

comment on column public.queue_health.workers_alive is 'Workers heard of in the last 30 s.';

comment on view public.queue_health is 'One row: what waits, what is in flight, who works.';

comment on view sync.live_runs is 'Live runs: how far they are, and of those of which nothing is in flight, why. Who asks for both
reads each of them once.';

comment on column public.waiting_runs.job_id is 'Its job: polling_job_status.id.';

comment on column public.waiting_runs.message is 'The same in words, with what helps.';

comment on column public.waiting_runs.run_id is 'The run: workspace_sync_runs.id.';

comment on column public.waiting_runs.stream is 'The kind of record.';

comment on column public.waiting_runs.waits_until is 'When it goes on by itself; null: nobody knows.';

comment on column public.waiting_runs.why is 'ending, no_key, paused, parent, closing_failed, no_worker, rate_limited, token, database (a lock, a
time limit, no space: no attempt is lost), retry, budget or turn; the first that holds.';

comment on column public.waiting_runs.workspace_name is 'Its workspace.';

comment on view public.waiting_runs is 'Live runs of which nothing is in flight: why, until when (null: nobody knows), and what helps.';

comment on function sync.add_deliveries() is 'A message for every open alert, whenever it was opened, and for every resolved one of which it was
said that it is open.';

comment on function sync.collect_delivery_answers(text) is 'Read what pg_net says of the messages sent. An answer is one to a message if it has its number,
comes from the same queue, and came while pg_net had the message or soon after.';

comment on function sync.check_health() is 'Open alerts for what is wrong now, resolve those whose cause is gone, and send both out. A part
that fails is an alert, for a lock that others hold the second time in a row, and stops no other;
until it works again nothing is resolved, as what it would find is unknown. Returns: causes that
hold, or null while another session checks. Locks: the alerts; it waits for none longer than 1 s.';

comment on type sync.fleet_row is 'A workspace and stream as the dashboard shows it. state: what it is in a word; tone: fresh,
working, waiting, wrong (somebody has to act) or off; severity: worst first; reason and remedy in
words; act: what an operator can press (sync, retry, resume, approve, command).';

comment on function sync.fleet_rows(bigint) is 'Returns: each workspace and stream that syncs take by default or ever took, of one workspace or
(null) of all: its state, why, what helps. A stream that is being synced is fresh as long as its
last complete sync is.';

comment on type sync.counted_rows is 'How many rows of a stream a workspace has here.';

comment on function sync.count_rows(bigint,bigint[]) is 'Returns: how many rows of a stream each workspace has here that are not deleted; of one that has
none, nothing.';

comment on function public.get_fleet(text,text[],integer,integer) is 'The fleet, worst first: a row for each workspace and stream, of those whose name, state or reason
has the text and whose state or tone is named. Returns: {"as_of", "total", "matching", "fresh",
"states": [{"state", "tone", "count"}] of all, "records", "api_total", "jobs", "rows": at most 500
from p_offset on, each with "runs": its last 30 runs, newest first, in ms and status:
"4200 completed,900 failed", null if there is none}. Raises: 42501 no operator.';

comment on function sync.workspace_stream_detail(sync.fleet_row) is 'Returns: a stream of a workspace with its last 60 runs, what a scan misses, what is unlisted.';

comment on function public.get_job_page(uuid,integer,integer) is 'One job: how far it is, what holds it up, its runs (worst first, at most 500 from p_offset on), 50
of its chunks that failed, why it cannot be retried. Returns: {"as_of", "job_id", "status", "runs":
[…], "run_count", "failed_chunks": […], "retry_obstacle" (null: it can), …}. Raises: 42501 no
operator, SY007 unknown job.';

comment on function sync.reclaim_chunks() is 'Chunks whose lease ran out are ready again in their slot; of an ending run they are cancelled.
After max_lease_losses losses of workers that held nothing else they fail as poison. Returns: how
many. Locks: queue rows and workers by SKIP LOCKED.';

comment on function sync.repair_runs(boolean) is 'Settle live runs that are ending or outdated, have nothing live, or have free slots and waiting
chunks or pages that are not planned yet. A claim has no time for those that are slow to close.
Whoever ends a job''s last run must hold the job, or two that end its last runs at once leave it
live; a job that another holds is left to the next sweep. Locks: runs, their jobs and queue rows by
SKIP LOCKED.';

comment on function sync.reread_keys() is 'Keys that could not be read are tried again, a hundred at a time; runs that have waited for one
for ten minutes are ending. Locks: workspaces and runs by SKIP LOCKED.';

comment on function sync.claim_chunks(bigint[],text,integer) is 'The common part of both claims. A chunk whose request cannot be made fails, and holds up no other.
Where workspaces have no access token that serves, their chunks wait and one request for it is made.
Behind the chunks, such requests and what tries ask for are leased, up to p_room in all, or, where
that is null, only the tokens that these chunks wait for. Returns: the verdicts, and the claim''s
answer. The caller holds the rows. The transaction is not durable when it has committed: see
docs/decisions/0013.';

comment on function sync.outdated_protocol(integer) is 'Returns: what a claim answers to a worker that speaks another protocol: no lease, the error SY023
and the versions, by which also a worker of protocol 1 knows that it has to stop; null if it speaks
this one.';

comment on function public.claim_next_chunk_job_safe(text,integer,jsonb,integer) is 'Take up to p_limit (1 to 100: what the worker has room for) chunks that are ready, oldest turn
first; none is no error. Where more is ready, workspaces of which the worker holds fewer come first.
A chunk that lost two leases is given alone, and nothing while the worker empties itself for it or
holds it. A worker that listens to Realtime says so in p_listening ({"idle_finds": how often in a
row an idle look found work of which it had heard nothing}) and is told of the last echo. A worker
that does not say by p_protocol that it speaks this protocol gets no lease, and the error SY023 in
the answer. Returns: {"leases", "blocked_budgets", "next_look_ms", "versions", "echo_age_ms"}, see
docs/worker-protocol.md. Raises: SY006 bad argument, SY016 wrong isolation. Locks: the worker''s row
and queue rows by SKIP LOCKED, then budgets.';

comment on function public.claim_chunk_job_safe(bigint,text,integer) is 'Take exactly this chunk, or this request of a try. Returns: as claim_next_chunk_job_safe();
without a lease also "reason": not_found, not_pending, not_due, paused, budget, protocol or alone
(the worker holds, or empties itself for, a chunk that must be alone), and "look_again_ms" when it
pays to ask for it again. Raises: SY006 bad worker id, SY016 wrong isolation. Locks: the worker''s
row and the queue row by SKIP LOCKED, then its budget.';

revoke all on function sync.refuse_removal() from public, anon, authenticated, service_role;

revoke all on function sync.lock_engine_if_free(text) from public, anon, authenticated, service_role;

revoke all on function sync.lock_engine(text) from public, anon, authenticated, service_role;

revoke all on function sync.set_out_of_time() from public, anon, authenticated, service_role;

revoke all on function sync.time_or_null(text) from public, anon, authenticated, service_role;

revoke all on function sync.json_or_null(text) from public, anon, authenticated, service_role;

revoke all on function sync.origin_of(text) from public, anon, authenticated, service_role;

revoke all on function sync.reach_below(text,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.json_object(text) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_in_secret(text,text,text) from public, anon, authenticated, service_role;

revoke all on function sync.secret_form(text) from public, anon, authenticated, service_role;

revoke all on function sync.ensure_scope(bigint,text) from public, anon, authenticated, service_role;

revoke all on table sync.workspace_tokens from public, anon, authenticated, service_role;

revoke all on table sync.token_requests from public, anon, authenticated, service_role;
grant select on table sync.token_requests to authenticated;
grant select on table sync.token_requests to service_role;

revoke all on function sync.is_oauth(text) from public, anon, authenticated, service_role;

revoke all on function sync.token_wait(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.token_url_of(text,text) from public, anon, authenticated, service_role;

revoke all on function sync.fingerprint_of(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.forget_token(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.follow_new_secret(bigint,bigint,text,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.template_default(text) from public, anon, authenticated, service_role;

revoke all on function sync.templates_in(text) from public, anon, authenticated, service_role;

revoke all on function sync.has_template(public.sync_streams,text) from public, anon, authenticated, service_role;

revoke all on function sync.position_of(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.placed_templates(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_templates(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_places(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.column_types() from public, anon, authenticated, service_role;

revoke all on function sync.own_columns() from public, anon, authenticated, service_role;

revoke all on function sync.without_templates(text) from public, anon, authenticated, service_role;

revoke all on function sync.is_list_of_keys(jsonb,numeric,numeric) from public, anon, authenticated, service_role;

revoke all on function sync.is_column(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.is_class_rule(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.named_table(text) from public, anon, authenticated, service_role;

revoke all on function sync.is_keyed_by_parent(regclass) from public, anon, authenticated, service_role;

revoke all on function sync.holds_rows_of(regclass,regclass) from public, anon, authenticated, service_role;

revoke all on function sync.default_values(regclass) from public, anon, authenticated, service_role;

revoke all on function sync.without_nulls(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.is_reserved_header(text) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_requests(public.sync_streams,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_pages(public.sync_streams,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_proofs(public.sync_streams,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_relations(public.sync_streams,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.require_fields_together(jsonb,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.wrong_source(public.sync_sources,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.require_source_together(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.fit_records(regclass,sync.judged_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.epoch_time(text,text) from public, anon, authenticated, service_role;

revoke all on function sync.epoch_value(jsonb,text) from public, anon, authenticated, service_role;

revoke all on function sync.declared_columns(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.fitting_sql(text,jsonb,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.is_gone(bigint,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.upsert_sql(text,regclass,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.write_upsert(text,regclass,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.regenerate_upserts() from public, anon, authenticated, service_role;

revoke all on function sync.apply_synced_records(sync.incoming_record[]) from public, anon, authenticated, service_role;

revoke all on schema synced from public, anon, authenticated, service_role;
grant usage on schema synced to authenticated;
grant usage on schema synced to service_role;

revoke all on function sync.declared_table(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.upsert_name(text) from public, anon, authenticated, service_role;

revoke all on function sync.type_of_id(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.table_form(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.table_key(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.table_sql(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.access_sql(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.flaw_of_table(jsonb,regclass) from public, anon, authenticated, service_role;

revoke all on function sync.require_adoptable(jsonb,regclass) from public, anon, authenticated, service_role;

revoke all on function sync.add_columns(jsonb,regclass) from public, anon, authenticated, service_role;

revoke all on function sync.make_table(jsonb,bigint) from public, anon, authenticated, service_role;

revoke all on table sync.column_fills from public, anon, authenticated, service_role;
grant select on table sync.column_fills to authenticated;
grant select on table sync.column_fills to service_role;

revoke all on function sync.write_columns(public.sync_streams,public.sync_streams,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.pick_rows(public.sync_streams,sync.column_fills,integer) from public, anon, authenticated, service_role;

revoke all on function sync.fill_rows(public.sync_streams,text[],sync.judged_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.fill_columns(integer) from public, anon, authenticated, service_role;

revoke all on function sync.require_new_name(text,jsonb,text,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.write_source(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.follow_source(bigint,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.require_own_upsert(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.require_uncut_parents(jsonb,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.require_parents(jsonb,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.require_same_scope(public.sync_streams,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.write_declared_stream(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.ask_whose_keys(bigint) from public, anon, authenticated, service_role;

revoke all on function public.stream_sql(text,text) from public, anon, authenticated, service_role;
grant execute on function public.stream_sql(text,text) to service_role;

revoke all on function sync.prepare_job_end() from public, anon, authenticated, service_role;

revoke all on sequence sync.run_parts_id_seq from public, anon, authenticated, service_role;

revoke all on table sync.run_parts from public, anon, authenticated, service_role;
grant select on table sync.run_parts to authenticated;
grant select on table sync.run_parts to service_role;

revoke all on function sync.has_parts(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.learn_of_filled_tables() from public, anon, authenticated, service_role;

revoke all on function sync.refill_slots(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.plan_page(bigint,integer,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.reveal_pages(bigint,integer) from public, anon, authenticated, service_role;

revoke all on function sync.refuse_next_url(text,text) from public, anon, authenticated, service_role;

revoke all on function sync.absolute_url(text,text) from public, anon, authenticated, service_role;

revoke all on function sync.next_url(text,text,public.sync_sources,text) from public, anon, authenticated, service_role;

revoke all on function sync.link_next(text) from public, anon, authenticated, service_role;

revoke all on table sync.page_etags from public, anon, authenticated, service_role;

revoke all on function sync.request_key(public.chunked_sync_jobs,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.known_version(public.chunked_sync_jobs,public.sync_streams,text,interval) from public, anon, authenticated, service_role;

revoke all on function sync.condition_headers(sync.page_etags) from public, anon, authenticated, service_role;

revoke all on function sync.refuse_request(text,text) from public, anon, authenticated, service_role;

revoke all on function sync.template_values(public.chunked_sync_jobs,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.template_value(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.template_parts(text) from public, anon, authenticated, service_role;

revoke all on function sync.filled_text(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.filled_json(jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.filled_path(text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.filled_headers(jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.as_pairs(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.is_plain(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.position_params(public.chunked_sync_jobs,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.plain_request(public.chunked_sync_jobs,public.sync_streams,text) from public, anon, authenticated, service_role;

revoke all on function sync.filled_request(public.chunked_sync_jobs,public.sync_streams,public.sync_sources,text) from public, anon, authenticated, service_role;

revoke all on function sync.make_request(public.chunked_sync_jobs,public.sync_streams,public.sync_sources,text) from public, anon, authenticated, service_role;

revoke all on function sync.answer_headers(public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.may_be_gone(public.sync_streams,text,integer,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.status_classes(public.sync_streams,public.sync_sources,text,integer,jsonb,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.is_unsent(text) from public, anon, authenticated, service_role;

revoke all on function sync.class_of(jsonb,integer) from public, anon, authenticated, service_role;

revoke all on function sync.class_by_rules(jsonb,integer,jsonb,text,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.http_date(text) from public, anon, authenticated, service_role;

revoke all on function sync.seconds_asked(text) from public, anon, authenticated, service_role;

revoke all on function sync.wait_asked_for(public.sync_sources,jsonb,jsonb,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.shares_of(public.sync_budgets) from public, anon, authenticated, service_role;

revoke all on function sync.has_others_asking(bigint,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.admit_chunks(bigint[],text,bigint[],bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.reserve_send_time(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.refusal_wait(numeric,integer) from public, anon, authenticated, service_role;

revoke all on function sync.slow_down(bigint,timestamp with time zone,timestamp with time zone,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.learn_of_refusal(bigint,timestamp with time zone,numeric,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.give_back(bigint[],timestamp with time zone[],boolean) from public, anon, authenticated, service_role;

revoke all on function sync.learn_of_answers(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.learn_of_lone_answer(bigint,bigint,timestamp with time zone) from public, anon, authenticated, service_role;

revoke all on function sync.let_probe(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.fair_shares(integer,text) from public, anon, authenticated, service_role;

revoke all on function sync.send_echo() from public, anon, authenticated, service_role;

revoke all on function sync.is_token_served(sync.workspace_tokens,text) from public, anon, authenticated, service_role;

revoke all on function sync.access_of(public.sync_workspaces,public.sync_sources,sync.workspace_tokens) from public, anon, authenticated, service_role;

revoke all on function sync.access_of_workspaces(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.lease_documents(sync.leased[],numeric) from public, anon, authenticated, service_role;

revoke all on function sync.token_budget(public.sync_workspaces,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.ask_for_tokens(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.write_token_generations(bigint[],sync.access[]) from public, anon, authenticated, service_role;

revoke all on function sync.end_token_request(bigint,text,text,text) from public, anon, authenticated, service_role;

revoke all on function sync.token_form(public.sync_sources,jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.lease_token_request(sync.token_requests,text) from public, anon, authenticated, service_role;

revoke all on function sync.lease_token_requests(text,integer,bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.next_due_at() from public, anon, authenticated, service_role;

revoke all on function sync.pick_ready_chunks(integer,bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.made_requests(bigint[],sync.access[]) from public, anon, authenticated, service_role;

revoke all on function sync.hold_unreadable(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.lease_chunks(sync.admission[],text,sync.access[],sync.made_request[]) from public, anon, authenticated, service_role;

revoke all on function sync.hurry_worker(text) from public, anon, authenticated, service_role;

revoke all on function sync.refuse_shape(text,text) from public, anon, authenticated, service_role;

revoke all on function sync.count_in(jsonb,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.page_number_in(jsonb,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.is_huge_number(text) from public, anon, authenticated, service_role;

revoke all on function sync.without_huge_numbers(text) from public, anon, authenticated, service_role;

revoke all on function sync.read_json(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.require_records(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.without_paths(sync.page_in_hand,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.require_own_error(sync.page_in_hand,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.content_class(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.require_page(text,sync.page_in_hand,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.scoped_id(text,text) from public, anon, authenticated, service_role;

revoke all on function sync.scoped_parts(text) from public, anon, authenticated, service_role;

revoke all on function sync.record_time(jsonb,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.found_records(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on table sync.seen_fields from public, anon, authenticated, service_role;
grant select on table sync.seen_fields to authenticated;
grant select on table sync.seen_fields to service_role;

revoke all on function sync.unseen_fields(sync.incoming_record[],sync.changed_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.note_fields(sync.seen_fields[]) from public, anon, authenticated, service_role;

revoke all on table public.stream_fields from public, anon, authenticated, service_role;
grant select on table public.stream_fields to authenticated;
grant select on table public.stream_fields to service_role;

revoke all on table public.column_fills from public, anon, authenticated, service_role;
grant select on table public.column_fills to authenticated;
grant select on table public.column_fills to service_role;

revoke all on function sync.request_key_of(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.read_unchanged(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.said_by(sync.page_in_hand,sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.may_be_full(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.has_version(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.note_versions(sync.page_in_hand[],sync.incoming_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.find_refused_record(sync.page_in_hand,text) from public, anon, authenticated, service_role;

revoke all on function sync.is_pages_own_trouble(sync.page_in_hand,text) from public, anon, authenticated, service_role;

revoke all on function sync.postpone(sync.page_in_hand,text,text) from public, anon, authenticated, service_role;

revoke all on function sync.asked_wait(sync.page_in_hand,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.class_of_failure(sync.page_in_hand,boolean,text,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.is_page_by_rules(sync.page_in_hand,text,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.judge_error(sync.page_in_hand,text,text,text) from public, anon, authenticated, service_role;

revoke all on function sync.judge_unauthorized(sync.page_in_hand,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.renew_token(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.prove_tokens(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.are_headers(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.given_pages(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.first_answer(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.give_up_outdated(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.fence(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.outcome_of(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on table sync.record_parents from public, anon, authenticated, service_role;
grant select on table sync.record_parents to authenticated;
grant select on table sync.record_parents to service_role;

revoke all on table sync.emptied_lists from public, anon, authenticated, service_role;
grant select on table sync.emptied_lists to authenticated;
grant select on table sync.emptied_lists to service_role;

revoke all on function sync.note_parents(sync.page_in_hand[],sync.incoming_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.forget_emptied_lists(bigint,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.forget_missed_below(bigint,bigint,bigint,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.forget_parents_of_stream() from public, anon, authenticated, service_role;

revoke all on function sync.recount_held_by(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.forget_missing(bigint,bigint,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.miss_records(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.revive_shown(public.workspace_sync_runs,integer[]) from public, anon, authenticated, service_role;

revoke all on function sync.count_here(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.gone_ids(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.miss_deleted(public.workspace_sync_runs,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.forget_shown_below(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.forget_shown(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.is_read_since(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.latest_time(jsonb,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.set_since(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.set_list_marks(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.waiting_warning(public.workspace_sync_runs,bigint,text) from public, anon, authenticated, service_role;

revoke all on function sync.remember_empty_list(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.pick_to_ask(public.workspace_sync_runs,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.ask_missing(public.workspace_sync_runs,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.note_confirmations(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.judge_confirmations(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.take_over_held(public.workspace_sync_runs,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.delete_gone(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.forget_what_says_nothing(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.is_order_unique(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.in_order(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.moved_record(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.least_overlap(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.may_end_list(integer,integer) from public, anon, authenticated, service_role;

revoke all on function sync.longest_tie(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.tied_last(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.named_next(sync.page_in_hand,jsonb,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.wanted_overlap(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.next_offset(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.says_more(jsonb,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.with_next(sync.page_in_hand,jsonb,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.require_progress(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.read_listed(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.read_past_end(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.read_refused(sync.page_in_hand,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.way_out_of_ties() from public, anon, authenticated, service_role;

revoke all on function sync.walk_list(bigint,integer,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.plan_rest(public.workspace_sync_runs,sync.walk) from public, anon, authenticated, service_role;

revoke all on function sync.plan_beside(public.workspace_sync_runs,sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.plan_listed(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.begin_next_scan(bigint,integer) from public, anon, authenticated, service_role;

revoke all on function sync.close_since(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.accept_list(bigint,integer) from public, anon, authenticated, service_role;

revoke all on function sync.read_counted(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.read_confirmation(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.sum_up_scan(bigint,integer) from public, anon, authenticated, service_role;

revoke all on function sync.judge_scan(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.reject_scan(bigint,text,integer,integer) from public, anon, authenticated, service_role;

revoke all on function sync.plan_counted(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.begin_listed(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.close_confirmed(public.workspace_sync_runs,integer) from public, anon, authenticated, service_role;

revoke all on function sync.advance_chained(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.repeated_id(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.disagreement(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.advance_agreed(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.require_progress_by_cursor(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.with_order(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.is_walked(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.read_walked(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.read_feed(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.is_above_mark(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.pages_below(sync.page_in_hand,public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.plan_feed_pages(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.plan_walked(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.plan_next_cursor(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.plan_feed(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.plan_between_pages(public.workspace_sync_runs,integer) from public, anon, authenticated, service_role;

revoke all on function sync.plan_skipped(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.set_feed_mark(public.workspace_sync_runs,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.is_followed(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.read_items(sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.pick_staged(public.workspace_sync_runs,integer) from public, anon, authenticated, service_role;

revoke all on function sync.unstage_items(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.cover_items(sync.page_in_hand,bigint[],bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.plan_items(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.parent_of(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.live_rows(bigint,bigint,text[],text,integer) from public, anon, authenticated, service_role;

revoke all on function sync.picked(jsonb,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.parent_values(public.sync_streams,bigint,sync.live_row[],text[]) from public, anon, authenticated, service_role;

revoke all on function sync.parent_paths(public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.queue_below(public.workspace_sync_runs,text,integer[],integer[],text[],jsonb[]) from public, anon, authenticated, service_role;

revoke all on function sync.queue_parts(public.workspace_sync_runs,integer) from public, anon, authenticated, service_role;

revoke all on function sync.cancel_part(sync.run_parts,text) from public, anon, authenticated, service_role;

revoke all on function sync.walk_part(sync.run_parts,public.sync_streams,sync.part_result) from public, anon, authenticated, service_role;

revoke all on function sync.compare_part(sync.run_parts,public.sync_streams,sync.part_result) from public, anon, authenticated, service_role;

revoke all on function sync.sum_up_part(sync.run_parts,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.repeat_part(sync.run_parts,text,integer) from public, anon, authenticated, service_role;

revoke all on function sync.plan_rest_of_part(sync.run_parts,public.workspace_sync_runs,integer,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.unstage_parent(sync.run_parts,public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.leave_unproven(sync.run_parts,public.workspace_sync_runs,text) from public, anon, authenticated, service_role;

revoke all on function sync.end_part(sync.run_parts,public.workspace_sync_runs,public.sync_streams,text) from public, anon, authenticated, service_role;

revoke all on function sync.end_parts(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.miss_in_lists(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.remember_emptied(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.miss_children(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.gone_below(public.workspace_sync_runs,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.ask_below(public.workspace_sync_runs,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.reject_below(public.workspace_sync_runs,text) from public, anon, authenticated, service_role;

revoke all on function sync.takes_up_lists(public.workspace_sync_runs,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.takes_all_parents(public.workspace_sync_runs,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.add_parts(bigint,integer) from public, anon, authenticated, service_role;

revoke all on function sync.plan_parts(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.plan_children(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.begin_children(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.close_children(bigint,text) from public, anon, authenticated, service_role;

revoke all on function sync.advance_children(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.begin_connection(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.read_connection(sync.page_in_hand,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.note_key_owners(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.advance_connection(public.workspace_sync_runs) from public, anon, authenticated, service_role;

revoke all on function sync.read_single(sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.sum_up_answer(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.read_page(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.read_pages(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.plan_revealed(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on sequence sync.stream_tries_id_seq from public, anon, authenticated, service_role;

revoke all on table sync.stream_tries from public, anon, authenticated, service_role;

revoke all on function sync.shape_of(jsonb,integer) from public, anon, authenticated, service_role;

revoke all on function sync.fields_of(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.tried_ids(jsonb,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.complaints_of_page(sync.page_in_hand,public.sync_streams,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.read_try(sync.page_in_hand,public.sync_streams,public.sync_sources) from public, anon, authenticated, service_role;

revoke all on function sync.next_of_try(sync.stream_tries,sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.step_of(sync.stream_tries,sync.page_in_hand,public.sync_streams,jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.decide_failures(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.end_or_delay(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.pass_slots(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.warn_of_unfit(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.advance_runs_and_jobs(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.settle_chunks(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.learn_of_keys(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.read_token_answer(integer,text) from public, anon, authenticated, service_role;

revoke all on function sync.take_token(sync.token_requests,sync.token_answer) from public, anon, authenticated, service_role;

revoke all on function sync.suspend_grant(sync.token_requests,text) from public, anon, authenticated, service_role;

revoke all on function sync.delay_token_request(sync.token_requests,text,text,numeric) from public, anon, authenticated, service_role;

revoke all on function sync.lock_token_request(bigint,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.lock_token_requests(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.take_token_answer(sync.page_in_hand,boolean) from public, anon, authenticated, service_role;

revoke all on function sync.take_token_answers(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.fail_token(sync.page_in_hand,text,text,numeric) from public, anon, authenticated, service_role;

revoke all on function sync.reclaim_token_requests() from public, anon, authenticated, service_role;

revoke all on function sync.follow_grants() from public, anon, authenticated, service_role;

revoke all on function sync.end_try(bigint,text,text) from public, anon, authenticated, service_role;

revoke all on function sync.delay_try(bigint,interval,boolean,text) from public, anon, authenticated, service_role;

revoke all on function sync.wait_of_try(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.lease_try(sync.stream_tries,text) from public, anon, authenticated, service_role;

revoke all on function sync.lease_tries(text,integer) from public, anon, authenticated, service_role;

revoke all on function sync.claim_try(bigint,text) from public, anon, authenticated, service_role;

revoke all on function sync.extend_requests_of_no_run(jsonb,timestamp with time zone) from public, anon, authenticated, service_role;

revoke all on function sync.reclaim_tries() from public, anon, authenticated, service_role;

revoke all on function sync.lock_try(bigint,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.advance_try(sync.stream_tries,sync.page_in_hand,public.sync_streams) from public, anon, authenticated, service_role;

revoke all on function sync.page_of_try(sync.stream_tries,sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.fail_try_step(sync.stream_tries,sync.page_in_hand,text) from public, anon, authenticated, service_role;

revoke all on function sync.hold_back_try(sync.stream_tries,numeric,text) from public, anon, authenticated, service_role;

revoke all on function sync.complete_try_step(sync.stream_tries,sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.take_try_answer(sync.stream_tries,sync.page_in_hand) from public, anon, authenticated, service_role;

revoke all on function sync.take_try_answers(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.fail_try(sync.page_in_hand,text,text,numeric) from public, anon, authenticated, service_role;

revoke all on function sync.unfit_in(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.applied(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.note_seen(sync.page_in_hand[],sync.incoming_record[],sync.changed_record[]) from public, anon, authenticated, service_role;

revoke all on function sync.apply_pages(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.rehearse_page(sync.page_in_hand,interval) from public, anon, authenticated, service_role;

revoke all on function sync.rehearse_pages(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.rehearse_together(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.require_declared(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.complete_pages(sync.page_in_hand[]) from public, anon, authenticated, service_role;

revoke all on function sync.judge_release(bigint,text) from public, anon, authenticated, service_role;

revoke all on function sync.judge_failure(sync.page_in_hand,text,text,numeric) from public, anon, authenticated, service_role;

revoke all on function sync.fail_chunk(sync.page_in_hand,text,text,numeric) from public, anon, authenticated, service_role;

revoke all on function sync.given_failure(bigint,bigint,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.is_page_all_the_same(sync.page_in_hand,text) from public, anon, authenticated, service_role;

revoke all on function sync.fail_unmade(sync.made_request[],text) from public, anon, authenticated, service_role;

revoke all on function public.fail_chunk_job_safe(bigint,bigint,text,text,numeric,jsonb) from public, anon, authenticated, service_role;
grant execute on function public.fail_chunk_job_safe(bigint,bigint,text,text,numeric,jsonb) to service_role;

revoke all on function sync.answer_of_start(text,uuid,text,text[]) from public, anon, authenticated, service_role;

revoke all on function sync.follow_pause() from public, anon, authenticated, service_role;

revoke all on function sync.write_pause(text,text,timestamp with time zone) from public, anon, authenticated, service_role;

revoke all on function sync.rows_of_source(text) from public, anon, authenticated, service_role;

revoke all on function sync.changed_fields(text,jsonb,jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.require_declaration(jsonb) from public, anon, authenticated, service_role;

revoke all on function sync.declare_all(jsonb) from public, anon, authenticated, service_role;

revoke all on function public.apply_declaration(jsonb,boolean) from public, anon, authenticated, service_role;
grant execute on function public.apply_declaration(jsonb,boolean) to service_role;

revoke all on function sync.undeclared_rows() from public, anon, authenticated, service_role;

revoke all on function sync.declaration_of(text,jsonb,jsonb) from public, anon, authenticated, service_role;

revoke all on function public.get_declarations(text) from public, anon, authenticated, service_role;
grant execute on function public.get_declarations(text) to service_role;

revoke all on function sync.rows_to_try(jsonb,text,text) from public, anon, authenticated, service_role;

revoke all on function sync.some_parent(bigint,jsonb) from public, anon, authenticated, service_role;

revoke all on function public.try_stream(jsonb,text,text) from public, anon, authenticated, service_role;
grant execute on function public.try_stream(jsonb,text,text) to service_role;

revoke all on function public.get_stream_try(bigint) from public, anon, authenticated, service_role;
grant execute on function public.get_stream_try(bigint) to service_role;

revoke all on function sync.lock_runs(text) from public, anon, authenticated, service_role;

revoke all on function sync.write_workspace_key(bigint,bigint,text) from public, anon, authenticated, service_role;

revoke all on function public.compare_workspace_names(text[]) from public, anon, authenticated, service_role;
grant execute on function public.compare_workspace_names(text[]) to service_role;

revoke all on function sync.erase_workspace_rows(bigint,bigint) from public, anon, authenticated, service_role;

revoke all on function sync.hint_work(bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.hint_try() from public, anon, authenticated, service_role;

revoke all on function sync.collect_hint_answers() from public, anon, authenticated, service_role;

revoke all on table sync.run_progress from public, anon, authenticated, service_role;
grant select on table sync.run_progress to authenticated;
grant select on table sync.run_progress to service_role;

revoke all on function sync.sum_up_runs(uuid) from public, anon, authenticated, service_role;
grant execute on function sync.sum_up_runs(uuid) to authenticated;
grant execute on function sync.sum_up_runs(uuid) to service_role;

revoke all on table sync.job_progress from public, anon, authenticated, service_role;
grant select on table sync.job_progress to authenticated;
grant select on table sync.job_progress to service_role;

revoke all on table public.chunk_processing_status from public, anon, authenticated, service_role;
grant select on table public.chunk_processing_status to authenticated;
grant select on table public.chunk_processing_status to service_role;

revoke all on table public.sync_progress from public, anon, authenticated, service_role;
grant select on table public.sync_progress to authenticated;
grant select on table public.sync_progress to service_role;

revoke all on table public.queue_health from public, anon, authenticated, service_role;
grant select on table public.queue_health to authenticated;
grant select on table public.queue_health to service_role;

revoke all on table sync.live_runs from public, anon, authenticated, service_role;
grant select on table sync.live_runs to authenticated;
grant select on table sync.live_runs to service_role;

revoke all on table public.waiting_runs from public, anon, authenticated, service_role;
grant select on table public.waiting_runs to authenticated;
grant select on table public.waiting_runs to service_role;

revoke all on function sync.add_deliveries() from public, anon, authenticated, service_role;

revoke all on function sync.collect_delivery_answers(text) from public, anon, authenticated, service_role;

revoke all on function sync.fleet_rows(bigint) from public, anon, authenticated, service_role;

revoke all on function sync.count_rows(bigint,bigint[]) from public, anon, authenticated, service_role;

revoke all on function sync.workspace_stream_detail(sync.fleet_row) from public, anon, authenticated, service_role;

revoke all on function sync.reclaim_chunks() from public, anon, authenticated, service_role;

revoke all on function sync.reread_keys() from public, anon, authenticated, service_role;

revoke all on function sync.claim_chunks(bigint[],text,integer) from public, anon, authenticated, service_role;

revoke all on function sync.outdated_protocol(integer) from public, anon, authenticated, service_role;

revoke all on function public.claim_next_chunk_job_safe(text,integer,jsonb,integer) from public, anon, authenticated, service_role;
grant execute on function public.claim_next_chunk_job_safe(text,integer,jsonb,integer) to service_role;

revoke all on function public.claim_chunk_job_safe(bigint,text,integer) from public, anon, authenticated, service_role;
grant execute on function public.claim_chunk_job_safe(bigint,text,integer) to service_role;

-- Which apply functions sync.write_upsert() has made: its word stands in their comments. They are
-- made anew at the end.
update sync.target_tables set upsert_name = 'sync.apply_synced_records'
where target = 'public.synced_records'::regclass;
update sync.target_tables as t set upsert_name = s.apply_function
from public.sync_streams as s
where t.upsert_name is null and to_regclass(s.target_table) = t.target
  and obj_description(to_regprocedure(s.apply_function || '(sync.incoming_record[])'), 'pg_proc')
    ~ 'write_upsert';

-- By what names are the same became wider: dashes, apostrophes and blanks. Two workspaces that it
-- makes one keep neither: whoever typed one name would meet the other.
do $$
declare
  v_alike text;
begin
  select string_agg(format('%L', workspace_name), ' and ' order by id) into v_alike
  from public.sync_workspaces group by sync.name_key(workspace_name) having count(*) > 1
  order by min(id) limit 1;
  if v_alike is not null then
    raise exception using errcode = 'SY019',
      message = format('the names of the workspaces %s are now one', v_alike),
      hint = 'Give one of them another name first: update sync_workspaces set workspace_name = … '
        'where workspace_name = …; then upgrade again. Nothing was changed.';
  end if;
  update public.sync_workspaces set name_key = sync.name_key(workspace_name)
  where name_key <> sync.name_key(workspace_name);
end; $$;

select public.schedule_jobs();

select sync.regenerate_upserts();

notify pgrst, 'reload schema';
