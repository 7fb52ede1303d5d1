-- Classes: what an answer means by its status, its headers and its content, and for how long it
-- asks to wait.

create function sync.may_be_gone(p_stream public.sync_streams, p_kind text, p_page int,
  p_reading jsonb) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_kind = 'page' and (coalesce(p_reading ?| '{guess,beside}', false)
    or (p_page > 1 and p_stream.completeness in ('counted', 'chained', 'agreed', 'feed')));
end; $$;
comment on function sync.may_be_gone(public.sync_streams, text, int, jsonb) is
$$Returns: whether an API may answer that there is no such page, and nothing has failed: it was
asked for on the chance that it exists, or because of what pages before it said, and the list has
changed since.$$;

create function sync.status_classes(p_stream public.sync_streams, p_source public.sync_sources,
  p_kind text, p_page int, p_reading jsonb, p_is_conditional boolean) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return '{"304": "transient"}' || p_source.status_classes || p_stream.status_classes || case
    when p_kind in ('confirmation', 'item') then '{"404": "page", "410": "page"}'::jsonb
    when p_kind = 'page' and p_page > 1 and p_stream.cursor_params is not null
    then '{"422": "page"}'::jsonb
    when sync.may_be_gone(p_stream, p_kind, p_page, p_reading)
    then '{"400": "page", "404": "page", "422": "page"}'::jsonb else '{}'::jsonb end
    || case when p_is_conditional then '{"304": "page"}'::jsonb else '{}'::jsonb end;
end; $$;
comment on function sync.status_classes(public.sync_streams, public.sync_sources, text, int, jsonb,
  boolean) is
$$Returns: the class of each HTTP status for a chunk: of a GET that confirms a deletion 404 is a
page, of one that may be gone 400 and 422 too, of a conditional request 304 is.$$;

create function sync.is_unsent(p_error_message text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return (p_error_message not like 'no answer%') is not false;
end; $$;
comment on function sync.is_unsent(text) is
$$Returns: whether a request that a worker hands back was not sent; one that met a closed connection
was, and its message begins with "no answer".$$;

create function sync.way_out(p_http_status int, p_error_message text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_http_status = 401 then 'rotate_workspace_key() gives the workspace another key.'
    when p_http_status = 403 then 'Let the key read this, or rotate_workspace_key() to one that '
      'may.'
    when p_error_message like '%max_body_bytes = %' then 'Nothing of the page was written: let the '
      'API serve smaller pages, or allow larger ones: declare_stream() takes a max_body_bytes up to '
      '16777216.'
    when p_http_status = 200 then 'Nothing of the page was written: have the API''s answer '
      'corrected.'
    when p_http_status = 422 then 'If only deep pages answer so, the API serves no page that '
      'deep: the list cannot be read whole by page number.'
    when p_http_status between 300 and 399 or p_http_status = 404
    then 'Look at the workspace''s base URL.'
    when not sync.is_unsent(p_error_message)
    then 'Look at the workspace''s base URL, and whether its host answers.' end;
$$;
comment on function sync.way_out(int, text) is
$$Returns: what to do about a failed fetch, null where the message says it all.$$;

create function sync.class_of(p_status_classes jsonb, p_http_status int) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce(p_status_classes ->> p_http_status::text,
    p_status_classes ->> (p_http_status / 100 || 'xx'), p_status_classes ->> 'other', 'permanent');
end; $$;
comment on function sync.class_of(jsonb, int) is
$$Returns: the class of a status: its own, that of its hundred, or of all others.$$;

create function sync.class_by_rules(p_rules jsonb, p_http_status int, p_headers jsonb, p_text text,
  p_answer jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select r.rule ->> 'class'
    from jsonb_array_elements(p_rules) with ordinality as r (rule, n)
    where coalesce((r.rule ->> 'status')::int = p_http_status, true)
      and (not r.rule ? 'text' or strpos(lower(p_text), lower(r.rule ->> 'text')) > 0)
      and (not r.rule ? 'header'
        or p_headers ->> lower(r.rule ->> 'header') = (r.rule ->> 'is'))
      and (not r.rule ? 'path' or p_answer #> array(
        select jsonb_array_elements_text(r.rule -> 'path')) = r.rule -> 'is')
    order by r.n limit 1);
end; $$;
comment on function sync.class_by_rules(jsonb, int, jsonb, text, jsonb) is
$$Returns: the class of the first rule that an answer meets in all that it names, or null. p_text:
where the rules' texts are looked for; p_answer: the body as JSON, null if it is none.$$;

create function sync.http_date(p_text text) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on set timezone = 'UTC' as $$
begin
  return case when length(p_text) <= 100 and p_text ~ '[0-9]{2}:[0-9]{2}'
    then sync.time_or_null(p_text) end;
end; $$;
comment on function sync.http_date(text) is
$$Returns: the moment that a header names, null if it names none.$$;

create function sync.seconds_asked(p_text text) returns numeric
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select case when p_text ~ '^\s*[0-9]{1,12}(\.[0-9]{1,9})?\s*$' then p_text::numeric end;
$$;
comment on function sync.seconds_asked(text) is
$$Returns: a number of 0 or more, null if the text is none.$$;

create function sync.wait_asked_for(p_source public.sync_sources, p_headers jsonb, p_answer jsonb,
  p_is_rate_limit boolean) returns numeric
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  -- The API's own clock, where it tells it.
  v_now timestamptz := coalesce(sync.http_date(p_headers ->> 'date'), sync.now());
  v_reset text := p_headers ->> lower(p_source.reset_header ->> 'name');
  v_retry text := p_headers ->> 'retry-after';
begin
  return (
    select w.seconds from (values
      (1, coalesce(sync.seconds_asked(v_retry), extract(epoch from sync.http_date(v_retry)
        - v_now))),
      -- Every answer may have that header: it says when the present window ends.
      (2, case when p_is_rate_limit then case p_source.reset_header ->> 'is'
        when 'epoch' then sync.seconds_asked(v_reset) - extract(epoch from v_now)
        when 'seconds' then sync.seconds_asked(v_reset)
        when 'date' then extract(epoch from sync.http_date(v_reset) - v_now) end end),
      (3, sync.seconds_asked(p_answer #>> coalesce(p_source.retry_after_path, '{retry_after}')))
    ) as w (turn, seconds)
    where w.seconds > 0 order by w.turn limit 1);
end; $$;
comment on function sync.wait_asked_for(public.sync_sources, jsonb, jsonb, boolean) is
$$Returns: after how many seconds an answer asks to be asked again: by Retry-After, of a rate limit
by the source's reset_header, or in its body; null if it names nothing above 0.$$;

revoke all on function
  sync.may_be_gone, sync.status_classes, sync.is_unsent, sync.way_out, sync.class_of,
  sync.class_by_rules, sync.http_date, sync.seconds_asked,
  sync.wait_asked_for
from public, anon, authenticated, service_role;
