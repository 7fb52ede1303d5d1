begin;
\ir ../support/setup.psql
\ir ../support/webhook.psql
select plan(10);

create function tests.delivered() returns boolean language sql as $$
  select delivered_at is not null from sync.alert_deliveries;
$$;
select sync.open_alert('no_worker', 'workers', 'chunks are ready');
select sync.deliver_alerts();
select is((select headers ->> 'Chunkwise-Message' from net.http_request_queue),
  (select format('alert/%s/opened', id) from sync_alerts), 'a message carries its name');

-- Of the numbers of another time.
insert into net._http_response (id, status_code, created)
select request_id, 200, posted_at - interval '1 hour' from sync.alert_posts;
select sync.deliver_alerts();
select is(tests.delivered(), false, 'what was answered before it was sent is another''s');
update net._http_response set created = pg_catalog.now() + interval '3 minutes';
select sync.deliver_alerts();
select is(tests.delivered(), false, 'and what is answered long after pg_net had it');

-- However long pg_net has it.
update sync.alert_posts set posted_at = posted_at - interval '1 day', held_at = '-infinity';
update net._http_response set created = pg_catalog.now() + interval '1 minute';
select sync.deliver_alerts();
select is(tests.delivered(), true, 'an answer that comes after a day in its queue is one');

-- A crash: pg_net's tables are empty, and so is ours.
select tests.answer_webhook(200);
delete from net._http_response;
select sync.open_alert('cron_silent', 'pg_cron', 'no job ended well');
select sync.deliver_alerts();
create temp table before as select * from sync.alert_posts;
delete from net.http_request_queue;
delete from sync.alert_posts;
insert into net._http_response (id, status_code) select request_id, 200 from before;
insert into net.http_request_queue (id, method, url, headers, timeout_milliseconds)
select request_id, 'GET', 'https://users.example', '{}', 1000 from before;
select sync.deliver_alerts();
select results_eq($$select delivered_at, attempts from sync.alert_deliveries as d
  join sync_alerts as a on a.id = d.alert_id where kind = 'cron_silent'$$,
  $$values (null::timestamptz, 1)$$, 'a number from before the crash means nothing');
select tests.advance('31 seconds');
select sync.deliver_alerts();
select results_eq('select * from tests.sent()', $$values
  ('Chunkwise: cron_silent: pg_cron: no job ended well')$$,
  'the message goes again, though another request has its number');

-- The extension was made anew: the queue is another, and its numbers begin again.
delete from net._http_response;
update sync.alert_posts set net_queue = 1;
insert into net._http_response (id, status_code) select request_id, 200 from sync.alert_posts;
select sync.collect_delivery_answers('http://127.0.0.1:9/alerts');
select is((select count(*) from sync.alert_deliveries where delivered_at is null), 1::bigint,
  'nor does one from another queue');

-- Pg_net that stands still.
delete from net.http_request_queue;
select sync.open_alert('stale_workspace', 'acme ' || n, 'stale') from generate_series(1, 50) as n;
create function tests.stand_still() returns bigint language plpgsql as $$
declare
  v_most bigint := 0;
begin
  for n in 1..100 loop
    perform tests.advance('5 minutes');
    perform sync.deliver_alerts();
    perform sync.ping_dead_man();
    v_most := greatest(v_most, (select count(*) from net.http_request_queue));
  end loop;
  return v_most;
end; $$;
select set_alert_url('dead_man', 'http://127.0.0.1:9/alive');
select is(tests.stand_still(), 11::bigint, 'it has ten messages and one ping at most');
select is((select count(*) from net.http_request_queue where url like '%/alive'), 1::bigint,
  'the last ping');
select tests.answer_webhook(200);
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 10::bigint, 'and the next ten when those went');

select * from finish();
rollback;
