-- Queue: what to fetch, how far it is, what happened to it; leases, live counters.

create sequence sync.ready_seq cache 1;
comment on sequence sync.ready_seq is
'Turns: drawn when a chunk becomes ready; claims go in this order, which is round robin between
runs.';

create sequence sync.lease_tokens cache 1;
comment on sequence sync.lease_tokens is 'The lower 32 bits of lease tokens, see sync.new_token().';

create function sync.new_token() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return nextval('sync.lease_tokens') % 4294967296 + floor(random() * 2097152)::bigint * 4294967296;
end; $$;
comment on function sync.new_token() is
$$Returns: a lease token: a number never drawn before, and 21 random bits above it, because a claim
is not durable when it answers, and a crash may take the sequence back. Below 2^53, so that any JSON
parser keeps it whole.$$;

create table public.chunked_sync_jobs (
  id bigint generated always as identity primary key,
  parent_sync_job_id uuid not null,
  run_id bigint not null references public.workspace_sync_runs (id) on delete cascade,
  kind text not null,
  scan int not null,
  page int,
  record_id text,
  reading jsonb,
  created_at timestamptz not null default sync.now(),
  constraint chunked_sync_jobs_kind_check check (
    kind in ('connection', 'page', 'confirmation', 'cursor', 'item')
    and (kind = 'page') = (page is not null)
    and (kind in ('confirmation', 'item')) = (record_id is not null)
    and (kind <> 'cursor' or reading is not null)
    and (kind in ('page', 'cursor', 'item', 'confirmation') or reading is null)
  )
);
comment on table public.chunked_sync_jobs is
'Chunks: what to fetch. Written once. The request is made from the stream''s row when the chunk is
claimed.';
comment on column public.chunked_sync_jobs.kind is
'page: a page by its number; cursor: a page by cursor; confirmation: the own GET of a record that a
complete scan missed; item: of an items stream; connection: whose key it is.';
comment on column public.chunked_sync_jobs.reading is
'The values of its request''s templates, by name: next, last, offset, since, parent; url: the whole
next request; what is not there has none. Beside them of a page: overlap: how many records it shares
with the page before; guess: it may lie past the end; beside: it was planned before the page before
was read; back: what was asked first was past the end; again: it is the page before once more. Of a
cursor chunk: {"chain", "cursor" (null: from the top), "low_id": where the chain ends,
"pages_below": in a row}.';
comment on column public.chunked_sync_jobs.scan is
'Which scan of the run, from 1; each list of children has its own.';
comment on column public.chunked_sync_jobs.record_id is 'Of a confirmation or an item.';
create unique index chunked_sync_jobs_what_idx
  on public.chunked_sync_jobs (run_id, scan, kind, page, record_id, md5(reading::text))
nulls not distinct;
-- Whether a chain was where it is led to.
create index chunked_sync_jobs_chain_idx on public.chunked_sync_jobs
(run_id, md5(coalesce(reading ->> 'next', reading ->> 'url', reading ->> 'last')))
where kind = 'page' and reading is not null;
create index chunked_sync_jobs_cursor_idx on public.chunked_sync_jobs
(run_id, md5(reading ->> 'cursor')) where kind = 'cursor';
alter table public.chunked_sync_jobs enable row level security;

create table public.chunk_processing_queue (
  id bigint primary key references public.chunked_sync_jobs (id) on delete cascade,
  chunk_id bigint not null generated always as (id) stored,
  parent_sync_job_id uuid not null,
  run_id bigint not null,
  status text not null default 'pending',
  slot smallint,
  ready_seq bigint,
  turn bigint,
  line_budget_id bigint,
  attempts int not null default 0,
  max_attempts int not null default 3,
  lease_losses int not null default 0,
  losses_alone int not null default 0,
  unanswered int not null default 0,
  postponements int not null default 0,
  postponed_since timestamptz,
  token_generation bigint,
  lease_token bigint,
  lease_expires_at timestamptz,
  worker_id text,
  next_retry_at timestamptz,
  created_at timestamptz not null default sync.now(),
  started_at timestamptz,
  requested_at timestamptz,
  completed_at timestamptz,
  error_message text,
  -- One constraint, because each is compiled anew by every statement that writes.
  constraint chunk_processing_queue_state_check check (case status
    when 'pending' then completed_at is null and case
      when slot is null then ready_seq is null and next_retry_at is null
        and line_budget_id is null
      else (ready_seq is null) <> (next_retry_at is null)
        and (line_budget_id is null or (ready_seq is null and turn is not null)) end
    when 'processing' then completed_at is null and slot is not null and ready_seq is null
      and line_budget_id is null and lease_token is not null and lease_expires_at is not null
    else status in ('completed', 'failed', 'cancelled') and completed_at is not null
      and slot is null and ready_seq is null and line_budget_id is null end)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_analyze_scale_factor = 0.02);
