-- From Chunkwise 0.1.0 to 0.2.0. Made by `make migration`; what is done by hand stands
-- in supabase/upgrade.

-- chunkwise: look first
do $before$
begin
  if to_regprocedure('public.chunkwise_version()') is null then
    raise exception using errcode = '55000', message = 'Chunkwise is not in this database, so that '
      'there is nothing to upgrade. Push the migrations before this one first.';
  end if;
  if coalesce(public.chunkwise_version() ->> 'release', '0.1.0') <> '0.2.0' then
    raise exception using errcode = '55000', message = format('this file leads from Chunkwise '
      '0.2.0 to 0.2.0, and the database has %s. Push what comes before it first, or remove '
      'it if the database is past it.',
      coalesce(public.chunkwise_version() ->> 'release', '0.1.0'));
  end if;
end; $before$;

-- Nobody works while it changes. With less than the deadlock timeout it is we who step back.
do $locks$
begin
  for v_try in 1 .. 200 loop
    begin
      perform set_config('lock_timeout', '500ms', true);
      lock table public.email_messages,
        public.email_replies,
        public.email_threads,
        public.workspace_statistics,
        sync.sender_emails in access exclusive mode;
      perform set_config('lock_timeout', '0', true);
      return;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.05);
    end;
  end loop;
  raise exception using errcode = '55P03', message = 'Chunkwise''s tables were not free for a '
    'minute and a half. End what holds them (chunkwise doctor names long transactions), then push '
    'again.';
end; $locks$;

select set_config('check_function_bodies', 'off', true);

CREATE OR REPLACE FUNCTION sync.import_registry_row(p_row jsonb, p_key text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
end; $function$;

CREATE OR REPLACE FUNCTION public.import_client_registry(p_table regclass DEFAULT to_regclass('legacy.client_registry'::text), p_key_column text DEFAULT 'bison_api_key'::text, p_blank_keys boolean DEFAULT false)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET statement_timeout TO '60s'
 SET default_transaction_isolation TO 'read committed'
AS $function$
declare
  v_found record;
  v_refused text;
  v_registered text[] := array[]::text[];
  v_faults jsonb := '[]';
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
  for v_found in execute format(
    'select t.ctid as place, to_jsonb(t) - %1$L as fields, trim(t.%1$I::text) as api_key from %2$s '
    'as t order by t.workspace_name for update of t', p_key_column, p_table)
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
end; $function$;

comment on function sync.import_registry_row(jsonb,text) is 'Register a workspace of an old registry; one that is not active there is not here. Returns: why it
is refused, or null. Locks: as register_workspace().';

comment on function public.import_client_registry(regclass,text,boolean) is 'Register the workspaces of an old poller''s table, by its columns workspace_name, bison_instance,
bison_workspace_id and is_active; the keys, in plain text there, go to Vault. With p_blank_keys they
are blanked in the table; a backup may still hold them, so that new keys are better. Its accounts
are not imported: the first sync brings them. May be repeated. Returns: {"registered": [names],
"refused": [{"workspace_name", "reason"}]}. Raises: SY006 no such table or column. Locks: its rows,
then as register_workspace().';

revoke all on function sync.import_registry_row(jsonb,text) from public, anon, authenticated, service_role;

revoke all on function public.import_client_registry(regclass,text,boolean) from public, anon, authenticated, service_role;
grant execute on function public.import_client_registry(regclass,text,boolean) to service_role;

notify pgrst, 'reload schema';
