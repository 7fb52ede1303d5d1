begin;
\ir ../support/setup.psql
\ir ../support/endpoints.psql
select plan(10);

-- Each post was sent, and nobody came.
create or replace function tests.sweep() returns void language sql as $$
  delete from net.http_request_queue;
  select sync.resend_hints(false);
$$;

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select register_worker_endpoint(format('https://%s.example', name), 'token-of-the-tests')
from unnest('{one,two,three}'::text[]) as name;
select tests.start('acme');
select results_eq('select attempt from tests.posts()', 'values (1)', 'posted as it became ready');

select tests.sweep();
select tests.advance('4.9 seconds');
select tests.sweep();
select is((select count(*) from tests.posts()), 1::bigint, 'it has five seconds to be claimed');
select tests.advance('0.1 seconds');
select tests.sweep();
select tests.advance('9.9 seconds');
select tests.sweep();
select is((select count(*) from tests.posts()), 2::bigint, 'then it is posted again, and has ten');
select tests.advance('0.1 seconds');
select tests.sweep();
select results_eq('select attempt from tests.posts()', 'values (1), (2), (3)', 'and so on');
select is((select count(distinct endpoint) from tests.posts()), 3::bigint,
  'each time another endpoint comes first');

do $$
begin
  for n in 1..200 loop
    perform tests.advance('10 seconds');
    perform tests.sweep();
  end loop;
end; $$;
select results_eq($$
  select extract(epoch from sent_at - lag(sent_at) over (order by id))::int from sync.hints
  order by id offset 3
$$, 'values (20), (40), (80), (160), (300), (300), (300), (300), (300)',
  'the pause stops growing at five minutes');
delete from net.http_request_queue;
select is(trigger_next_chunk_processing(), '{"ready_chunks": 1}', 'it can be asked for now');
select is((select max(sent_at) from sync.hints), sync.now(), 'whatever the pause');

select tests.claim();
select tests.advance('10 seconds');
select tests.sweep();
select is((select max(sent_at) from sync.hints), sync.now() - interval '10 seconds',
  'what is claimed is not posted');
select is(trigger_next_chunk_processing(), '{"ready_chunks": 0}', 'nor then');

select * from finish();
rollback;
