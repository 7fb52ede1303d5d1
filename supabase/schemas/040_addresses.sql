-- Addresses: URLs taken apart, one spelling of each host, and which of them may be asked.

create type sync.parsed_url as (scheme text, host text, port int, address inet, path text);
comment on type sync.parsed_url is
'A URL taken apart: scheme and host in lower case, the host without a final dot (an IPv6 address in
its short form, bracketed), no port if it is the scheme''s own, the address if the host is one, and
what follows, with query and fragment, as it was given.';

create function sync.parse_url(p_url text) returns sync.parsed_url
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_part text[] := regexp_match(p_url, '^(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?'
    '([/?#][\x21-\x7e]*)?$', 'i');
  v_url sync.parsed_url;
begin
  if v_part is null then
    return null;
  end if;
  v_url.scheme := lower(v_part[1]);
  v_url.host := regexp_replace(lower(v_part[2]), '\.$', '');
  v_url.port := substr(v_part[3], 2)::int;
  v_url.path := coalesce(v_part[4], '');
  if v_url.port not between 1 and 65535 or length(v_url.host) > 253 then
    return null;
  elsif v_url.port = (case v_url.scheme when 'https' then 443 else 80 end) then
    v_url.port := null;
  end if;
  if left(v_url.host, 1) = '[' then
    begin
      v_url.address := btrim(v_url.host, '[]')::inet;
    exception when invalid_text_representation then
      return null;
    end;
    v_url.host := '[' || host(v_url.address) || ']';
    return case when family(v_url.address) = 6 then v_url end;
  end if;
  -- A last label in figures makes it an IPv4 address, of which programs read octal, hexadecimal and
  -- short forms each in their own way: four numbers it has, or it is none.
  if v_url.host ~ '(^|\.)([0-9]+|0x[0-9a-f]*)$' then
    if v_url.host !~ '^((0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])(\.|$)){4}$' then
      return null;
    end if;
    v_url.address := v_url.host::inet;
  elsif v_url.host !~ '^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.(?!$)|$))+$' then
    return null;
  end if;
  return v_url;
end; $$;
comment on function sync.parse_url(text) is
$$Returns: an http or https URL taken apart, or null if it is none: with a user, an empty port, a
space, a line break or another character that does not belong there, an IPv6 address without
brackets, an IPv4 address in figures that programs read differently.$$;

create function sync.host_and_port(p_url sync.parsed_url) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_url.host || coalesce(':' || p_url.port, '');
end; $$;
comment on function sync.host_and_port(sync.parsed_url) is
$$Returns: host and port, without the port that is the scheme's own.$$;

