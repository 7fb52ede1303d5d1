begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.workspace('zen');
select tests.serve('acme', 1);
select tests.start('acme');
set local role service_role;
select throws_ok($$update polling_job_status set status = 'completed'$$, 'SY009', null,
  'a job with live runs does not end by hand');
reset role;
select tests.work();
set local role service_role;
select throws_ok($$update polling_job_status set status = 'running', completed_at = null$$, 'SY009',
  null, 'an ended one does not run again');
select throws_ok($$update polling_job_status set status = 'failed'$$, 'SY009', null,
  'nor does it end in another way');
insert into polling_job_status (job_name) values ('by hand');
select throws_ok($$update polling_job_status set status = 'done' where job_name = 'by hand'$$,
  '23514', null, 'there are no other states');
update polling_job_status set status = 'failed', error_message = 'by hand'
  where job_name = 'by hand';
select results_eq($$select status, completed_at is not null, duration_ms is not null
  from polling_job_status where job_name = 'by hand'$$,
  $$values ('failed', true, true)$$, 'a row of one''s own ends once, and notes when');
reset role;
select results_eq($$select status, workspaces_processed from public.polling_job_status
  where job_name = 'test'$$, $$values ('completed', 1)$$,
  'the refused writes left no trace');

select * from finish();
rollback;
