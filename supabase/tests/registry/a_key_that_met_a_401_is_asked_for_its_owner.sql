begin;
\ir ../support/setup.psql
select plan(9);

select register_workspace('acme', 'https://bison.example', '7|keyofzen', p_external_id => '41');
select set_budget('email_bison', null, null);
select tests.serve('acme', 1, 2);
prepare state as select key_status, (select count(*) from sync.sender_emails)
from public.sync_workspaces;
prepare asked as select record_id, page from tests.claim(100);

select tests.start('acme');
select is(tests.fail(l, 'permanent', 'HTTP 401: Unauthenticated.'), 'failed',
  'the first question meets a 401') from tests.claim() as l;
select results_eq('state', $$values ('refused', 0::bigint)$$, 'the key is refused');

select tests.start('acme');
create temp table held as select l as lease from tests.claim(100) as l;
select results_eq($$select (lease).record_id, (lease).page from held$$,
  $$values ('users', null::int)$$, 'the next job asks whose key it is all the same');
select tests.complete(lease, '{"data": {"workspace": {"id": 42, "name": "zen"}}}') from held;
select results_eq('state', $$values ('other_workspace', 0::bigint)$$,
  'it is another workspace''s: nothing is written');

select tests.start('acme');
select tests.fail(l, 'permanent', 'HTTP 401: Unauthenticated.') from tests.claim() as l;
select results_eq('state', $$values ('refused', 0::bigint)$$, 'that key may meet a 401, too');
select tests.start('acme');
select results_eq('asked', $$values ('users', null::int)$$, 'and is asked for its owner again');

select cancel_sync_job(id) from public.polling_job_status where status = 'running';
select tests.advance('1 hour');
select cleanup_stuck_chunks();
select rotate_workspace_key('acme', '8|keyofacme');
select tests.sync('acme');
select results_eq('state', $$values ('accepted', 2::bigint)$$, 'its own key writes');

select tests.start('acme');
select tests.fail(l, 'permanent', 'HTTP 401: Unauthenticated.') from tests.claim() as l;
select results_eq('state', $$values ('refused', 2::bigint)$$, 'the own key is refused once');
select tests.sync('acme');
select results_eq('state', $$values ('accepted', 2::bigint)$$, 'and accepted by its next answer');

select * from finish();
rollback;
