begin;
\ir ../support/setup.psql
select plan(14);

select tests.workspace('acme', 2);
select tests.serve('acme', 1, 2, 3);
create function tests.change(p_fields jsonb) returns bigint language sql as $$
  update tests.accounts set fields = p_fields where id = 1;
  select tests.advance('1 hour');
  select tests.sync('acme');
$$;
create function tests.stored() returns text language sql as $$
  select name from sync.sender_emails where id = 1;
$$;
select tests.sync('acme');
select tests.change('{"name": "of 2099", "updated_at": "2099-01-01T00:00:00Z"}');
select tests.change('{"name": "today", "updated_at": "2026-03-01T00:00:00Z"}');
select is(tests.stored(), 'today', 'after a date in the future');
select tests.change('{"name": "of yesterday", "updated_at": "2026-02-28T00:00:00Z"}');
select is(tests.stored(), 'of yesterday', 'after a date that goes backwards');
select tests.change('{"name": "summer", "updated_at": "2026-10-25 02:30:00"}');
select tests.change('{"name": "winter", "updated_at": "2026-10-25 02:10:00"}');
select is(tests.stored(), 'winter', 'after a local time that an hour passes twice');
select is((select updated_at from sync.sender_emails where id = 1),
  '2026-10-25T02:10:00Z'::timestamptz, 'which is UTC, as the API wrote no zone');
set local timezone = 'Asia/Tokyo';
set local datestyle = 'German';
select tests.change('{"name": "slashes", "updated_at": "03/04/2026 10:00:00"}');
select is((select updated_at from sync.sender_emails where id = 1),
  '2026-03-04T10:00:00Z'::timestamptz, 'whatever a session or a database says');
reset timezone;
reset datestyle;
select tests.change('{"name": "infinite", "updated_at": "infinity"}');
select tests.change('{"name": "finite"}');
select is(tests.stored(), 'finite', 'after a date without end');
select results_eq($$select name, raw ->> 'name', last_changed_at from sync.sender_emails
  where id = 1$$, $$values ('finite', 'finite', sync.now())$$, 'columns, raw and time agree');

-- An answer that was requested before the row's last change needs a later date: page 2 of a scan is
-- asked for before another answer brings what it shows, too.
select tests.advance('1 hour');
create temp table job as select tests.start('acme') as id;
select tests.work(1);
create temp table late as select l as lease from tests.claim() as l;
select tests.advance('5 seconds');
-- What the row would be after the late answer, which is then taken back.
create function tests.after_late(p_fields jsonb) returns text language plpgsql as $$
begin
  perform tests.complete(lease, tests.body(array[tests.record(1, p_fields), tests.record(3)], 3, 2))
  from late;
  raise exception '%', tests.stored();
exception when raise_exception then
  return sqlerrm;
end; $$;
update sync.sender_emails set name = 'newer', raw = raw || '{"name": "newer"}',
  last_changed_at = sync.now(), updated_at = '2026-03-01T00:00:00Z' where id = 1;
select is(tests.after_late('{"name": "late", "updated_at": "2026-03-01T00:00:00Z"}'), 'newer',
  'requested before, of the same date: not applied');
select is(tests.after_late('{"name": "late", "updated_at": null}'), 'newer',
  'without a date: not applied');
select is(tests.after_late('{"name": "late", "updated_at": "2026-03-02T00:00:00Z"}'), 'late',
  'of a later date: applied');

-- A budget that makes it wait: it is requested when it may be sent, not when it was claimed.
select tests.complete(lease) from late;
select tests.work();
select set_budget('email_bison', 1, null);
select tests.advance('1 hour');
select tests.start('acme');
select tests.work(1);
create temp table sent as select l as lease from tests.claim() as l;
select cmp_ok((lease).send_after_ms, '>', 0::bigint, 'it waits for its budget') from sent;
select results_eq($$select requested_at - started_at from public.chunk_processing_queue
  join sent on (lease).queue_id = id$$,
  $$select (lease).send_after_ms * interval '1 ms' from sent$$, 'and so long after its claim');

-- In incremental scans of a feed an older date is a replica's that lags, unless ours lies ahead.
select set_budget('email_bison', null, null);
create function tests.feed(p_fields jsonb) returns text language plpgsql as $$
declare
  v_job_id uuid;
begin
  perform tests.advance('1 hour');
  v_job_id := start_sync_job('feed', '{replies}', '{acme}') ->> 'job_id';
  perform tests.complete(l, jsonb_build_object('data', jsonb_build_array(
    '{"id": 1, "subject": "s"}'::jsonb || p_fields), 'meta',
    '{"total": 1, "last_page": 1}'::jsonb)::text) from tests.claim() as l
  where l.workspace = 'acme';
  return (select subject from public.email_replies where id = 1);
end; $$;
select cancel_sync_job(id) from public.polling_job_status where status = 'running';
select tests.advance('1 hour');
select cleanup_stuck_chunks();
select tests.feed('{"subject": "a", "updated_at": "2026-02-01T00:00:00Z"}');
select is(tests.feed('{"subject": "lagging", "updated_at": "2026-01-01T00:00:00Z"}'), 'a',
  'a feed goes not back');
select tests.feed('{"subject": "of 2099", "updated_at": "2099-01-01T00:00:00Z"}');
select is(tests.feed('{"subject": "b", "updated_at": "2026-02-02T00:00:00Z"}'), 'b',
  'but from the future it does');

select * from finish();
rollback;
