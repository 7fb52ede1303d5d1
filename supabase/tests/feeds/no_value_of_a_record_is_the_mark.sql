begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(11);

select tests.workspace('acme', 1);
select tests.have_replies(20);
insert into tests.replies (id, root, place) values (9223372036854775807, 7, 7);
select is(tests.sync_replies('{replies}'), 'completed', 'a huge id stands deep in the list');
select is(marks ->> 'newest_id', '20', 'it is not the mark')
  from public.sync_workspace_streams where marks <> '{}';
select tests.have_replies(40);
select is(tests.sync_replies('{replies}'), 'completed', 'many come after it');
select is((select count(*) from public.email_replies), 41::bigint, 'all of them are read');

insert into tests.replies (id, root, place, fields)
values (41, 41, 1000000, '{"date_received": "2099-01-01T00:00:00Z"}'),
  (9223372036854775806, 7, 999999, '{"date_received": "2098-01-01T00:00:00Z"}');
select is(tests.sync_replies('{replies}'), 'completed', 'two with dates of the future');
insert into tests.replies (id, root) select n, n as root from generate_series(42, 61) as n;
select is(tests.sync_replies('{replies}'), 'completed', 'stand above all that come later');
select is((select count(*) from public.email_replies), 63::bigint, 'which are read all the same');
select tests.sync_replies('{replies}');
select is(cardinality(tests.asked('%')), 4, 'and then no more than the overlap');

-- A scan that does not get to its end has stored what the next one must not take for old.
insert into tests.replies (id, root) select n, n as root from generate_series(62, 81) as n;
select public.start_sync_job('test', '{replies}');
select tests.serve_replies(5);
select public.cancel_sync_job(id) from public.polling_job_status where status = 'running';
select is(tests.sync_replies('{replies}'), 'completed', 'after a scan that was cancelled');
select is((select count(*) from public.email_replies), 83::bigint, 'the next reads beyond it');
select tests.sync_replies('{replies}');
select is(cardinality(tests.asked('%')), 4, 'once');

select * from finish();
rollback;
