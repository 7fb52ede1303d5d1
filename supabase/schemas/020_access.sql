-- Access: who calls, and who may. Every definer function asks here first, whatever was granted.

create function sync.acts_as_service() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_role text := current_setting('role');
begin
  if v_role = 'service_role' then
    return true;
  end if;
  if v_role = 'none' then
    v_role := session_user;
  end if;
  return pg_has_role(v_role, 'service_role', 'usage') or pg_has_role(v_role,
    (select nspowner from pg_namespace where nspname = 'sync'), 'usage');
end; $$;
comment on function sync.acts_as_service() is
$$Returns: whether the caller is service_role, the owner of Chunkwise, or has the rights of one of
them. It looks at the role that the caller set, else at the login, which a definer function does not
change and nobody can make up; claims and grants count for nothing.$$;

create function sync.is_operator() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return current_setting('role') = 'authenticated'
    and pg_has_role(session_user, 'service_role', case
      when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end)
    and coalesce(auth.jwt() -> 'app_metadata' ->> 'chunkwise' = 'operator', false);
end; $$;
comment on function sync.is_operator() is
$$Returns: whether the caller is a signed-in user whose token carries app_metadata.chunkwise =
'operator'. Claims are a setting that any session may write: only those are believed that a login
set which could take service_role instead (PostgREST, Realtime, the owner).$$;

create function sync.require_service() returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not sync.acts_as_service() then
    raise exception using errcode = '42501', message = 'only a service may do this',
      hint = 'Call it with the project''s secret key, or as a login that was granted service_role.';
  end if;
end; $$;
comment on function sync.require_service() is
$$Guard of the definer functions that are for services: the first thing that they do. Raises: 42501,
whoever was granted EXECUTE.$$;

create function sync.require_operator() returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not (sync.acts_as_service() or sync.is_operator()) then
    raise exception using errcode = '42501', message = 'only an operator may do this',
      hint = 'Sign in as a user whose app_metadata carries {"chunkwise": "operator"}.';
  end if;
end; $$;
comment on function sync.require_operator() is
$$Guard of the definer functions behind operator verbs: the first thing that they do. Raises:
42501, whoever was granted EXECUTE.$$;

create function sync.require_trigger_of(p_table oid, p_own_table regclass) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_table <> p_own_table then
    raise exception using errcode = '42501',
      message = format('this trigger is for %s only', p_own_table);
  end if;
end; $$;
comment on function sync.require_trigger_of(oid, regclass) is
$$Guard of the definer trigger functions: on a table of somebody else's they would work with rows
and types of that table. Raises: 42501.$$;

create function sync.careless_grants()
  returns table (grantee text, privilege text, object text, remedy text)
language sql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  with granted as (
    select 'function ' || p.oid::regprocedure as object, p.proowner as owner, a.grantee,
      lower(a.privilege_type) as privilege
    from pg_proc as p
    cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
    where p.prosecdef and p.prosrc ~ '\mperform sync\.require_\w+\('
      and p.pronamespace = any ('{public,sync}'::regnamespace[])
      and not (a.grantee = 'authenticated'::regrole
        and p.prosrc ~ '\mperform sync\.require_operator\(')
    union all
    select case c.relkind when 'S' then 'sequence ' else 'table ' end || c.oid::regclass,
      c.relowner, a.grantee, lower(a.privilege_type)
    from pg_class as c
    cross join aclexplode(c.relacl) as a
    where c.relkind in ('r', 'p', 'S') and a.privilege_type <> 'SELECT' and (
      c.relnamespace = 'sync'::regnamespace
      or exists (select 1 from pg_policy as o
        where o.polrelid = c.oid and o.polname = c.relname || '_select_operator')
      or exists (select 1 from pg_depend as d
        join pg_policy as o on o.polrelid = d.refobjid
        join pg_class as t on t.oid = o.polrelid and o.polname = t.relname || '_select_operator'
        where d.classid = 'pg_class'::regclass and d.objid = c.oid
          and d.refclassid = 'pg_class'::regclass and c.relkind = 'S'))
    union all
    select 'schema sync', n.nspowner, a.grantee, lower(a.privilege_type)
    from pg_namespace as n cross join aclexplode(n.nspacl) as a
    where n.nspname = 'sync'
      and not (a.grantee = 'authenticated'::regrole and a.privilege_type = 'USAGE')
  )
  select case g.grantee when 0 then 'public' else quote_ident(r.rolname) end, g.privilege, g.object,
    format('revoke %s on %s from %s;', g.privilege, g.object,
      case g.grantee when 0 then 'public' else quote_ident(r.rolname) end)
  from granted as g left join pg_roles as r on r.oid = g.grantee
  where g.grantee <> g.owner
    and (g.grantee = 0 or not pg_has_role(g.grantee, 'service_role', 'usage'))
  order by 1, 3, 2;
$$;
comment on function sync.careless_grants() is
$$Returns: who was granted what of Chunkwise that is not for them, and the statement that takes it
back: definer functions, writing to tables and sequences, schema sync. The functions refuse them
nevertheless; a trigger or a truncation would ask nobody.$$;

revoke all on function
  sync.acts_as_service, sync.is_operator, sync.require_service, sync.require_operator,
  sync.require_trigger_of, sync.careless_grants
from public, anon, authenticated, service_role;
grant execute on function sync.is_operator to authenticated, service_role;
