begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(3);

select tests.workspace('acme', 1);
select tests.have_replies(3);
select tests.sync_replies();
select tests.have_replies(4);
select tests.sync_replies('{replies}');
select tests.advance('29 days');
select sync.prune(1000);
select is((select count(*) from public.thread_stage), 4::bigint, 'a month is kept');
select tests.advance('2 days');
select sync.prune(1000);
select results_eq('select reply_id from public.thread_stage', array[4::bigint],
  'then what was processed goes, what waits stays');
select is((select count(*) from public.email_replies), 4::bigint, 'replies stay');

select * from finish();
rollback;
