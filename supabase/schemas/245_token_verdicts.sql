-- Token verdicts: what the API's answers to pages say of an access token.

create function sync.judge_unauthorized(p_page sync.page_in_hand, p_has_renewed boolean)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.judge_unauthorized(sync.page_in_hand, boolean) is
$$A 401 to a request that carried an access token: one that is past, or being renewed, has it only
sent again; one that no answer has proven is refused for good; one that was is renewed, once for
this page (p_has_renewed: it was) and once a minute for its workspace. Returns: the page, with what
that means.$$;

create function sync.renew_token(p_page sync.page_in_hand) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.workspace_tokens as t set expires_at = sync.now(), renewed_at = sync.now()
  where t.workspace_id = p_page.workspace_id and t.generation = (p_page.access).token_generation
    and (p_page.verdict).outcome = 'delayed' and p_page.http_status = 401
    and (p_page.verdict).wait = interval '0'
    and (t.expires_at > sync.now()) is not false;
end; $$;
comment on function sync.renew_token(sync.page_in_hand) is
$$A 401 that judge_unauthorized() took for the token's has it renewed, if it is still the same. A
401 that class_rules call a rate limit has a wait, and is none. Locks: the workspace's token, after
workspaces and budgets.$$;

create function sync.prove_tokens(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end; $$;
comment on function sync.prove_tokens(sync.page_in_hand[]) is
$$A 2xx proves an access token, if it is still the same. Returns: the pages, as they are. Locks: the
workspaces' tokens by SKIP LOCKED: whoever holds one gives it another, or the next 2xx proves it.$$;

revoke all on function sync.judge_unauthorized, sync.renew_token, sync.prove_tokens
from public, anon, authenticated, service_role;
