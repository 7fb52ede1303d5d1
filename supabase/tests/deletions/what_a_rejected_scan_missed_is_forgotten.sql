begin;
\ir ../support/setup.psql
select plan(9);

-- With own GETs: the first scan misses 5 and 6 by a swap, 5 answers and so rejects it, and nobody
-- learns about 6; the second misses 6 by another swap.
select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3, 4, 5, 6);
select tests.sync('acme');
select tests.start('acme');
select tests.complete(l, tests.body('{1,2,3,4}'::bigint[], 4, 1)) from tests.claim() as l;
create temp table asked as select l.* from tests.claim(2) as l;
select tests.complete((queue_id, lease_token, workspace, page, record_id, send_after_ms,
  attempt)::tests.lease) from asked where record_id = '5';
select is(tests.fail((queue_id, lease_token, workspace, page, record_id, send_after_ms,
  attempt)::tests.lease, 'permanent', 'HTTP 403'), 'failed', 'its GET says nothing')
  from asked where record_id = '6';
select results_eq($$select record_id, missed_scans, answers from sync.missing_records$$,
  $$values ('5', 0, 1)$$, 'all that is remembered of the rejected scan is what answered');
select tests.complete(l, tests.body('{1,2,3,4,5}'::bigint[], 5, 1)) from tests.claim() as l;
select results_eq($$select record_id, missed_scans, is_confirmed from sync.missing_records$$,
  $$values ('6', 1, false)$$, 'the next scan is the first in a row that misses it');
select tests.work();
select is(tests.live_ids('acme'), '{1,2,3,4,5,6}', 'asked again, it answers: it lives');

-- Without own GETs: a run misses 3; the next one's first scan shows it, but its total moves.
select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
select register_workspace('zen', 'https://crm.example', 'k', 'crm');
select tests.serve('zen', 1, 2, 3);
select tests.sync('zen');
select tests.serve('zen', 1, 2);
select tests.sync('zen');
select results_eq($$select m.record_id from sync.missing_records as m
  join public.sync_streams as s on s.id = m.stream_id where s.stream_name = 'people'$$,
  $$values ('3')$$, 'one run misses it');
select tests.start('zen');
select tests.complete(l, tests.body('{1,2}'::bigint[], 3, 2)) from tests.claim() as l;
select tests.complete(l, tests.body('{3}'::bigint[], 2, 2)) from tests.claim() as l;
select results_eq($$select scan, status from public.workspace_sync_runs order by id desc limit 1$$,
  $$values (2, 'running')$$, 'the next one shows it in a scan that does not count');
select tests.complete(l, tests.body('{1,2}'::bigint[], 2, 1)) from tests.claim() as l;
select results_eq($$select status from public.workspace_sync_runs order by id desc limit 1$$,
  $$values ('completed')$$, 'and misses it in one that does');
select results_eq($$select id from public.synced_records where deleted_at is null order by id$$,
  $$values ('1'), ('2'), ('3')$$, 'the misses are not in a row: it lives');

-- A run that ends in between accepts nothing either.
select tests.serve('acme', 1, 2, 3, 4, 5);
select tests.start('acme');
select tests.work(3);
select cancel_sync_job(id) from public.polling_job_status where status = 'running';
select is_empty($$select m.record_id from sync.missing_records as m
  join public.sync_streams as s on s.id = m.stream_id where s.stream_name = 'sender_emails'$$,
  'what a run missed that was cancelled before it asked is forgotten');

select * from finish();
rollback;
