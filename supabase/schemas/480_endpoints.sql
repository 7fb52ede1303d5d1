-- Endpoints: the receivers that pg_net wakes, and what was pushed to them.
-- Stands on: addresses, alerts.

do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
    create extension if not exists pg_net with schema extensions;
  end if;
end; $$;

create table public.worker_endpoints (
  id bigint generated always as identity primary key,
  url text not null unique,
  streams text[],
  secret_id uuid,
  is_active boolean not null default true,
  consecutive_failures int not null default 0,
  resting_until timestamptz,
  last_answered_at timestamptz,
  last_error text,
  created_at timestamptz not null default sync.now()
);
comment on table public.worker_endpoints is
'Receivers (chunkwise worker --listen) to which ready chunks are posted. The wake token is in
Vault.';
comment on column public.worker_endpoints.streams is 'Streams it is woken for; null means all.';
comment on column public.worker_endpoints.resting_until is
'After failures in a row it is left alone until then.';
comment on column public.worker_endpoints.secret_id is 'Where the wake token is in Vault.';
comment on column public.worker_endpoints.consecutive_failures is
'Posts that failed since one was answered; after three it rests.';
alter table public.worker_endpoints enable row level security;

create unlogged table sync.hints (
  id bigint generated always as identity primary key,
  chunk_id bigint not null,
  endpoint_id bigint not null,
  request_id bigint not null,
  attempt int not null,
  sent_at timestamptz not null,
  posted_at timestamptz not null default pg_catalog.clock_timestamp(),
  outcome text not null default 'sent',
  status_code int,
  message text,
  settled_at timestamptz,
  constraint hints_outcome_check
  check (outcome in ('sent', 'answered', 'refused', 'busy', 'timed_out', 'failed', 'lost'))
);
comment on table sync.hints is
'Pushed wake-ups. Unlogged, as pg_net''s own tables are: a crash loses hints, never work.';
comment on column sync.hints.posted_at is
'When, by the clock of pg_net''s answers: what was answered before or long after is another''s.';
create index hints_chunk_idx on sync.hints (chunk_id, id);
create index hints_unsettled_idx on sync.hints (request_id) where outcome = 'sent';
create index hints_sent_idx on sync.hints (sent_at);
create index hints_failed_idx on sync.hints (sent_at)
  where outcome in ('lost', 'refused', 'timed_out', 'failed');
alter table sync.hints enable row level security;

create unlogged table sync.hinted_claims (
  id bigint generated always as identity primary key,
  chunk_id bigint not null,
  worker_id text not null,
  verdict text not null,
  times int not null default 1,
  occurred_at timestamptz not null default sync.now()
);
comment on table sync.hinted_claims is
'What receivers asked for by id and got: claimed, or why not. Forged and replayed hints show here.';
comment on column sync.hinted_claims.times is
'How often in a row. A chunk that is not given is one row per reason, and ids of no chunk are 1,999
rows at most: who has the wake token can post as many as he likes.';
create unique index hinted_claims_refused_idx on sync.hinted_claims
((case when verdict = 'not_found' then chunk_id % 1000 else chunk_id end), verdict)
where verdict <> 'claimed';
create index hinted_claims_chunk_idx on sync.hinted_claims (chunk_id, id);
create index hinted_claims_occurred_idx on sync.hinted_claims (occurred_at);
alter table sync.hinted_claims enable row level security;

create table sync.hint_state (
  is_only_row boolean primary key default true,
  last_broadcast_at timestamptz not null default '-infinity',
  broadcasts bigint not null default 0,
  last_error text,
  last_push_error text,
  constraint hint_state_is_only_row_check check (is_only_row)
) with (fillfactor = 10);
comment on table sync.hint_state is
'When the last Realtime hint was sent, how many there were.';
comment on column sync.hint_state.last_error is
'Why the last Realtime hint failed; null again after one that did not.';
comment on column sync.hint_state.last_push_error is
'Why the last POST could not be handed to pg_net; null again after one that could.';
insert into sync.hint_state default values;
alter table sync.hint_state enable row level security;
create trigger hint_state_stay before delete or truncate on sync.hint_state
for each statement execute function sync.refuse_removal();

create function sync.may_answer(p_answered_at timestamptz, p_posted_at timestamptz,
  p_held_at timestamptz) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select p_answered_at between p_posted_at - interval '10 seconds'
    and p_held_at + interval '2 minutes';
$$;
comment on function sync.may_answer(timestamptz, timestamptz, timestamptz) is
$$Returns: whether an answer of pg_net's may be one to a request, from when it was posted until when
it was last known to be waiting. Its number alone says nothing: they begin again after a crash, and
when the extension is made anew. Pg_net dates an answer by when it began to send.$$;

create function public.register_worker_endpoint(p_url text, p_wake_token text,
  p_streams text[] default null) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_endpoint public.worker_endpoints;
  v_name text;
  v_unknown text;
