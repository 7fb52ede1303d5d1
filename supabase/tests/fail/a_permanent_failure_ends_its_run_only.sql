begin;
\ir ../support/setup.psql
select plan(7);

select tests.workspace('acme', 2);
select tests.workspace('zen');
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
select tests.serve('zen', 101);
select tests.start('acme', 'zen');
select tests.work(2);
create temp table held as select l as lease from tests.claim(2) as l;

select is(tests.fail(lease, 'permanent', 'HTTP 401: Unauthenticated.'), 'failed',
  'page 2 meets a 401') from held where (lease).page = 2;
select results_eq($$
  select c.page, q.status from public.chunked_sync_jobs as c
  join public.chunk_processing_queue as q using (id)
  join public.sync_workspaces as w on w.workspace_name = 'acme'
  join public.workspace_sync_runs as r on r.workspace_id = w.id and r.id = c.run_id order by 1
$$, $$values (1, 'completed'), (2, 'failed'), (3, 'processing'), (4, 'cancelled')$$,
  'what waits is cancelled, what is in flight ends by its holder');
select is(tests.complete(lease), 'cancelled', 'whose page is not applied') from held
  where (lease).page = 3;
select is(tests.live_ids('acme'), '{1,2}', 'the page from before is kept');
select results_eq($$
  select w.workspace_name, r.status, r.error_message ~ '^HTTP 401', w.key_status, w.key_checked_at
  from public.workspace_sync_runs as r join public.sync_workspaces as w on w.id = r.workspace_id
  order by 1
$$, $$
  values ('acme', 'failed', true, 'refused', sync.now()),
    ('zen', 'completed', null, 'accepted', sync.now())
$$, 'the workspace''s key is flagged, the other workspace completes');
select results_eq($$select status, workspaces_processed, error_message ~ '^acme: HTTP 401'
  from public.polling_job_status$$, $$values ('partial', 1, true)$$,
  'the job is partial and says why');
select rotate_workspace_key('acme', '8|newkeyofacme');
select results_eq($$select key_status, key_checked_at from public.sync_workspaces
  where workspace_name = 'acme'$$,
  $$values ('unchecked', null::timestamptz)$$, 'a new key is unchecked');

select * from finish();
rollback;
