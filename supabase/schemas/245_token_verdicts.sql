-- Token verdicts: what the API's answers to pages say of an access token.

create function sync.judge_unauthorized(p_page sync.page_in_hand) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_token sync.workspace_tokens;
  v_is_renewed boolean;
begin
  select * into v_token from sync.workspace_tokens where workspace_id = p_page.workspace_id;
  v_is_renewed := v_token.expires_at <= sync.now();
  if v_token.generation > p_page.token_generation or v_is_renewed then
    v_page.outcome := 'released';
    v_page.is_permanent := false;
    v_page.message := concat_ws('. ', rtrim(v_page.message, '.'),
      'It was sent with an access token that is past: it is sent again.');
  elsif not v_token.is_proven then
    v_page.outcome := 'retry';
    v_page.is_permanent := true;
  elsif v_token.renewed_at > sync.now() - interval '1 minute' or exists (
    select 1 from public.chunk_events as e
    where e.chunk_id = p_page.queue_id and e.event = 'delayed'
      and e.details ->> 'http_status' = '401') then
    -- A new token was no help: the page itself is refused.
    v_page.outcome := 'retry';
    v_page.is_permanent := false;
  else
    v_page.outcome := 'delayed';
    v_page.is_permanent := false;
    v_page.wait := interval '0';
    v_page.message := concat_ws('. ', rtrim(v_page.message, '.'),
      'Its access token is renewed; no attempt is lost.');
  end if;
  return v_page;
end; $$;
comment on function sync.judge_unauthorized(sync.page_in_hand) is
$$A 401 to a request that carried an access token: one that is past, or being renewed, has it only
sent again; one that no answer has proven is refused for good; one that was is renewed, once for
this page and once a minute for its workspace. Returns: the page, with what that means.$$;

create function sync.note_tokens(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids bigint[] := array(
    select p.workspace_id from unnest(p_pages) as p
    where p.token_generation is not null and not p.is_repeat and (
      p.outcome = 'completed' and not p.is_token_proven
      or p.outcome = 'delayed' and p.http_status = 401));
begin
  if v_ids = array[]::bigint[] then
    return;
  end if;
  perform 1 from sync.workspace_tokens where workspace_id = any (v_ids)
    order by workspace_id for no key update;
  update sync.workspace_tokens as t set is_proven = true
  from unnest(p_pages) as p
  where t.workspace_id = p.workspace_id and t.generation = p.token_generation
    and p.outcome = 'completed' and p.http_status between 200 and 299 and not t.is_proven;
  update sync.workspace_tokens as t set expires_at = sync.now(), renewed_at = sync.now()
  from unnest(p_pages) as p
  where t.workspace_id = p.workspace_id and t.generation = p.token_generation
    and p.outcome = 'delayed' and p.http_status = 401
    and (t.expires_at > sync.now()) is not false;
end; $$;
comment on function sync.note_tokens(sync.page_in_hand[]) is
$$What answers say of access tokens, if they are still the same: a 2xx proves one, a 401 has a
proven one renewed. Locks: the workspaces' tokens, after the workspaces.$$;

revoke all on function sync.judge_unauthorized, sync.note_tokens
from public, anon, authenticated, service_role;