comment on table public.chunk_processing_queue is
'Chunks: how far they are. pending is waiting (no slot), ready (slot, turn) or delayed (slot,
next_retry_at); processing is in flight.';
comment on column public.chunk_processing_queue.chunk_id is
'The chunk in chunked_sync_jobs; the same number as id.';
comment on column public.chunk_processing_queue.slot is
'The run''s right to have this chunk ready or in flight; kept over retries and lost leases.';
comment on column public.chunk_processing_queue.ready_seq is 'Its turn, while it is ready.';
comment on column public.chunk_processing_queue.turn is
'Its turn, while it is in flight or a rate limit holds it: it comes back to its own place.';
comment on column public.chunk_processing_queue.line_budget_id is
'The budget that turned it away: sync_budgets.id. Whoever waits for one is let in by turn.';
comment on column public.chunk_processing_queue.attempts is
'Failures so far. Rate limits, releases and lost leases do not count.';
comment on column public.chunk_processing_queue.token_generation is
'Which access token its last request carried: sync.workspace_tokens.generation; null: none.';
comment on column public.chunk_processing_queue.lease_token is 'The last claim''s token.';
comment on column public.chunk_processing_queue.next_retry_at is
'When a delayed chunk falls due, of one that a budget turned away about when; infinity while its
workspace is paused.';
comment on column public.chunk_processing_queue.lease_losses is
'How often its worker fell silent; after two it is leased to a worker that holds nothing else.';
comment on column public.chunk_processing_queue.losses_alone is
'How often its worker fell silent while it held nothing else; after max_lease_losses it fails.';
comment on column public.chunk_processing_queue.unanswered is
'How often it was released because the API had closed the kept-alive connection that its request was
sent on.';
comment on column public.chunk_processing_queue.postponements is
'How often in a row the database itself did not take its answer: a lock, a time limit, no space.
No attempt of its.';
comment on column public.chunk_processing_queue.postponed_since is
'When it did not for the first time in a row.';
comment on column public.chunk_processing_queue.lease_expires_at is
'Until when its worker has it, unless a heartbeat comes.';
comment on column public.chunk_processing_queue.worker_id is 'Who claimed it last.';
comment on column public.chunk_processing_queue.requested_at is
'When its request was sent at the earliest: the last claim and the wait that it ordered.';
comment on column public.chunk_processing_queue.started_at is 'When it was last claimed.';
comment on column public.chunk_processing_queue.completed_at is 'When it ended, however it did.';
create index chunk_processing_queue_ready_idx on public.chunk_processing_queue (ready_seq)
  where ready_seq is not null;
create index chunk_processing_queue_alone_idx on public.chunk_processing_queue (ready_seq)
  where ready_seq is not null and lease_losses >= 2;
create index chunk_processing_queue_waiting_idx on public.chunk_processing_queue (run_id, id)
  where status = 'pending' and slot is null;
create unique index chunk_processing_queue_slot_idx on public.chunk_processing_queue (run_id, slot)
  where slot is not null;
create index chunk_processing_queue_delayed_idx on public.chunk_processing_queue (next_retry_at)
where status = 'pending' and slot is not null and ready_seq is null and line_budget_id is null;
create index chunk_processing_queue_line_idx on public.chunk_processing_queue (line_budget_id, turn)
where line_budget_id is not null;
create index chunk_processing_queue_failed_idx on public.chunk_processing_queue (run_id)
  where status = 'failed';
