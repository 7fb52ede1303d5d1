-- Next URLs: what an answer names as the next request, held to the workspace's origin and base
-- path.
-- Stands on: addresses, keys.

create function sync.url_encode(p_text text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select string_agg(case when c ~ '[A-Za-z0-9_.~-]' then c
    else regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') end, ''
    order by n)
  from regexp_split_to_table(p_text, '') with ordinality as t (c, n);
$$;
comment on function sync.url_encode(text) is $$Returns: the text as one segment of a path.$$;

create function sync.refuse_next_url(p_text text, p_why text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'SY010',
    message = format('the answer''s next URL %s: %s', p_why, left(sync.one_line(p_text), 200)),
    hint = 'It is followed on the workspace''s own origin and below its base path only.';
end; $$;
comment on function sync.refuse_next_url(text, text) is $$Raises: SY010 with the next URL.$$;

create function sync.absolute_url(p_text text, p_request_url text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select case
    when p_text ~* '^[a-z][a-z0-9+.-]*:' then p_text
    when p_text ~ '^//' then substring(p_request_url from '^[A-Za-z]+:') || p_text
    when p_text ~ '^/' then substring(p_request_url from '^[A-Za-z]+://[^/?#]*') || p_text
    when p_text ~ '^\?' then substring(p_request_url from '^[^?#]*') || p_text
    else substring(substring(p_request_url from '^[^?#]*') from '^[A-Za-z]+://[^/]*/(?:.*/)?')
      || p_text end;
$$;
comment on function sync.absolute_url(text, text) is
$$Returns: a URL, perhaps relative to the one that was asked, as RFC 3986 resolves it, but for "."
and ".." in its path.$$;

create function sync.next_url(p_base_url text, p_text text, p_source public.sync_sources,
  p_request_url text default null) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_base constant sync.parsed_url := sync.parse_url(p_base_url || p_source.base_path);
  v_text text := split_part(btrim(p_text), '#', 1);
  v_url sync.parsed_url;
  v_path text;
  v_params text[];
begin
  if coalesce(v_text, '') = '' or length(v_text) > 4096 or v_text ~ '[\x01-\x1f\x7f\\]' then
    perform sync.refuse_next_url(coalesce(p_text, ''), 'is none');
  end if;
  select string_agg(case when c ~ '[\x21-\x7e]' then c else sync.url_encode(c) end, '' order by n)
  into v_text from regexp_split_to_table(v_text, '') with ordinality as t (c, n);
  v_text := sync.absolute_url(v_text, coalesce(p_request_url, p_base_url || p_source.base_path
    || '/'));
  v_url := sync.parse_url(v_text);
  if v_url is null then
    perform sync.refuse_next_url(p_text, 'is none');
  elsif (v_url.scheme, sync.host_and_port(v_url))
    is distinct from (v_base.scheme, sync.host_and_port(v_base)) then
    perform sync.refuse_next_url(p_text, 'leads to another origin');
  end if;
  v_path := split_part(v_url.path, '?', 1);
  if v_path ~* '(^|/|%2f|%5c)(\.|%2e){1,2}(/|%2f|%5c|$)'
    or (v_path <> v_base.path and not starts_with(v_path, rtrim(v_base.path, '/') || '/')) then
    perform sync.refuse_next_url(p_text, 'leads out of the base path');
  end if;
  if strpos(v_url.path, '?') = 0 then
    return v_url.scheme || '://' || sync.host_and_port(v_url) || v_path;
  end if;
  v_params := string_to_array(substr(v_url.path, strpos(v_url.path, '?') + 1), '&');
  if p_source.auth_in = 'query' then
    v_params := array(
      select p.param from unnest(v_params) with ordinality as p (param, n)
      where lower(sync.resolved(translate(split_part(p.param, '=', 1), '+', ' '),
        '%[0-9A-Fa-f]{2}')) <> lower(p_source.auth_name) order by p.n);
  end if;
  return v_url.scheme || '://' || sync.host_and_port(v_url) || v_path
    || coalesce('?' || nullif(array_to_string(v_params, '&'), ''), '');
end; $$;
comment on function sync.next_url(text, text, public.sync_sources, text) is
$$What an answer names as its next URL, absolute or relative to the request's (the base URL if that
is left out). p_base_url is the workspace's. Returns: the URL, without the key's own parameter and
without a fragment. Raises: SY010 no URL, another origin, or not below the source's base path.$$;

create function sync.link_next(p_text text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_rest text := coalesce(p_text, '');
  v_link text[];
  v_params text;
  v_rel text;
begin
  while v_rest ~ '[^\s,]' loop
    v_link := regexp_match(v_rest,
      '^([\s,]*<([^>]*)>((?:\s*;\s*(?:[^\s=;,"<>]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)?)*)\s*)(?:,|$)');
    if v_link is null then
      raise exception using errcode = 'SY010',
        message = format('the header Link cannot be read: %s', left(sync.one_line(v_rest), 200)),
        hint = 'It should read <https://host/path?page=2>; rel="next", as RFC 8288 has it.';
    end if;
    v_rest := substr(v_rest, length(v_link[1]) + 1);
    v_params := v_link[3];
    -- Of several the first counts; a link of another context is none of this page.
    select lower(coalesce(m.part[2], m.part[3])) into v_rel
    from regexp_matches(v_params, ';\s*([^\s=;,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))', 'g')
      with ordinality as m (part, n)
    where lower(m.part[1]) = 'rel' order by m.n limit 1;
    if 'next' = any (regexp_split_to_array(coalesce(v_rel, ''), '\s+')) and not exists (
      select from regexp_matches(v_params, ';\s*([^\s=;,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))',
        'g') as m (part) where lower(m.part[1]) = 'anchor') then
      return v_link[2];
    end if;
  end loop;
  return null;
end; $$;
comment on function sync.link_next(text) is
$$Returns: of a header Link what it names as rel="next", perhaps relative; null if it names none.
Raises: SY010 a header that cannot be read, which ends no list.$$;

revoke all on function
  sync.url_encode, sync.refuse_next_url, sync.absolute_url, sync.next_url, sync.link_next
from public, anon, authenticated, service_role;
