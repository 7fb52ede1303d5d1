begin;
\ir ../support/setup.psql
select plan(7);

select sync.open_alert('no_worker', 'workers', 'chunks are ready');
select sync.open_alert('cron_silent', 'pg_cron', 'nothing ran');
select sync.resolve_alert('cron_silent', 'pg_cron');
select sync.deliver_alerts();
select is_empty('select 1 from net.http_request_queue', 'without a webhook nothing is sent');
select tests.advance('18 days');
\ir ../support/webhook.psql
select sync.deliver_alerts();
select results_eq('select * from tests.sent()',
  $$values ('Chunkwise: no_worker: workers: chunks are ready')$$,
  'a new one hears what is open, however old, and not what is over');
select tests.answer_webhook(200);
select sync.deliver_alerts();
select set_alert_url('dead_man', 'http://127.0.0.1:9/alive');
select sync.deliver_alerts();
select is_empty('select * from tests.sent()', 'what was taken is not sent again');
select set_alert_url('webhook', 'http://127.0.0.1:9/mistyped');
select sync.deliver_alerts();
select tests.answer_webhook(404);
select sync.deliver_alerts();
select results_eq('select attempts, last_error from sync.alert_deliveries',
  $$values (1, 'HTTP 404')$$, 'but what is open goes to another webhook, here one that refuses it');
select set_alert_url('webhook', 'http://127.0.0.1:9/alerts');
select sync.deliver_alerts();
select results_eq('select * from tests.sent()',
  $$values ('Chunkwise: no_worker: workers: chunks are ready')$$, 'at once when it is corrected');
select tests.answer_webhook(200);
select tests.advance('18 days');
select sync.resolve_alert('no_worker', 'workers');
select sync.deliver_alerts();
select results_eq('select * from tests.sent()',
  $$values ('Chunkwise, resolved: no_worker: workers: chunks are ready')$$,
  'and when it is resolved, however late');
select tests.answer_webhook(200);
insert into public.sync_alerts (kind, subject, message)
select 'stale_workspace', 'w' || n, 'old' from generate_series(1, 26) as n;
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 10::bigint, 'ten at a time');

select * from finish();
rollback;
