-- Sources: APIs, and how their errors look.

create table public.sync_sources (
  id bigint generated always as identity primary key,
  source_name text not null unique,
  base_path text not null default '',
  auth text not null default 'key',
  auth_in text not null default 'header',
  auth_name text not null default 'Authorization',
  auth_prefix text not null default 'Bearer ',
  token_url text,
  token_params jsonb not null default '{}',
  token_auth text not null default 'form',
  budget_scope text not null default 'instance',
  requests_per_second numeric default 5,
  max_in_flight int default 10,
  status_classes jsonb not null,
  success_path text[],
  message_path text[] not null default '{message}',
  class_rules jsonb not null default '[]',
  reset_header jsonb,
  retry_after_path text[],
  paused_at timestamptz,
  created_at timestamptz not null default sync.now(),
  constraint sync_sources_auth_check
  check (auth in ('none', 'key', 'basic', 'oauth2_client', 'oauth2_refresh')
    and (token_url is not null) = (auth in ('oauth2_client', 'oauth2_refresh'))),
  constraint sync_sources_token_auth_check check (token_auth in ('form', 'basic')),
  constraint sync_sources_auth_in_check check (auth_in in ('header', 'query')),
  constraint sync_sources_budget_scope_check check (budget_scope in ('instance', 'key', 'source')),
  constraint sync_sources_requests_per_second_check
  check (requests_per_second between 0.001 and 100000),
  constraint sync_sources_max_in_flight_check check (max_in_flight > 0),
  constraint sync_sources_base_path_check check (base_path = '' or base_path ~ '^/.*[^/]$')
);
comment on table public.sync_sources is
'APIs: base path, where the key goes, default budget, how errors look. Written by
declare_source().';
comment on column public.sync_sources.status_classes is
'HTTP status ("404"), hundred ("5xx") or "other" to page, transient, rate_limited or permanent.';
comment on column public.sync_sources.success_path is
'Where a 200 says whether it is one, for instance {success}; false there is a transient failure.';
comment on column public.sync_sources.auth is
'none; key: the secret as it is; basic: the secret is user:password; oauth2_client and
oauth2_refresh: the secret is JSON with client_id, client_secret and, of the latter,
refresh_token.';
comment on column public.sync_sources.token_url is
'Of OAuth2: where access tokens come from, a path below the base URL or an https URL.';
comment on column public.sync_sources.token_params is
'Of OAuth2: added to the token request''s form.';
comment on column public.sync_sources.token_auth is
'Of OAuth2: how a token request says which client asks: form (client_id and client_secret in its
form), or basic (by HTTP Basic).';
comment on column public.sync_sources.reset_header is
'Which header says when a rate limit ends, {"name": "x-ratelimit-reset", "is": "epoch"}; is: epoch,
seconds or date; null: Retry-After alone.';
comment on column public.sync_sources.retry_after_path is
'Where the body of a refusal says after how many seconds to ask again.';
comment on column public.sync_sources.auth_in is 'header or query.';
comment on column public.sync_sources.auth_name is 'The header or parameter that carries the key.';
comment on column public.sync_sources.budget_scope is
'Who shares a budget: all of an instance, each key its own, or the whole source.';
comment on column public.sync_sources.message_path is 'Where an answer''s error text stands.';
comment on column public.sync_sources.class_rules is
'What answers mean whose status says too little, [{"status": 403, "text": "Too Many Attempts",
"class": "rate_limited"}, {"status": 403, "header": "x-ratelimit-remaining", "is": "0", "class":
"rate_limited"}, {"status": 200, "path": ["success"], "is": false, "class": "transient"}]: the first
rule that an answer meets in all that it names decides. text: stands in the answer''s error,
whatever the case of its letters; header, path: have this value. Without status it is any, a 2xx
too.';
comment on column public.sync_sources.requests_per_second is 'The default of its budgets.';
comment on column public.sync_sources.max_in_flight is 'The default of its budgets.';
alter table public.sync_sources enable row level security;

revoke all on sequence public.sync_sources_id_seq from public, anon, authenticated, service_role;
revoke all on table public.sync_sources from public, anon, authenticated, service_role;
grant select on table public.sync_sources to authenticated, service_role;
create policy sync_sources_select_operator on public.sync_sources
for select to authenticated using ((select sync.is_operator()));
