begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(15);

select tests.declare_leads('{"fan_out": "changed"}');
select tests.campaign(1, 11);
select tests.campaign(2, 21);
select tests.campaign(3, 31);
select is(tests.sync_children(), 'completed', 'at first all parents are new');
select is(tests.asked('leads%'), array['leads of 1, page 1', 'leads of 2, page 1',
  'leads of 3, page 1'], 'and all lists are read');
select is(tests.sync_children(), 'completed', 'where nothing changed');
select is(tests.asked(), array['campaigns'], 'no list is');
update tests.campaigns set fields = '{"name": "other"}' where id = 2;
select tests.campaign(2, 21, 22);
select is(tests.sync_children(), 'completed', 'where one parent changed');
select is(tests.asked('leads%'), array['leads of 2, page 1'], 'its list is');
select is(tests.live_leads(), array['11', '21', '22', '31'], 'what others showed is not missing');

update tests.campaigns set fields = '{"name": "again"}';
insert into tests.refused values (3, 404);
select is(tests.sync_children(), 'partial', 'a list that cannot be read');
truncate tests.refused;
select is(tests.sync_children('leads'), 'completed', 'stays for the next run');
select is(tests.asked(), array['leads of 3, page 1'], 'and it alone');
select tests.advance('8 days');
select tests.sync_children('leads');
select is(cardinality(tests.asked()), 3, 'every full_scan_days all are read');
select tests.declare_leads('{"fan_out": "changed", "full_scan_days": 9}');
select tests.sync_children('leads');
select is(cardinality(tests.asked()), 3, 'and by another declaration');

-- Of one page each, so that the fake needs no cursor.
select tests.declare_leads('{"fan_out": "changed", "completeness": "chained", "page_size": 4,
  "params": {"after": "{last}"}, "order_path": ["id"], "order_direction": "asc",
  "short_page_ends": true}');
select is(tests.sync_children('leads'), 'completed', 'lists that are chains');
update tests.campaigns set fields = '{"name": "third"}' where id = 1;
select is(tests.sync_children(), 'completed', 'follow what changed');
select is(tests.asked('leads%'), array['leads of 1, page 1'], 'as others do');

select * from finish();
rollback;
