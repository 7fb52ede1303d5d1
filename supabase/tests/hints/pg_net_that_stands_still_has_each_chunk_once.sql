begin;
\ir ../support/setup.psql
\ir ../support/endpoints.psql
select plan(11);

-- Pg_net takes nothing from its queue. 40 workspaces, and each has a chunk that is ready.
select tests.workspace('w' || n) from generate_series(1, 40) as n;
select tests.start(variadic array(select 'w' || n from generate_series(1, 40) as n));
select register_worker_endpoint('https://one.example', 'token-of-the-tests');
insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
values ('POST', 'https://users.example', '{}', 1000);

create function tests.sweeps(p_times int, p_every interval) returns bigint language plpgsql as $$
declare
  v_most bigint := 0;
begin
  for n in 1..p_times loop
    perform tests.advance(p_every);
    perform sync.tend_hints();
    v_most := greatest(v_most, (select count(*) from net.http_request_queue));
  end loop;
  return v_most;
end; $$;

select is(tests.sweeps(11, '5 seconds'), 41::bigint, 'each chunk is posted once');
select is((select count(*) from sync.hints), 40::bigint, 'not again while pg_net has it');
select trigger_next_chunk_processing();
select is((select count(*) from sync.hints), 40::bigint, 'nor if it is asked for');
select is(tests.sweeps(3, '5 seconds'), 41::bigint, 'after a minute its post is taken back');
select is((select count(*) from sync.hints where outcome = 'lost'), 40::bigint, 'and was lost');
select is((select count(*) from sync.hints where outcome = 'sent'), 40::bigint,
  'a new one takes its place');
select is(tests.sweeps(60, '1 minute'), 41::bigint, 'so it stays for hours');
select is((select count(*) from net.http_request_queue where url = 'https://users.example'),
  1::bigint, 'requests of others are left alone');

-- More than pg_net may be given at a time: as if that many were ready.
insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
select 'POST', 'https://one.example', jsonb_build_object('Chunkwise-Message', 'hint/' || -n), 2000
from generate_series(1, 1000) as n;
insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at)
select -n, e.id as endpoint_id, q.id as request_id, 1, sync.now()
from public.worker_endpoints as e, generate_series(1, 1000) as n
join net.http_request_queue as q on q.headers ->> 'Chunkwise-Message' = 'hint/' || -n;
select tests.workspace('late');
select is((select start_sync_job('late', null, '{late}') ->> 'status'), 'accepted',
  'work starts however full its queue is');
create view tests.posts_of_late as select count(*) as posts from sync.hints as h
join public.chunk_processing_queue as q on q.id = h.chunk_id
join public.workspace_sync_runs as r on r.id = q.run_id
join public.sync_workspaces as w on w.id = r.workspace_id where w.workspace_name = 'late';
select is((select posts from tests.posts_of_late), 0::bigint, 'but is not posted on top of it');
delete from net.http_request_queue where headers ->> 'Chunkwise-Message' like 'hint/-%';
select trigger_next_chunk_processing();
select is((select posts from tests.posts_of_late), 1::bigint, 'and is as soon as there is room');

select * from finish();
rollback;
