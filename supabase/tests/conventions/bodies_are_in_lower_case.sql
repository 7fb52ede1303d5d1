begin;
\ir ../support/setup.psql
select plan(2);

create function tests.without_literals(p_code text) returns text language sql as $$
  select regexp_replace(regexp_replace(p_code, '''([^'']|'''')*''', '', 'g'), '--[^\n]*', '', 'g');
$$;

select is_empty($$
  select oid::regprocedure, substring(tests.without_literals(prosrc) from '[A-Z]+') from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and tests.without_literals(prosrc) ~ '[A-Z]'
$$, 'outside of texts a body has no capitals');

select is_empty($$
  select oid::regprocedure from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and oid not in ('sync.now()'::regprocedure, 'sync.takes_broadcasts()'::regprocedure)
    and tests.without_literals(prosrc) ~*
    '(?<!sync\.)\m(now|(clock|statement|transaction)_timestamp)\(|\mcurrent_(timestamp|date|time)\M'
$$, 'the time comes from sync.now() only, but for the day under which Realtime files its messages');

select * from finish();
rollback;
