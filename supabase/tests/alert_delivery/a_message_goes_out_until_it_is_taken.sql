begin;
\ir ../support/setup.psql
\ir ../support/webhook.psql
select plan(15);

select sync.open_alert('key_refused', 'Müller & <!channel>', 'the API refuses its key');
select sync.deliver_alerts();
select sync.deliver_alerts();
select results_eq('select * from tests.sent()', $$values
  ('Chunkwise: key_refused: Müller &amp; &lt;!channel&gt;: the API refuses its key')$$,
  'a message once, and it calls nobody by its name');
select tests.advance('1 hour');
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 1::bigint, 'what pg_net has is not sent twice');
select tests.answer_webhook(500);
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 1::bigint, 'what was refused goes again');
select tests.answer_webhook(null);
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 0::bigint, 'but not at once');
select is((select last_error from sync.alert_deliveries), 'Timeout was reached at the webhook',
  'why is noted, without the URL');
select tests.advance('1 minute 1 second');
select sync.deliver_alerts();
select sync.resolve_alert('key_refused', 'Müller & <!channel>');
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 1::bigint,
  'that it is resolved waits for that it is open');
select tests.answer_webhook(204);
select sync.deliver_alerts();
select results_eq('select * from tests.sent()', $$values
  ('Chunkwise, resolved: key_refused: Müller &amp; &lt;!channel&gt;: the API refuses its key')$$,
  'and then goes');
select tests.answer_webhook(200);
select tests.advance('1 hour');
select sync.send_deliveries('http://127.0.0.1:9/alerts');
select is((select count(*) from tests.sent()), 0::bigint,
  'an answer that came since answers were read is one');
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 0::bigint, 'what was taken is done');
select results_eq($$select event, attempts, last_error from sync.alert_deliveries order by event$$,
  $$values ('opened', 3, null::text), ('resolved', 1, null)$$, 'each has its count');

select sync.open_alert('no_worker', 'workers', 'chunks are ready');
create function tests.refuse_for_ever() returns bigint language plpgsql as $$
declare
  v_sent bigint := 0;
begin
  for turn in 1..40 loop
    perform sync.deliver_alerts();
    v_sent := v_sent + (select count(*) from tests.sent());
    perform tests.answer_webhook(503);
    perform tests.advance('61 minutes');
  end loop;
  return v_sent;
end; $$;
select is(tests.refuse_for_ever(), 40::bigint, 'every hour while it is open');
update sync.alert_deliveries set attempts = 2000 where delivered_at is null;
select is(tests.refuse_for_ever(), 40::bigint, 'however long');
select sync.resolve_alert('no_worker', 'workers');
select sync.deliver_alerts();
select is((select count(*) from tests.sent()), 0::bigint, 'what nobody heard of is not resolved');
update sync.alert_deliveries set attempts = 0 where delivered_at is null;
select is(tests.refuse_for_ever(), 10::bigint, 'ten times at most when it is over');

select set_alert_url('dead_man', 'http://127.0.0.1:9/alive');
select sync.check_health();
select results_eq($$select method::text, url from net.http_request_queue where url like '%alive'$$,
  $$values ('GET', 'http://127.0.0.1:9/alive')$$, 'a health check pings the dead man''s switch');

select * from finish();
rollback;
