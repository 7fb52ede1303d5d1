-- Grants: what OAuth2 gave a workspace, and the requests for its access tokens.

create table sync.workspace_tokens (
  workspace_id bigint primary key references public.sync_workspaces (id) on delete cascade,
  source_id bigint not null references public.sync_sources (id) on delete cascade,
  fingerprint text not null,
  secret_id uuid,
  base_url text,
  generation bigint not null default 0,
  issued_at timestamptz,
  expires_at timestamptz,
  is_proven boolean not null default false,
  renewed_at timestamptz,
  refusals int not null default 0,
  refused_until timestamptz,
  refusal text,
  constraint workspace_tokens_fingerprint_key unique (source_id, fingerprint)
) with (fillfactor = 50);
comment on table sync.workspace_tokens is
'The grant of each workspace whose source has OAuth2, and how its access token is. The tokens
themselves are in Vault.';
comment on column sync.workspace_tokens.fingerprint is
'A hash of the grant as it was registered: one grant serves one workspace of a source.';
comment on column sync.workspace_tokens.secret_id is
'In Vault: access token, rotated refresh token, and both as they were before. Null: none yet.';
comment on column sync.workspace_tokens.base_url is
'The workspace''s base URL when the token was asked for: it is for no other.';
comment on column sync.workspace_tokens.generation is
'Counts access tokens, and is never taken back: what was sent with an older one says nothing of
it.';
comment on column sync.workspace_tokens.issued_at is
'When the request for the token was sent at the earliest; null: there is no token.';
comment on column sync.workspace_tokens.expires_at is
'From when on no page is leased with it; null: the endpoint did not say.';
comment on column sync.workspace_tokens.is_proven is 'Whether the API answered a page with 2xx to
it.';
comment on column sync.workspace_tokens.renewed_at is
'When a 401 last had a proven token renewed.';
comment on column sync.workspace_tokens.refusals is 'How often in a row the grant was refused.';
comment on column sync.workspace_tokens.refused_until is
'The grant was refused, and until then it is not tried again; null: it was not.';
comment on column sync.workspace_tokens.refusal is 'What the token endpoint said then.';
alter table sync.workspace_tokens enable row level security;

create table sync.token_requests (
  id bigint primary key,
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  budget_id bigint not null references public.sync_budgets (id) on delete cascade,
  base_url text not null,
  status text not null default 'pending',
  due_at timestamptz not null default sync.now(),
  lease_token bigint,
  lease_expires_at timestamptz,
  started_at timestamptz,
  requested_at timestamptz,
  worker_id text,
  outcome text,
  failures int not null default 0,
  lease_losses int not null default 0,
  failing_since timestamptz,
  error_message text,
  created_at timestamptz not null default sync.now(),
  ended_at timestamptz,
  constraint token_requests_state_check check (case status
    when 'pending' then ended_at is null
    when 'processing' then ended_at is null and lease_token is not null
      and lease_expires_at is not null and outcome is null
    else status in ('completed', 'failed', 'cancelled') and ended_at is not null end)
) with (fillfactor = 50);
comment on table sync.token_requests is
'Requests for access tokens: of a workspace, outside of runs and slots, one live at a time. Their
ids are drawn with the chunks'', so that workers end and extend them by the same verbs.';
comment on column sync.token_requests.budget_id is 'That of the token endpoint''s host.';
comment on column sync.token_requests.base_url is 'The workspace''s, when it was made.';
comment on column sync.token_requests.due_at is 'While it is pending: when it is handed out.';
comment on column sync.token_requests.lease_token is 'The last claim''s token.';
comment on column sync.token_requests.outcome is
'What its last holder was told when it ended the lease; null while it has not.';
comment on column sync.token_requests.failing_since is
'Since when it fails, for reasons that may pass; null: it does not.';
comment on column sync.token_requests.error_message is 'Why it failed last; of no secret.';
create unique index token_requests_live_idx on sync.token_requests (workspace_id)
  where ended_at is null;
create index token_requests_due_idx on sync.token_requests (due_at) where status = 'pending';
create index token_requests_workspace_idx on sync.token_requests (workspace_id, id);
create index token_requests_budget_idx on sync.token_requests (budget_id, status);
alter table sync.token_requests enable row level security;

create function sync.is_oauth(p_auth text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_auth in ('oauth2_client', 'oauth2_refresh');
end; $$;
comment on function sync.is_oauth(text) is $$Returns: whether an auth of a source has tokens.$$;

create function sync.token_wait(p_workspace_id bigint) returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return greatest(interval '1 second', least(interval '15 seconds', (
    select case r.status when 'processing' then r.lease_expires_at else r.due_at end - sync.now()
    from sync.token_requests as r
    where r.workspace_id = p_workspace_id and r.ended_at is null)));
end; $$;
comment on function sync.token_wait(bigint) is
$$Returns: after how long to look again at what waits for an access token. Its coming wakes it
earlier.$$;

create function sync.token_url_of(p_base_url text, p_token_url text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case when starts_with(p_token_url, '/') then p_base_url || p_token_url
    else p_token_url end;
end; $$;
comment on function sync.token_url_of(text, text) is
$$Returns: where a workspace's access tokens come from.$$;

create function sync.fingerprint_of(p_auth text, p_grant jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select encode(sha256(convert_to(jsonb_build_array('chunkwise', p_auth, p_grant ->> 'client_id',
    p_grant ->> 'refresh_token')::text, 'UTF8')), 'hex');
$$;
comment on function sync.fingerprint_of(text, jsonb) is
$$Returns: by what grants are told apart: the client, with its refresh token where there is one. A
client secret that is renewed makes no other grant.$$;

create function sync.forget_token(p_workspace_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.token_requests set status = 'cancelled', ended_at = sync.now()
  where workspace_id = p_workspace_id and ended_at is null;
  perform 1 from sync.workspace_tokens where workspace_id = p_workspace_id for no key update;
  delete from vault.secrets where name = 'chunkwise/token/' || p_workspace_id;
  update sync.workspace_tokens set secret_id = null, base_url = null, issued_at = null,
    expires_at = null, is_proven = false, renewed_at = null, refusals = 0, refused_until = null,
    refusal = null
  where workspace_id = p_workspace_id;
end; $$;
comment on function sync.forget_token(bigint) is
$$A workspace's tokens leave Vault, and what was asked for is not taken. Its generation stays.
The caller holds the workspace. Locks: its request, its row, what Vault has of it, in the order in
which an answer takes them.$$;

create function sync.follow_new_secret(p_workspace_id bigint, p_source_id bigint, p_secret text,
  p_is_same boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.follow_new_secret(bigint, bigint, text, boolean) is
$$A workspace was given a secret: with another one than before its tokens are forgotten, and without
OAuth2 it has none. The caller holds the workspace and has checked the secret's form. Raises: SY019
another workspace of the source has this grant. Locks: its request, its row.$$;

revoke all on table sync.workspace_tokens, sync.token_requests
from public, anon, authenticated, service_role;
grant select on table sync.token_requests to authenticated, service_role;
create policy token_requests_select_operator on sync.token_requests
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.is_oauth, sync.token_wait, sync.token_url_of, sync.fingerprint_of, sync.forget_token,
  sync.follow_new_secret
from public, anon, authenticated, service_role;
