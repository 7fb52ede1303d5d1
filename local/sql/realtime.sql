-- What Realtime keeps in a database: messages by day, `realtime.send`, and who may see them.
-- Partitions are missing until a client joins a channel, as on a hosted project.

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;

select to_regnamespace('realtime') is null as is_missing \gset
\if :is_missing

create role supabase_realtime_admin nologin noinherit;
create schema realtime;
grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant create, usage on schema realtime to supabase_realtime_admin with grant option;

create table realtime.messages (
  topic text not null,
  extension text not null,
  payload jsonb,
  event text,
  private boolean default false,
  updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(),
  id uuid not null default gen_random_uuid(),
  binary_payload bytea,
  primary key (id, inserted_at),
  constraint messages_payload_exclusive check (payload is null or binary_payload is null)
) partition by range (inserted_at);
create index messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic)
  where extension = 'broadcast' and private is true;
alter table realtime.messages enable row level security;
alter table realtime.messages owner to supabase_realtime_admin;
grant select, insert, update on realtime.messages
  to postgres, anon, authenticated, service_role;

create function realtime.topic() returns text language sql stable as $$
  select nullif(current_setting('realtime.topic', true), '')
$$;
alter function realtime.topic() owner to supabase_realtime_admin;

-- Whatever goes wrong is a warning only: the caller never learns that nobody will hear.
create function realtime.send(
  payload jsonb, event text, topic text, private boolean default true
) returns void language plpgsql as $$
declare
  v_id uuid := gen_random_uuid();
begin
  begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (
      v_id,
      case when payload ? 'id' then payload else jsonb_set(payload, '{id}', to_jsonb(v_id)) end,
      event, topic, private, 'broadcast'
    );
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end; $$;
alter function realtime.send(jsonb, text, text, boolean) owner to supabase_realtime_admin;

-- Unlike `send` it fails its caller.
create function realtime.broadcast_changes(
  topic_name text, event_name text, operation text, table_name text, table_schema text,
  new record, old record, level text default 'ROW'
) returns void language plpgsql as $$
begin
  if level = 'STATEMENT' then
    raise exception 'function can only be triggered for each row, not for each statement';
  end if;
  if operation not in ('INSERT', 'UPDATE', 'DELETE') then
    raise exception 'Unexpected operation type: %', operation;
  end if;
  perform realtime.send(
    jsonb_build_object(
      'schema', table_schema, 'table', table_name, 'operation', operation,
      'record', new, 'old_record', old
    ),
    event_name, topic_name
  );
exception when others then
  raise exception 'Failed to process the row: %', sqlerrm;
end; $$;
alter function
  realtime.broadcast_changes(text, text, text, text, text, record, record, text)
  owner to supabase_realtime_admin;

-- The server hears of a message when it is committed. (Hosted reads a replication slot. Here a slot
-- would read the log of every database of the cluster, and begin only when each has had a moment
-- without a writing transaction.)
create function realtime.announce_message() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_catalog.pg_notify('realtime_messages', new.id::text);
  return null;
end; $$;
create trigger announce_message after insert on realtime.messages
  for each row execute function realtime.announce_message();

-- On a hosted project an extension lets `postgres` make policies here, and nothing else. Here it
-- is a member of the owner, and this refuses it the rest. (It could still delete messages.)
grant supabase_realtime_admin to postgres;

create function extensions.refuse_realtime_change() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    return;
  end if;
  if tg_event = 'sql_drop' and exists (
    select from pg_catalog.pg_event_trigger_dropped_objects()
    where object_type <> 'policy' and object_identity ~ '^realtime\.| on realtime\.'
  ) or tg_event = 'ddl_command_end' and exists (
    select from pg_catalog.pg_event_trigger_ddl_commands()
    where object_type <> 'policy' and object_identity ~ '^realtime\.| on realtime\.'
  ) then
    raise insufficient_privilege using message = 'permission denied for schema realtime';
  end if;
end; $$;
create event trigger refuse_realtime_change on ddl_command_end
  execute function extensions.refuse_realtime_change();
create event trigger refuse_realtime_drop on sql_drop
  execute function extensions.refuse_realtime_change();

\endif
