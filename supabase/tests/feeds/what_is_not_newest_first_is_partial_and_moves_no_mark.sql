begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(12);

create function tests.date_of(p_minutes int) returns jsonb language sql as $$
  select jsonb_build_object('date_received', timestamptz '2026-01-01' + p_minutes * interval '1 min');
$$;

select tests.workspace('acme', 2);
insert into tests.replies (id, root, place, fields)
select n, n as root, -n, tests.date_of(n) from generate_series(1, 12) as n;
select is(tests.sync_replies('{replies}'), 'partial', 'an ascending list is no feed');
select matches(warnings[1], '^page 1 is not newest first: record 2 comes after 1',
  'a warning names page and record') from public.workspace_sync_runs;
select is((select count(*) from public.sync_workspace_streams where marks <> '{}'), 0::bigint,
  'no mark is set');
insert into tests.replies (id, root, place, fields) values (13, 13, -13, tests.date_of(13));
select is(tests.sync_replies('{replies}'), 'partial', 'so the next scan');
select is((select count(*) from public.email_replies), 13::bigint, 'reads what is new at its end');

-- Each page in order, but one after the other ascending.
update tests.replies set place = case when id % 2 = 0 then 20 - id else 18 - id end;
select is(tests.sync_replies('{replies}'), 'partial', 'pages that ascend are not newest first');
select matches(warnings[1], '^page 2 is not newest first', 'though each of them is')
  from public.workspace_sync_runs order by id desc limit 1;

update tests.replies set place = id, fields = '{}';
select is(tests.sync_replies('{replies}'), 'completed', 'newest first it is complete');
select is(marks ->> 'newest_id', '13', 'and has a mark')
  from public.sync_workspace_streams where marks <> '{}';
update tests.replies set place = case when id = 12 then 14 else id end,
  fields = tests.date_of(id::int);
select is(tests.sync_replies('{replies}'), 'partial', 'until its order breaks');
select is(marks ->> 'newest_id', '13', 'its mark stays')
  from public.sync_workspace_streams where marks <> '{}';
select tests.sync_replies('{replies}');
select ok(is_full_scan, 'the next scan reads everything')
  from public.workspace_sync_runs order by id desc limit 1;

select * from finish();
rollback;
