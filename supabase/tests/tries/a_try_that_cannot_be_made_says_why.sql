begin;
\ir ../support/setup.psql
\ir ../support/tries.psql
select plan(17);

select tests.workspace('acme');
create table tests.made (id bigint);
create function tests.begin_try() returns bigint language sql as $$
  insert into tests.made select (try_stream('{"stream_name": "sender_emails"}', 'acme')
    ->> 'try_id')::bigint returning id;
$$;
create function tests.said(p_id bigint) returns text language sql as $$
  select concat_ws(' ', get_stream_try(p_id) ->> 'status', case
    when get_stream_try(p_id) ->> 'error_message' is not null then 'for a reason' end);
$$;
create function tests.give_up(p_lease jsonb, p_class text, p_message text) returns text
language sql as $$
  select fail_chunk_job_safe((p_lease ->> 'queue_id')::bigint,
    (p_lease ->> 'lease_token')::bigint, p_class, p_message) ->> 'outcome';
$$;

select throws_ok($$select try_stream('{"stream_name": "people"}', 'acme')$$, 'SY003', null,
  'a stream that is not declared');
select throws_ok($$select try_stream('{"stream_name": "sender_emails"}', 'zen')$$, 'SY002', null,
  'a workspace that is not there');
select throws_ok($$select try_stream('{"stream_name": "x", "path": "x", "page_size": 1}',
  'acme')$$, 'SY006', null, 'a declaration that is refused');
select throws_ok($$select try_stream('[]', 'acme')$$, 'SY006', null, 'no declaration');
select throws_ok($$select try_stream('{"source": {"source_name": "crm"}, "streams": [
  {"stream_name": "x", "path": "/x", "page_size": 1}]}', 'acme')$$, 'SY006', null,
  'a stream of another source than the workspace''s');
select is_empty($$select from sync_sources where source_name = 'crm'$$, 'which is not declared');
select throws_ok($$select try_stream('{"stream_name": "conversation_threads"}', 'acme')$$,
  'SY005', null, 'a child without a parent');
select throws_ok($$select get_stream_try(0)$$, 'SY007', null, 'a try that is not there');

-- What fails for good ends it, what may pass is sent three times.
select tests.begin_try();
select is(tests.give_up(tests.next_lease(), 'permanent', 'HTTP 403: no'), 'failed',
  'a refusal is final');
select is(tests.said((select max(id) from tests.made)), 'failed for a reason', 'and is told');
select tests.begin_try();
select is(tests.give_up(tests.next_lease(), 'transient', 'HTTP 500'), 'retry', 'a fault may pass');
select is(tests.next_lease(), null, 'it is sent again a little later');
select tests.advance('2 seconds');
select is(tests.give_up(tests.next_lease(), 'released', null), 'released',
  'what was handed back is sent at once');
select tests.advance('21 seconds') from (select tests.next_lease()) as l;
select cleanup_stuck_chunks();
select isnt(tests.next_lease(), null, 'a worker that fell silent has another one take it');
select tests.advance('21 seconds');
select cleanup_stuck_chunks();
select is(tests.said((select max(id) from tests.made)),
  'failed for a reason', 'three times at most');

select tests.begin_try();
select tests.advance('11 minutes');
select cleanup_stuck_chunks();
select is(tests.said((select max(id) from tests.made)), 'failed for a reason',
  'what nobody takes ends');
select tests.advance('61 minutes');
select cleanup_stuck_chunks();
select is_empty('select from sync.stream_tries', 'an hour later nothing is left');

select * from finish();
rollback;
