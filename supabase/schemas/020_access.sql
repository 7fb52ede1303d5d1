-- Access: who is an operator, and the guard of what operators may do.
-- Stands on: foundation, schema `auth`.

create function sync.is_operator() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce(auth.jwt() -> 'app_metadata' ->> 'chunkwise' = 'operator', false);
end; $$;
comment on function sync.is_operator() is
$$Returns: whether the signed-in user's token carries app_metadata.chunkwise = 'operator'.$$;

create function sync.require_operator() returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  if v_role = 'anon' or (v_role = 'authenticated' and not sync.is_operator()) then
    raise exception using errcode = '42501', message = 'only an operator may do this',
      hint = 'Sign in as a user whose app_metadata carries {"chunkwise": "operator"}.';
  end if;
end; $$;
comment on function sync.require_operator() is
$$Guard of the definer functions behind operator verbs; it looks at the role the caller set, not at
the definer. Raises: 42501.$$;

revoke all on function
  sync.is_operator, sync.require_operator
from public, anon, authenticated, service_role;
grant execute on function sync.is_operator to authenticated, service_role;
