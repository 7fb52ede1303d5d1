-- Foundation: schema `sync`, the clock, the isolation level, words and times in texts.

create schema sync;
comment on schema sync is 'Internals of Chunkwise. Never exposed through the API.';
revoke all on schema sync from public, anon, authenticated, service_role;
grant usage on schema sync to authenticated, service_role;

create function sync.now() returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return pg_catalog.clock_timestamp();
end; $$;
comment on function sync.now() is
$$The one clock. A verb reads it once. Tests replace it in their own database. Returns: the wall
clock's time.$$;

create function public.chunkwise_version() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '5s'
  set default_transaction_isolation = 'read committed' as $$
begin
  -- `make migration` puts the release's number in.
  return pg_catalog.jsonb_build_object('schema_version', 1, 'protocol_version', 2,
    'release', '@release@');
end; $$;
comment on function public.chunkwise_version() is
$$What a worker asks before its first claim, and every claim says again: it may have been upgraded
meanwhile. Returns: {"schema_version", "protocol_version", "release"}.$$;

create function sync.isolation_resets(p_roles text[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(concat_ws(' ', 'alter', case
      when s.setrole = 0 then format('database %I', current_database())
      when s.setdatabase = 0 then format('role %I', r.rolname)
      else format('role %I in database %I', r.rolname, current_database()) end,
      'reset default_transaction_isolation') order by r.rolname nulls last), '{}')
  from pg_catalog.pg_db_role_setting as s
  left join pg_catalog.pg_roles as r on r.oid = s.setrole
  where (s.setdatabase = 0 or s.setdatabase = (
      select d.oid from pg_catalog.pg_database as d where d.datname = current_database()))
    and (s.setrole = 0 or r.rolname = any (p_roles))
    and exists (select 1 from unnest(s.setconfig) as c (setting)
      where c.setting like 'default_transaction_isolation=%'
        and c.setting not like '%=read committed');
$$;
comment on function sync.isolation_resets(text[]) is
$$Returns: the commands that take another isolation back which was made the default of these roles
or of the database.$$;

create function sync.require_read_committed() returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_resets text[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    v_resets := sync.isolation_resets(array[session_user::text, current_setting('role')]);
    raise exception using errcode = 'SY016',
      message = format('this verb runs in READ COMMITTED only, '
      'not in %s', upper(current_setting('transaction_isolation'))),
      hint = case when cardinality(v_resets) > 0
      then format('It is a default here: %s; then connect anew.', array_to_string(v_resets, '; '))
      else 'Begin with: begin isolation level read committed. A held snapshot would hide what '
        'closing a run waited for.' end;
  end if;
end; $$;
comment on function sync.require_read_committed() is
$$Raises: SY016 in any other isolation level; its hint is the command that takes a default back, of
the role or the database.$$;

create table sync.engine_locks (
  lock_name text primary key,
  constraint engine_locks_lock_name_check check (lock_name in ('sweep', 'health', 'alerts'))
);
comment on table sync.engine_locks is
'Who holds a row sweeps, checks health or sends alerts, alone. Rows and no advisory locks, which any
login may take: a row can be locked only by who may write it.';
comment on column sync.engine_locks.lock_name is
'sweep: cleanup_stuck_chunks() and the sweep of a claim; health: check_health(); alerts: sending
messages, and changing where they go.';
insert into sync.engine_locks (lock_name) values ('sweep'), ('health'), ('alerts');
alter table sync.engine_locks enable row level security;

create function sync.refuse_removal() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY018',
    message = format('the engine needs every row of %s', tg_relid::regclass),
    hint = case tg_table_name when 'sync_settings' then 'set_setting() changes one; docs/operations.md '
      'has the values that they begin with.' else 'Nothing of it has to be removed, ever.' end;
end; $$;
comment on function sync.refuse_removal() is
$$Trigger: without rows that were there from the beginning everything would stand still. Raises:
SY018.$$;
create trigger engine_locks_stay before delete or truncate on sync.engine_locks
for each statement execute function sync.refuse_removal();

create function sync.lock_engine_if_free(p_name text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform 1 from sync.engine_locks where lock_name = p_name for no key update skip locked;
  return found;
end; $$;
comment on function sync.lock_engine_if_free(text) is
$$Hold one of the engine's locks until the transaction ends, unless another holds it. Returns:
whether it is held. Locks: its row, by SKIP LOCKED.$$;

create function sync.lock_engine(p_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform 1 from sync.engine_locks where lock_name = p_name for no key update;
end; $$;
comment on function sync.lock_engine(text) is
$$Hold one of the engine's locks until the transaction ends. Locks: its row.$$;

create function sync.is_own_trouble(p_sqlstate text) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select p_sqlstate ~ '^(40|53|57|58|XX)' or p_sqlstate in ('55P03', '25006', '25P04');
$$;
comment on function sync.is_own_trouble(text) is
$$Returns: whether an error is trouble of the database's own, which passes and is nobody's failure:
isolation and deadlocks (40), memory, disk and connections (53), a lock not had in time (55P03),
time limits, cancels and restarts (57), disk errors (58), read only (25006), errors of its own
(XX).$$;

create function sync.set_out_of_time() returns void
language sql set search_path = pg_catalog, pg_temp as $$
  select set_config('chunkwise.is_out_of_time', 'on', true);
$$;
comment on function sync.set_out_of_time() is
$$The time limit of a statement goes off once. Whoever answers it notes that, so that nothing that
takes time is begun any more in this transaction.$$;

create function sync.is_out_of_time() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce(current_setting('chunkwise.is_out_of_time', true) = 'on', false);
end; $$;
comment on function sync.is_out_of_time() is
$$Returns: whether the time limit of this statement went off.$$;

create function sync.in_utc(p_at timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select to_char(p_at at time zone 'utc', 'YYYY-MM-DD HH24:MI "UTC"');
$$;
comment on function sync.in_utc(timestamptz) is
$$Returns: a moment as messages name it, whatever the time zone of the session.$$;

create function sync.counted(p_number numeric, p_one text, p_many text default null) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return format('%s %s', p_number, case when p_number = 1 then p_one
    else coalesce(p_many, p_one || 's') end);
end; $$;
comment on function sync.counted(numeric, text, text) is
$$Returns: a number and what it counts, in the singular or plural.$$;

create function sync.time_or_null(p_text text) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_time timestamptz;
begin
  v_time := p_text::timestamptz;
  return case when isfinite(v_time) then v_time end;
exception when data_exception then
  return null;
end; $$;
comment on function sync.time_or_null(text) is
$$Returns: the time, or null if it is none; without a zone it is the session's, which callers set to
UTC.$$;

create function sync.json_or_null(p_text text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_text::jsonb;
exception when data_exception or program_limit_exceeded or statement_too_complex then
  return null;
end; $$;
comment on function sync.json_or_null(text) is
$$Returns: a text as JSON, null if it is none, or deeper than can be read.$$;

create function sync.shell_word(p_text text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when p_text ~ '^[A-Za-z0-9_.-]+$' then p_text
    else '''' || replace(p_text, '''', '''"''"''') || '''' end;
$$;
comment on function sync.shell_word(text) is
$$Returns: a text as one word of a shell command, of which the shell expands nothing.$$;

revoke all on table sync.engine_locks from public, anon, authenticated, service_role;
revoke all on function
  sync.now, public.chunkwise_version, sync.isolation_resets, sync.require_read_committed,
  sync.refuse_removal,
  sync.lock_engine_if_free,
  sync.lock_engine, sync.is_own_trouble, sync.set_out_of_time, sync.is_out_of_time,
  sync.in_utc, sync.counted, sync.time_or_null, sync.json_or_null, sync.shell_word
from public, anon, authenticated, service_role;
grant execute on function sync.now, sync.counted, sync.shell_word to authenticated, service_role;
grant execute on function public.chunkwise_version to service_role;
