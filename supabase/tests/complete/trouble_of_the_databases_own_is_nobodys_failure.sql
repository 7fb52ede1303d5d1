begin;
\ir ../support/setup.psql
select plan(15);

-- The database has trouble with what tests.trouble names: an account, or every one (null).
create table tests.trouble (code text, account_id bigint);
create function tests.be_in_trouble() returns trigger language plpgsql as $$
declare
  v_code text := (select code from tests.trouble where coalesce(account_id, new.id) = new.id);
begin
  if v_code is not null then
    raise exception using errcode = v_code, message = 'trouble with key 7|keyof12345678';
  end if;
  return new;
end; $$;
create trigger be_in_trouble before insert or update on sync.sender_emails
for each row execute function tests.be_in_trouble();
create function tests.trouble(p_code text, p_account_id bigint default null) returns void
language sql as $$
  delete from tests.trouble;
  insert into tests.trouble values (p_code, p_account_id) on conflict do nothing;
$$;

select tests.workspace('acme');
select tests.workspace('zen');
select tests.serve('acme', 1, 2, 3, 4);
select tests.serve('zen', 11, 12);

select tests.trouble(null);
select tests.start('acme');
-- By itself, whatever class of trouble it is.
create function tests.outcome_of(p_code text) returns text language plpgsql as $$
declare
  v_outcome text;
begin
  perform tests.trouble(p_code);
  select tests.complete(l) into v_outcome from tests.claim() as l;
  perform tests.advance('15 seconds');
  return v_outcome;
end; $$;
select results_eq($$select code, tests.outcome_of(code)
  from unnest('{40001,40P01,53100,53200,55P03,57P03,58030,25006,XX000}'::text[]) as code$$,
  $$select code, 'postponed' from unnest('{40001,40P01,53100,53200,55P03,57P03,58030,25006,XX000}'
    ::text[]) as code$$, 'a page that the database itself cannot take is postponed');
select results_eq($$select q.status, q.attempts, q.postponements, r.status, r.ending
  from public.chunk_processing_queue as q join public.workspace_sync_runs as r on r.id = q.run_id$$,
  $$values ('pending', 0, 9, 'running', null::text)$$, 'no attempt is burnt, no run fails');
select results_eq($$select event, details ->> 'code', count(*) from public.chunk_events
  group by 1, 2 order by min(id)$$,
  $$select 'postponed', code, 1::bigint
  from unnest('{40001,40P01,53100,53200,55P03,57P03,58030,25006,XX000}'::text[]) as code$$,
  'its events name the error');
select is((select count(*) from public.chunk_events where details::text like '%keyof%'), 0::bigint,
  'and no secret');
select tests.advance('-15 seconds');
select results_eq($$select why, waits_until > sync.now(), waits_until <= sync.now()
  + interval '15 seconds' from public.waiting_runs$$, $$values ('database', true, true)$$,
  'a view says that it waits for the database, and until when');
select tests.advance('15 seconds');
select tests.trouble(null);
select tests.work();
select results_eq($$select status, cardinality(warnings) from public.workspace_sync_runs$$,
  $$values ('completed', 0)$$, 'when it is over the work goes on by itself');

-- Among others.
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
update tests.accounts set fields = '{"daily_limit": 21}';
create temp table job as select tests.start('acme', 'zen') as id;
select tests.trouble('53100', 3);
select tests.work(2);
create temp table held as select l as lease from tests.claim(100) as l;
create temp table told as
select o ->> 'outcome' as outcome, (o ->> 'look_again_ms')::int as look_again_ms,
  (h.lease).workspace, (h.lease).page
from jsonb_array_elements(public.complete_chunk_jobs_safe((
    select jsonb_agg(tests.answer(lease)) from held)) -> 'outcomes') as o
join held as h on (h.lease).queue_id = (o ->> 'queue_id')::bigint;
select results_eq($$select workspace, page, outcome from told order by 1, 2$$,
  $$values ('acme', 2, 'postponed'), ('acme', 3, 'completed')$$,
  'only the page that meets it is postponed');
select ok(look_again_ms between 500 and 1000, 'for a second at first')
from told where outcome = 'postponed';
select is((select array_agg(id order by id) from sync.sender_emails where daily_limit = 21),
  '{1,2,5,6,11,12}', 'what the others showed is written');

-- It recurs for one page while others are taken.
create function tests.try_again() returns text language plpgsql as $$
declare
  v_outcome text;
begin
  perform tests.advance('15 seconds');
  select tests.complete(l) into v_outcome from tests.claim() as l;
  return v_outcome;
end; $$;
select is(array(select tests.try_again() from generate_series(1, 3)),
  array['postponed', 'postponed', 'postponed'], 'four times it may be the database');
select is(array(select tests.try_again() from generate_series(1, 3)),
  array['retry', 'retry', 'failed'], 'then it is the page''s own failure, with attempts');
select results_eq($$select r.status, left(r.error_message, 12) from public.workspace_sync_runs as r
  join job on job.id = r.job_id order by r.id$$,
  $$values ('failed', 'trouble with'), ('completed', null)$$, 'which fails its run only');

-- A lock is always another's.
select tests.start('acme');
select tests.work(1);
select tests.trouble('55P03', 3);
select is((select array_agg(distinct outcome) from (select tests.try_again() as outcome
    from generate_series(1, 20)) as t where outcome <> 'completed'), '{postponed}',
  'whoever holds a lock, it is not the page that waits for it');

-- A worker that was told of trouble says so.
select tests.advance('15 seconds');
select is(tests.fail(l, 'postponed', '57014: canceling statement due to statement timeout'),
  'postponed', 'so does a page whose call was canceled') from tests.claim() as l;
select results_eq($$select attempts, postponements from public.chunk_processing_queue
  where status = 'pending'$$, $$values (0, 20)$$, 'without an attempt');

select * from finish();
rollback;
