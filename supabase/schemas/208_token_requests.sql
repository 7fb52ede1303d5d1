-- Token requests: access tokens are asked for by whichever worker claims next, one request at a
-- time for each workspace, on the budget of the token endpoint's host.
-- Stands on: addresses, keys, budgets, grants, queue, slots, next_urls, admission, credentials,
--   lease_documents.

create function sync.token_budget(p_workspace public.sync_workspaces,
  p_source public.sync_sources) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_host text := sync.host_of(sync.token_url_of(p_workspace.base_url, p_source.token_url));
begin
  return case when v_host = p_workspace.instance then p_workspace.budget_id
    else sync.ensure_scope(p_source.id, v_host) end;
end; $$;
comment on function sync.token_budget(public.sync_workspaces, public.sync_sources) is
$$Returns: the budget of a workspace's token endpoint: its own where that is its own instance.
Locks: a new one's row.$$;

create function sync.ask_for_tokens(p_workspace_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.ask_for_tokens(bigint[]) is
$$Have access tokens asked for, where none serves, none is asked for already, and the grant was not
just refused. Locks: the workspaces' tokens by SKIP LOCKED: whoever holds one sees to it.$$;

create function sync.write_token_generations(p_queue_ids bigint[], p_access sync.access[])
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.chunk_processing_queue as q set token_generation = a.token_generation
  from public.workspace_sync_runs as r
  join unnest(p_access) as a on a.workspace_id = r.workspace_id
  where q.id = any (p_queue_ids) and r.id = q.run_id;
end; $$;
comment on function sync.write_token_generations(bigint[], sync.access[]) is
$$Note with which access token leased chunks are asked for. The caller holds the rows.$$;

create function sync.end_token_request(p_id bigint, p_status text, p_outcome text, p_message text)
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.token_requests set status = p_status, outcome = p_outcome, ended_at = sync.now(),
    lease_expires_at = null, error_message = p_message
  where id = p_id;
end; $$;
comment on function sync.end_token_request(bigint, text, text, text) is
$$A request for a token has ended. The caller holds its row.$$;

create function sync.token_form(p_source public.sync_sources, p_grant jsonb, p_tokens jsonb)
  returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
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
$$;
comment on function sync.token_form(public.sync_sources, jsonb, jsonb) is
$$Returns: the form of a request for an access token: {"form": what may be seen, "credentials"}. By
HTTP Basic the client's id and secret are first encoded as in a form, as RFC 6749 has it. A rotated
refresh token takes the place of the one that was registered.$$;

create function sync.lease_token_request(p_request sync.token_requests, p_worker_id text)
  returns sync.leased
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.lease_token_request(sync.token_requests, text) is
$$Hand out a request for an access token, or say when to look again: while its budget has no room,
its workspace is paused, or its secret cannot be read. What fails is not repeated for a workspace of
which nothing runs. The caller holds its row. Returns: the lease, or null. Locks: the budget, by
SKIP LOCKED.$$;

create function sync.lease_token_requests(p_worker_id text, p_room int, p_workspace_ids bigint[])
  returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.lease_token_requests(text, int, bigint[]) is
$$Hand out requests for access tokens that are due, of any workspace or of these, at most p_room.
The claim is durable then. Returns: the leases, as docs/worker-protocol.md has them. Locks: the
requests, then their budgets, last of all; both by SKIP LOCKED.$$;

revoke all on function
  sync.token_budget, sync.ask_for_tokens, sync.write_token_generations,
  sync.end_token_request, sync.token_form, sync.lease_token_request, sync.lease_token_requests
from public, anon, authenticated, service_role;
