-- Requests: what of a chunk stands in the HTTP request.

create function sync.url_encode(p_text text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select string_agg(case when c ~ '[A-Za-z0-9_.~-]' then c
    else regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') end, ''
    order by n)
  from regexp_split_to_table(p_text, '') with ordinality as t (c, n);
$$;
comment on function sync.url_encode(text) is $$Returns: the text as one segment of a path.$$;

revoke all on function sync.url_encode from public, anon, authenticated, service_role;
