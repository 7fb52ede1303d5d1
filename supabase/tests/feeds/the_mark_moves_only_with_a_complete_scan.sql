begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(4);

select tests.workspace('acme', 1);
select tests.have_replies(12);
select tests.sync_replies('{replies}');
select tests.have_replies(15);
select public.start_sync_job('test', '{replies}');
select tests.serve_replies(2);
select tests.fail(l, 'permanent', 'no') from tests.claim() as l;
select is((select status from public.workspace_sync_runs order by id desc limit 1), 'failed',
  'the scan fails on its third page');
select is((select max(id) from public.email_replies), 15::bigint, 'its pages stay');
select is(marks ->> 'newest_id', '12', 'the mark stays too')
  from public.sync_workspace_streams where marks <> '{}';
select tests.sync_replies('{replies}');
select is(marks ->> 'newest_id', '15', 'a complete scan moves it')
  from public.sync_workspace_streams where marks <> '{}';

select * from finish();
rollback;
