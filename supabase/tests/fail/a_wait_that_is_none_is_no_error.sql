begin;
\ir ../support/setup.psql
select plan(2);

create temp table waits (workspace text, class text, wait numeric);
insert into waits
select format('%s %s', class, wait), class, wait
from unnest('{NaN,Infinity,-Infinity,1e30,-5,0}'::numeric[]) as wait,
  unnest('{transient,rate_limited}'::text[]) as class;
select tests.workspace(workspace) from waits;
select tests.start(variadic array(select workspace from waits));
create temp table leases as select * from tests.claim(100);

select set_eq($$
  select w.class, tests.fail(row(l.*)::tests.lease, w.class, 'HTTP 503: busy', w.wait)
  from leases as l join waits as w using (workspace)
$$, $$values ('transient', 'retry'), ('rate_limited', 'delayed')$$,
  'a wait without an end, below 0, or that is no number fails no report');
select is((
  select count(*) from leases as l join chunk_processing_queue as q on q.id = l.queue_id
  where q.next_retry_at between sync.now() and sync.now() + interval '901 seconds'
), 12::bigint, 'it is cut to what max_block_seconds allows');

select * from finish();
rollback;
