-- Declared templates: where in a declaration templates may stand, and which need a default. Each
-- rule names the field that is wrong and what it takes.
-- Stands on: templates.

create type sync.wrong_field as (field text, takes text);
comment on type sync.wrong_field is
'A field of a declaration that does not go with the others, and what it would take.';

create function sync.placed_templates(p_stream public.sync_streams)
  returns table (field text, said text, name text, flaw text, fallback jsonb, path text[])
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select f.field, t.said, t.name, t.flaw, t.fallback, t.path
  from (
    select 'path', p_stream.path
    union all select 'item_path', p_stream.item_path
    union all select 'params', p.value #>> '{}' from jsonb_each(p_stream.params) as p
    union all select 'headers', h.value #>> '{}' from jsonb_each(p_stream.headers) as h
    union all select 'body', b #>> '{}'
    from jsonb_path_query(p_stream.body, 'strict $.** ? (@.type() == "string")') as b
  ) as f (field, text)
  cross join sync.templates_in(f.text) as t;
$$;
comment on function sync.placed_templates(public.sync_streams) is
$$Returns: the templates of a stream's requests, each with the field in which it stands.$$;

create function sync.wrong_templates(p_stream public.sync_streams) returns setof sync.wrong_field
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select t.field, r.takes from sync.placed_templates(p_stream) as t
  cross join lateral (values
    (t.flaw = 'name', format('the templates {page}, {offset}, {size}, {next}, {last}, {since}, '
      '{id} and {parent.key}, and %s is none of them; a brace with a blank behind it is text',
      t.said)),
    (t.flaw = 'default', format('behind the bar of a template a JSON text, number or truth, as in '
      '{last|0} or {since|"2020-01-01"}, and not %s', t.said)),
    (t.field in ('path', 'item_path') and t.fallback #>> '{}' ~ '^$|(^|[/\\])\.{1,2}([/\\]|$)',
      format('behind the bar of a template a text that names no folder such as "..", and not %s',
        t.said)),
    (t.field = 'headers' and t.fallback #>> '{}' !~ '^[\x20-\x7e]*$',
      format('behind the bar of a template printable ASCII, and not %s', t.said)),
    (t.field in ('path', 'headers') and t.name in ('next', 'last', 'since')
      and t.fallback is null,
      format('a default behind the bar, as in {%s|0}: a first request has no %s', t.name, t.said)),
    (t.field in ('path', 'headers') and t.name = 'since' and sync.has_template(p_stream, 'next'),
      'no {since} beside {next}, whose value takes its place; it stands in params or body then'),
    (t.field = 'headers' and t.name in ('page', 'offset') and p_stream.item_path is not null
      and t.fallback is null,
      format('a default behind the bar, as in {%s|0}: the request of item_path has no %s', t.name,
        t.said)),
    (t.field = 'item_path' and t.name not in ('id', 'parent'),
      format('the templates {id} and {parent.key} only, and not %s', t.said)),
    (t.field <> 'item_path' and t.name = 'id',
      'no {id}: that stands in item_path, the path of one record'),
    (t.name = 'parent' and p_stream.parent_stream is null,
      format('no %s unless parent_stream names the stream of the parents', t.said)),
    (t.name in ('page', 'offset', 'next', 'last', 'since')
      and p_stream.completeness in ('single', 'items', 'connection'),
      format('no %s where completeness is %s, which is one answer', t.said,
        p_stream.completeness)),
    (t.name = 'since' and p_stream.updated_at_path is null,
      'no {since} unless updated_at_path says where a record''s time of change stands'),
    (t.name = 'since' and p_stream.completeness = 'feed',
      'no {since} where completeness is feed: a feed is read down to its mark'),
    (t.name in ('page', 'offset', 'next', 'last') and t.name <> sync.position_of(p_stream),
      format('one position only: the list is paged by %s already, and %s is a second one',
        case sync.position_of(p_stream) when 'url' then 'next_is "url"'
        when 'link' then 'next_is "link_header"'
        else '{' || sync.position_of(p_stream) || '}' end, t.said))
  ) as r (is_wrong, takes)
  where r.is_wrong
  union all
  select 'body', 'templates in values only, and "' || k.key || '" is the name of one'
  from jsonb_path_query(p_stream.body, 'strict $.** ? (@.type() == "object").keyvalue().key') as b
  cross join lateral (select b #>> '{}') as k (key)
  where exists (select from sync.templates_in(k.key))
  union all
  select f.field, 'templates in values only, and "' || n.name || '" is the name of one'
  from (values ('params', p_stream.params), ('headers', p_stream.headers)) as f (field, object)
  cross join jsonb_object_keys(f.object) as n (name)
  where exists (select from sync.templates_in(n.name));
$$;
comment on function sync.wrong_templates(public.sync_streams) is
$$Returns: fields with templates that are unknown, stand where they have no value, or are a second
position.$$;

create function sync.wrong_places(p_given jsonb) returns setof sync.wrong_field
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select g.key, 'no template: those stand in values of path, params, headers and body'
  from jsonb_each(p_given) as g
  where g.key <> all ('{path,item_path,params,headers,body,class_rules}')
    and g.value::text
      ~ '\{((page|offset|size|next|last|since|id)(\|[^{}]*)?|parent\.[^{}]*)\}';
$$;
comment on function sync.wrong_places(jsonb) is
$$Returns: fields with a template that no request has.$$;

revoke all on function
  sync.placed_templates, sync.wrong_templates, sync.wrong_places
from public, anon, authenticated, service_role;
