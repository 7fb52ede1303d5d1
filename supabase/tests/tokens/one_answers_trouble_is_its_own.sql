begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(14);

-- What cannot be written is named here: tokens of a workspace, or a try's row.
create table tests.trouble (kind text, code text);
create function tests.be_in_trouble() returns trigger language plpgsql as $$
declare
  v_code text := (select code from tests.trouble where kind = tg_argv[0]);
begin
  if v_code is not null and (tg_argv[0] <> 'token' or to_jsonb(new) ->> 'workspace_id' = (
    select id::text from public.sync_workspaces where workspace_name = 'acme')) then
    raise exception using errcode = v_code, message = 'trouble with planted-access-1';
  end if;
  return new;
end; $$;
create trigger be_in_trouble before update of secret_id on sync.workspace_tokens
for each row when (new.secret_id is not null) execute function tests.be_in_trouble('token');
create trigger be_in_trouble before update of steps on sync.stream_tries
for each row execute function tests.be_in_trouble('try');

create function tests.page(p_lease jsonb, p_body text) returns jsonb language sql as $$
  select jsonb_build_object('queue_id', p_lease -> 'queue_id', 'lease_token',
    p_lease -> 'lease_token', 'status', 200, 'headers', '{}'::jsonb, 'body', p_body);
$$;
select tests.crm(name) from unnest('{acme,zen,void}'::text[]) as name;
select start_sync_job('void', '{people}', '{void}');
select tests.step('planted-access-of-void');
select start_sync_job('others', '{people}', '{acme,zen}');
create temporary table asked as select l ->> 'workspace' as name, l from tests.leases(10) as l;
select is((select count(*) from asked), 3::bigint, 'a page, and two requests for tokens');
create function tests.hand_over() returns text language sql as $$
  select string_agg(concat_ws(' ', a.name, o ->> 'outcome', o ->> 'code'), ', ' order by a.name)
  from jsonb_array_elements(public.complete_chunk_jobs_safe((
    select jsonb_agg(tests.page(l, case
      when l #> '{request,form}' is null then tests.people(l)
      else tests.token('planted-access-1', 'planted-rotated-' || name) end)) from asked))
    -> 'outcomes') as o
  join asked as a on a.l ->> 'queue_id' = o ->> 'queue_id';
$$;

insert into tests.trouble values ('token', '53100');
select is(tests.hand_over(), 'acme postponed 53100, void completed, zen completed',
  'a token that the database cannot write takes no other answer with it');
select is((select string_agg(status || ' ' || failures, ', ' order by id) from sync.token_requests
  where ended_at is null), 'pending 0', 'its request is sent again, and has not failed');
select is((select generation from sync.workspace_tokens as t join sync_workspaces as w
  on w.id = t.workspace_id where workspace_name = 'zen'), 1::bigint, 'the others'' are there');
select is_empty($$select 1 from sync.token_requests where error_message like '%planted%'$$,
  'nothing of the error is kept that may repeat a token');
delete from tests.trouble;
select is(tests.hand_over(), 'acme completed, void completed, zen completed',
  'handed over again it is taken');
select is((select decrypted_secret::jsonb ->> 'refresh_token' from vault.decrypted_secrets as d
  join sync.workspace_tokens as t on t.secret_id = d.id
  join sync_workspaces as w on w.id = t.workspace_id where workspace_name = 'acme'),
  'planted-rotated-acme', 'with its refresh token');

-- What is no trouble of the database's own is a failure, of one answer.
select tests.advance('2 hours');
insert into tests.trouble values ('token', '23514');
create temporary table more as select l from tests.leases(20) as l;
delete from asked;
insert into asked select l ->> 'workspace', l from more where l #> '{request,form}' is not null;
select is(tests.hand_over(), 'acme retry 23514, void completed, zen completed',
  'another error is tried again');
select is((select failures from sync.token_requests where ended_at is null), 1, 'as a failure');
delete from tests.trouble;

-- Tries.
create function tests.try_and_answer(p_code text) returns text language plpgsql as $$
declare
  v_lease jsonb;
  v_outcome text;
begin
  delete from tests.trouble;
  insert into tests.trouble select 'try', p_code where p_code is not null;
  perform tests.advance('2 seconds');
  select l into v_lease from tests.leases(50) as l
  where l ->> 'queue_id' = (select request_id::text from sync.stream_tries);
  return tests.end_lease(v_lease, 200, tests.people(v_lease, 1));
end; $$;
select try_stream('{"stream_name": "people"}', 'zen');
select is(tests.try_and_answer('57P03'), 'postponed', 'so it is with a try');
select is((select attempts from sync.stream_tries), 0, 'which loses no attempt');
select is(tests.try_and_answer(null), 'completed', 'and goes on');
delete from sync.stream_tries;
select try_stream('{"stream_name": "people"}', 'zen');
select is(tests.try_and_answer('22003'), 'failed', 'an error of another kind ends it');
select is((select status from sync.stream_tries), 'failed', 'with a message');

select * from finish();
rollback;