begin
  perform sync.require_service();
  perform sync.checked_base_url(rtrim(p_url, '/'), p_takes_private_http => true);
  p_url := sync.normal_url(p_url);
  v_name := 'chunkwise/endpoint/' || p_url;
  if coalesce(length(p_wake_token), 0) < 16 then
    raise exception using errcode = 'SY014', message = 'a wake token has at least 16 characters',
      hint = 'Make one for this purpose alone: it passes through pg_net, where every database '
        'login can read it.';
  end if;
  select string_agg(name, ', ') into v_unknown from unnest(p_streams) as name
  where not exists (select 1 from public.sync_streams where stream_name = name);
  if v_unknown is not null then
    raise exception using errcode = 'SY003', message = format('there is no stream %s', v_unknown),
      hint = 'select stream_name from sync_streams lists them.';
  end if;
  insert into public.worker_endpoints as e (url, streams) values (p_url, p_streams)
  on conflict (url) do update set
    streams = coalesce(excluded.streams, e.streams), is_active = true, consecutive_failures = 0,
    resting_until = null, last_error = null
  returning * into v_endpoint;
  if v_endpoint.secret_id is null then
    update public.worker_endpoints
    set secret_id = vault.create_secret(p_wake_token, v_name, 'Wake token of a Chunkwise worker')
    where id = v_endpoint.id;
  else
    perform vault.update_secret(v_endpoint.secret_id, p_wake_token);
  end if;
  return jsonb_build_object('endpoint_id', v_endpoint.id, 'url', p_url);
end; $$;
comment on function public.register_worker_endpoint(text, text, text[]) is
$$Wake a receiver by POST for chunks of some streams, or of all. The token goes to Vault; it is
worth nothing beyond a wake. To register it again replaces its token, and its streams if they are
given: to widen them name them all, or remove it first. Returns: {"endpoint_id", "url"}. Raises:
SY003 unknown stream, SY014 token too short, SY015 refused address. Locks: the endpoint.$$;

create function public.remove_worker_endpoint(p_url text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_endpoint public.worker_endpoints;
begin
  perform sync.require_service();
  p_url := coalesce(sync.normal_url(p_url), p_url);
  delete from public.worker_endpoints where url = p_url returning * into v_endpoint;
  if v_endpoint.id is null then
    raise exception using errcode = 'SY006', message = format('there is no endpoint %L', p_url),
      hint = 'select url from worker_endpoints lists them.';
  end if;
  delete from vault.secrets where id = v_endpoint.secret_id;
  perform sync.resolve_alert('endpoint_failing', p_url);
  return jsonb_build_object('endpoint_id', v_endpoint.id, 'url', p_url);
end; $$;
comment on function public.remove_worker_endpoint(text) is
$$Wake a receiver no more. Returns: {"endpoint_id", "url"}. Raises: SY006 unknown URL. Locks: the
endpoint.$$;

create view public.hint_deliveries with (security_invoker = true) as
select
  'push' as direction, h.id, h.chunk_id, h.sent_at as occurred_at,
  (select e.url from public.worker_endpoints as e where e.id = h.endpoint_id) as endpoint,
  null as worker_id, h.attempt, h.outcome,
  h.status_code, h.message, h.settled_at
from sync.hints as h
union all
select 'claim', c.id, c.chunk_id, c.occurred_at, null, c.worker_id, c.times, c.verdict, null, null,
  null from sync.hinted_claims as c;
comment on view public.hint_deliveries is
'push: wake-ups sent and what became of them (sent, answered, refused, busy, timed_out, failed,
lost). claim: what receivers asked for by id and got.';
comment on column public.hint_deliveries.direction is
'push: a POST to an endpoint; claim: a receiver asked for a chunk.';
comment on column public.hint_deliveries.id is 'Unique within its direction.';
comment on column public.hint_deliveries.chunk_id is
'The chunk it spoke of; of a claim perhaps none that exists.';
comment on column public.hint_deliveries.occurred_at is 'When it was sent or asked.';
comment on column public.hint_deliveries.endpoint is 'Where it was sent.';
comment on column public.hint_deliveries.worker_id is 'Who asked.';
comment on column public.hint_deliveries.attempt is
'Of a push: which hint of this chunk, from 1. Of a claim: how often in a row it got that answer.';
comment on column public.hint_deliveries.outcome is
'Of a push: sent, answered, refused, busy, timed_out, failed or lost. Of a claim: claimed, or why
not.';
comment on column public.hint_deliveries.status_code is 'What the endpoint answered.';
comment on column public.hint_deliveries.message is 'The same in its words, without the token.';
comment on column public.hint_deliveries.settled_at is 'When that was known.';

revoke all on sequence
  public.worker_endpoints_id_seq, sync.hints_id_seq, sync.hinted_claims_id_seq
from public, anon, authenticated, service_role;
revoke all on table
  public.worker_endpoints, sync.hints, sync.hinted_claims, sync.hint_state, public.hint_deliveries
from public, anon, authenticated, service_role;
grant select on table
  public.worker_endpoints, sync.hints, sync.hinted_claims, sync.hint_state, public.hint_deliveries
to authenticated, service_role;
create policy worker_endpoints_select_operator on public.worker_endpoints
for select to authenticated using ((select sync.is_operator()));
create policy hints_select_operator on sync.hints
for select to authenticated using ((select sync.is_operator()));
create policy hinted_claims_select_operator on sync.hinted_claims
for select to authenticated using ((select sync.is_operator()));
create policy hint_state_select_operator on sync.hint_state
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.may_answer, public.register_worker_endpoint, public.remove_worker_endpoint
from public, anon, authenticated, service_role;
grant execute on function
  public.register_worker_endpoint, public.remove_worker_endpoint
to service_role;
