-- Registration: workspaces are added, get a key, are taken out; live runs follow.
-- Stands on: addresses, keys, workspaces, grants, missing, close, begin_again, settle, steer.

create function sync.follow_workspaces() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_held bigint[];
begin
  perform sync.require_trigger_of(tg_relid, 'public.sync_workspaces');
  perform sync.follow_pause() where exists (
    select 1 from new_rows as n join old_rows as o using (id)
    where (n.key_status = 'unreadable') <> (o.key_status = 'unreadable'));
  v_held := array(
    select r.id from public.workspace_sync_runs as r
    join new_rows as n on n.id = r.workspace_id join old_rows as o on o.id = n.id
    where r.status = 'running' and n.access_revision <> o.access_revision
    order by r.id for no key update of r skip locked);
  perform sync.begin_again_if_outdated(id) from unnest(v_held) as id;
  perform sync.forget_missing(n.id, st.id)
  from new_rows as n join old_rows as o on o.id = n.id and o.access_revision <> n.access_revision
  join public.sync_streams as st on st.source_id = o.source_id
  where not exists (
    select 1 from public.workspace_sync_runs as r
    where r.workspace_id = n.id and r.stream_id = st.id and r.status = 'running'
      and r.id <> all (v_held));
  return null;
end; $$;
comment on function sync.follow_workspaces() is
$$Trigger, per statement: whoever gives a workspace another key, URL, id or source, its live runs
begin again or end, and what was missed is forgotten; that its key can be read again, or no longer,
lets them go on or holds them. A run that another transaction holds follows at its next step, or
with the next sweep. Locks: runs and queue rows by SKIP LOCKED, missing records.$$;
create trigger sync_workspaces_follow after update on public.sync_workspaces
referencing old table as old_rows new table as new_rows
for each statement execute function sync.follow_workspaces();

create function sync.lock_runs(p_workspace_name text) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run_ids bigint[];
begin
  v_run_ids := array(
    select r.id from public.workspace_sync_runs as r
    join public.sync_workspaces as w on w.id = r.workspace_id
    where w.name_key = (select sync.name_key(p_workspace_name))
      and r.status = 'running'
    order by r.id for no key update of r);
  perform 1 from public.polling_job_status where id in (
    select job_id from public.workspace_sync_runs where id = any (v_run_ids))
  order by id for no key update;
  return v_run_ids;
end; $$;
comment on function sync.lock_runs(text) is
$$Lock a workspace's live runs and their jobs, as must be done before the workspace itself is
locked. Returns: the runs. Locks: the runs by id, then the jobs by id.$$;