create index chunk_processing_queue_created_idx on public.chunk_processing_queue (created_at);
alter table public.chunk_processing_queue enable row level security;

create table public.chunk_events (
  id bigint generated always as identity,
  chunk_id bigint not null,
  run_id bigint not null,
  event text not null,
  occurred_at timestamptz not null default sync.now(),
  lease_token bigint,
  worker_id text,
  details jsonb,
  primary key (chunk_id, id),
  constraint chunk_events_event_check check (
    event in ('completed', 'retry', 'delayed', 'postponed', 'released', 'failed', 'cancelled',
    'lease_lost', 'covered'))
);
comment on table public.chunk_events is
'What happened to chunks, append-only; kept longer than the chunks.';
comment on column public.chunk_events.details is
'completed: records, changed, total, duration_ms; others: code, message, attempt, for_ms.';
comment on column public.chunk_events.event is
'completed, retry, delayed (rate limit), postponed (the database itself could not take it),
released, failed, cancelled, lease_lost or covered (its record came with another answer).';
comment on column public.chunk_events.lease_token is 'Of which claim.';
create index chunk_events_occurred_idx on public.chunk_events using brin (occurred_at);
alter table public.chunk_events enable row level security;

create function sync.refuse_event_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY018', message = 'chunk_events is append-only',
    hint = 'Pruning deletes by age.';
end; $$;
comment on function sync.refuse_event_change() is
$$Trigger: what happened is not rewritten. Raises: SY018.$$;
create trigger chunk_events_append_only before update on public.chunk_events
for each statement execute function sync.refuse_event_change();

create table sync.run_counters (
  run_id bigint not null references public.workspace_sync_runs (id) on delete cascade,
  slot smallint not null,
  completed bigint not null default 0,
  failed bigint not null default 0,
  cancelled bigint not null default 0,
  records bigint not null default 0,
  changed bigint not null default 0,
  pages bigint not null default 0,
  primary key (run_id, slot)
) with (fillfactor = 50);
comment on table sync.run_counters is
'Live totals of a run, one row per slot, written only by the slot''s holder; folded into the run
when it closes.';
alter table sync.run_counters enable row level security;

create table sync.seen_pages (
  run_id bigint not null,
  scan int not null,
  page int,
  chunk_id bigint not null,
  record_ids text[] not null,
  new_ids text[],
  total bigint,
  last_page int,
  first_key numeric,
  last_key numeric,
  disorder text,
  refusal text,
  first_text text collate ucs_basic,
  last_text text collate ucs_basic,
  next jsonb,
  ends boolean,
  latest_at timestamptz,
  primary key (run_id, scan, chunk_id)
);
comment on table sync.seen_pages is
'The ids that each page of a scan showed, and the total it named: the proof that a scan is
complete. Without a foreign key to the run, whose row every page would lock.';
comment on column sync.seen_pages.page is
'Null for what was read by cursor, and for what lies past the end.';
comment on column sync.seen_pages.new_ids is
'Of a feed that is read to its mark: which of them were stored for the first time. Of a chained or
agreed list: those that did not live before.';
comment on column sync.seen_pages.first_key is
'By what its first record is ordered, where that is a number or a time; last_key: its last.';
comment on column sync.seen_pages.first_text is
'By what its first record is ordered, where that is a text; last_text: its last.';
comment on column sync.seen_pages.disorder is
'What on it is not in the order that was declared, or contradicts that its pages join.';
comment on column sync.seen_pages.refusal is
'What the API answered in place of a page that others had led to: its scan does not count.';
comment on column sync.seen_pages.next is
'Of a chained or agreed list: the reading of the page after it, as its answer says; null: it says
none.';
comment on column sync.seen_pages.ends is
'Of a chained or agreed list: whether its answer says that the list ends here; null: that is for a
comparison with the page before to say.';
comment on column sync.seen_pages.latest_at is
'Of a list that is read since a time: the latest updated_at on it.';
alter table sync.seen_pages enable row level security;

create function sync.forget_seen_pages() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_trigger_of(tg_relid, 'public.workspace_sync_runs');
  delete from sync.seen_pages as s using gone where s.run_id = gone.id;
  return null;
