begin;
\ir ../support/setup.psql
select plan(1);

select sync.open_alert('no_worker', subject, 'chunks are ready')
from unnest('{long_over,over,open}'::text[]) as subject;
select sync.resolve_alert('no_worker', 'long_over');
insert into sync.alert_deliveries (alert_id, event) select id, 'opened' from sync_alerts;
select tests.advance('80 days');
select sync.resolve_alert('no_worker', 'over');
select tests.advance('11 days');
select sync.prune(1000);
select results_eq(
  $$select a.subject from sync_alerts as a join sync.alert_deliveries as d on d.alert_id = a.id
    order by a.id$$, $$values ('over'), ('open')$$,
  'what was resolved 90 days ago goes, with its messages; what is open stays');

select * from finish();
rollback;
