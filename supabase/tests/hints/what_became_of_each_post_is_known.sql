begin;
\ir ../support/setup.psql
\ir ../support/endpoints.psql
select plan(5);

select tests.workspace('acme', 8);
select tests.serve('acme', variadic array(select generate_series(1, 20)));
select tests.start('acme');
select tests.complete(l) from tests.claim() as l;
select register_worker_endpoint('https://one.example', 'token-of-the-tests');
select trigger_next_chunk_processing();

create function tests.answer_next(p_status int, p_content text, p_error text default null)
  returns void language sql as $$
  with answered as (
    delete from net.http_request_queue
    where id = (select min(request_id) from sync.hints where outcome = 'sent'
      and request_id not in (select id from net._http_response)) returning id
  )
  insert into net._http_response (id, status_code, content, timed_out, error_msg)
  select id, p_status, p_content, p_error is not distinct from 'timeout', p_error from answered;
$$;

select tests.answer_next(202, '{"message":"accepted"}');
select tests.answer_next(200, '{"message":"not found or already processing"}');
select tests.answer_next(503, 'as many chunks in hand as allowed');
select tests.answer_next(401, 'you sent Bearer token-of-the-tests');
select tests.answer_next(null, null, 'timeout');
select tests.answer_next(null, null, 'Couldn''t connect to server');
select sync.collect_hint_answers();
select results_eq($$
  select outcome, status_code, message from hint_deliveries where direction = 'push' order by id
$$, $$values
  ('answered', 202, '{"message":"accepted"}'),
  ('answered', 200, '{"message":"not found or already processing"}'),
  ('busy', 503, 'as many chunks in hand as allowed'),
  ('refused', 401, '(not shown: it repeats the key)'),
  ('timed_out', null, 'timeout'),
  ('failed', null, 'Couldn''t connect to server'),
  ('sent', null, null), ('sent', null, null)
$$, 'each in its own words, a token that comes back is masked');

select tests.advance('60 seconds');
select sync.collect_hint_answers();
select is((select count(*) from sync.hints where outcome = 'sent'), 2::bigint,
  'an answer has a minute');
select tests.advance('1 second');
select sync.collect_hint_answers();
select results_eq($$select outcome, settled_at from sync.hints where request_id in
    (select id from net.http_request_queue) $$,
  $$values ('lost', sync.now()), ('lost', sync.now())$$, 'then the post is lost');
select tests.answer_next(202, 'late');
select sync.collect_hint_answers();
select is((select count(*) from sync.hints where outcome = 'lost'), 2::bigint, 'for good');

-- What receivers ask for.
select claim_chunk_job_safe(999999, 'receiver', p_protocol => 2);
select claim_chunk_job_safe((select min(chunk_id) from sync.hints), 'receiver', p_protocol => 2);
select claim_chunk_job_safe((select min(chunk_id) from sync.hints), 'receiver', p_protocol => 2);
select results_eq($$
  select worker_id, outcome from hint_deliveries where direction = 'claim' order by id
$$, $$values ('receiver', 'not_found'), ('receiver', 'claimed'), ('receiver', 'not_pending')$$,
  'forged and replayed ids are told apart');

select * from finish();
rollback;
