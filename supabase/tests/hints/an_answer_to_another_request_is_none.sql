begin;
\ir ../support/setup.psql
\ir ../support/endpoints.psql
select plan(3);

-- Pg_net's numbers begin again after a crash, and when the extension is made anew.
select tests.workspace('acme');
select tests.start('acme');
select register_worker_endpoint('https://one.example', 'token-of-the-tests');
select trigger_next_chunk_processing();
insert into net._http_response (id, status_code, created)
select request_id, 200, posted_at - interval '11 seconds' from sync.hints;
select sync.collect_hint_answers();
select results_eq('select outcome from sync.hints', $$values ('sent')$$,
  'what was answered before it was posted is another''s');
update net._http_response set created = created + interval '3 minutes';
select sync.collect_hint_answers();
select results_eq('select outcome from sync.hints', $$values ('sent')$$,
  'and what is answered long after it');
update net._http_response set created = (select posted_at from sync.hints);
select sync.collect_hint_answers();
select results_eq('select outcome, status_code from sync.hints', $$values ('answered', 200)$$,
  'an answer is one to what was posted just before');

select * from finish();
rollback;
