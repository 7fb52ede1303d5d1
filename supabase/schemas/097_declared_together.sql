-- Declared together: which fields of a declaration go with which others, and which headers are the
-- engine's own. Each rule names the field that is wrong and what it takes.
-- Stands on: addresses, templates, declared_templates, declared_fields.

create function sync.default_values(p_table regclass) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_values jsonb;
begin
  execute (
    select format('select to_jsonb(d) from (select %s) as d', string_agg(
      format('%s as %I', pg_catalog.pg_get_expr(f.adbin, f.adrelid), a.attname), ', '))
    from pg_catalog.pg_attrdef as f
    join pg_catalog.pg_attribute as a on a.attrelid = f.adrelid and a.attnum = f.adnum
    where f.adrelid = p_table and a.attname <> all ('{id,created_at}') and a.attidentity = ''
  ) into v_values;
  return v_values;
end; $$;
comment on function sync.default_values(regclass) is
$$Returns: the defaults of a table's columns.$$;

create function sync.without_nulls(p_given jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_object_agg(g.key, g.value), '{}')
  from jsonb_each(p_given) as g where g.value <> 'null';
$$;
comment on function sync.without_nulls(jsonb) is
$$Returns: a declaration without fields that are null, which are as if left out.$$;

create function sync.is_reserved_header(p_name text) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select lower(p_name) = any ('{accept,accept-charset,accept-encoding,connection,content-encoding,
    content-length,content-type,date,expect,forwarded,host,http2-settings,if-match,
    if-modified-since,if-none-match,if-range,if-unmodified-since,keep-alive,proxy-authenticate,
    proxy-authorization,proxy-connection,range,te,trailer,transfer-encoding,upgrade,
    via}'::text[]);
$$;
comment on function sync.is_reserved_header(text) is
$$Returns: whether a header is one that only the engine or the HTTP library writes.$$;

create function sync.wrong_requests(p_stream public.sync_streams, p_default public.sync_streams,
  p_source public.sync_sources) returns setof sync.wrong_field
language sql stable set search_path = pg_catalog, pg_temp as $$
  select r.field, r.takes from (values
    ('body', p_stream.body is not null and p_stream.method = 'GET',
      'nothing unless method is POST'),
    ('page_param', p_stream.page_param <> p_default.page_param
      and (sync.position_of(p_stream) <> 'page' or sync.has_template(p_stream, 'page')),
      'nothing unless completeness is counted or feed and no position stands in the request'),
    ('params', sync.position_of(p_stream) = 'page' and not sync.has_template(p_stream, 'page')
      and p_stream.params ? p_stream.page_param,
      format('no parameter %s, which page_param sends', to_jsonb(p_stream.page_param))),
    ('cursor_param', p_stream.cursor_params is not null and (p_stream.params
        || p_stream.cursor_params) ? p_stream.cursor_param,
      'a name that params and cursor_params do not have'),
    ('cursor_params', p_stream.cursor_params is not null
      and (p_stream.completeness <> 'feed' or sync.position_of(p_stream) <> 'page'),
      'nothing unless completeness is feed and the list is paged by number, whose deep pages it '
        'is for'),
    ('deep_page_limit', p_stream.deep_page_limit is not null
      and (p_stream.completeness <> 'feed' or sync.position_of(p_stream) <> 'page'),
      'nothing unless completeness is feed and the list is paged by number'),
    ('method', p_stream.method <> 'GET' and p_stream.completeness in ('items', 'connection'),
      format('GET, where completeness is %s', p_stream.completeness)),
    ('params', p_stream.params <> '{}' and p_stream.completeness in ('items', 'connection'),
      format('nothing where completeness is %s, whose request is its path alone',
        p_stream.completeness)),
    ('path', p_stream.completeness = 'connection' and strpos(p_stream.path, '{') > 0,
      'no template where completeness is connection'),
    ('headers', p_stream.completeness = 'connection'
      and strpos(substr(p_stream.headers::text, 2), '{') > 0,
      'no template where completeness is connection'),
    ('params', p_source.auth_in = 'query' and p_source.auth in ('key', 'oauth2_client',
        'oauth2_refresh') and p_stream.params ? p_source.auth_name,
      format('no parameter %s, in which the source sends the key', to_jsonb(p_source.auth_name))),
    ('headers', (select count(*) <> count(distinct lower(h))
        from jsonb_object_keys(p_stream.headers) as h),
      'each header once, whatever the case of its letters'),
    ('conditional', p_stream.conditional and p_stream.method <> 'GET',
      'false, where method is POST'),
    ('conditional', p_stream.conditional and sync.has_template(p_stream, 'since'),
      'false, where {since} makes every request another one')
  ) as r (field, is_wrong, takes) where r.is_wrong
  union all
  select 'headers', format('no header %s, which %s', to_jsonb(h.name), case
      when sync.is_reserved_header(h.name) then 'only the engine writes'
      else 'carries the credential' end)
  from jsonb_object_keys(p_stream.headers) as h (name)
  where sync.is_reserved_header(h.name) or lower(h.name) in ('authorization', 'cookie')
    or lower(h.name) = lower(p_source.auth_name);
