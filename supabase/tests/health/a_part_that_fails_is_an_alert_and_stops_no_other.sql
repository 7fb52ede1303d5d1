begin;
\ir ../support/setup.psql
select plan(13);

create function tests.open_alerts() returns table (kind text, subject text) language sql as $$
  select kind, subject from public.sync_alerts where resolved_at is null order by kind, subject;
$$;

select tests.workspace('acme');
select tests.workspace('zen');
update sync_workspaces set key_status = 'refused' where workspace_name = 'acme';
select sync.open_alert('stale_workspace', 'zen sender_emails', 'found before');
alter function sync.stale_causes() rename to stale_causes_that_work;
create function sync.stale_causes() returns setof sync.cause language plpgsql as $$
begin
  raise exception 'out of range for 7|%', repeat('b', 40);
end; $$;

select is(sync.check_health(), 2, 'a check goes on where a part fails');
select results_eq('select * from tests.open_alerts()', $$values
  ('check_failing', 'stale_causes'), ('key_refused', 'acme'),
  ('stale_workspace', 'zen sender_emails')$$,
  'it is an alert beside what others found, and what it found before stays');
select results_eq($$select beat_at, last_error from sync.heartbeats where name = 'health'$$,
  $$values (sync.now(), 'stale_causes: out of range for ***')$$, 'why is noted, masked');
select is((select message from sync_alerts where kind = 'check_failing'), 'out of range for ***',
  'and told');

drop function sync.stale_causes();
alter function sync.stale_causes_that_work() rename to stale_causes;
select is(sync.check_health(), 1, 'when it works again');
select results_eq('select * from tests.open_alerts()', $$values ('key_refused', 'acme')$$,
  'what is gone is resolved');
select is((select last_error from sync.heartbeats where name = 'health'), null,
  'and nothing is noted');

create function tests.alerts_of_watching() returns int language sql as $$
  select count(*)::int from tests.open_alerts() where subject = 'watch_jobs';
$$;
create or replace function sync.watch_jobs() returns void language plpgsql as $$
begin
  raise exception using errcode = 'lock_not_available', message = 'somebody holds a job';
end; $$;
select is(sync.check_health(), 1, 'live jobs that others hold for a moment are no cause');
select is(tests.alerts_of_watching(), 0, 'nor an alert');
select is((select last_error from sync.heartbeats where name = 'health'),
  'watch_jobs: somebody holds a job', 'but noted');
select is(sync.check_health(), 2, 'at the next check they are');
select is(tests.alerts_of_watching(), 1, 'and an alert');
update sync.heartbeats set last_error = null where name = 'health';

create or replace function sync.watch_jobs() returns void language plpgsql as $$
begin
  raise exception 'broken';
end; $$;
select is(sync.check_health(), 2, 'one of another kind is at once');

select * from finish();
rollback;
