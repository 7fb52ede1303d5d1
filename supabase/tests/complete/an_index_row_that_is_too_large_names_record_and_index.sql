begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
create index names_of_accounts on sync.sender_emails (name);
-- Letters by chance, which cannot be packed.
update tests.accounts set fields = jsonb_build_object('name', (
  select string_agg(md5(n::text), '') from generate_series(1, 200) as n))
where id = 2;
select tests.start('acme');
select is((select string_agg(tests.complete(l), ',') from tests.claim() as l), 'failed',
  'the page is refused');
select ok((select error_message ~ 'record 2' from public.workspace_sync_runs),
  'the record is named');
select ok((select error_message ~ 'names_of_accounts' from public.workspace_sync_runs),
  'and the index');

select * from finish();
rollback;