$$;
comment on function sync.wrong_requests(public.sync_streams, public.sync_streams,
  public.sync_sources) is
$$Returns: fields that a request cannot have together.$$;

create function sync.wrong_pages(p_stream public.sync_streams, p_default public.sync_streams)
  returns setof sync.wrong_field
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select r.field, r.takes
  from (select sync.position_of(p_stream),
    p_stream.completeness in ('single', 'items', 'connection')) as x (position, is_one_answer)
  cross join lateral (values
    ('first_page', p_stream.first_page <> p_default.first_page and x.position <> 'page',
      'nothing unless the list is paged by number'),
    ('first_page', p_stream.first_page <> p_default.first_page
      and p_stream.cursor_params is not null,
      format('%s, where cursor_params is given', p_default.first_page)),
    ('next_is', p_stream.next_is <> 'token' and x.is_one_answer,
      format('token, where completeness is %s, which is one answer', p_stream.completeness)),
    ('next_path', p_stream.next_path is null and x.position in ('next', 'url'),
      'the keys to what an answer says comes next, where {next} stands in the request or next_is '
        'is url'),
    ('next_path', p_stream.next_path is not null and x.position not in ('next', 'url'),
      'nothing unless {next} stands in the request or next_is is url'),
    ('last_path', p_stream.last_path is not null and x.position <> 'last'
        and (x.position <> 'next' or p_stream.completeness <> 'chained'),
      'nothing unless {last} stands in the request, or {next} where completeness is chained'),
    ('cursor_is', p_stream.cursor_is is not null and x.position not in ('next', 'url', 'link'),
      'nothing unless an answer says what comes next'),
    ('overlap', p_stream.overlap is not null and x.position <> 'offset',
      'nothing unless {offset} stands in the request'),
    ('overlap', p_stream.overlap >= p_stream.page_size,
      format('less than page_size, which is %s', p_stream.page_size)),
    ('page_size', p_stream.page_size < 2 and x.position = 'offset'
      and p_stream.completeness = 'chained',
      '2 or more, since pages by {offset} overlap where completeness is chained'),
    ('more_path', p_stream.more_path is not null and x.position = 'none',
      'nothing unless the list has pages'),
    ('more_is', p_stream.more_is <> p_default.more_is and p_stream.more_path is null,
      'nothing unless more_path is given'),
    ('next_absent_ends', p_stream.next_absent_ends and x.position not in ('next', 'url', 'link'),
      'false, unless an answer says what comes next'),
    ('short_page_ends', p_stream.short_page_ends and x.position = 'none',
      'false, unless the list has pages'),
    ('time_format', p_stream.time_format <> p_default.time_format
      and p_stream.updated_at_path is null, 'nothing unless updated_at_path is given'),
    ('since_format', p_stream.since_format <> p_default.since_format
      and not sync.has_template(p_stream, 'since'),
      'nothing unless {since} stands in the request'),
    ('since_overlap', p_stream.since_overlap <> p_default.since_overlap
      and not sync.has_template(p_stream, 'since'),
      'nothing unless {since} stands in the request'),
    ('cursor_params', p_stream.cursor_params is null and p_stream.next_cursor_path is not null,
      'an object, {} at the least, where next_cursor_path is given'),
    ('next_cursor_path', p_stream.cursor_params is not null and p_stream.next_cursor_path is null,
      'a list of keys, where cursor_params is given'),
    ('cursor_codec', p_stream.cursor_params is null and p_stream.cursor_codec is not null,
      'nothing unless cursor_params is given')
  ) as r (field, is_wrong, takes) where r.is_wrong;
