begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme', 3);
select tests.serve('acme', variadic array(select generate_series(1, 20)::bigint));
select tests.start('acme');
select tests.work(1);

create function tests.slots() returns table (ready bigint, processing bigint, waiting bigint,
  slots bigint) language sql as $$
  select count(*) filter (where ready_seq is not null),
    count(*) filter (where status = 'processing'),
    count(*) filter (where status = 'pending' and slot is null), count(distinct slot)
    from public.chunk_processing_queue;
$$;
select results_eq($$select * from tests.slots()$$,
  $$values (3::bigint, 0::bigint, 6::bigint, 3::bigint)$$, 'three are ready, six wait');
create temp table held as select * from tests.claim(100);
select results_eq($$select page from held$$, $$values (2), (3), (4)$$, 'a claim of 100 gets three');
select is_empty($$select * from tests.claim(100)$$, 'and then none');
select tests.complete((queue_id, lease_token, workspace, page, record_id, 0, 1)::tests.lease)
  from held where page = 3;
select results_eq($$select page from tests.claim(100)$$, $$values (5)$$,
  'one ends, one follows, in its slot');
select results_eq($$select * from tests.slots()$$,
  $$values (0::bigint, 3::bigint, 5::bigint, 3::bigint)$$, 'three are in flight');

select * from finish();
rollback;
