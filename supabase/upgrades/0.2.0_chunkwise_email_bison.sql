-- From Chunkwise 0.1.0 to 0.2.0. Made by `make migration`; what is done by hand stands
-- in supabase/upgrade.

-- chunkwise: the engine comes first
do $engine$
declare
  v_release text;
begin
  if to_regprocedure('public.chunkwise_version()') is not null then
    v_release := public.chunkwise_version() ->> 'release';
  end if;
  if v_release is distinct from '0.2.0' then
    raise exception using errcode = '55000', message = 'this file needs Chunkwise 0.2.0 in the '
      'database. Push the migration chunkwise of the same release first: chunkwise init writes '
      'both, chunkwise upgrade what is newer.';
  end if;
end; $engine$;

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

create type sync.registry_row as (place tid, fields jsonb, api_key text);

CREATE INDEX sender_emails_live_idx ON sync.sender_emails USING btree (workspace_id) WHERE (deleted_at IS NULL);

CREATE OR REPLACE FUNCTION sync.apply_sender_emails(p_records sync.incoming_record[])
 RETURNS sync.changed_record[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
AS $function$
-- A column may have the name of a variable.
#variable_conflict use_variable
declare
  v_now timestamptz := sync.now();
  v_judged sync.judged_record[];
  v_rows sync.sender_emails[];
  v_changed sync.changed_record[];
  v_unlike text;
begin
  select format('%s and %s', min((r).record_id), max((r).record_id)) into v_unlike
  from (select unnest(p_records) as r offset 0) as x
  group by (r).workspace_id, (r).stream_id, (r).record_id::bigint
  having min((r).record_id) <> max((r).record_id) limit 1;
  if v_unlike is not null then
    raise exception 'the column id takes % for one: a column id of type text tells them apart',
      v_unlike;
  end if;
  v_judged := array(
    select row(i.workspace_id, i.stream_id, i.record_id,
      case when judged.replaces then i.updated_at else e.updated_at end, becomes.record,
      case when jsonb_typeof(becomes.record) = 'object' then becomes.record - '{workspace_id,stream_id,id,raw,updated_at,last_changed_at,deleted_at,unlisted_at}'::text[] else '{}' end,
      case when e.id is null then 'inserted' when e.deleted_at is null then 'updated'
      when sync.is_gone(i.stream_id, becomes.record) then 'gone' else 'revived' end,
      e.last_changed_at, '{}', null, null)::sync.judged_record
    from (
      select distinct on (r.workspace_id, r.stream_id, r.record_id::bigint)
        r.*, r.record_id::bigint as id
      from unnest(p_records) as r
      order by r.workspace_id, r.stream_id, r.record_id::bigint, r.updated_at desc nulls last,
        r.requested_at desc nulls last
    ) as i
    -- A plan made while the table was empty would read all of it; offset 0 keeps the look by key.
    left join lateral (
      select t.* from sync.sender_emails as t where t.workspace_id = i.workspace_id and t.id = i.id offset 0
    ) as e on true
    cross join lateral (
      select case
        when e.id is null then true
        when i.requested_at < e.last_changed_at then i.updated_at > e.updated_at
        when i.is_truth or e.updated_at > v_now then true
        else (i.updated_at < e.updated_at) is not true
        end is true as replaces
    ) as judged
    cross join lateral (
      select case when judged.replaces then i.record else e.raw end as record
    ) as becomes
    -- A time that could not be read may be one by another declaration.
    where e.id is null or (judged.replaces and (e.raw is distinct from i.record
        or (e.updated_at is null and i.updated_at is not null)))
      or (e.deleted_at is not null and not sync.is_gone(i.stream_id, becomes.record))
    order by i.workspace_id, i.stream_id, i.id);
  if cardinality(v_judged) = 0 then
    return '{}'::sync.changed_record[];
  end if;
  begin
    v_rows := array(
      select jsonb_populate_record(null::sync.sender_emails, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  exception when data_exception then
    v_judged := sync.fit_records('sync.sender_emails', v_judged);
    v_rows := array(
      select jsonb_populate_record(null::sync.sender_emails, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  end;
  with written as (
    insert into sync.sender_emails as t (workspace_id, id, name, email, email_signature, imap_server, imap_port, smtp_server, smtp_port, daily_limit, type, status, warmup_enabled, emails_sent_count, total_replied_count, total_opened_count, unsubscribed_count, bounced_count, unique_replied_count, unique_opened_count, total_leads_contacted_count, interested_leads_count, tags, created_at, raw, updated_at, last_changed_at)
    select j_workspace_id, j_record_id::bigint, r_3, r_4, r_5, r_6, r_7, r_8, r_9, r_10, r_11, r_12, r_13, r_14, r_15, r_16, r_17, r_18, r_19, r_20, r_21, r_22, r_23, r_25, j_record, j_updated_at, v_now
    from unnest(v_judged, v_rows) as x (j_workspace_id, j_stream_id, j_record_id, j_updated_at, j_record, j_fitting,
      j_change, j_known_change, j_unfit, j_parent_id, j_own_id, r_1, r_2, r_3, r_4, r_5, r_6, r_7, r_8, r_9, r_10, r_11, r_12, r_13, r_14, r_15, r_16, r_17, r_18, r_19, r_20, r_21, r_22, r_23, r_24, r_25, r_26, r_27, r_28, r_29)
    order by j_workspace_id, j_stream_id, j_record_id::bigint
    on conflict (workspace_id, id) do update set
      name = excluded.name, email = excluded.email, email_signature = excluded.email_signature, imap_server = excluded.imap_server, imap_port = excluded.imap_port, smtp_server = excluded.smtp_server, smtp_port = excluded.smtp_port, daily_limit = excluded.daily_limit, type = excluded.type, status = excluded.status, warmup_enabled = excluded.warmup_enabled, emails_sent_count = excluded.emails_sent_count, total_replied_count = excluded.total_replied_count, total_opened_count = excluded.total_opened_count, unsubscribed_count = excluded.unsubscribed_count, bounced_count = excluded.bounced_count, unique_replied_count = excluded.unique_replied_count, unique_opened_count = excluded.unique_opened_count, total_leads_contacted_count = excluded.total_leads_contacted_count, interested_leads_count = excluded.interested_leads_count, tags = excluded.tags, created_at = excluded.created_at, raw = excluded.raw, updated_at = excluded.updated_at,
      -- What says itself that it is deleted lives no more for being seen.
      deleted_at = case when t.deleted_at is not null and (t.workspace_id, t.id) in (
        select k.workspace_id, k.record_id::bigint from unnest(v_judged) as k where k.change = 'gone')
      then t.deleted_at end,
      last_changed_at = case when t.raw is distinct from excluded.raw
      then excluded.last_changed_at else t.last_changed_at end
    -- Another may have written the row since it was compared: then only a later date counts. Rows
    -- that stood before their table was adopted may have no last change.
    where (t.workspace_id, t.id, coalesce(t.last_changed_at, '-infinity')) in (
        select k.workspace_id, k.record_id::bigint, coalesce(k.known_change, '-infinity') from unnest(v_judged) as k)
      or (excluded.updated_at > t.updated_at and t.raw is distinct from excluded.raw)
    returning t.workspace_id, null::bigint as stream_id, t.id::text as record_id
  )
  select array_agg(row(j.workspace_id, j.stream_id, j.record_id,
    case j.change when 'gone' then 'updated' else j.change end, j.unfit
    )::sync.changed_record) into v_changed
  from written as w join unnest(v_judged) as j on j.workspace_id = w.workspace_id
    and j.record_id = w.record_id and j.stream_id = coalesce(w.stream_id, j.stream_id);
  v_changed := coalesce(v_changed, '{}');
  if cardinality(v_changed) < cardinality(v_judged) then
    select format('%s, and has it as %s', j.record_id, e.id) into v_unlike
    from unnest(v_judged) as j
    cross join lateral (
      select t.id::text as id from sync.sender_emails as t where t.workspace_id = j.workspace_id and t.id = j.record_id::bigint offset 0
    ) as e
    where e.id <> j.record_id limit 1;
    if v_unlike is not null then
      raise exception 'the column id is given %: lists that show the one would miss the other; a '
        'column id of type text has every id as it is', v_unlike;
    end if;
  end if;
  -- What was not written another wrote since it was compared, or the table did not take it.
  if cardinality(v_changed) < cardinality(v_judged) and exists (
    select 1 from unnest(v_judged) as j
    left join lateral (
      select t.last_changed_at from sync.sender_emails as t where t.workspace_id = j.workspace_id and t.id = j.record_id::bigint offset 0
    ) as e on true
    where e.last_changed_at is not distinct from j.known_change and not exists (
      select 1 from unnest(v_changed) as c
      where (c.workspace_id, c.stream_id, c.record_id)
        = (j.workspace_id, j.stream_id, j.record_id))
  ) then
    raise exception 'a trigger on the table does not let it in as it is: one that returns null '
      'hides a record, and has to return new';
  end if;
  return v_changed;
end; $function$;

CREATE OR REPLACE FUNCTION sync.as_bigint(p_sum numeric)
 RETURNS bigint
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return case when coalesce(p_sum, 0) between -9223372036854775808 and 9223372036854775807
    then coalesce(p_sum, 0)::bigint end;
end; $function$;

CREATE OR REPLACE FUNCTION sync.write_workspace_statistics(p_workspace_id bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
begin
  insert into public.workspace_statistics
    as s (workspace_id, accounts, connected_accounts, distinct_emails, deleted_accounts,
    emails_sent_count,
    total_replied_count, unique_replied_count, bounced_count, unsubscribed_count,
    interested_leads_count, updated_at)
  select p_workspace_id, count(*) filter (where deleted_at is null),
    count(*) filter (where deleted_at is null and status = 'Connected'),
    count(distinct email) filter (where deleted_at is null),
    count(*) filter (where deleted_at is not null),
    sync.as_bigint(sum(emails_sent_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(total_replied_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(unique_replied_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(bounced_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(unsubscribed_count) filter (where deleted_at is null)),
    sync.as_bigint(sum(interested_leads_count) filter (where deleted_at is null)), sync.now()
  from sync.sender_emails where workspace_id = p_workspace_id
  on conflict (workspace_id) do update set
    accounts = excluded.accounts, connected_accounts = excluded.connected_accounts,
    distinct_emails = excluded.distinct_emails,
    deleted_accounts = excluded.deleted_accounts, emails_sent_count = excluded.emails_sent_count,
    total_replied_count = excluded.total_replied_count,
    unique_replied_count = excluded.unique_replied_count,
    bounced_count = excluded.bounced_count, unsubscribed_count = excluded.unsubscribed_count,
    interested_leads_count = excluded.interested_leads_count, updated_at = excluded.updated_at;
end; $function$;

CREATE OR REPLACE FUNCTION sync.upsert_email_replies(p_records sync.incoming_record[])
 RETURNS sync.changed_record[]
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'on'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
AS $function$
-- A column may have the name of a variable.
#variable_conflict use_variable
declare
  v_now timestamptz := sync.now();
  v_judged sync.judged_record[];
  v_rows public.email_replies[];
  v_changed sync.changed_record[];
  v_unlike text;
begin
  select format('%s and %s', min((r).record_id), max((r).record_id)) into v_unlike
  from (select unnest(p_records) as r offset 0) as x
  group by (r).workspace_id, (r).stream_id, (r).record_id::bigint
  having min((r).record_id) <> max((r).record_id) limit 1;
  if v_unlike is not null then
    raise exception 'the column id takes % for one: a column id of type text tells them apart',
      v_unlike;
  end if;
  v_judged := array(
    select row(i.workspace_id, i.stream_id, i.record_id,
      case when judged.replaces then i.updated_at else e.updated_at end, becomes.record,
      case when jsonb_typeof(becomes.record) = 'object' then becomes.record - '{workspace_id,stream_id,id,raw,updated_at,last_changed_at,deleted_at,unlisted_at}'::text[] else '{}' end,
      case when e.id is null then 'inserted' when e.deleted_at is null then 'updated'
      when sync.is_gone(i.stream_id, becomes.record) then 'gone' else 'revived' end,
      e.last_changed_at, '{}', null, null)::sync.judged_record
    from (
      select distinct on (r.workspace_id, r.stream_id, r.record_id::bigint)
        r.*, r.record_id::bigint as id
      from unnest(p_records) as r
      order by r.workspace_id, r.stream_id, r.record_id::bigint, r.updated_at desc nulls last,
        r.requested_at desc nulls last
    ) as i
    -- A plan made while the table was empty would read all of it; offset 0 keeps the look by key.
    left join lateral (
      select t.* from public.email_replies as t where t.workspace_id = i.workspace_id and t.id = i.id offset 0
    ) as e on true
    cross join lateral (
      select case
        when e.id is null then true
        when i.requested_at < e.last_changed_at then i.updated_at > e.updated_at
        when i.is_truth or e.updated_at > v_now then true
        else (i.updated_at < e.updated_at) is not true
        end is true as replaces
    ) as judged
    cross join lateral (
      select case when judged.replaces then i.record else e.raw end as record
    ) as becomes
    -- A time that could not be read may be one by another declaration.
    where e.id is null or (judged.replaces and (e.raw is distinct from i.record
        or (e.updated_at is null and i.updated_at is not null)))
      or (e.deleted_at is not null and not sync.is_gone(i.stream_id, becomes.record))
    order by i.workspace_id, i.stream_id, i.id);
  if cardinality(v_judged) = 0 then
    return '{}'::sync.changed_record[];
  end if;
  begin
    v_rows := array(
      select jsonb_populate_record(null::public.email_replies, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  exception when data_exception then
    v_judged := sync.fit_records('public.email_replies', v_judged);
    v_rows := array(
      select jsonb_populate_record(null::public.email_replies, j.fitting)
      from unnest(v_judged) with ordinality as j order by j.ordinality);
  end;
  with written as (
    insert into public.email_replies as t (workspace_id, id, uuid, type, folder, campaign_id, lead_id, scheduled_email_id, sender_email_id, parent_id, subject, text_body, html_body, date_received, from_email_address, from_name, primary_to_email_address, automated_reply, tracked_reply, interested, read, raw_message_id, created_at, raw, updated_at, last_changed_at)
    select j_workspace_id, j_record_id::bigint, r_3, r_4, r_5, r_6, r_7, r_8, r_9, r_10, r_11, r_12, r_13, r_14, r_15, r_16, r_17, r_18, r_19, r_20, r_21, r_22, r_24, j_record, j_updated_at, v_now
    from unnest(v_judged, v_rows) as x (j_workspace_id, j_stream_id, j_record_id, j_updated_at, j_record, j_fitting,
      j_change, j_known_change, j_unfit, j_parent_id, j_own_id, r_1, r_2, r_3, r_4, r_5, r_6, r_7, r_8, r_9, r_10, r_11, r_12, r_13, r_14, r_15, r_16, r_17, r_18, r_19, r_20, r_21, r_22, r_23, r_24, r_25, r_26, r_27, r_28)
    order by j_workspace_id, j_stream_id, j_record_id::bigint
    on conflict (workspace_id, id) do update set
      uuid = excluded.uuid, type = excluded.type, folder = excluded.folder, campaign_id = excluded.campaign_id, lead_id = excluded.lead_id, scheduled_email_id = excluded.scheduled_email_id, sender_email_id = excluded.sender_email_id, parent_id = excluded.parent_id, subject = excluded.subject, text_body = excluded.text_body, html_body = excluded.html_body, date_received = excluded.date_received, from_email_address = excluded.from_email_address, from_name = excluded.from_name, primary_to_email_address = excluded.primary_to_email_address, automated_reply = excluded.automated_reply, tracked_reply = excluded.tracked_reply, interested = excluded.interested, read = excluded.read, raw_message_id = excluded.raw_message_id, created_at = excluded.created_at, raw = excluded.raw, updated_at = excluded.updated_at,
      -- What says itself that it is deleted lives no more for being seen.
      deleted_at = case when t.deleted_at is not null and (t.workspace_id, t.id) in (
        select k.workspace_id, k.record_id::bigint from unnest(v_judged) as k where k.change = 'gone')
      then t.deleted_at end,
      last_changed_at = case when t.raw is distinct from excluded.raw
      then excluded.last_changed_at else t.last_changed_at end
    -- Another may have written the row since it was compared: then only a later date counts. Rows
    -- that stood before their table was adopted may have no last change.
    where (t.workspace_id, t.id, coalesce(t.last_changed_at, '-infinity')) in (
        select k.workspace_id, k.record_id::bigint, coalesce(k.known_change, '-infinity') from unnest(v_judged) as k)
      or (excluded.updated_at > t.updated_at and t.raw is distinct from excluded.raw)
    returning t.workspace_id, null::bigint as stream_id, t.id::text as record_id
  )
  select array_agg(row(j.workspace_id, j.stream_id, j.record_id,
    case j.change when 'gone' then 'updated' else j.change end, j.unfit
    )::sync.changed_record) into v_changed
  from written as w join unnest(v_judged) as j on j.workspace_id = w.workspace_id
    and j.record_id = w.record_id and j.stream_id = coalesce(w.stream_id, j.stream_id);
  v_changed := coalesce(v_changed, '{}');
  if cardinality(v_changed) < cardinality(v_judged) then
    select format('%s, and has it as %s', j.record_id, e.id) into v_unlike
    from unnest(v_judged) as j
    cross join lateral (
      select t.id::text as id from public.email_replies as t where t.workspace_id = j.workspace_id and t.id = j.record_id::bigint offset 0
    ) as e
    where e.id <> j.record_id limit 1;
    if v_unlike is not null then
      raise exception 'the column id is given %: lists that show the one would miss the other; a '
        'column id of type text has every id as it is', v_unlike;
    end if;
  end if;
  -- What was not written another wrote since it was compared, or the table did not take it.
  if cardinality(v_changed) < cardinality(v_judged) and exists (
    select 1 from unnest(v_judged) as j
    left join lateral (
      select t.last_changed_at from public.email_replies as t where t.workspace_id = j.workspace_id and t.id = j.record_id::bigint offset 0
    ) as e on true
    where e.last_changed_at is not distinct from j.known_change and not exists (
      select 1 from unnest(v_changed) as c
      where (c.workspace_id, c.stream_id, c.record_id)
        = (j.workspace_id, j.stream_id, j.record_id))
  ) then
    raise exception 'a trigger on the table does not let it in as it is: one that returns null '
      'hides a record, and has to return new';
  end if;
  return v_changed;
end; $function$;

CREATE OR REPLACE FUNCTION sync.messages_in(p_answer jsonb)
 RETURNS SETOF sync.found_message
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, MDY'
AS $function$
begin
  return query
  select distinct on (found.message_key) found.message_key, found.reply_id, found.sent_at,
    found.direction, found.raw
  from (
    select
      -- A longer one does not fit the key's index.
      coalesce(case when length(m ->> 'raw_message_id') > 500
        then 'long:' || md5(m ->> 'raw_message_id') else nullif(m ->> 'raw_message_id', '') end,
        'reply:' || (m ->> 'id'), 'content:' || md5(m::text)) as message_key,
      case when jsonb_typeof(m -> 'id') = 'number' and m ->> 'id' ~ '^[0-9]{1,18}$'
        then (m ->> 'id')::bigint end as reply_id,
      coalesce(sync.time_or_null(m ->> 'date_received'),
        sync.time_or_null(m ->> 'created_at')) as sent_at,
      case when m ->> 'type' ilike 'outgoing%' then 'outgoing' else 'incoming' end as direction,
      m as raw
    from jsonb_path_query(p_answer, 'strict $.** ? (@.type() == "object"
      && (exists (@.from_email_address) || exists (@.raw_message_id) || exists (@.text_body)))')
      as m
  ) as found
  order by found.message_key, found.sent_at nulls last;
end; $function$;

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

CREATE OR REPLACE FUNCTION sync.thread_warnings(p_run_id bigint)
 RETURNS text[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
begin
  return array(
    select format('%s: %s (asked for reply %s)', sync.counted(count(*), 'conversation'), w.warning,
      (array_agg(w.record_id order by w.record_id))[1])
    from (
      select c.record_id, t.warning from public.workspace_sync_runs as r
      join public.chunked_sync_jobs as c on c.run_id = r.id and c.kind = 'item'
      -- Offset 0: one look by key for each, whatever the planner knows of the tables.
      cross join lateral (
        select 1 from public.chunk_events as x
        where x.chunk_id = c.id and x.event = 'completed' offset 0
      ) as e
      cross join lateral (
        select x.warning from public.email_threads as x
        where x.workspace_id = r.workspace_id and x.asked_reply_id = c.record_id::bigint
          and x.warning is not null offset 0
      ) as t
      where r.id = p_run_id
    ) as w
    group by w.warning order by w.warning);
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

CREATE OR REPLACE FUNCTION sync.registry_rows(p_table regclass, p_key_column text)
 RETURNS SETOF sync.registry_row
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return query execute format(
    'select t.ctid, to_jsonb(t) - %1$L, trim(t.%1$I::text) from %2$s as t '
    'order by t.workspace_name for update of t', p_key_column, p_table);
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
end; $function$;

comment on function sync.apply_sender_emails(sync.incoming_record[]) is 'Upsert records as one set; unchanged ones cost nothing, a deleted one that is seen lives again,
unless it says itself that it is deleted. An answer that was requested before the row''s last change
replaces it only with a later date; one that was requested later is the truth in full scans, and in
others unless its date is older and the row''s is not in the future. A value that does not fit its
column makes that null. Made by sync.write_upsert(). Returns: what changed. Raises: 23xxx a
constraint, P0001 a trigger that lets a record vanish or a column id that is not as it was given, or
takes two for one. Locks: rows in key order.';

comment on function sync.upsert_email_replies(sync.incoming_record[]) is 'Upsert records as one set; unchanged ones cost nothing, a deleted one that is seen lives again,
unless it says itself that it is deleted. An answer that was requested before the row''s last change
replaces it only with a later date; one that was requested later is the truth in full scans, and in
others unless its date is older and the row''s is not in the future. A value that does not fit its
column makes that null. Made by sync.write_upsert(). Returns: what changed. Raises: 23xxx a
constraint, P0001 a trigger that lets a record vanish or a column id that is not as it was given, or
takes two for one. Locks: rows in key order.';

comment on function sync.write_thread(bigint,bigint,jsonb,timestamp with time zone) is 'Write one conversation and its messages; stored ones that the answer joins become one. An answer
that was requested before its last change adds what is missing and replaces nothing. Returns:
whether anything changed. Locks: the thread, its messages by key.';

comment on type sync.registry_row is 'A row of an old registry, its key apart.';

comment on function sync.import_registry_row(jsonb,text) is 'Register a workspace of an old registry; one that is not active there is not here. Returns: why it
is refused, or null. Locks: as register_workspace().';

comment on function sync.registry_rows(regclass,text) is 'Returns: the rows of an old registry by name. Locks: them.';

comment on function public.import_client_registry(regclass,text,boolean) is 'Register the workspaces of an old poller''s table, by its columns workspace_name, bison_instance,
bison_workspace_id and is_active; the keys, in plain text there, go to Vault. With p_blank_keys they
are blanked in the table; a backup may still hold them, so that new keys are better. Its accounts
are not imported: the first sync brings them. May be repeated. Returns: {"registered": [names],
"refused": [{"workspace_name", "reason"}]}. Raises: SY006 no such table or column. Locks: its rows,
then as register_workspace().';

revoke all on function sync.import_registry_row(jsonb,text) from public, anon, authenticated, service_role;

revoke all on function sync.registry_rows(regclass,text) from public, anon, authenticated, service_role;

revoke all on function public.import_client_registry(regclass,text,boolean) from public, anon, authenticated, service_role;
grant execute on function public.import_client_registry(regclass,text,boolean) to service_role;

select sync.regenerate_upserts();

notify pgrst, 'reload schema';
