begin;
\ir ../support/setup.psql
select plan(14);

create function pg_temp.rate() returns numeric language sql as $$
  select round(learned_rate, 3) from public.sync_budgets where scope_key = 'bison.example'
$$;
create function pg_temp.refuse(p_seconds double precision, p_times int default 1)
  returns void language plpgsql as $$
declare
  v_workspace_id bigint := (select id from public.sync_workspaces where workspace_name = 'acme');
begin
  for v_time in 1 .. p_times loop
    -- As if each time another workspace were refused.
    update public.sync_workspaces set rate_limited_until = null, rate_limit_level = 0
    where id = v_workspace_id;
    perform sync.learn_of_refusal(v_workspace_id,
      sync.now() + make_interval(secs => p_seconds), 1);
  end loop;
end; $$;
create function pg_temp.answer(p_times int) returns void language plpgsql as $$
declare
  v_queue_id bigint := (select max(queue_id) from held);
begin
  update public.chunk_processing_queue set requested_at = sync.now() + interval '1 hour'
  where id = v_queue_id;
  for v_time in 1 .. p_times loop
    perform sync.learn_of_answers(array[v_queue_id]);
  end loop;
end; $$;

select tests.workspace('acme');
select tests.workspace('zen');
select set_budget('email_bison', 10, null);
select start_sync_job('test', '{sender_emails}');
create temp table held as select * from tests.claim(2);

update public.sync_budgets set next_send_at = null where scope_key = 'bison.example';
select pg_temp.refuse(0);
select is(pg_temp.rate(), null,
  'a first 429 says nothing of the rate where no send was held back by it');
select unblock_budget('email_bison');
update public.sync_budgets set next_send_at = sync.now() + interval '1 second';
select pg_temp.refuse(0);
select is(pg_temp.rate(), 8.000,
  'where the pace holds sends back, it steps down to 0.8 of the rate');
select pg_temp.refuse(0, 5);
select is(pg_temp.rate(), 8.000, 'what was sent before that teaches nothing');

select pg_temp.answer(1);
select is(pg_temp.rate(), 8.016, 'an answer gives back 0.2 %');
update public.sync_budgets set learned_rate = 1;
select pg_temp.answer(1);
select is(pg_temp.rate(), 1.010, 'of a low rate, 0.01/s');
update public.sync_budgets set learned_rate = 6;
select pg_temp.answer(9);
select cmp_ok((select scale(learned_rate) from public.sync_budgets
  where scope_key = 'bison.example'), '<=', 4, 'however many answer, it keeps few digits');
update public.sync_budgets set learned_rate = 9.99;
select pg_temp.answer(2);
select is(pg_temp.rate(), null, 'until the rate that was set is reached again');

-- Sent since it was reduced: 8 of 10 answered within 2 s, at a rate of 8.
update public.sync_budgets set learned_rate = 8, answers = 8, refusals = 1, reduced_in_flight = 9,
  is_rate_measured = false, reduced_at = sync.now(),
  next_send_at = sync.now() + interval '1 second';
select pg_temp.refuse(2);
select is(pg_temp.rate(), 4.000,
  'where more are refused than chance would have it, it is 0.93 of what passed, at least half');
update public.sync_budgets set learned_rate = 5, answers = 8, refusals = 1, reduced_in_flight = 9,
  reduced_at = sync.now(), next_send_at = sync.now() + interval '1 second';
select pg_temp.refuse(2);
select is(pg_temp.rate(), 3.720, 'measured');

update public.sync_budgets set learned_rate = 8, answers = 40, refusals = 1,
  reduced_at = sync.now();
select pg_temp.refuse(8);
select is(pg_temp.rate(), 8.000, 'one of forty is chance');
update public.sync_budgets set learned_rate = 4, answers = 50, refusals = 2,
  reduced_at = sync.now(), is_rate_measured = true;
select pg_temp.refuse(8);
select is(pg_temp.rate(), 5.200,
  'refused as before below what passes, the rate is not the reason: it steps up');

select set_budget('email_bison', 10, 20);
select results_eq($$select learned_rate, reduced_in_flight, next_send_at, blocked_until
  from public.sync_budgets where scope_key = 'bison.example'$$,
  $$values (null::numeric, null::int, null::timestamptz, null::timestamptz)$$,
  'set_budget() forgets what was learned');

update public.sync_budgets set learned_rate = 4, reduced_in_flight = 1, block_level = 2,
  blocked_until = sync.now() + interval '5 minutes', blocked_at = sync.now();
select set_budget('email_bison', 10, 20);
select results_eq($$select block_level, blocked_until is not null, rate_limited_until is not null
  from public.sync_budgets as b join public.sync_workspaces as w on w.budget_id = b.id
  where w.workspace_name = 'acme'$$, $$values (2, true, true)$$,
  'but lifts no block and no workspace''s wait');
select unblock_budget('email_bison');
select results_eq($$select block_level, blocked_until, probe_until, learned_rate, reduced_in_flight,
    rate_limited_until, rate_limit_level, requests_per_second
  from public.sync_budgets as b join public.sync_workspaces as w on w.budget_id = b.id
  where w.workspace_name = 'acme'$$,
  $$values (0, null::timestamptz, null::timestamptz, null::numeric, null::int, null::timestamptz, 0,
    10::numeric)$$,
  'unblock_budget() forgets all of it, and keeps what was set');

select * from finish();
rollback;
