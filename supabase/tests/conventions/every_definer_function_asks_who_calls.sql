begin;
\ir ../support/setup.psql
select plan(8);

-- Ours that run with their owner's rights, but for what the policy of the public dashboard asks.
create view tests.definer_functions as
select p.oid, p.prosrc, p.prorettype = 'trigger'::regtype as is_trigger, p.pronargs,
  p.oid::regprocedure::text as signature
from pg_proc as p
where p.pronamespace in ('public'::regnamespace, 'sync'::regnamespace) and p.prosecdef
  and p.oid <> 'sync.is_switched_on(text)'::regprocedure;

select cmp_ok((select count(*) from tests.definer_functions), '>', 30::bigint,
  'there are definer functions to look at');

select is_empty($$
  select signature from tests.definer_functions where not is_trigger
    and prosrc !~ '\nbegin\n  perform sync\.require_(service|operator)\(\);'
    or prosrc ~ '^\s*declare.*:=[^;]*\(.*\nbegin\n'
$$, 'the first thing that a definer function does is to ask who calls; what it declares before '
  'calls nothing');

select is_empty($$
  select signature from tests.definer_functions where is_trigger
    and prosrc !~ '\nbegin\n  perform sync\.require_trigger_of\(tg_relid, ''(public|sync)\.\w+''\);'
$$, 'a definer trigger first asks whose trigger it is');

-- The popular mistake, and its siblings.
grant usage on schema sync to public;
grant all on all routines in schema public to public, anon, authenticated;
grant all on all routines in schema sync to public, anon, authenticated;
create role chunkwise_m;
grant authenticated to chunkwise_m;
grant chunkwise_m to postgres;

create function tests.admitted(p_role text, p_claims jsonb) returns setof text
  language plpgsql as $$
declare
  v_function record;
begin
  for v_function in select * from tests.definer_functions where not is_trigger order by signature loop
    begin
      perform set_config('request.jwt.claims', p_claims::text, true);
      perform set_config('role', p_role, true);
      execute format('select %s(%s)', v_function.oid::regproc,
        array_to_string(array_fill('null'::text, array[v_function.pronargs]), ', '));
      return next v_function.signature;
    exception
      when insufficient_privilege then null;
      when others then return next v_function.signature;
    end;
    perform set_config('role', 'none', true);
  end loop;
end; $$;
grant select on tests.definer_functions to public;

select is_empty($$select tests.admitted('anon', '{"role": "anon"}')$$,
  'anonymous visitors get into none, whatever was granted to them');
select is_empty($$select tests.admitted('authenticated', '{"role": "authenticated"}')$$,
  'nor do signed-in users');
select is_empty($$
  select tests.admitted('chunkwise_m',
    '{"role": "chunkwise_m", "app_metadata": {"chunkwise": "operator"}}')
$$, 'nor does a role of the project''s own that inherits from authenticated, with any claims');

select results_eq($$
  select tests.admitted('authenticated',
    '{"role": "authenticated", "app_metadata": {"chunkwise": "operator"}}')
$$, $$
  select signature from tests.definer_functions
  where prosrc ~ 'perform sync\.require_operator\(\);' order by signature
$$, 'operators get into what stands behind their verbs, and into nothing else');

select throws_ok($$
  create temporary table other (id bigint);
  create trigger other_forget after delete on other
  referencing old table as gone for each statement execute function sync.forget_seen_pages();
  delete from other where true;
$$, '42501', null, 'a definer trigger does not work on a table of somebody else''s');

select * from finish();
rollback;
