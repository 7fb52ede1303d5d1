begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(16);

create function tests.last_run() returns text language sql as $$
  select concat_ws(' ', status, case when is_full_scan then 'full' end, cardinality(warnings))
  from public.workspace_sync_runs order by id desc limit 1;
$$;

select tests.workspace('acme', 1);
select tests.have_replies(20);
select is(tests.sync_replies('{replies}'), 'completed', 'the first scan reads everything');
insert into tests.replies (id, root, place) values (21, 21, 1);
select is(tests.sync_replies('{replies}'), 'partial',
  'a reply that comes late stands too deep for a scan to the mark, and the API counts it');
select is(tests.last_run(), 'partial 1', 'which is not full, and a warning says so');
select matches(warnings[1], '21, there are 20', 'with both numbers')
  from public.workspace_sync_runs order by id desc limit 1;
select is(tests.sync_replies('{replies}'), 'completed', 'the next one finds it');
select is(tests.last_run(), 'completed full 0', 'for it reads everything');
select is((select count(*) from public.email_replies), 21::bigint, 'so nothing is missing');
select tests.sync_replies('{replies}');
select is(tests.last_run(), 'completed 0', 'then scans go to the mark again');

select set_config('tests.uncounted', '1', true);
select tests.sync_replies('{replies}');
select is(tests.last_run(), 'partial 1', 'the API counts one that it never lists');
select tests.sync_replies('{replies}');
select is(tests.last_run(), 'partial full 1', 'everything is read');
select tests.sync_replies('{replies}');
select is(tests.last_run(), 'partial full 1', 'and once more');
select tests.have_replies(26);
select tests.sync_replies('{replies}');
select is(tests.last_run(), 'partial 1', 'what two full scans did not show is asked for no more');
select is((select count(*) from public.email_replies), 26::bigint, 'while new ones are read');
select tests.sync_replies('{replies}');
select is(cardinality(tests.asked('%')), 4, 'and move the mark');
insert into tests.replies (id, root, place) values (27, 27, 1);
select tests.sync_replies('{replies}');
select tests.sync_replies('{replies}');
select is(tests.last_run(), 'partial full 1', 'one more has everything read again');
select tests.advance('8 days');
select tests.sync_replies('{replies}');
select is(tests.last_run(), 'partial full 1', 'as it is once a week');

select * from finish();
rollback;