create function sync.host_of(p_url text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return sync.host_and_port(sync.parse_url(p_url));
end; $$;
comment on function sync.host_of(text) is
$$Returns: host and port of a URL, the name of an instance: the same however it is written. Null if
it is no URL.$$;

create function sync.normal_url(p_url text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_url sync.parsed_url := sync.parse_url(p_url);
begin
  return v_url.scheme || '://' || sync.host_and_port(v_url) || v_url.path;
end; $$;
comment on function sync.normal_url(text) is
$$Returns: a URL with its host in the one spelling of parse_url(), or null if it is none.$$;

create function sync.origin_of(p_url text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_url sync.parsed_url := sync.parse_url(p_url);
begin
  return v_url.scheme || '://' || sync.host_and_port(v_url);
end; $$;
comment on function sync.origin_of(text) is
$$Returns: scheme, host and port of a URL, in the one spelling of parse_url(), or null if it is
none.$$;

create function sync.reach_of_address(p_address inet) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case
    when p_address <<= any ('{127.0.0.0/8,::1}'::inet[]) then 'loopback'
    -- IPv4 in the clothes of IPv6: mapped, and translated by a gateway.
    when p_address <<= '::ffff:0:0/96' then
      sync.reach_of_address('0.0.0.0'::inet + (p_address - '::ffff:0:0'::inet))
    when p_address <<= '64:ff9b::/96' then
      case sync.reach_of_address('0.0.0.0'::inet + (p_address - '64:ff9b::'::inet))
        when 'public' then 'public' else 'private' end
    when family(p_address) = 4 then
      case when p_address <<= any ('{0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,169.254.0.0/16,172.16.0.0/12,
        192.0.0.0/24,192.0.2.0/24,192.88.99.0/24,192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,
        203.0.113.0/24,224.0.0.0/4,240.0.0.0/4}'::inet[]) then 'private' else 'public' end
    -- Of the public range without tunnels into any address (Teredo, 6to4) and documentation.
    when p_address <<= '2000::/3'
      and not p_address <<= any ('{2001::/23,2001:db8::/32,2002::/16,3fff::/20}'::inet[])
    then 'public'
    else 'private' end;
end; $$;
comment on function sync.reach_of_address(inet) is
$$Returns: loopback; private: local, link-local, shared, multicast, reserved, for documentation, or
a tunnel that may lead there; else public.$$;

create function sync.reach_of(p_url sync.parsed_url) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
begin
  return case
    when p_url.address is not null then sync.reach_of_address(p_url.address)
    when p_url.host = 'localhost' then 'loopback'
    when strpos(p_url.host, '.') = 0 or p_url.host ~ '\.(localhost|localdomain|local|internal'
      '|intranet|private|corp|home|lan|svc|test|invalid|onion|arpa)$' then 'private'
    else 'public' end;
end; $$;
comment on function sync.reach_of(sync.parsed_url) is
$$Returns: loopback, private or public, as far as a host's name tells: the worker asks the same of
the address that it connects to. Names of one word and under domains that no registry gives out are
private.$$;

create function sync.reach_below(p_base_url text, p_is_anywhere_allowed boolean) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case when p_is_anywhere_allowed then 'any'
    when p_base_url ~ '^https?://(localhost|127[.][0-9.]+|[[]::1[]])([:/]|$)' then 'loopback'
    else 'public' end;
end; $$;
comment on function sync.reach_below(text, boolean) is
$$Returns: how far a request below a base URL, as it is stored, may reach: see
docs/worker-protocol.md.$$;

create function sync.checked_url(p_url text, p_takes_private_http boolean default false)
  returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_url sync.parsed_url := sync.parse_url(p_url);
  v_reach text := sync.reach_of(v_url);
  v_origin text := v_url.scheme || '://' || sync.host_and_port(v_url);
begin
  if v_url is null then
    raise exception using errcode = 'SY015', message = 'that is no URL',
      hint = 'It reads https://host or https://host:port, without a user, and an IPv4 address as '
      '192.0.2.1.';
  end if;
  if v_url.scheme = 'http' and v_reach <> 'loopback'
    and not (p_takes_private_http and v_reach = 'private') then
    raise exception using errcode = 'SY015', message = format('%s is not https', v_origin),
      hint = 'Keys travel over https only, except to this machine itself.';
  end if;
  if v_reach = 'private' and not sync.is_switched_on('allow_private_addresses') then
    raise exception using errcode = 'SY015',
      message = format('%s names a private address', v_origin),
      hint = 'If that is meant: select set_setting(''allow_private_addresses'', ''true'').';
  end if;
  return v_origin || v_url.path;
end; $$;
comment on function sync.checked_url(text, boolean) is
$$Returns: the URL with its host in one spelling. Raises: SY015 no URL, not https (http is for
loopback, and for private hosts where the caller takes that), or a private address while the setting
forbids them; the text names the host at most, as the rest may be a secret.$$;

create function sync.checked_base_url(p_base_url text, p_takes_private_http boolean default false)
  returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_url text := sync.checked_url(p_base_url, p_takes_private_http);
begin
  if (sync.parse_url(v_url)).path !~ '^(/[^/?#]+)*$' or v_url ~* '/(\.|%2e){1,2}(/|$)'
    or v_url ~ '%(?![0-9A-Fa-f]{2})' then
    raise exception using errcode = 'SY015',
      message = format('that is no base URL of %s', sync.host_of(p_base_url)),
      hint = 'It reads https://host/path, without query, fragment, dots for folders or a slash at '
      'the end.';
  end if;
  return v_url;
end; $$;
comment on function sync.checked_base_url(text, boolean) is
$$Returns: the URL as checked_url() does, which ends in a host or a folder. Raises: SY015 as that,
or for any other end.$$;

revoke all on function
  sync.parse_url, sync.host_and_port, sync.host_of, sync.normal_url, sync.origin_of,
  sync.reach_of_address, sync.reach_of, sync.reach_below, sync.checked_url, sync.checked_base_url
from public, anon, authenticated, service_role;