$$;
comment on function sync.wrong_pages(public.sync_streams, public.sync_streams) is
$$Returns: fields that do not go with how the list is paged.$$;

create function sync.wrong_proofs(p_stream public.sync_streams, p_default public.sync_streams)
  returns setof sync.wrong_field
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select r.field, r.takes
  from (select sync.position_of(p_stream), p_stream.completeness,
    p_stream.completeness in ('counted', 'chained', 'agreed', 'feed'))
    as x (position, completeness, is_list)
  cross join lateral (values
    ('completeness', x.completeness in ('chained', 'agreed') and x.position = 'none',
      format('single, where one answer holds the whole list; %s needs {offset}, {next}, {last}%s '
        'in the request, or next_is', x.completeness,
        case x.completeness when 'agreed' then ' or {page}' else '' end)),
    ('completeness', x.completeness = 'chained' and x.position = 'page',
      'agreed, or counted where the API tells a total: between pages by number a record may slip '
        'through'),
    ('completeness', x.completeness = 'counted' and x.position not in ('page', 'offset'),
      'chained or agreed, where a list is not paged by number or {offset}'),
    ('order_path', x.completeness = 'chained' and p_stream.order_path is null,
      'the keys to what the list is ordered by, where completeness is chained; a list without an '
        'order is agreed'),
    ('cursor_is', x.completeness = 'chained' and p_stream.cursor_is is null
      and (x.position in ('url', 'link') or x.position = 'next' and p_stream.last_path is null),
      'keyset, where completeness is chained and the API says that its cursor is one; last_path, '
        'where the token is a value of the last record; else completeness is agreed'),
    ('last_path', x.is_list and (x.position = 'last'
        or x.position = 'next' and x.completeness = 'chained' and p_stream.cursor_is is null)
      and p_stream.last_path <> p_stream.id_path and (p_stream.order_is_unique is not true
        or p_stream.last_path is distinct from p_stream.order_path),
      'the keys to a value that no two records share: the id, or what the list is ordered by with '
        'order_is_unique true'),
    ('order_direction', x.completeness = 'feed' and p_stream.order_direction <> 'desc',
      'desc, where completeness is feed, which is read newest first'),
    ('order_direction', x.completeness in ('chained', 'agreed')
      and p_stream.order_path = p_stream.updated_at_path and p_stream.order_direction = 'desc',
      'asc, where the list is ordered by updated_at_path: read from the newest, what changes '
        'meanwhile pushes others out of sight'),
    ('order_direction', p_stream.order_moves = 'forward' and p_stream.order_direction <> 'asc',
      'asc, where order_moves is forward'),
    ('order_moves', p_stream.order_moves <> 'never' and x.completeness not in ('chained', 'agreed'),
      'never, unless completeness is chained or agreed'),
    ('order_moves', p_stream.order_moves <> 'never' and p_stream.order_path is null,
      'never, unless order_path is given'),
    ('order_moves', p_stream.order_moves <> 'never' and x.position = 'page',
      'never, where the list is paged by number: forward is one chain'),
    ('order_path', p_stream.order_path is not null and not x.is_list,
      format('nothing where completeness is %s, which is one answer', x.completeness)),
    ('order_type', p_stream.order_path is null and p_stream.order_type <> 'number'
      and not (p_stream.order_type = 'text' and p_stream.id_type = 'text'),
      case p_stream.id_type when 'text' then 'number or text' else 'number' end
        || ', where order_path is left out and the order is the id''s'),
    ('order_direction', p_stream.order_direction <> p_default.order_direction and not x.is_list,
      'nothing unless the list has pages'),
    ('order_is_unique', p_stream.order_is_unique is not null and p_stream.order_path is null,
      'nothing unless order_path is given'),
    ('order_type', x.completeness = 'feed' and p_stream.order_type = 'text',
      'number or time, where completeness is feed'),
    ('id_type', x.completeness = 'feed' and p_stream.id_type <> 'integer'
        and (p_stream.order_path is null or p_stream.cursor_params is not null),
      'integer, where completeness is feed and the order is the id''s, as where order_path is left '
        'out, or that of cursors'),
    ('result_cap', p_stream.result_cap is not null and not (x.is_list and x.completeness <> 'feed'),
      'nothing unless completeness is counted, chained or agreed'),
    ('result_cap', p_stream.result_cap < p_stream.page_size,
      format('no less than page_size, which is %s', p_stream.page_size)),
    ('deleted_when', p_stream.deleted_when is not null
      and x.completeness not in ('counted', 'chained', 'agreed', 'single'),
      format('nothing where completeness is %s, which never deletes', x.completeness)),
    ('deleted_when', p_stream.deleted_when = '{}', 'one field at least, or nothing'),
    ('overlap_pages', p_stream.overlap_pages <> p_default.overlap_pages
      and x.completeness <> 'feed', 'nothing unless completeness is feed'),
    ('conditional', p_stream.conditional and x.completeness in ('items', 'connection'),
      format('false, where completeness is %s', x.completeness))
  ) as r (field, is_wrong, takes) where r.is_wrong;
