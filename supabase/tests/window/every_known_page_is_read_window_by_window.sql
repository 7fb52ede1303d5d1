begin;
\ir ../support/setup.psql
select plan(12);

create function tests.serve_pages(p_name text, p_pages int) returns void language sql as $$
  select tests.serve(p_name, variadic array(select generate_series(1, 2 * p_pages)));
$$;
create view tests.run as
select status, scan, known_pages, planned_pages, (
  select count(*)::int from public.chunk_processing_queue as q
  where q.run_id = r.id and q.status = 'pending' and q.slot is null) as waiting
from public.workspace_sync_runs as r order by id desc limit 1;

select tests.workspace('acme', 2);
select tests.serve_pages('acme', 60);
select tests.start('acme');
select tests.work(1);
select results_eq('select planned_pages, waiting from tests.run', 'values (17, 14)',
  'a window is planned, and the slots are filled from it');
select tests.work(1) from generate_series(1, 5);
select results_eq('select planned_pages, waiting from tests.run', 'values (17, 9)',
  'while more than half of it waits, nothing is planned');
create temp table planned (pages int);
select tests.work(1);
select results_eq('select planned_pages, waiting from tests.run', 'values (25, 16)',
  'when half is used up, it is filled again');
select is(tests.work(), 53, 'every page is read');
select results_eq('select status, scan, known_pages, planned_pages from tests.run',
  $$values ('completed', 1, 60, 60)$$, 'and the run completes with its only scan');
select results_eq($$select planned_chunks, chunks_completed, distinct_ids
  from public.workspace_sync_runs$$, 'values (60::bigint, 60::bigint, 120::bigint)',
  'each page once');

-- A list that grows, and one that shrinks, while it is read.
select tests.start('acme');
select tests.work(20);
select tests.serve_pages('acme', 70);
select tests.work(1);
select results_eq('select known_pages, planned_pages < 60 from tests.run', 'values (70, true)',
  'a list that grows has more to plan');
select tests.work();
select results_eq('select status, scan, known_pages from tests.run',
  $$values ('completed', 2, 70)$$,
  'all of it was read, and then again, because its total moved');
select tests.start('acme');
select tests.work(20);
select tests.serve_pages('acme', 30);
select tests.work();
select results_eq('select status, scan, known_pages from tests.run',
  $$values ('completed', 2, 30)$$,
  'a list that shrinks is read again, and only as long as it is');
select is((select count(*) from public.chunked_sync_jobs where run_id = (
  select max(id) from public.workspace_sync_runs) and scan = 1), 70::bigint,
  'every page that its first scan knew was asked for');

-- Failures fill no window less.
select tests.serve_pages('acme', 40);
select tests.start('acme');
select tests.work(1);
update public.chunk_processing_queue set max_attempts = 1 where status = 'pending';
select tests.fail(l, 'transient', 'HTTP 500: no') from tests.claim() as l;
update public.chunk_processing_queue set max_attempts = 3 where status = 'pending';
select tests.work();
select results_eq('select status, known_pages, planned_pages from tests.run',
  $$values ('failed', 40, 40)$$, 'a page that fails keeps no other from being read');
select is((select chunks_completed from public.workspace_sync_runs order by id desc limit 1),
  39::bigint, 'all the others were');

select * from finish();
rollback;
