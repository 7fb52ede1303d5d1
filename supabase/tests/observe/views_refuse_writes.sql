begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme');
select tests.start('acme');
set local role service_role;
select throws_ok($$insert into sync_page_queue (status) values ('pending')$$, 'SY018', null,
  'a page is not queued by hand');
select throws_ok($$update sync_page_queue set status = 'processing'$$, 'SY018', null,
  'nor claimed');
select throws_ok($$delete from sync_page_queue$$, 'SY018', null, 'nor removed');
select throws_ok($$update chunk_processing_queue set status = 'completed'$$, '42501', null,
  'the queue behind it belongs to the verbs');
reset role;
select results_eq($$select status from sync_page_queue$$, $$values ('pending')$$,
  'it stands as it was');

select * from finish();
rollback;