$$;
comment on function sync.wrong_proofs(public.sync_streams, public.sync_streams) is
$$Returns: fields that do not go with what completeness is to prove.$$;

create function sync.wrong_relations(p_stream public.sync_streams, p_default public.sync_streams)
  returns setof sync.wrong_field
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select r.field, r.takes from (values
    ('item_path', p_stream.completeness = 'items' and p_stream.item_path is null,
      'a path with {id} in it, where completeness is items'),
    ('parent_stream', p_stream.completeness = 'items' and p_stream.parent_stream is null,
      'the name of a stream of the same source, where completeness is items'),
    ('parent_stream', p_stream.parent_stream is not null
      and p_stream.completeness in ('feed', 'connection'),
      format('nothing where completeness is %s', p_stream.completeness)),
    ('parent_stream', p_stream.parent_stream is not null and p_stream.completeness <> 'items'
      and not sync.has_template(p_stream, 'parent'),
      'nothing unless {parent.id} or the like stands in the request: every parent would have the '
        'same one'),
    ('parent_stream', p_stream.parent_stream = p_stream.stream_name, 'another stream than itself'),
    ('fan_out', p_stream.fan_out <> p_default.fan_out and p_stream.parent_stream is null,
      'nothing unless parent_stream is given'),
    ('id_scope', p_stream.id_scope <> p_default.id_scope and p_stream.parent_stream is null,
      'nothing unless parent_stream is given'),
    ('id_scope', p_stream.id_scope <> p_default.id_scope and p_stream.completeness = 'items',
      'nothing where completeness is items'),
    ('target_table', p_stream.columns is null and p_stream.target_table like 'synced.%',
      'no table of the schema synced unless columns says what it has'),
    ('stage_function', p_stream.completeness <> 'items' and p_stream.stage_function is not null,
      'nothing unless completeness is items'),
    ('shown_function', p_stream.completeness <> 'items' and p_stream.shown_function is not null,
      'nothing unless completeness is items'),
    ('warn_function', p_stream.completeness <> 'items' and p_stream.warn_function is not null,
      'nothing unless completeness is items'),
    ('drop_paths', exists (
        select 1 from jsonb_array_elements(p_stream.drop_paths) as p (path)
        where to_jsonb(p_stream.id_path[:jsonb_array_length(path)]) = path
          or to_jsonb(p_stream.updated_at_path[:jsonb_array_length(path)]) = path
          or (p_stream.completeness = 'chained'
            and to_jsonb(p_stream.order_path[:jsonb_array_length(path)]) = path)
          or (jsonb_array_length(path) = 1 and p_stream.deleted_when ? (path ->> 0))),
      'paths that spare a record''s id, its updated_at, what a chain is ordered by and the fields of '
        'deleted_when, which are needed after the cut'),
    ('columns', exists (
        select 1 from jsonb_each(p_stream.columns) as c
        cross join jsonb_array_elements(p_stream.drop_paths) as d (path)
        where starts_with(btrim(coalesce(c.value -> 'path', jsonb_build_array(c.key))::text, '[]')
          || ', ', btrim(d.path::text, '[]') || ', ')),
      'columns of what drop_paths leaves')
  ) as r (field, is_wrong, takes) where r.is_wrong;
