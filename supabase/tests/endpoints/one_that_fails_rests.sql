begin;
\ir ../support/setup.psql
\ir ../support/endpoints.psql
select plan(13);

create function tests.rest_of(p_name text) returns interval language sql as $$
  select resting_until - sync.now() from public.worker_endpoints
  where url = format('https://%s.example', p_name);
$$;

-- One more post to it, and its answer.
create function tests.try(p_name text, p_status int) returns void language plpgsql as $$
begin
  perform sync.push_chunks(array(select id from public.chunk_processing_queue));
  perform tests.answer_posts(p_name, p_status);
end; $$;

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
select register_worker_endpoint('https://one.example', 'token-of-the-tests');
select tests.start('acme');
select tests.answer_posts('one', 500, 'no database');
select tests.try('one', null);
select is(tests.rest_of('one'), null, 'after two failures it does not rest');
select is_empty('select 1 from sync_alerts', 'nor is there an alert');
select tests.try('one', 401);
select is(tests.rest_of('one'), '30 seconds', 'after three it does');
select results_eq($$select kind, subject, message from sync_alerts where resolved_at is null$$, $$
  values ('endpoint_failing', 'https://one.example', '3 wake-ups in a row failed: no reason')
$$, 'and that is an alert');

select is(sync.push_chunks(array(select id from chunk_processing_queue)), 0,
  'meanwhile nothing is posted to it');
select register_worker_endpoint('https://two.example', 'token-of-the-tests');
select is((select count(*) from generate_series(1, 4) as n
  where sync.push_chunks(array(select id from chunk_processing_queue)) = 1), 4::bigint,
  'others get its share');
select results_eq('select endpoint, count(*) from tests.posts() group by 1 order by 1',
  $$values ('one', 3::bigint), ('two', 4)$$, 'all of it');
select remove_worker_endpoint('https://two.example');

select tests.advance('31 seconds');
select tests.try('one', null);
select is(tests.rest_of('one'), '1 minute', 'it may try again, and rests longer');
do $$
begin
  for n in 1..8 loop
    perform tests.advance('16 minutes');
    perform tests.try('one', null);
  end loop;
end; $$;
select is(tests.rest_of('one'), '15 minutes', 'at most a quarter of an hour');
select is((select count(*) from sync_alerts), 1::bigint, 'all this is one alert');

select tests.advance('16 minutes');
select tests.try('one', 503);
select results_eq('select consecutive_failures, resting_until, last_error from worker_endpoints',
  'values (0, null::timestamptz, null::text)', 'one that is busy answers: it is well');
select is_empty('select 1 from sync_alerts where resolved_at is null', 'and so it is resolved');

select tests.try('one', null) from generate_series(1, 3);
select remove_worker_endpoint('https://one.example');
select is_empty('select 1 from sync_alerts where resolved_at is null',
  'an endpoint that is removed leaves no open alert');

select * from finish();
rollback;