end; $$;
comment on function sync.forget_seen_pages() is
$$Trigger, per statement: the pages that a deleted run saw go with it.$$;
create trigger workspace_sync_runs_forget_seen after delete on public.workspace_sync_runs
referencing old table as gone
for each statement execute function sync.forget_seen_pages();

create table sync.workers (
  worker_id text primary key,
  first_seen_at timestamptz not null default sync.now(),
  last_seen_at timestamptz not null default sync.now(),
  alone_with bigint,
  alone_since timestamptz,
  shared_until timestamptz,
  last_loss_at timestamptz,
  in_haste_until timestamptz,
  is_listening boolean not null default false,
  idle_finds int not null default 0
) with (fillfactor = 50);
comment on table sync.workers is 'Who claims work; refreshed at most every 5 s.';
comment on column sync.workers.alone_with is
'The chunk that it holds alone, or that it empties itself for: nothing else is leased to it.';
comment on column sync.workers.alone_since is 'Since when it does.';
comment on column sync.workers.shared_until is
'Until then it takes no chunk alone while others are ready: half of its time is theirs.';
comment on column sync.workers.last_loss_at is 'When a lease was last taken back from it.';
comment on column sync.workers.in_haste_until is
'Until then its claims wait for no budget that another session has locked.';
comment on column sync.workers.is_listening is
'Whether it says that it listens to hints by Realtime.';
comment on column sync.workers.idle_finds is
'Of one that listens: how often in a row an idle look found work of which it had heard nothing.';
alter table sync.workers enable row level security;

create table sync.sweep_state (
  is_only_row boolean primary key default true,
  swept_at timestamptz not null default '-infinity',
  refreshed_at timestamptz not null default '-infinity',
  claim_floor bigint not null default 0,
  last_error text,
  constraint sweep_state_is_only_row_check check (is_only_row)
) with (fillfactor = 10);
comment on table sync.sweep_state is
'When the last sweep ran, and below which turn no ready chunk stood then.';
comment on column sync.sweep_state.refreshed_at is
'When live jobs'' rows were last told how far they are.';
comment on column sync.sweep_state.claim_floor is
'Lower bound of the claim''s index scan: under a long snapshot dead entries pile up below it. Never
above a chunk that is ready: see sync.lowest_turn().';
insert into sync.sweep_state default values;
alter table sync.sweep_state enable row level security;
create trigger sweep_state_stay before delete or truncate on sync.sweep_state
for each statement execute function sync.refuse_removal();
-- A hundred of them, or none, are found without a look at every page.
create index chunked_sync_jobs_item_idx on public.chunked_sync_jobs (id) where kind = 'item';

revoke all on sequence
  sync.ready_seq, sync.lease_tokens, public.chunked_sync_jobs_id_seq, public.chunk_events_id_seq
from public, anon, authenticated, service_role;
revoke all on table
  public.chunked_sync_jobs, public.chunk_processing_queue, public.chunk_events, sync.run_counters,
  sync.seen_pages, sync.workers, sync.sweep_state
from public, anon, authenticated, service_role;
grant select on table
  public.chunked_sync_jobs, public.chunk_processing_queue, public.chunk_events, sync.run_counters,
  sync.seen_pages, sync.workers, sync.sweep_state
to authenticated, service_role;
create policy chunked_sync_jobs_select_operator on public.chunked_sync_jobs
for select to authenticated using ((select sync.is_operator()));
create policy chunk_processing_queue_select_operator on public.chunk_processing_queue
for select to authenticated using ((select sync.is_operator()));
create policy chunk_events_select_operator on public.chunk_events
for select to authenticated using ((select sync.is_operator()));
create policy run_counters_select_operator on sync.run_counters
for select to authenticated using ((select sync.is_operator()));
create policy seen_pages_select_operator on sync.seen_pages
for select to authenticated using ((select sync.is_operator()));
create policy workers_select_operator on sync.workers
for select to authenticated using ((select sync.is_operator()));
create policy sweep_state_select_operator on sync.sweep_state
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.new_token, sync.refuse_event_change, sync.forget_seen_pages
from public, anon, authenticated, service_role;
