begin;
\ir ../support/setup.psql
select plan(2);

-- A database may have standard_conforming_strings off: \s in a plain literal is s then.
select is_empty($$select p.oid::regprocedure::text from pg_proc as p
  where p.pronamespace in ('sync'::regnamespace, 'public'::regnamespace)
    and regexp_replace(p.prosrc, '--[^\n]*', '', 'g') like '%\\%'
    and not coalesce(p.proconfig @> '{standard_conforming_strings=on}', false)
    and not exists (select 1 from pg_depend as d where d.objid = p.oid and d.deptype = 'e')$$,
  'functions with a backslash say how it is read');

set local standard_conforming_strings = off;
select is(sync.mask_secrets('Bearer 7|keyof12345678 and api_key=abc'), 'Bearer *** and api_key=***',
  'so keys are masked whatever the database says');

select * from finish();
rollback;
