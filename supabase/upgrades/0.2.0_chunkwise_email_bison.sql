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

CREATE OR REPLACE FUNCTION sync.write_new_threads(p_records sync.incoming_record[])
 RETURNS integer[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_nestloop TO 'off'
 SET enable_hashjoin TO 'on'
AS $function$
declare
  v_found sync.new_message[] := array(
    select row(r.n, r.workspace_id, r.record_id::bigint, m.message_key, m.reply_id, m.sent_at,
      m.direction, m.raw)::sync.new_message
    from unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
      record, turn, requested_at, is_truth, parent_id, own_id, n)
    left join lateral sync.messages_in(r.record) as m on true);
  v_known int[];
  v_written int[];
begin
  -- Those of which a reply stands in another answer of this call, twice in its own, or is stored.
  with named as (
    select f.turn, f.workspace_id, f.reply_id as id from unnest(v_found) as f
    where f.reply_id is not null
    union all
    select distinct f.turn, f.workspace_id, f.asked_reply_id from unnest(v_found) as f
    where not exists (select 1 from unnest(v_found) as o
      where o.turn = f.turn and o.reply_id = f.asked_reply_id)
  ), counted as (
    select workspace_id, id, array_agg(turn) as turns from named group by 1, 2
  )
  select coalesce(array_agg(distinct t.turn), '{}') into v_known
  from counted as c
  left join lateral (
    select 1 as one from public.email_messages as e
    where e.workspace_id = c.workspace_id and e.reply_id = c.id limit 1
  ) as stored on true
  left join lateral (
    select 1 as one from public.email_threads as e
    where e.workspace_id = c.workspace_id and e.id = c.id limit 1
  ) as thread on true
  cross join lateral unnest(c.turns) as t (turn)
  where cardinality(c.turns) > 1 or stored.one is not null or thread.one is not null;
  with found as (
    select f.*, row_number() over (partition by f.turn
      order by f.sent_at nulls last, f.reply_id, f.message_key) as position
    from unnest(v_found) as f where f.turn <> all (v_known)
  ), answers as (
    select f.turn, f.workspace_id, f.asked_reply_id,
      coalesce(min(f.reply_id), f.asked_reply_id) as thread_id, count(f.message_key) as count,
      (array_agg(f.raw ->> 'subject' order by f.position))[1] as subject,
      min(f.sent_at) as first_at, max(f.sent_at) as last_at,
      (array_agg(f.direction order by f.sent_at desc nulls last, f.reply_id desc))[1] as direction,
      case when count(f.message_key) = 0 then 'the answer shows no message'
        when bool_or(f.sent_at is null) then 'a message has no readable time' end as warning
    from found as f group by f.turn, f.workspace_id, f.asked_reply_id
  ), threads as (
    insert into public.email_threads (workspace_id, id, asked_reply_id, message_count, subject,
      first_message_at, last_message_at, last_direction, warning, raw)
    select a.workspace_id, a.thread_id, a.asked_reply_id, a.count, a.subject, a.first_at,
      a.last_at, a.direction, a.warning, (p_records[a.turn]).record
    from answers as a order by a.workspace_id, a.thread_id
    on conflict (workspace_id, id) do nothing
    returning workspace_id, id
  ), written as (
    select a.* from answers as a
    join threads as t on t.workspace_id = a.workspace_id and t.id = a.thread_id
  ), messages as (
    insert into public.email_messages (workspace_id, thread_id, message_key, reply_id, position,
      direction, sent_at, from_email_address, to_email_address, subject, text_body, html_body, raw)
    select w.workspace_id, w.thread_id, f.message_key, f.reply_id, f.position, f.direction,
      f.sent_at, f.raw ->> 'from_email_address', f.raw ->> 'primary_to_email_address',
      f.raw ->> 'subject', f.raw ->> 'text_body', f.raw ->> 'html_body', f.raw
    from written as w join found as f on f.turn = w.turn
    where f.message_key is not null
    order by w.workspace_id, w.thread_id, f.message_key
  )
  select coalesce(array_agg(turn), '{}') into v_written from written;
  return v_written;
end; $function$;

CREATE OR REPLACE FUNCTION sync.apply_conversations(p_records sync.incoming_record[])
 RETURNS sync.changed_record[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_written int[] := sync.write_new_threads(p_records);
  v_changed sync.changed_record[] := array(
    select row(r.workspace_id, r.stream_id, r.record_id, 'inserted', '{}')::sync.changed_record
    from unnest(v_written) as n
    cross join lateral (select (p_records[n]).*) as r);
  v_record sync.incoming_record;
begin
  for v_record in
    select r.workspace_id, r.stream_id, r.record_id, r.updated_at, r.record, r.turn,
      r.requested_at, r.is_truth, r.parent_id, r.own_id
    from unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
      record, turn, requested_at, is_truth, parent_id, own_id, n)
    where r.n <> all (v_written)
    order by r.workspace_id, r.record_id::bigint
  loop
    if sync.write_thread(v_record.workspace_id, v_record.record_id::bigint, v_record.record,
      v_record.requested_at) then
      v_changed := v_changed || row(v_record.workspace_id, v_record.stream_id,
        v_record.record_id, 'updated', '{}')::sync.changed_record;
    end if;
  end loop;
  return v_changed;
end; $function$;

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
