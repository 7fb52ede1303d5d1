begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(12);

select tests.workspace('acme', 1);
select tests.have_replies(20);
select is(tests.sync_replies('{replies}'), 'completed', 'the first scan reads everything');
select is(tests.asked('page%'), array(select 'page ' || n from generate_series(1, 10) as n),
  'every page once');
select is(marks ->> 'newest_id', '20', 'the newest id is the mark')
  from public.sync_workspace_streams where marks <> '{}';
select is(tests.sync_replies('{replies}'), 'completed', 'the next scan reads less');
select is(tests.asked('%'), '{page 1,page 2,page 3,page 4}'::text[],
  'one page below the mark, and three more');
select tests.have_replies(23);
select tests.sync_replies('{replies}');
select is(tests.asked('%'), '{page 1,page 2,page 3,page 4,page 5,page 6}'::text[],
  'page 3 is the first whole one below the mark');
update tests.replies set fields = '{"read": true}' where id in (1, 20);
select tests.sync_replies('{replies}');
select results_eq($$select id from public.email_replies where read$$, array[20::bigint],
  'an edit within the overlap is seen');
select lives_ok($$select public.request_full_scan('replies', 'acme')$$, 'all may be asked for');
select tests.sync_replies('{replies}');
select is(cardinality(tests.asked('page%')), 12, 'then everything is read');
select tests.sync_replies('{replies}');
select is(cardinality(tests.asked('page%')), 4, 'once');
select tests.advance('8 days');
select tests.sync_replies('{replies}');
select is(cardinality(tests.asked('page%')), 12, 'and by itself after a week');
select throws_ok($$select public.request_full_scan('sender_emails', 'acme')$$, 'SY003', null,
  'accounts are no feed');

select * from finish();
rollback;
