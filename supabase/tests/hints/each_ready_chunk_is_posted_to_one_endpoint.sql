begin;
\ir ../support/setup.psql
\ir ../support/endpoints.psql
select plan(11);

select tests.workspace('acme', 4);
select tests.serve('acme', 1, 2, 3, 4, 5, 6, 7, 8);
select tests.start('acme');
select is_empty('select 1 from sync.hints', 'without an endpoint nothing is posted');
select tests.complete(l) from tests.claim() as l;

select register_worker_endpoint(format('https://%s.example', name), 'token-of-endpoint-' || name)
from unnest('{one,two,three}'::text[]) as name;
select is_empty('select 1 from sync.hints', 'to register one posts nothing by itself');

select is(trigger_next_chunk_processing(), '{"ready_chunks": 3}', 'three pages are ready');
select set_eq('select chunk from tests.posts()',
  'select id from chunk_processing_queue where ready_seq is not null', 'each is posted');
select results_eq('select count(*), count(distinct endpoint) from tests.posts()',
  'values (3::bigint, 3::bigint)', 'each to another of three endpoints');
select results_eq($$
  select distinct q.url = e.url || '/', q.method::text, q.timeout_milliseconds,
    q.headers ->> 'Authorization' = 'Bearer ' || d.decrypted_secret,
    q.headers ->> 'Content-Type', convert_from(q.body, 'utf8')::jsonb
      = jsonb_build_object('type', 'UPDATE', 'table', 'sync_page_queue', 'schema', 'public',
        'record', jsonb_build_object('id', c.id, 'status', 'pending', 'attempts', 0,
          'created_at', c.created_at), 'old_record', null)
  from net.http_request_queue as q join sync.hints as h on h.request_id = q.id
  join chunk_processing_queue as c on c.id = h.chunk_id
  join worker_endpoints as e on e.id = h.endpoint_id
  join vault.decrypted_secrets as d on d.id = e.secret_id
$$, $$values (true, 'POST', 2000, true, 'application/json', true)$$,
  'with its token, the record, and a short time to answer');

-- Chunks of items, which have a table of their own.
delete from net.http_request_queue;
update sync_streams set completeness = 'items', item_path = '/items/{id}', parent_stream = 'replies'
where stream_name = 'sender_emails';
select trigger_next_chunk_processing();
select results_eq($$
  select distinct convert_from(body, 'utf8')::jsonb ->> 'table' from net.http_request_queue
$$, $$values ('chunk_processing_queue')$$, 'an item is posted as one');

-- A stream of its own.
delete from sync.hints;
update worker_endpoints set streams = case when url like '%one%' then '{sender_emails}'::text[]
  else '{replies}' end;
select trigger_next_chunk_processing();
select results_eq('select distinct endpoint from tests.posts()', $$values ('one')$$,
  'an endpoint is woken for its streams only');
update worker_endpoints set streams = null, is_active = url like '%two%';
delete from sync.hints;
select trigger_next_chunk_processing();
select results_eq('select distinct endpoint from tests.posts()', $$values ('two')$$,
  'and only while it is active');

-- A chunk that becomes ready later.
delete from sync.hints;
select tests.fail(l, 'transient') from tests.claim() as l;
select is_empty('select 1 from tests.posts()', 'a chunk that waits for its retry is not posted');
select tests.advance('1 hour');
select sync.wake_due_chunks(1000);
select results_eq('select count(*), max(attempt) from tests.posts()', 'values (1::bigint, 1)',
  'when it is due, it is');

select * from finish();
rollback;
