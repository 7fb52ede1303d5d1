begin;
\ir ../support/setup.psql
select plan(9);

select tests.workspace('acme', 1);
select tests.serve('acme', 1, 2, 3, 4, 5);
update tests.accounts set fields = '{"imap_port": "", "created_at": "0000-00-00 00:00:00",
  "emails_sent_count": 98765432109876543210, "warmup_enabled": "maybe"}' where id = 2;
update tests.accounts set fields = '{"imap_port": "many", "updated_at": "soon"}' where id = 3;
update tests.accounts set fields = '{"imap_port": 993}' where id = 4;
create temp table first_run as select tests.sync('acme') as id;
select results_eq($$select status, records_changed, scan from public.workspace_sync_runs$$,
  $$values ('completed', 5::bigint, 1)$$, 'a bad value keeps nothing from being synced');
select results_eq($$select id, name, imap_port, created_at is null, emails_sent_count,
    warmup_enabled from sync.sender_emails where id in (2, 4) order by id$$,
  $$values (2::bigint, 'Account 2', null::bigint, true, null::bigint, null::boolean),
    (4, 'Account 4', 993, false, 40, true)$$,
  'it is null in its column, and all others are as served');
select is((select raw from sync.sender_emails where id = 2),
  (select tests.record(id, fields) from tests.accounts where id = 2), 'raw keeps it');
select is((select updated_at from sync.sender_emails where id = 3), null::timestamptz,
  'as the date that orders changes');
select results_eq($$select substring(w from 'column (\w+)'), substring(w from 'record (\w+)')
  from public.workspace_sync_runs, unnest(warnings) as w order by 1$$,
  $$values ('created_at', '2'), ('emails_sent_count', '2'), ('imap_port', '2'),
    ('updated_at', '3'), ('warmup_enabled', '2')$$,
  'the run names each column once, with the first record');

select tests.advance('1 hour');
select tests.sync('acme');
select results_eq($$select records_changed, warnings from public.workspace_sync_runs
  order by id desc limit 1$$, $$values (0::bigint, '{}'::text[])$$,
  'unchanged, it costs nothing and is not named again');
update tests.accounts set fields = '{"imap_port": 143}' where id = 2;
select tests.sync('acme');
select results_eq($$select imap_port, emails_sent_count from sync.sender_emails where id = 2$$,
  $$values (143::bigint, 20::bigint)$$, 'corrected in the API, it is here');

-- A replies feed has the same upsert.
select start_sync_job('feed', '{replies}');
select tests.complete(l, '{"data": [{"id": 7, "parent_id": "x", "subject": "s"}],
  "meta": {"total": 1, "last_page": 1}}') from tests.claim() as l;
select results_eq($$select id, parent_id, subject from public.email_replies$$,
  $$values (7::bigint, null::bigint, 's')$$, 'replies alike');
select is((select status from public.workspace_sync_runs order by id desc limit 1), 'completed',
  'whose feed completes');

select * from finish();
rollback;
