begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select tests.workspace('oak');
select tests.start('oak');
select tests.fail(l, 'permanent', 'HTTP 403') from tests.claim() as l;
select tests.start('acme');
select tests.claim();
create function tests.rows_of_views() returns table (view_name text, row_count bigint)
  language plpgsql as $$
begin
  for view_name in
    select oid::regclass::text from pg_class
    where relkind = 'v' and relnamespace in ('public'::regnamespace, 'sync'::regnamespace)
    order by 1
  loop
    execute 'select count(*) from ' || view_name into row_count;
    return next;
  end loop;
end; $$;
create temp table all_rows as select * from tests.rows_of_views();
grant select on all_rows to authenticated;

select tests.act_as('authenticated', p_is_operator => true);
select results_eq($$select * from tests.rows_of_views()$$, $$select * from all_rows$$,
  'an operator sees what there is');
select isnt_empty($$select get_sync_job_progress(id) from polling_job_status$$,
  'and any job''s progress');
reset role;
select tests.act_as('authenticated');
select is_empty($$select * from tests.rows_of_views() where row_count > 0$$,
  'another signed-in user sees nothing');
select throws_ok($$select get_sync_job_progress('00000000-0000-0000-0000-000000000000')$$, 'SY007',
  null, 'no job exists for them');
reset role;
select tests.act_as('anon');
select throws_ok($$select count(*) from sender_emails$$, '42501', null,
  'an anonymous visitor may not even ask');
reset role;
select ok((select count(*) filter (where row_count > 0) > 8 from all_rows),
  'most views had rows to show');

select * from finish();
rollback;
