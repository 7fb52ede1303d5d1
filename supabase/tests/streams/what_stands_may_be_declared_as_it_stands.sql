begin;
\ir ../support/setup.psql
select plan(3);

create temp table before as select * from sync_streams;
select ok(declare_source(to_jsonb(s) - '{id,paused_at,created_at}'::text[]) is not null,
  'a source, as its row reads') from sync_sources as s;
select lives_ok($$select declare_stream(to_jsonb(s) - '{id,source_id,revision,created_at}'::text[]
    || '{"source_name": "email_bison"}') from sync_streams as s$$, 'and each of its streams');
select set_eq('select * from sync_streams', 'select * from before', 'change nothing by that');

select * from finish();
rollback;
