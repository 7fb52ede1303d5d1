-- Locks: named locks with owner and deadline, for users' own jobs.

create table sync.named_locks (
  lock_name text primary key,
  owner_id uuid not null,
  expires_at timestamptz not null
);
comment on table sync.named_locks is 'Locks of try_sync_lock(), for users'' own jobs.';
alter table sync.named_locks enable row level security;

create function public.try_sync_lock(p_name text, p_seconds numeric) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '5s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_owner_id uuid;
begin
  perform sync.require_service();
  if coalesce(p_name, '') = '' or coalesce(p_seconds, 0) not between 1 and 86400 then
    raise exception using errcode = 'SY006',
      message = format('a lock needs a name and 1 to 86,400 seconds, not %L and %s',
        left(p_name, 40), coalesce(p_seconds::text, 'null')),
      hint = 'try_sync_lock(''report'', 60)';
  end if;
  insert into sync.named_locks as l (lock_name, owner_id, expires_at)
  values (p_name, gen_random_uuid(),
    sync.now() + make_interval(secs => p_seconds::double precision))
  on conflict (lock_name) do update set owner_id = excluded.owner_id,
  expires_at = excluded.expires_at
  where l.expires_at <= sync.now()
  returning owner_id into v_owner_id;
  return jsonb_build_object('acquired', v_owner_id is not null, 'owner_id', v_owner_id);
end; $$;
comment on function public.try_sync_lock(text, numeric) is
$$Take a named lock for so many seconds, without waiting. Returns: {"acquired", "owner_id": what
releases it}. Raises: SY006 bad argument. Locks: the lock's row.$$;

create function public.release_sync_lock(p_name text, p_owner_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '5s'
  set default_transaction_isolation = 'read committed' as $$
begin
  perform sync.require_service();
  delete from sync.named_locks where lock_name = p_name and owner_id = p_owner_id
    and expires_at > sync.now();
  return jsonb_build_object('released', found);
end; $$;
comment on function public.release_sync_lock(text, uuid) is
$$Give a named lock back. Returns: {"released"}: false if it had expired or is another's. Locks: the
lock's row.$$;

revoke all on table sync.named_locks from public, anon, authenticated, service_role;
revoke all on function
  public.try_sync_lock, public.release_sync_lock
from public, anon, authenticated, service_role;
grant execute on function public.try_sync_lock, public.release_sync_lock to service_role;
