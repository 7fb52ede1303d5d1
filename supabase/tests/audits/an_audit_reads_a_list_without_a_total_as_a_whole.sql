begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(4);

select tests.chained('{"params": {"since": "{since}", "after": "{last}"}, "order_path": ["id"],
  "updated_at_path": ["changed"]}');
select tests.fill(1, 15);
update tests.items set fields = jsonb_build_object('changed', sync.now() - interval '1 day');
select tests.sync_list();
delete from tests.items where id = 3;
select tests.advance('1 hour');
create temp table audit as select (start_audit('{acme}') ->> 'job_id')::uuid as job_id;
select tests.read_list();
select ok((tests.last_run()).is_full_scan, 'a list that is read since a time is read as a whole');
select is(get_audit(job_id) #>> '{runs,0,status}', 'completed', 'the audit is complete') from audit;
select is(get_audit(job_id) #> '{runs,0,surplus}', '["3"]',
  'and says what is here only') from audit;
select tests.sync_list();
select ok(not (tests.last_run()).is_full_scan, 'the next sync asks for what changed again');

select * from finish();
rollback;
