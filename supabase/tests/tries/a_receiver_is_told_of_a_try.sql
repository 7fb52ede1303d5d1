begin;
\ir ../support/setup.psql
\ir ../support/tries.psql
\ir ../support/endpoints.psql
select plan(13);

select tests.workspace('acme');
select register_worker_endpoint('https://one.example', 'token-of-endpoint-one',
  '{sender_emails}');
create function tests.claimed(p_id bigint, p_worker_id text default 'receiver') returns jsonb
  language sql as $$
  with asked as (select claim_chunk_job_safe(p_id, p_worker_id, 2) as answer),
  taken as (
    insert into tests.asked (lease) select l from asked,
      jsonb_array_elements(answer -> 'leases') as l
  ) select answer from asked;
$$;
create function tests.request() returns bigint language sql as $$
  select request_id from sync.stream_tries order by id desc limit 1;
$$;
create function tests.last_lease() returns jsonb language sql as $$
  select lease from tests.asked order by n desc limit 1;
$$;

select try_stream('{"stream_name": "people", "path": "/people", "page_size": 2}', 'acme');
select results_eq('select endpoint, chunk, attempt from tests.posts()',
  $$select 'one', tests.request(), 1$$, 'a try is posted, for whatever stream an endpoint is');
create temporary table first as select tests.claimed(tests.request()) as answer;
select is(answer #> '{leases,0,queue_id}', to_jsonb(tests.request()),
  'who is told claims it by its id') from first;
select is(answer -> 'reason', null, 'without a reason why not') from first;
select is(tests.claimed(tests.request()) ->> 'reason', 'not_pending', 'nobody claims it twice');
select results_eq($$select chunk_id, outcome from hint_deliveries where direction = 'claim'
    order by id$$, $$values (tests.request(), 'claimed'), (tests.request(), 'not_pending')$$,
  'both are shown');
create temporary table before as select tests.request() as id;
select tests.hand_over(tests.last_lease(), tests.people(4, 1, 2));
select isnt(tests.request(), id, 'page 2 is another request') from before;
select is((select max(chunk) from tests.posts()), tests.request(), 'which is posted, too');

select tests.claimed(tests.request());
select is(fail_chunk_job_safe((l ->> 'queue_id')::bigint, (l ->> 'lease_token')::bigint,
  'transient', 'HTTP 503: no') ->> 'look_again_ms', '1000',
  'who failed is told when to ask again') from tests.last_lease() as l;
select is(tests.claimed(tests.request()) - '{leases,blocked_budgets,versions,next_look_ms}'::text[],
  '{"reason": "not_due", "look_again_ms": 1000}', 'so is who asks too early');
delete from sync.hints;
delete from net.http_request_queue;
select tests.sweep();
select is_empty('select 1 from tests.posts()', 'until then a sweep posts nothing');
select tests.advance('2 seconds');
select tests.sweep();
select results_eq('select chunk from tests.posts()', 'select tests.request()', 'then it does');
select tests.sweep();
select is((select count(*) from tests.posts()), 1::bigint, 'once at a time');
select is(tests.claimed(tests.request()) #> '{leases,0,queue_id}', to_jsonb(tests.request()),
  'and it is leased');

select * from finish();
rollback;
