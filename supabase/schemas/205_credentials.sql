-- Credentials: where a workspace's requests go, and what they carry; which access tokens serve.
-- Stands on: addresses, keys, grants.

create type sync.access as (
  workspace_id bigint, source_id bigint, base_url text, origin text, credentials jsonb,
  obstacle text, token_generation bigint
);
comment on type sync.access is
'Where a workspace''s requests go, and what they carry, [{"in": "header" or "query", "name",
"value"}]; credentials null: there is an obstacle, keyless (its secret cannot be read, or is not of
the form that its source''s auth takes) or token (it has no access token that serves).';

create function sync.is_token_served(p_token sync.workspace_tokens, p_base_url text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_lifetime interval := p_token.expires_at - p_token.issued_at;
begin
  return p_token.issued_at is not null and p_token.base_url = p_base_url
    and (p_token.expires_at is null or sync.now() < p_token.expires_at - least(v_lifetime / 2,
      greatest(sync.setting_seconds('send_ahead_seconds'),
      least(v_lifetime / 10, interval '30 seconds'))));
end; $$;
comment on function sync.is_token_served(sync.workspace_tokens, text) is
$$Returns: whether a workspace's access token serves for a request that is leased now: it is for
this base URL, and does not expire before the request is sent.$$;

create function sync.access_of(p_workspace public.sync_workspaces,
  p_source public.sync_sources, p_token sync.workspace_tokens) returns sync.access
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.access_of(public.sync_workspaces, public.sync_sources,
  sync.workspace_tokens) is
$$Returns: how a workspace's requests are made now, or what keeps them from it. In a query it sees
what the query sees.$$;

create function sync.access_of_workspaces(p_workspace_ids bigint[]) returns sync.access[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select sync.access_of(w, so, t) from public.sync_workspaces as w
    join public.sync_sources as so on so.id = w.source_id
    left join sync.workspace_tokens as t on t.workspace_id = w.id
    where w.id = any (p_workspace_ids));
end; $$;
comment on function sync.access_of_workspaces(bigint[]) is
$$Key and URL of workspaces, in one statement: a registration that commits meanwhile gives both or
neither. Returns: one each, for a claim's answer and nothing else.$$;

revoke all on function
  sync.is_token_served, sync.access_of, sync.access_of_workspaces
from public, anon, authenticated, service_role;
