begin;
\ir ../support/setup.psql
select plan(5);

select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
create temp table before as select id, xmin::text as row_xmin, ctid::text as row_ctid,
  last_changed_at from sync.sender_emails;

select tests.advance('1 hour');
select tests.sync('acme');
select results_eq($$select id, xmin::text as row_xmin, ctid::text as row_ctid, last_changed_at
  from sync.sender_emails order by id$$, $$select * from before order by id$$,
  'a sync of the same keeps xmin and ctid');
select results_eq($$select distinct last_synced_at from sender_emails$$, $$values (sync.now())$$,
  'while last_synced_at is now for those who ask');
select results_eq($$select records_seen, records_changed from public.workspace_sync_runs
  order by id$$, $$values (3::bigint, 3::bigint), (3, 0)$$,
  'and says that nothing changed');

update tests.accounts set fields = '{"name": "renamed", "updated_at": "2026-03-01T00:00:00Z"}'
  where id = 2;
select tests.sync('acme');
select results_eq($$
  select e.id, e.name, e.xmin::text = b.row_xmin, e.last_changed_at from sync.sender_emails as e
  join before as b using (id) order by id
$$, $$
  values (1::bigint, 'Account 1', true, sync.now() - interval '1 hour'),
    (2, 'renamed', false, sync.now()),
    (3, 'Account 3', true, sync.now() - interval '1 hour')
$$, 'only the changed one is written');

update tests.accounts set fields = '{"name": "no time", "updated_at": null}' where id = 2;
select tests.sync('acme');
select results_eq($$select name from sender_emails where id = 2$$, $$values ('no time')$$,
  'also where the API stopped telling its date');

select * from finish();
rollback;