create function sync.write_workspace_key(p_workspace_id bigint, p_source_id bigint, p_api_key text,
  out o_secret_id uuid, out o_is_same boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source public.sync_sources;
  v_key text := nullif(sync.trim_blanks(p_api_key), '');
  v_name text := 'chunkwise/workspace/' || p_workspace_id;
  v_wrong text;
begin
  select * into strict v_source from public.sync_sources where id = p_source_id;
  v_wrong := sync.wrong_in_secret(v_source.auth, v_source.auth_in, v_key);
  if v_wrong is not null then
    raise exception using errcode = 'SY014', message = v_wrong,
      hint = sync.secret_form(v_source.auth);
  end if;
  select sync.read_secret(id) is not distinct from v_key into o_is_same
  from vault.secrets where name = v_name;
  if v_source.auth = 'none' then
    o_is_same := o_is_same is null;
    delete from vault.secrets where name = v_name;
  else
    o_is_same := coalesce(o_is_same, false);
    o_secret_id := sync.write_secret(v_name, v_key, 'API key of a Chunkwise workspace');
  end if;
  perform sync.follow_new_secret(p_workspace_id, p_source_id, v_key, o_is_same);
end; $$;
comment on function sync.write_workspace_key(bigint, bigint, text) is
$$Put a workspace's key into Vault, in place of the one before; where its source takes none there is
none. The caller holds the workspace. Returns: its secret, and whether it is the same key as before.
Raises: SY014 not of the form that the source's auth takes, SY019 another workspace has that grant.
Locks: the workspace's token, and a request for one.$$;

create function sync.source_id_of(p_source text) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_source_id bigint;
  v_names text;
begin
  if p_source is not null then
    select id into v_source_id from public.sync_sources where source_name = p_source;
    if v_source_id is null then
      raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
        hint = 'select source_name from sync_sources lists them; declare_source() adds one.';
    end if;
    return v_source_id;
  end if;
  select case when count(*) = 1 then min(id) end,
    string_agg(source_name, ', ' order by source_name)
  into v_source_id, v_names from public.sync_sources;
  if v_names is null then
    raise exception using errcode = 'SY003', message = 'no source is declared',
      hint = 'declare_source() adds one.';
  elsif v_source_id is null then
    raise exception using errcode = 'SY006',
      message = format('p_source is missing, and there are several sources: %s', v_names),
      hint = 'Name the one that the workspace belongs to.';
  end if;
  return v_source_id;
end; $$;
comment on function sync.source_id_of(text) is
$$Returns: a source's id; without a name that of the only one. Raises: SY003 unknown or none, SY006
not named although there are several.$$;

create function public.register_workspace(
  p_workspace_name text,
  p_base_url text,
  p_api_key text,
  p_source text default null,
  p_external_id text default null,
  p_max_concurrency int default null,
  p_replace boolean default false
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_name text;
  v_url text;
  v_external_id text;
  v_workspace public.sync_workspaces;
  v_source_id bigint;
  v_run_ids bigint[];
  v_key record;
  v_is_new boolean;
  v_is_moved boolean;
begin
  perform sync.require_service();
  v_name := sync.tidy_name(p_workspace_name);
  v_url := sync.checked_base_url(regexp_replace(p_base_url, '/+$', ''));
  v_external_id := nullif(sync.trim_blanks(p_external_id), '');
  if p_max_concurrency not between 1 and 64 then
    raise exception using errcode = 'SY006', message = format('p_max_concurrency is %s; a '
        'workspace has 1 to 64 slots', p_max_concurrency),
      hint = 'register_workspace(…, p_max_concurrency => 8)';
  end if;
  v_run_ids := sync.lock_runs(v_name);
  insert into public.sync_workspaces (workspace_name, source_id, base_url, external_id)
  select v_name, sync.source_id_of(p_source), v_url, v_external_id
  where not exists (select 1 from public.sync_workspaces
    where name_key = (select sync.name_key(v_name)))
  on conflict (name_key) do nothing;
  v_is_new := found;
  select * into strict v_workspace from public.sync_workspaces
  where name_key = (select sync.name_key(v_name)) for no key update;
  v_source_id := case when p_source is null then v_workspace.source_id
  else sync.source_id_of(p_source) end;
  v_is_moved := (v_source_id, v_url) is distinct
    from (v_workspace.source_id, v_workspace.base_url);
  if v_is_moved and p_replace is not true then
    raise exception using errcode = 'SY019',
      message = format('the name %L is taken by a workspace at %s', v_workspace.workspace_name,
        v_workspace.base_url),
      hint = 'p_replace => true gives it the other source or base URL; what is here of it stays.';
  end if;
  v_key := sync.write_workspace_key(v_workspace.id, v_source_id, p_api_key);
  update public.sync_workspaces set
    source_id = v_source_id, base_url = v_url, is_active = true, removed_at = null,
    external_id = coalesce(v_external_id, external_id),
    is_external_id_found = is_external_id_found and v_external_id is null,
    max_concurrency = coalesce(p_max_concurrency, max_concurrency),
    secret_id = v_key.o_secret_id,
    key_status = case when v_key.o_is_same and key_status = 'accepted' then key_status
    else 'unchecked' end,
    key_checked_at = case when v_key.o_is_same and key_status = 'accepted' then key_checked_at end,
    key_owner = case when v_key.o_is_same then key_owner end,
    key_owner_id = case when v_key.o_is_same then key_owner_id end,
    access_revision = access_revision + case when v_key.o_is_same then 0 else 1 end
  where id = v_workspace.id;
  perform sync.advance_runs_and_jobs(v_run_ids);
  return jsonb_build_object('workspace_id', v_workspace.id, 'workspace_name',
    v_workspace.workspace_name, 'created', v_is_new);
end; $$;
comment on function public.register_workspace(text, text, text, text, text, int, boolean) is
$$Add a workspace, or set the key and slots of one anew and activate it; its source and base URL
only with p_replace. Without p_source the only declared source is meant. Where the source tells
whose a key is, the first owner seen becomes its external id if none is given. The key goes to
Vault. Live runs begin again if key or URL changes, and end if the source does. Returns:
{"workspace_id", "workspace_name", "created"}. Raises: SY003 unknown source, SY006 bad argument,
SY014 no key of the source's form, SY015 refused address, SY019 taken name, external id or grant.
Locks: as
rotate_workspace_key().$$;

create function public.compare_workspace_names(p_names text[]) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
begin
  perform sync.require_service();
  return jsonb_build_object('names', (
    select coalesce(jsonb_agg(jsonb_build_object('workspace_name', w.workspace_name, 'first',
      x.first) order by x.n), '[]')
    from (
      select k.n, k.name_key, min(k.n) over (partition by k.name_key) as first
      from (
        select u.n, sync.name_key(u.name) as name_key
        from unnest(p_names) with ordinality as u (name, n) offset 0
      ) as k
    ) as x
    left join public.sync_workspaces as w on w.name_key = x.name_key));
end; $$;
comment on function public.compare_workspace_names(text[]) is
$$Tell of names, before they are registered, which are the same and whose they are. Returns:
{"names": [for each, in order, {"workspace_name": the workspace that has it, removed ones too, or
null; "first": the position, from 1, of the first of these names that is the same}]}.$$;

create function public.rotate_workspace_key(p_workspace_name text, p_api_key text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_run_ids bigint[];
  v_workspace public.sync_workspaces;
  v_key record;
begin
  perform sync.require_service();
  v_run_ids := sync.lock_runs(p_workspace_name);
  select * into v_workspace from public.sync_workspaces
  where id = sync.workspace_id_of(p_workspace_name) for no key update;
  v_key := sync.write_workspace_key(v_workspace.id, v_workspace.source_id, p_api_key);
  update public.sync_workspaces set
    secret_id = v_key.o_secret_id,
    key_status = case when v_key.o_is_same and key_status = 'accepted' then key_status
    else 'unchecked' end,
    key_checked_at = case when v_key.o_is_same and key_status = 'accepted' then key_checked_at end,
    key_owner = case when v_key.o_is_same then key_owner end,
    key_owner_id = case when v_key.o_is_same then key_owner_id end,
    access_revision = access_revision + case when v_key.o_is_same then 0 else 1 end
  where id = v_workspace.id;
  perform sync.advance_runs_and_jobs(v_run_ids);
  return jsonb_build_object('workspace_id', v_workspace.id, 'workspace_name',
    v_workspace.workspace_name);
end; $$;
comment on function public.rotate_workspace_key(text, text) is
$$Give a workspace a new key; claims from now on use it. Live runs begin again, by asking whose key
it is where the source tells; what is in flight is not applied. The same key again changes nothing.
Returns: {"workspace_id", "workspace_name"}. Raises: SY002 unknown workspace, SY014 no key of the
source's form, SY019 another workspace has that grant. Locks: its live runs by id, their jobs, the
workspace, pending queue rows by SKIP LOCKED.$$;

create function public.deactivate_workspace(p_workspace_name text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_workspace public.sync_workspaces;
begin
  perform sync.require_service();
  update public.sync_workspaces set is_active = false
  where id = sync.workspace_id_of(p_workspace_name) returning * into v_workspace;
  return jsonb_build_object('workspace_id', v_workspace.id, 'workspace_name',
    v_workspace.workspace_name, 'is_active', false);
end; $$;
comment on function public.deactivate_workspace(text) is
$$Start no more syncs of a workspace; its rows stay, a live run goes on. register_workspace()
activates it again. Returns: {"workspace_id", "workspace_name", "is_active"}. Raises: SY002 unknown
workspace. Locks: the workspace.$$;

create function sync.erase_workspace_rows(p_workspace_id bigint, p_limit bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_table record;
  v_deleted bigint;
  v_total bigint := 0;
begin
  for v_table in
    select c.conrelid::regclass as name, a.attname as key from pg_catalog.pg_constraint as c
    join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.confrelid = 'public.sync_workspaces'::regclass
    order by c.conrelid
  loop
    execute format('delete from %1$s where ctid = any (array(
      select ctid from %1$s where %2$I = $1 limit $2))', v_table.name, v_table.key)
    using p_workspace_id, p_limit - v_total;
    get diagnostics v_deleted = row_count;
    v_total := v_total + v_deleted;
    exit when v_total >= p_limit;
  end loop;
  return v_total;
end; $$;
comment on function sync.erase_workspace_rows(bigint, bigint) is
$$Delete at most so many rows of a removed workspace, of every table that refers to it. The caller
holds it, and has seen that no run of it is live. Returns: how many.$$;

create function public.remove_workspace(p_workspace_name text,
  p_delete_records boolean default false) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '60s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_run_ids bigint[];
  v_workspace public.sync_workspaces;
  v_deleted bigint := 0;
  v_is_finished boolean := true;
begin
  perform sync.require_service();
  v_run_ids := sync.lock_runs(p_workspace_name);
  select * into v_workspace from public.sync_workspaces
  where name_key = (select sync.name_key(p_workspace_name)) for no key update;
  if v_workspace.id is null or (v_workspace.removed_at is not null
    and p_delete_records is not true) then
    perform sync.workspace_id_of(p_workspace_name);
  end if;
  delete from vault.secrets where id = v_workspace.secret_id;
  perform sync.forget_token(v_workspace.id);
  delete from sync.workspace_tokens where workspace_id = v_workspace.id;
  perform sync.end_run_early(id, 'cancelled', 'its workspace was removed')
  from unnest(v_run_ids) as id;
  update public.polling_job_status as j
  set cancel_requested_at = coalesce(cancel_requested_at, sync.now())
  from public.workspace_sync_runs as r
  where r.id = any (v_run_ids) and j.id = r.job_id and j.status = 'running' and not exists (
    select 1 from public.workspace_sync_runs as x
    where x.job_id = j.id and x.workspace_id <> v_workspace.id);
  update public.sync_workspaces set
    removed_at = coalesce(removed_at, sync.now()), is_active = false, secret_id = null,
    key_status = 'unchecked', key_checked_at = null, key_owner = null, key_owner_id = null,
    access_revision = access_revision + 1
  where id = v_workspace.id;
  perform sync.advance_runs_and_jobs(v_run_ids);
  update public.sync_alerts as a set resolved_at = sync.now()
  where a.resolved_at is null and a.kind in ('stale_workspace', 'key_refused', 'token_failing',
      'key_of_other_workspace', 'counts_disagree', 'deletions_waiting')
    and (a.subject = v_workspace.workspace_name or exists (
      select 1 from public.sync_streams as st where st.source_id = v_workspace.source_id
        and a.subject = format('%s %s', v_workspace.workspace_name, st.stream_name)));
  if p_delete_records then
    -- Only where no run is live: whoever writes rows of one may wait for what this call holds.
    perform 1 from public.sync_workspaces where id = v_workspace.id and not exists (
      select 1 from public.workspace_sync_runs
      where workspace_id = v_workspace.id and status = 'running') for update;
    v_is_finished := found and not exists (select 1 from public.workspace_sync_runs
      where workspace_id = v_workspace.id and status = 'running');
    if v_is_finished then
      v_deleted := sync.erase_workspace_rows(v_workspace.id, 50000);
      v_is_finished := v_deleted < 50000;
    end if;
    delete from public.sync_workspaces where id = v_workspace.id and v_is_finished;
  end if;
  return jsonb_build_object('workspace_id', v_workspace.id, 'workspace_name',
    v_workspace.workspace_name, 'rows_deleted', v_deleted, 'is_finished', v_is_finished);
end; $$;
comment on function public.remove_workspace(text, boolean) is
$$Take a workspace out: its key leaves Vault, its live runs end as cancelled, its alerts are
resolved. What was synced is kept under its name, unless p_delete_records: then up to 50,000 rows go
with each call, in the end the workspace itself, and its name is free. Returns: {"workspace_id",
"workspace_name", "rows_deleted", "is_finished": false: requests are in flight or rows are left,
call it again}. Raises: SY002 unknown workspace. Locks: its live runs by id, their jobs, the
workspace, its rows, pending queue rows by SKIP LOCKED.$$;

create function sync.forget_workspaces() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_trigger_of(tg_relid, 'public.sync_workspaces');
  delete from vault.secrets as s using gone as g
  where s.id = g.secret_id
    or s.name in ('chunkwise/workspace/' || g.id, 'chunkwise/token/' || g.id);
  delete from public.sync_budgets as b using gone as g where b.scope_key = 'workspace:' || g.id;
  return null;
end; $$;
comment on function sync.forget_workspaces() is
$$Trigger, per statement: the key and the budget of a deleted workspace go with it.$$;
create trigger sync_workspaces_forget after delete on public.sync_workspaces
referencing old table as gone
for each statement execute function sync.forget_workspaces();

revoke all on function
  sync.follow_workspaces, sync.lock_runs, sync.write_workspace_key, sync.source_id_of,
  public.register_workspace, public.compare_workspace_names, public.rotate_workspace_key,
  public.deactivate_workspace, sync.erase_workspace_rows, public.remove_workspace,
  sync.forget_workspaces
from public, anon, authenticated, service_role;
grant execute on function
  public.register_workspace, public.compare_workspace_names, public.rotate_workspace_key,
  public.deactivate_workspace, public.remove_workspace
to service_role;
