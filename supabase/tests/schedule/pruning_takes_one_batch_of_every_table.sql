begin;
\ir ../support/setup.psql
select plan(3);

create function tests.old_rows() returns table (name text, n bigint) language sql as $$
  values ('audits', (select count(*) from sync.audits)),
    ('chunks', (select count(*) from public.chunked_sync_jobs)),
    ('events', (select count(*) from public.chunk_events)),
    ('hinted claims', (select count(*) from sync.hinted_claims)),
    ('hints', (select count(*) from sync.hints)),
    ('locks', (select count(*) from sync.named_locks)),
    ('pages seen', (select count(*) from sync.seen_pages)),
    ('queue', (select count(*) from public.chunk_processing_queue)),
    ('resolved alerts', (select count(*) from public.sync_alerts)),
    ('staged replies', (select count(*) from public.thread_stage)),
    ('workers', (select count(*) from sync.workers));
$$;
select tests.workspace('acme');
select tests.serve('acme', 1);
select tests.sync('acme') from generate_series(1, 3);
insert into sync.audits (run_id, record_ids) select id, '{}' from public.workspace_sync_runs;
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at, outcome)
select n, 1, 100 + n, 1, sync.now(), 'lost' from generate_series(1, 3) as n;
insert into sync.hinted_claims (chunk_id, worker_id, verdict)
select n, 'gone', 'not_found' from generate_series(1, 3) as n;
select sync.note_worker('worker-' || n, null) from generate_series(1, 3) as n;
select try_sync_lock('report-' || n, 60) from generate_series(1, 3) as n;
select sync.open_alert('no_worker', 'workers', 'chunks are ready'),
  sync.resolve_alert('no_worker', 'workers') from generate_series(1, 3);
insert into sync.staged_items (workspace_id, stream_id, record_id, processed_at)
select w.id as workspace_id, s.id as stream_id, n, sync.now()
from public.sync_workspaces as w, public.sync_streams as s,
  generate_series(1, 3) as n where s.stream_name = 'conversation_threads';
select results_eq($$select distinct n from tests.old_rows()$$, array[3::bigint],
  'three rows of every table');

select tests.advance('91 days');
select sync.prune(1);
select results_eq($$select distinct n from tests.old_rows()$$, array[2::bigint],
  'a batch of one takes one of each');
select sync.prune(100);
select is_empty($$select * from tests.old_rows() where n > 0$$, 'none stays for ever');

select * from finish();
rollback;
