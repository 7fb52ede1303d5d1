begin;
\ir ../support/setup.psql
select plan(1);

select tests.workspace('acme');
select tests.start('acme');
select tests.fail(l, 'permanent',
  'HTTP 401: the key 12|abcdefghijkl of Bearer 12|abcdefghijkl is no good') from tests.claim() as l;
select is_empty($$
  select error_message from public.chunk_processing_queue where error_message ~ 'abcdefghijkl'
  union all select details::text from public.chunk_events where details::text ~ 'abcdefghijkl'
  union all select error_message from public.workspace_sync_runs
  where error_message ~ 'abcdefghijkl'
  union all select error_message from public.polling_job_status where error_message ~ 'abcdefghijkl'
$$, 'no table of ours has what looks like a key');

select * from finish();
rollback;
