begin;
\ir ../support/setup.psql
select plan(9);

create temp table mine as select try_sync_lock('report', 60) as answer;
select is((select (answer ->> 'acquired')::boolean and answer ->> 'owner_id' is not null from mine),
  true, 'a free lock is taken');
select is(try_sync_lock('report', 60), '{"acquired": false, "owner_id": null}',
  'a taken one is not');
select is(try_sync_lock('other', 60) ->> 'acquired', 'true', 'another name is another lock');
select is(release_sync_lock('report', gen_random_uuid()), '{"released": false}',
  'who does not own it cannot release it');
select is(release_sync_lock('report', (answer ->> 'owner_id')::uuid), '{"released": true}',
  'who owns it can') from mine;
select try_sync_lock('report', 60);
select tests.advance('61 seconds');
select is(try_sync_lock('report', 60) ->> 'acquired', 'true', 'after its deadline it is free');
select throws_ok($$select try_sync_lock('', 60)$$, 'SY006', null, 'a lock has a name');
select throws_ok($$select try_sync_lock('report', 0)$$, 'SY006', null, 'and a deadline');
select throws_ok($$select try_sync_lock('report', null)$$, 'SY006', null, 'always');

select * from finish();
rollback;