$$;
comment on function sync.wrong_relations(public.sync_streams, public.sync_streams) is
$$Returns: fields that do not go with a stream's parent, or with its hooks.$$;

create function sync.require_fields_together(p_given jsonb, p_source public.sync_sources)
  returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_defaults jsonb := sync.default_values('public.sync_streams');
  v_default public.sync_streams := jsonb_populate_record(null::public.sync_streams, v_defaults);
  v_stream public.sync_streams := jsonb_populate_record(null::public.sync_streams,
    v_defaults || sync.without_nulls(p_given));
  v_wrong sync.wrong_field;
begin
  select w.* into v_wrong from (
    select * from sync.wrong_places(p_given)
    union all select * from sync.wrong_templates(v_stream)
    union all select * from sync.wrong_requests(v_stream, v_default, p_source)
    union all select * from sync.wrong_pages(v_stream, v_default)
    union all select * from sync.wrong_proofs(v_stream, v_default)
    union all select * from sync.wrong_relations(v_stream, v_default)
  ) as w limit 1;
  if found then
    perform sync.refuse_field('stream', p_given, v_wrong.field, v_wrong.takes);
  end if;
end; $$;
comment on function sync.require_fields_together(jsonb, public.sync_sources) is
$$A field at its default goes with everything, so that a row may be declared as it stands. Raises:
SY006 naming a field of a stream that does not go with the others, or with its source.$$;

create function sync.wrong_source(p_source public.sync_sources, p_default public.sync_sources)
  returns setof sync.wrong_field
