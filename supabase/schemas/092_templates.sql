-- Templates: {names} in a request whose values each chunk has, and the position of a list that they
-- give.

create type sync.template as (
  said text, name text, path text array, flaw text, fallback jsonb
);
comment on type sync.template is
'A template in a text. said: as it stands there, with its braces; name: page, offset, size, next,
last, since, id or parent; path: of parent, the keys of {parent.a.b}; flaw: null, name or default:
what of it is no template''s; fallback: what stands behind its bar.';

create function sync.template_default(p_text text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case when jsonb_typeof(p_text::jsonb) in ('string', 'number', 'boolean')
    then p_text::jsonb end;
exception when data_exception then
  return null;
end; $$;
comment on function sync.template_default(text) is
$$Returns: what stands behind the bar of {last|0}; null if it is no JSON text, number or truth.$$;

create function sync.templates_in(p_text text) returns setof sync.template
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select m.part[1], split_part(m.part[2], '.', 1),
    (string_to_array(m.part[2], '.'))[2:],
    case
      when m.part[2] !~ '^(page|offset|size|next|last|since|id|parent(\.[^.]+)+)$' then 'name'
      when m.part[3] is not null and sync.template_default(m.part[3]) is null then 'default' end,
    sync.template_default(m.part[3])
  from (values ('(\{([A-Za-z_][^{}|]*)(?:\|([^{}]*))?\})')) as x (pattern)
  cross join lateral (
    select w.part, w.n from regexp_matches(p_text, x.pattern, 'g') with ordinality as w (part, n)
    union all
    -- What begins as a template and is not closed as one.
    select array[o.part[1], o.part[1]], null
    from regexp_matches(regexp_replace(p_text, x.pattern, ' ', 'g'),
      '(\{[A-Za-z_\u0080-\uffff][^{}]{0,20})', 'g') as o (part)
  ) as m
  order by m.n;
$$;
comment on function sync.templates_in(text) is
$$Returns: the templates of a text, in order: {name}, {name|default} or {parent.key.key}; last what
begins as one and ends as none. A brace that no letter follows is text.$$;

create function sync.has_template(p_stream public.sync_streams, p_name text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
begin
  return concat_ws(' ', p_stream.path, p_stream.params, p_stream.headers, p_stream.body)
    ~ ('\{' || p_name || '[.|}]');
end; $$;
comment on function sync.has_template(public.sync_streams, text) is
$$Returns: whether a stream's requests have the template of that name, for instance since.$$;

create function sync.position_of(p_stream public.sync_streams) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
begin
  return case
    when p_stream.completeness in ('single', 'items', 'connection') then 'none'
    when p_stream.next_is = 'url' then 'url'
    when p_stream.next_is = 'link_header' then 'link'
    else coalesce(
      substring(concat_ws(' ', p_stream.path, p_stream.params, p_stream.headers, p_stream.body)
        from '\{(page|offset|next|last)[|}]'),
      case when p_stream.completeness in ('counted', 'feed') then 'page' else 'none' end) end;
end; $$;
comment on function sync.position_of(public.sync_streams) is
$$What decides how a list is paged. Returns: page, offset, next or last, the template that its
requests have; url or link, where an answer names the whole next request; none: one answer. A
counted list or a feed without any has its page in page_param.$$;

revoke all on function
  sync.template_default, sync.templates_in, sync.has_template, sync.position_of
from public, anon, authenticated, service_role;
