begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(20);

create function tests.retry() returns text language plpgsql as $$
declare
  v_job_id uuid := public.retry_failed_chunks((
    select id from public.polling_job_status order by started_at desc, id limit 1)) ->> 'job_id';
begin
  truncate tests.asked restart identity;
  perform tests.serve_children();
  perform tests.advance('1 second');
  return (select status from public.polling_job_status where id = v_job_id);
end; $$;

select tests.declare_leads('{"item_path": "/leads/{id}"}');
select tests.campaign(1, 11, 12);
select tests.campaign(2, 21);
select tests.campaign(3, 31);
insert into tests.refused values (2, 404), (3, 404);
select is(tests.sync_children(), 'partial', 'two lists cannot be read');
select tests.advance('1 second');
delete from tests.refused where campaign = 3;
select is(tests.retry(), 'partial', 'then one');
select is(tests.asked(), array['leads of 2, page 1', 'leads of 3, page 1'],
  'a retry reads those that were not proven');
select is(tests.live_leads(), array['11', '12', '31'], 'and what others showed is not missing');
truncate tests.refused;
select is(tests.retry(), 'completed', 'a retry of the retry has the rest');
select is(tests.asked(), array['leads of 2, page 1'], 'and reads nothing else');
select is(tests.live_leads(), array['11', '12', '21', '31'], 'then all of it is there');
select is(tests.sync_children('leads'), 'completed', 'any other run');
select is(cardinality(tests.asked()), 3, 'reads all lists');
select tests.advance('1 second');

-- Another sync of the parents that began before and ended after.
insert into tests.refused values (2, 404);
select is(tests.sync_children('leads'), 'partial', 'where a list cannot be read');
truncate tests.refused;
select tests.advance('1 second');
update public.workspace_sync_runs as r set completed_at = sync.now()
from public.sync_streams as s
where s.id = r.stream_id and s.stream_name = 'campaigns' and r.status = 'completed';
select tests.retry();
select is(cardinality(tests.asked()), 3,
  'and parents were still being synced when it began, a retry reads all lists');
select tests.advance('1 second');

-- A list is proven, until what it lacks answers for itself.
select set_setting('max_scans', '1');
update tests.leads set campaign = 9 where id = 12;
select is(tests.sync_children('leads'), 'partial', 'where a list lacks what is there');
select tests.advance('1 second');
update tests.leads set campaign = 1 where id = 12;
select tests.retry();
select is(tests.asked(), array['leads of 1, page 1'], 'it is read again');

insert into tests.leads (campaign, id, fields) values (1, 13, '{"id": 12}');
select is(tests.sync_children('leads'), 'partial', 'where a list does not add up');
select tests.advance('1 second');
delete from tests.leads where id = 13;
select tests.campaign(4, 41);
select tests.sync_children('campaigns');
select tests.advance('1 second');
select is(public.retry_failed_chunks((
  select job_id from public.workspace_sync_runs where status = 'partial' order by id desc limit 1))
  ->> 'status', 'accepted', 'and there are other parents since');
truncate tests.asked restart identity;
select tests.serve_children();
select is(tests.asked(), array['leads of 1, page 1', 'leads of 2, page 1', 'leads of 3, page 1',
  'leads of 4, page 1'], 'a retry reads all lists');
select tests.advance('1 second');

insert into tests.refused values (2, 404);
select is(tests.sync_children(), 'partial', 'where a list cannot be read');
select tests.advance('1 second');
delete from tests.campaigns where id = 2;
select tests.sync_children('leads', 'campaigns') from generate_series(1, 3);
select is((select count(*) from sync.staged_items where processed_at is null), 0::bigint,
  'and its parent is deleted, nothing waits for it');
select tests.advance('1 second');
truncate tests.refused;
select public.start_sync_job('test', '{leads}');
select tests.serve_children(1);
select sync.end_run_early(id, 'timeout', null) from public.workspace_sync_runs
where status = 'running';
select public.cleanup_stuck_chunks();
select is((select status from public.workspace_sync_runs order by id desc limit 1), 'partial',
  'a run that did not come to each list');
select tests.advance('1 second');
select tests.retry();
select is(cardinality(tests.asked()), 3, 'is repeated as a whole');

select * from finish();
rollback;
