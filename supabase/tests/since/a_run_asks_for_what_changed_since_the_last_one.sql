begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(33);

create function tests.change(p_id bigint, p_ago interval) returns void language sql as $$
  update tests.items set key = (select max(key) + 1 from tests.items),
    fields = fields || jsonb_build_object('changed', (sync.now() - p_ago)::text, 'n', random())
  where id = p_id;
$$;
create function tests.since() returns interval language sql as $$
  select sync.now() - ((c.reading ->> 'since')::timestamptz) from public.chunked_sync_jobs as c
  where c.run_id = (tests.last_run()).id and c.page = 1 order by c.id desc limit 1;
$$;

select tests.chained('{"params": {"since": "{since}", "after": "{last}"}, "last_path": ["key"],
  "order_is_unique": true, "order_direction": "asc", "order_moves": "forward",
  "updated_at_path": ["changed"], "since_overlap": 60, "total_path": ["all"]}');
select tests.fill(1, 20);
update tests.items
set fields = jsonb_build_object('changed', (sync.now() - interval '3 days')::text);
select tests.change(20, '2 hours');
select is(tests.sync_list(), 'completed', 'the first run reads everything');
select ok((tests.last_run()).is_full_scan, 'and says so');
select is((tests.last_run()).reading, null, 'without a time');

select tests.advance('1 hour');
select tests.change(3, '10 minutes');
select is(tests.sync_list(), 'completed', 'the next one');
select ok(not (tests.last_run()).is_full_scan, 'does not');
select is(tests.since(), interval '3 hours 1 minute',
  'it asks since the latest change, and the overlap');
select is((tests.last_run()).distinct_ids, 2::bigint, 'for what changed only');
select is((select raw -> 'n' from public.synced_records where id = '3'),
  (select fields -> 'n' from tests.items where id = 3), 'which is here then');

-- What it does not show is not missing.
delete from tests.items where id = 5;
select tests.advance('1 hour');
select is(tests.sync_list(), 'completed', 'a run that shows little');
select is((select count(*) from sync.missing_records), 0::bigint, 'misses nothing');
select is(tests.since(), interval '1 hour 11 minutes', 'the time moved with what was seen');

-- A change of the future does not move it beyond the start of the run.
select tests.change(4, '-5 days');
select tests.sync_list();
select tests.advance('30 minutes');
select tests.sync_list();
select is(tests.since(), interval '31 minutes',
  'no date of the API''s moves it beyond the start of the run');

-- Full scans.
select tests.advance('8 days');
select is(tests.sync_list(), 'completed', 'after full_scan_days');
select ok((tests.last_run()).is_full_scan, 'everything is read again');
select is((select array_agg(record_id) from sync.missing_records), '{5}'::text[],
  'and what went is missed');
select tests.sync_list();
select ok(not (tests.last_run()).is_full_scan, 'once');
select request_full_scan('items', 'acme');
select tests.sync_list();
select ok((tests.last_run()).is_full_scan, 'as on request');
select throws_ok($$select request_full_scan('nothing', 'acme')$$, 'SY003', null,
  'of a stream that there is');

-- More than there are.
update tests.habit set extra = '{"all": 25}';
select is(tests.sync_list(), 'partial',
  'where the API counts more than there are, a run is partial');
select tests.sync_list();
select ok((tests.last_run()).is_full_scan, 'and the next one reads everything');
select is((tests.last_run()).status, 'completed', 'a total only warns where all was read');
select is(tests.sync_list(), 'completed',
  'what a full scan does not show, the next ones do not ask for');

-- What a full scan held back waits on.
update tests.habit set extra = '{}';
delete from tests.items where id between 6 and 17;
select request_full_scan('items', 'acme');
select tests.sync_list();
select request_full_scan('items', 'acme');
select tests.sync_list();
select is((tests.last_run()).deletions_waiting, 12::bigint, 'many deletions wait');
select tests.advance('1 hour');
select is(tests.sync_list(), 'completed', 'a run that reads what changed');
select ok(not (tests.last_run()).is_full_scan, 'and not everything');
select is((select array_agg(deletions_waiting) from public.workspace_sync_runs
  where deletions_waiting > 0), '{12}', 'decides nothing of them');
select is((select deletions_waiting from public.workspace_health where stream = 'items'),
  12::bigint, 'they are seen');
select tests.fill(6, 6);
update tests.items set fields = jsonb_build_object('changed', sync.now()::text),
  key = (select max(key) + 1 from tests.items) where id = 6;
select tests.advance('1 hour');
select tests.sync_list();
select is((tests.last_run()).deletions_waiting, 11::bigint, 'what it shows is not missing');
select is((public.approve_deletions((tests.last_run()).id) ->> 'deleted')::int, 11,
  'the others wait for an approval of the newest run');
select is(tests.ids_here(), tests.ids_there(), 'and go then');

-- Zero of many languages, and the first moment of Postgres: a year before the first would be read
-- as one after it, or be none.
create function tests.asked_since(p_time text) returns text language plpgsql as $$
begin
  update tests.items set fields = fields || jsonb_build_object('changed', p_time, 'n', random());
  perform request_full_scan('items', 'acme');
  perform tests.sync_list();
  perform tests.advance('1 hour');
  perform tests.sync_list();
  return (tests.last_run()).status || ' ' || ((tests.last_run()).reading ->> 'since');
end; $$;
set local timezone = 'UTC';
select is(tests.asked_since('0001-01-01T00:00:00Z'), 'completed 0001-01-01T00:00:00+00:00',
  'no request asks for a year before the first');
select is(tests.asked_since('4714-11-24 00:00:00+00 BC'), 'completed 0001-01-01T00:00:00+00:00',
  'whatever a record says');
select is(tests.asked_since('2026-01-01T00:01:00Z'), 'completed 2026-01-01T00:00:00+00:00',
  'and of any later time the overlap is taken');

select * from finish();
rollback;
