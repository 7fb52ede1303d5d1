begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(10);

-- A list does not show 12, whose own GET fails.
create function tests.miss() returns text language plpgsql as $$
declare
  v_outcome text;
begin
  update tests.leads set campaign = 9 where id = 12;
  perform start_sync_job('test', '{leads}');
  perform tests.serve_children(2);
  select tests.fail(l, 'permanent', 'HTTP 403: Forbidden') into v_outcome from tests.claim() as l
  where l.record_id = '12';
  return v_outcome;
end; $$;
create function tests.last_run() returns table (status text, records_deleted bigint)
  language sql as $$
  select status, records_deleted from public.workspace_sync_runs order by id desc limit 1;
$$;

select tests.declare_leads('{"item_path": "/leads/{id}"}');
select tests.campaign(1, 11, 12);
select tests.campaign(2, 21);
select tests.sync_children();
select is(tests.miss(), 'failed', 'a list misses a child of which the API does not say more');
select is(tests.sync_children('leads'), 'completed', 'missed again');
select is(tests.asked('lead %'), '{"lead 12","lead 12"}'::text[], 'it is asked for again');
select is(tests.live_leads(), '{11,12,21}'::text[], 'answers, and lives');

update tests.leads set campaign = 1 where id = 12;
select tests.sync_children('leads');
select tests.miss();
select is(tests.miss(), 'failed', 'where the API says nothing the second time either');
select results_eq('select * from tests.last_run()', $$values ('completed', 1::bigint)$$,
  'two complete runs in a row are the proof');
select is(tests.live_leads(), '{11,21}'::text[], 'and it goes');

-- Of a parent that is gone there is no list, and nobody to ask.
delete from tests.campaigns where id = 2;
select tests.sync_children('campaigns') from generate_series(1, 2);
select is(tests.sync_children('leads'), 'completed', 'where a parent is gone');
select is(tests.asked('lead %'), '{}'::text[], 'none of its children is asked for');
select is(tests.live_leads(), '{11}'::text[], 'they go with it');

select * from finish();
rollback;
