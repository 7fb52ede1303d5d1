begin;
\ir ../support/setup.psql
\ir ../support/tokens.psql
select plan(11);

select tests.crm('acme');
select start_sync_job('test', '{people}', '{acme}');
create temporary table given as select 1 as n, l from tests.leases(1) as l;
select tests.advance('21 seconds');
select is(cleanup_stuck_chunks(), 1, 'a lease that runs out is taken back');
insert into given select 2, l from tests.leases(1) as l;
select is((select tests.sent(l) from given where n = 2),
  (select tests.sent(l) from given where n = 1), 'and asked for again with the same refresh token');
select is((select tests.end_lease(l, 200, tests.token('planted-access-1')) from given where n = 1),
  'refused', 'whoever lost it is refused then');
select is((select tests.end_lease(l, 200, tests.token('planted-access-2', 'planted-refresh-2'))
  from given where n = 2), 'completed', 'the other one''s answer is taken');
select is(tests.asked_for_tokens(), 'completed', 'it was one request');
select is(tests.step(), 'GET https://acme.example/people page=1 '
  'header:Authorization=Bearer planted-access-2 -> completed', 'and pages go on');

update sync.workspace_tokens set expires_at = sync.now();
select tests.advance('16 seconds');
insert into given select 3, l from tests.leases(1) as l;
select is((select l #>> '{credentials,2,value}' from given where n = 3), 'planted-refresh-2',
  'a rotated refresh token takes the place of the one before');
select tests.advance('21 seconds');
select is((select tests.end_lease(l, 200, tests.token('planted-access-3', 'planted-refresh-3'))
  from given where n = 3), 'completed',
  'a late answer is taken while nobody asked again: the grant may hang on it');
select is(tests.asked_for_tokens(), 'completed, completed', 'that request is over');

update sync.workspace_tokens set expires_at = sync.now();
select tests.advance('16 seconds');
create function tests.lose(p_times int) returns int language plpgsql as $$
declare
  v_asked int := 0;
begin
  for v_second in 1 .. p_times loop
    v_asked := v_asked + (select count(*) from tests.leases(1));
    perform tests.advance('21 seconds');
    perform public.cleanup_stuck_chunks();
  end loop;
  return v_asked;
end; $$;
select ok(tests.lose(40) < 20, 'answers that are always lost make no storm');
select results_eq($$select generation from sync.workspace_tokens$$, $$values (2::bigint)$$,
  'the token is the last one that came');

select * from finish();
rollback;
