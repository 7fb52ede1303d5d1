begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(16);

select declare_source('{"source_name": "crm", "auth": "oauth2_refresh", "token_url": "/oauth/token",
  "token_params": {"scope": "people.read"}, "requests_per_second": null, "max_in_flight": null}');
select tests.crm('acme');
select start_sync_job('test', '{people}', '{acme}');

create temporary table given as
select l, tests.sent(l) as sent from tests.leases(10) as l;
select is((select count(*) from given), 1::bigint,
  'what a claim finds without a token is one lease');
select results_eq('select sent from given', $$values (
  'POST https://acme.example/oauth/token grant_type=refresh_token&scope=people.read'
  ' form:client_id=client-of-acme form:client_secret=planted-secret-acme'
  ' form:refresh_token=planted-refresh-acme')$$, 'that asks the token endpoint, and it only');
select results_eq($$select l ->> 'origin', l #>> '{request,reach}' from given$$,
  $$values ('https://acme.example', 'public')$$, 'whose origin the credentials do not leave');
select is((select count(*) from tests.leases(10, 'worker-2')), 0::bigint,
  'another worker gets nothing meanwhile');
select is(claim_chunk_job_safe((select min(id) from chunk_processing_queue), 'worker-2', 2)
  ->> 'reason', 'not_due', 'also not by the page''s id');
select results_eq('select why from waiting_runs', $$values ('token')$$, 'the run says why');
select is(extend_chunk_leases((select jsonb_build_array(jsonb_build_object('queue_id',
  l -> 'queue_id', 'lease_token', l -> 'lease_token')) from given)) -> 'lost', '[]'::jsonb,
  'its lease is kept by heartbeats as any');

select is((select tests.end_lease(l, 200, tests.token('planted-access-1', 'planted-refresh-2'))
  from given), 'completed', 'the answer is taken');
select is((select tests.end_lease(l, 200, tests.token('planted-access-9')) from given),
  'completed', 'and repeated it is answered alike');
select is(tests.asked_for_tokens(), 'completed', 'there was one request');
select results_eq($$
  select d.decrypted_secret::jsonb - 'before' from vault.decrypted_secrets as d
  join sync.workspace_tokens as t on t.secret_id = d.id
$$, $$values ('{"access_token": "planted-access-1", "refresh_token": "planted-refresh-2"}'::jsonb)$$,
  'Vault has the access token and the rotated refresh token');
select is(current_setting('synchronous_commit'), 'on', 'and has them durably');

select is(tests.step(), 'GET https://acme.example/people page=1 '
  'header:Authorization=Bearer planted-access-1 -> completed', 'then pages are leased with it');
select is(tests.step(), 'GET https://acme.example/people page=2 '
  'header:Authorization=Bearer planted-access-1 -> completed', 'one after the other');
select is(tests.status_of('acme'), 'completed', 'and the run completes');

create function tests.tables_holding(p_text text) returns setof text language plpgsql as $$
declare
  v_table regclass;
  v_found boolean;
begin
  for v_table in select oid from pg_class where relkind in ('r', 'p')
    and relnamespace in ('public'::regnamespace, 'sync'::regnamespace) loop
    execute format('select exists (select 1 from %s as t where t::text ~ $1)', v_table) into v_found
      using p_text;
    if v_found then
      return next v_table::text;
    end if;
  end loop;
end; $$;
select is_empty($$select tests.tables_holding('planted-|client-of')$$,
  'no table of ours holds any string of it');

select * from finish();
rollback;
