begin;
\ir ../support/setup.psql
select plan(12);

create function tests.hold_deletions() returns bigint language plpgsql as $$
begin
  perform tests.serve('acme', variadic array(select generate_series(1, 40)::bigint));
  perform tests.sync('acme');
  perform tests.serve('acme', 1, 2);
  return tests.sync('acme');
end; $$;
prepare waiting as select deletions_waiting from workspace_health
where workspace_name = 'acme' and stream = 'sender_emails';
prepare missing as select count(*) from sync.missing_records;

select tests.workspace('acme');
create temp table run as select tests.hold_deletions() as id;
select results_eq('waiting', $$values (38::bigint)$$, 'deletions wait');
select rotate_workspace_key('acme', '7|keyof' || md5('acme'));
select results_eq('waiting', $$values (38::bigint)$$, 'with the same key they still do');

select rotate_workspace_key('acme', '8|another');
select results_eq('waiting', $$values (0::bigint)$$, 'with another key nothing does');
select results_eq('missing', $$values (0::bigint)$$, 'nothing is missing');
select throws_ok(format('select approve_deletions(%s)', id), 'SY008', null, 'or approved') from run;

select tests.accept_key('acme');
select tests.hold_deletions();
set local role service_role;
update client_registry set bison_instance = 'https://new.example';
reset role;
select results_eq('waiting', $$values (0::bigint)$$, 'nor at another URL');
select results_eq('missing', $$values (0::bigint)$$, 'whoever wrote it');
select tests.accept_key('acme');
select tests.hold_deletions();
update client_registry set bison_workspace_id = '4711';
select results_eq('waiting', $$values (0::bigint)$$, 'nor for another workspace of the API');

-- A run that the change did not see: what it noted is not what the next one missed twice.
select tests.workspace('zen');
update sync_streams set item_path = null where stream_name = 'sender_emails';
select tests.serve('zen', 101, 102, 103);
select tests.sync('zen');
select tests.serve('zen', 101, 102);
select tests.sync('zen');
select results_eq($$select record_id, is_confirmed from sync.missing_records
  where record_id = '103'$$,
  $$values ('103', false)$$, 'missed once');
update workspace_sync_runs set access_revision = access_revision - 1
where id = (select missed_by_run_id from sync.missing_records where record_id = '103');
select tests.sync('zen');
select results_eq($$select record_id, is_confirmed from sync.missing_records
  where record_id = '103'$$,
  $$values ('103', false)$$, 'and once more, with another key: not twice');
select is((select deleted_at from sender_emails where id = 103), null, 'it lives');
select tests.sync('zen');
select isnt((select deleted_at from sender_emails where id = 103), null,
  'until it is missed again');

select * from finish();
rollback;