language sql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select r.field, r.takes
  from (select p_source.auth like 'oauth2%') as x (is_oauth)
  cross join lateral (values
    ('auth_name', p_source.auth_in = 'header' and (sync.is_reserved_header(p_source.auth_name)
        or lower(p_source.auth_name) = 'cookie'),
      'a header that the worker does not write itself, such as Authorization or X-Api-Key'),
    ('auth_in', p_source.auth_in <> 'header' and p_source.auth = 'basic',
      'header, where auth is basic'),
    ('auth_in', p_source.auth_in <> p_default.auth_in and p_source.auth = 'none',
      'nothing where auth is none'),
    ('auth_name', p_source.auth_name <> p_default.auth_name and p_source.auth = 'none',
      'nothing where auth is none'),
    ('auth_prefix', p_source.auth_in = 'header' and p_source.auth_prefix !~ '^[ -~]*$',
      'printable ASCII, in a header'),
    ('auth_prefix', p_source.auth_prefix <> p_default.auth_prefix and p_source.auth = 'none',
      'nothing where auth is none'),
    ('token_url', p_source.token_url is null and x.is_oauth,
      format('a path below the base URL or an https URL, where auth is %s', p_source.auth)),
    ('auth_name', lower(p_source.auth_name) <> 'authorization' and p_source.auth = 'basic',
      'Authorization, where auth is basic'),
    ('token_url', not starts_with(p_source.token_url, '/') and (
        sync.parse_url(p_source.token_url) is null
        or sync.reach_of(sync.parse_url(p_source.token_url)) = 'private'
        and not sync.is_switched_on('allow_private_addresses')),
      'a path below the base URL or an https URL of a public host; '
      'set_setting(''allow_private_addresses'', ''true'') lets that be a private one'),
    ('token_url', p_source.token_url is not null and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_params', p_source.token_params <> p_default.token_params and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_auth', p_source.token_auth <> p_default.token_auth and not x.is_oauth,
      'nothing unless auth is oauth2_client or oauth2_refresh'),
    ('token_params', exists (
        select from jsonb_object_keys(p_source.token_params) as k
        where lower(btrim(k)) in ('grant_type', 'client_id', 'client_secret', 'refresh_token')),
      'none of grant_type, client_id, client_secret and refresh_token, which the engine sends'),
    ('token_params', exists (
        select from jsonb_object_keys(p_source.token_params) as k
        where lower(btrim(k)) in ('access_token', 'assertion', 'client_assertion', 'code',
          'code_verifier', 'device_code', 'password')),
      'nothing that grants access by itself, such as password, code or client_assertion: a '
      'declaration is no place for a secret')
  ) as r (field, is_wrong, takes) where r.is_wrong
  union all
  select f.field, format('another name than the stream %L sends in its %s', st.stream_name,
    f.carrier)
  from public.sync_streams as st
  join public.sync_sources as so on so.id = st.source_id
    and so.source_name = p_source.source_name
  cross join lateral (values
    ('auth_name', 'headers', p_source.auth_in = 'header' and exists (
      select from jsonb_object_keys(st.headers) as h where lower(h) = lower(p_source.auth_name))),
    ('auth_name', 'params', p_source.auth_in = 'query' and p_source.auth <> 'none'
      and ((st.params || coalesce(st.cursor_params, '{}')) ? p_source.auth_name
        or p_source.auth_name in (st.page_param, st.cursor_param)))
  ) as f (field, carrier, is_wrong)
  where f.is_wrong;
$$;
comment on function sync.wrong_source(public.sync_sources, public.sync_sources) is
$$Returns: fields of a source that do not go with each other, or with its streams.$$;

create function sync.require_source_together(p_given jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_defaults jsonb := sync.default_values('public.sync_sources');
  v_wrong sync.wrong_field;
begin
  select w.* into v_wrong from (
    select * from sync.wrong_places(p_given)
    union all
    select * from sync.wrong_source(
      jsonb_populate_record(null::public.sync_sources, v_defaults || sync.without_nulls(p_given)),
      jsonb_populate_record(null::public.sync_sources, v_defaults))
  ) as w limit 1;
  if found then
    perform sync.refuse_field('source', p_given, v_wrong.field, v_wrong.takes);
  end if;
end; $$;
comment on function sync.require_source_together(jsonb) is
$$Raises: SY006 naming a field of a source that does not go with the others, or with its streams.$$;

revoke all on function
  sync.default_values, sync.without_nulls, sync.is_reserved_header, sync.wrong_requests,
  sync.wrong_pages, sync.wrong_proofs, sync.wrong_relations, sync.require_fields_together,
  sync.wrong_source, sync.require_source_together
from public, anon, authenticated, service_role;
