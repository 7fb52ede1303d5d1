begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(6);

create function tests.counted() returns bigint language sql as $$
  select total_accounts_synced from public.polling_job_status order by started_at desc, id limit 1;
$$;
select tests.fill(1, 25);

select tests.chained('{"params": {"after": "{last}"}, "order_path": ["id"],
  "more_path": ["more"]}');
select tests.start_list();
select tests.read_list(2);
select tests.advance('3 seconds');
select cleanup_stuck_chunks();
select is(tests.counted(), 20::bigint, 'a chain counts what its pages showed');
select tests.read_list();
select is(tests.counted(), 25::bigint, 'and in the end what it showed');

select tests.advance('1 second');
select tests.declare('{"completeness": "agreed", "params": {"page": "{page}"}}');
select tests.start_list();
select tests.read_list(2);
select tests.advance('3 seconds');
select cleanup_stuck_chunks();
select is(tests.counted(), 20::bigint, 'so does the first of two scans');
select tests.read_list(5);
select tests.advance('3 seconds');
select cleanup_stuck_chunks();
select is((tests.last_run()).scan, 2, 'the second one');
select is(tests.counted(), 25::bigint, 'counts nothing twice');
select tests.read_list();
select is(tests.counted(), 25::bigint, 'nor does the end');

select * from finish();
rollback;
