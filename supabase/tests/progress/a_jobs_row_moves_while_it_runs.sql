begin;
\ir ../support/setup.psql
select plan(8);

create function tests.row() returns table (
  workspaces int, accounts bigint, chunks bigint, moved interval
) language sql as $$
  select workspaces_processed, total_accounts_synced, chunks_completed, sync.now() - updated_at
  from public.polling_job_status;
$$;
select tests.workspace('acme', 1);
select tests.workspace('zen', 1);
select tests.serve('acme', variadic array(select generate_series(1, 12)));
select tests.serve('zen', 1);
select tests.start('acme', 'zen');
select results_eq('select * from tests.row()', $$values (0, 0::bigint, 0::bigint, interval '0')$$,
  'it begins at 0');

-- One workspace ends, the other has read a page of its six.
select tests.advance('1.1 seconds');
select tests.work(2);
select results_eq('select workspaces, moved from tests.row()', $$values (1, interval '0')$$,
  'when a run ends, the row says so');
select tests.advance('0.5 seconds');
select tests.work(1);
select is((select moved from tests.row()), interval '0.5 seconds', 'not with every page');
select tests.advance('2 seconds');
select tests.work(1);
select results_eq('select * from tests.row()', $$
  select 1, 5::bigint, 3::bigint, interval '0'
$$, 'every two seconds a claim tells what the pages before it brought');
select tests.advance('2.1 seconds');
select tests.work(1);
select results_eq('select * from tests.row()', $$
  select 1, 7::bigint, 4::bigint, interval '0'
$$, 'and goes on so, though no run ends');

-- Nothing ends: the row stands still. A job of somebody's own code is left alone.
insert into polling_job_status (job_name, workspaces_processed, total_accounts_synced)
values ('own', 3, 40);
select tests.advance('5 seconds');
select cleanup_stuck_chunks();
select tests.advance('5 seconds');
select cleanup_stuck_chunks();
select results_eq($$select total_accounts_synced, sync.now() - updated_at from polling_job_status
  order by job_name$$, $$values (40::bigint, interval '10 seconds'), (9, interval '5 seconds')$$,
  'what does not move is not touched');
delete from polling_job_status where job_name = 'own';

select tests.work();
select results_eq('select workspaces, accounts from tests.row()', $$values (2, 13::bigint)$$,
  'the end is exact');
select is((select progress_percentage from polling_job_status), 100.0, 'and at 100 %');

select * from finish();
rollback;
