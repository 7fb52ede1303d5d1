-- pg_net: the real extension where the server has it, else a stand-in with the same signatures,
-- grants and weaknesses. `local.net` is the process that delivers.

select exists (select from pg_available_extensions where name = 'pg_net') as is_real \gset
\if :is_real
create extension pg_net with schema extensions;
\else

create schema net;

create unlogged table net.http_request_queue (
  id bigserial,
  method text not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds integer not null,
  constraint http_request_queue_method_check check (lower(method) in ('get', 'post', 'delete'))
);

create unlogged table net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
);
create index _http_response_created_idx on net._http_response (created);

create function net._urlencode_string(string varchar) returns text
language sql immutable strict set search_path = pg_catalog, pg_temp as $$
  select coalesce(string_agg(
    case
      when c ~ '^[A-Za-z0-9_.~-]$' then c
      else regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g')
    end, '' order by n
  ), '')
  from regexp_split_to_table(string, '') with ordinality as t (c, n)
$$;

-- As libcurl writes a URL: scheme in lower case, a path of at least "/", without dot segments.
create function net._normalized_url(p_url text) returns text
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
declare
  v_part text[] := regexp_match(p_url, '^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#[:space:]]+)'
    '([^?#[:space:]]*)([^[:space:]]*)$');
  v_segment text;
  v_kept text[] := '{}';
  v_segments text[];
begin
  if v_part is null then
    raise exception 'Malformed input to a URL function';
  end if;
  v_segments := string_to_array(substr(v_part[3], 2), '/');
  for v_turn in 1 .. cardinality(v_segments) loop
    v_segment := v_segments[v_turn];
    if v_segment = '..' then
      v_kept := trim_array(v_kept, least(1, cardinality(v_kept)));
    elsif v_segment <> '.' then
      v_kept := array_append(v_kept, v_segment);
    end if;
    if v_turn = cardinality(v_segments) and v_segment in ('.', '..') then
      v_kept := array_append(v_kept, '');
    end if;
  end loop;
  return lower(v_part[1]) || '://' || v_part[2] || '/' || array_to_string(v_kept, '/')
    || v_part[4];
end; $$;

create function net._encode_url_with_params_array(url text, params_array text[]) returns text
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
declare
  v_url text := net._normalized_url(url);
begin
  return case when cardinality(params_array) = 0 then v_url
    else v_url || case when strpos(v_url, '?') > 0 then '&' else '?' end
      || array_to_string(params_array, '&') end;
end; $$;

-- The real one registers a callback of the commit: a notification, too, leaves with it.
create function net.wake() returns void language sql set search_path = pg_catalog, pg_temp as $$
  select pg_catalog.pg_notify('pg_net', 'wake')
$$;

create function net.worker_restart() returns boolean language sql set search_path = pg_catalog, pg_temp as $$
  select true from pg_catalog.pg_notify('pg_net', 'restart')
$$;

create function net.check_worker_is_up() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (
    select from pg_catalog.pg_stat_activity
    where application_name = 'pg_net worker' and datname = pg_catalog.current_database()
  ) then
    raise exception using
      message = 'the pg_net background worker is not up',
      hint = 'Here it is a process of the local stack: Stack.deliver() starts it.';
  end if;
end; $$;

create function net._enqueue(
  p_method text, p_url text, p_params jsonb, p_headers jsonb, p_body jsonb, p_timeout integer
) returns bigint language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_params text[];
  v_id bigint;
begin
  select coalesce(
    array_agg(net._urlencode_string(key) || '=' || net._urlencode_string(value)), '{}'
  ) into v_params
  from jsonb_each_text(p_params);
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values (
    p_method, net._encode_url_with_params_array(p_url, v_params), p_headers,
    convert_to(p_body::text, 'UTF8'), p_timeout
  )
  returning id into v_id;
  perform net.wake();
  return v_id;
end; $$;

create function net.http_get(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds integer default 5000
) returns bigint language sql set search_path = pg_catalog, pg_temp as $$
  select net._enqueue('GET', url, params, headers, null, timeout_milliseconds)
$$;

create function net.http_post(
  url text,
  body jsonb default '{}',
  params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}',
  timeout_milliseconds integer default 5000
) returns bigint language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_content_type text := (
    select value from jsonb_each_text(coalesce(headers, '{}')) where lower(key) = 'content-type'
    limit 1
  );
begin
  if v_content_type <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  return net._enqueue(
    'POST', url, params,
    case
      when v_content_type is null then headers || '{"Content-Type": "application/json"}'
      else headers
    end,
    body, timeout_milliseconds
  );
end; $$;

create function net.http_delete(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds integer default 5000,
  body jsonb default null
) returns bigint language sql set search_path = pg_catalog, pg_temp as $$
  select net._enqueue('DELETE', url, params, headers, body, timeout_milliseconds)
$$;

-- As on hosted: everybody may read headers and answers, and only supabase_admin could revoke it.
grant usage on schema net to public;
grant all on all sequences in schema net to public;
grant all on all tables in schema net to public;

-- What the delivering process shall do wrong. Not part of pg_net.
create schema stand_in;
create table stand_in.net_faults (
  is_only_row boolean primary key default true,
  dropped_share double precision not null default 0,
  doubled_share double precision not null default 0,
  delay_ms integer not null default 0,
  constraint net_faults_is_only_row_check check (is_only_row),
  constraint net_faults_dropped_share_check check (dropped_share between 0 and 1),
  constraint net_faults_doubled_share_check check (doubled_share between 0 and 1),
  constraint net_faults_delay_ms_check check (delay_ms >= 0)
);
comment on table stand_in.net_faults is
'Shares of requests that are lost without a trace, or sent twice, and how long each waits first.';
insert into stand_in.net_faults default values;
grant usage on schema stand_in to postgres;
grant select, update on stand_in.net_faults to postgres;
\endif
