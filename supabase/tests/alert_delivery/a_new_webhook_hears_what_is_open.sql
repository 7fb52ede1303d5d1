begin;
\ir ../support/setup.psql
select plan(4);

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
