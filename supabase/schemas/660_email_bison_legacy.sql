-- Legacy: the workspaces of an old poller are taken over with their keys.
-- Stands on: registration.

create type sync.registry_row as (place tid, fields jsonb, api_key text);
comment on type sync.registry_row is 'A row of an old registry, its key apart.';

create function sync.import_registry_row(p_row jsonb, p_key text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_message text;
begin
  perform public.register_workspace(p_row ->> 'workspace_name', p_row ->> 'bison_instance', p_key,
    'email_bison', p_row ->> 'bison_workspace_id');
  if (p_row ->> 'is_active')::boolean is false then
    perform public.deactivate_workspace(p_row ->> 'workspace_name');
  end if;
  return null;
exception when others then
  if sync.is_own_trouble(sqlstate) then
    raise;
  end if;
  get stacked diagnostics v_message = message_text;
  return v_message;
end; $$;
comment on function sync.import_registry_row(jsonb, text) is
$$Register a workspace of an old registry; one that is not active there is not here. Returns: why it
is refused, or null. Locks: as register_workspace().$$;

create function sync.registry_rows(p_table regclass, p_key_column text)
  returns setof sync.registry_row
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return query execute format(
    'select t.ctid, to_jsonb(t) - %1$L, trim(t.%1$I::text) from %2$s as t '
    'order by t.workspace_name for update of t', p_key_column, p_table);
end; $$;
comment on function sync.registry_rows(regclass, text) is
$$Returns: the rows of an old registry by name. Locks: them.$$;

create function public.import_client_registry(
  p_table regclass default to_regclass('legacy.client_registry'),
  p_key_column text default 'bison_api_key',
  p_blank_keys boolean default false
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '60s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_found sync.registry_row;
  v_refused text;
  v_registered text[] := array[]::text[];
  v_faults jsonb := '[]'::jsonb;
begin
  perform sync.require_service();
  if p_table is null then
    raise exception using errcode = 'SY006', message = 'there is no table legacy.client_registry',
      hint = 'import_client_registry(''public.its_name'') takes another one.';
  end if;
  if exists (
    select 1 from unnest(array['workspace_name', 'bison_instance', p_key_column]) as n (name)
    where not exists (select 1 from pg_catalog.pg_attribute as a where a.attrelid = p_table
      and a.attname = n.name and a.attnum > 0 and not a.attisdropped)) then
    raise exception using errcode = 'SY006', message = format('%s lacks one of the columns '
        'workspace_name, bison_instance, %s', p_table, p_key_column),
      hint = 'import_client_registry(…, p_key_column => ''its_name'') names the column of the keys.';
  end if;
  for v_found in select * from sync.registry_rows(p_table, p_key_column)
  loop
    v_refused := case when coalesce(v_found.api_key, '') = '' then 'it has no key'
      else sync.import_registry_row(v_found.fields, v_found.api_key) end;
    if v_refused is null then
      v_registered := v_registered || (v_found.fields ->> 'workspace_name');
      if p_blank_keys then
        execute format('update %s set %I = '''' where ctid = $1', p_table, p_key_column)
        using v_found.place;
      end if;
    else
      v_faults := v_faults || jsonb_build_object('workspace_name',
        v_found.fields ->> 'workspace_name', 'reason', v_refused);
    end if;
  end loop;
  return jsonb_build_object('registered', to_jsonb(v_registered), 'refused', v_faults);
end; $$;
comment on function public.import_client_registry(regclass, text, boolean) is
$$Register the workspaces of an old poller's table, by its columns workspace_name, bison_instance,
bison_workspace_id and is_active; the keys, in plain text there, go to Vault. With p_blank_keys they
are blanked in the table; a backup may still hold them, so that new keys are better. Its accounts
are not imported: the first sync brings them. May be repeated. Returns: {"registered": [names],
"refused": [{"workspace_name", "reason"}]}. Raises: SY006 no such table or column. Locks: its rows,
then as register_workspace().$$;

revoke all on function
  sync.import_registry_row, sync.registry_rows, public.import_client_registry
from public, anon, authenticated, service_role;
grant execute on function public.import_client_registry to service_role;
