begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.start('acme');
create function tests.public_columns() returns text language sql as $$
  select 'select id, job_name, started_at, completed_at, status, total_workspaces,
    workspaces_processed, workspaces_skipped, total_accounts_synced, duration_ms, created_at,
    updated_at from polling_job_status';
$$;
select tests.act_as('anon');
select is_empty(tests.public_columns(), 'off by default');
reset role;
select set_setting('public_dashboard', 'true');
select tests.act_as('anon');
select isnt_empty(tests.public_columns(), 'switched on, anyone reads the named columns');
select throws_ok($$select error_message from polling_job_status$$, '42501', null, 'not the error');
select throws_ok($$select warnings from polling_job_status$$, '42501', null, 'not the warnings');
select throws_ok($$select * from polling_job_status$$, '42501', null, 'not all');
select throws_ok($$update polling_job_status set status = 'failed'$$, '42501', null,
  'and writes nothing');

select * from finish();
rollback;
