-- Tries: what an answer to a declaration that is only tried says, read as a sync reads it.
-- Stands on: keys, templates, declared_fields, answers, stream_kinds.

create table sync.stream_tries (
  id bigint generated always as identity primary key,
  workspace_id bigint not null references public.sync_workspaces (id) on delete cascade,
  budget_id bigint not null references public.sync_budgets (id) on delete cascade,
  source jsonb not null,
  stream jsonb not null,
  status text not null default 'waiting',
  steps jsonb not null default '[]',
  shown jsonb,
  request_id bigint not null unique,
  kind text not null,
  page int,
  record_id text,
  reading jsonb,
  request jsonb,
  due_at timestamptz default sync.now(),
  lease_token bigint,
  lease_expires_at timestamptz,
  started_at timestamptz,
  requested_at timestamptz,
  worker_id text,
  token_generation bigint,
  has_renewed boolean not null default false,
  attempts int not null default 0,
  error_message text,
  created_at timestamptz not null default sync.now(),
  ended_at timestamptz,
  constraint stream_tries_kind_check check (kind in ('page', 'confirmation', 'item')),
  constraint stream_tries_status_check check (
    (status = 'waiting') = (ended_at is null) and status in ('waiting', 'done', 'failed')
    and (lease_expires_at is null or lease_token is not null)
    and (status = 'waiting' and lease_expires_at is null) = (due_at is not null))
) with (fillfactor = 50);
comment on table sync.stream_tries is
'Declarations that are tried: pages 1 and 2 and one item, one request after the other, outside of
runs. Kept for an hour. Records are never stored here.';
comment on column sync.stream_tries.source is 'The row of sync_sources as it would be declared.';
comment on column sync.stream_tries.stream is
'The row of sync_streams as it would be declared, but that conditional is off.';
comment on column sync.stream_tries.steps is 'What each answer said, see get_stream_try().';
comment on column sync.stream_tries.shown is
'What page 2 is compared with, of page 1: its ids and where its order began and ended; null once the
try has ended.';
comment on column sync.stream_tries.request_id is
'The id of its present request, drawn with the chunks'', so that workers end and extend it by the
same verbs.';
comment on column sync.stream_tries.kind is
'As of a chunk: page, confirmation (a record''s own GET) or item.';
comment on column sync.stream_tries.request is
'The present request as it was leased, without its credential.';
comment on column sync.stream_tries.due_at is 'When it is handed out; null: it is leased, or over.';
comment on column sync.stream_tries.attempts is 'Failures of the present request.';
comment on column sync.stream_tries.requested_at is
'When its present request was sent at the earliest.';
comment on column sync.stream_tries.token_generation is
'With which access token that is; null: the source has none.';
comment on column sync.stream_tries.has_renewed is
'Whether a 401 to the present request has had the access token renewed: once is enough.';
create index stream_tries_due_idx on sync.stream_tries (due_at) where due_at is not null;
create index stream_tries_leased_idx on sync.stream_tries (lease_expires_at)
where lease_expires_at is not null;
create index stream_tries_workspace_idx on sync.stream_tries (workspace_id);
create index stream_tries_budget_idx on sync.stream_tries (budget_id);
alter table sync.stream_tries enable row level security;

create function sync.shape_of(p_value jsonb, p_depth int) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case
    when jsonb_typeof(p_value) = 'object' and p_depth > 0 then (
      select coalesce(jsonb_object_agg(left(f.key, 100), sync.shape_of(f.value, p_depth - 1)), '{}')
      from (select e.key, e.value from jsonb_each(p_value) as e limit 50) as f)
    when jsonb_typeof(p_value) = 'array'
    then to_jsonb(format('list of %s', jsonb_array_length(p_value)))
    else to_jsonb(jsonb_typeof(p_value)) end;
end; $$;
comment on function sync.shape_of(jsonb, int) is
$$Returns: which keys a value has, and of which type what stands there is; no value.$$;

create function sync.fields_of(p_records jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('field', f.field, 'types', f.types) order by f.field),
    '[]')
  from (
    select left(e.key, 200) as field, jsonb_agg(distinct jsonb_typeof(e.value)) as types
    from jsonb_array_elements(p_records) as r (record)
    cross join lateral jsonb_each(case when jsonb_typeof(r.record) = 'object' then r.record
      else '{}' end) as e
    group by 1 order by 1 limit 500
  ) as f;
$$;
comment on function sync.fields_of(jsonb) is
$$Returns: the fields of records with the types that stand in them, [{"field", "types"}]; at most
500.$$;

create function sync.tried_ids(p_records jsonb, p_stream public.sync_streams) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(left(r.record #>> p_stream.id_path, 500) order by r.n), '{}')
  from jsonb_array_elements(p_records) with ordinality as r (record, n);
$$;
comment on function sync.tried_ids(jsonb, public.sync_streams) is
$$Returns: the ids of records, in their order; null for one without.$$;

create function sync.complaints_of_page(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_shown jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_ids text[] := sync.tried_ids(p_page.answer, p_stream);
  v_count int := cardinality(v_ids);
  v_before text[] := array(select jsonb_array_elements_text(p_shown -> 'ids'));
  v_again int := (select count(*) from unnest(v_ids) as id where id = any (v_before));
  v_overlap int := coalesce((p_page.reading ->> 'overlap')::int, 0);
  v_position text := sync.position_of(p_stream);
  v_is_down boolean := p_stream.order_direction = 'desc';
  -- Whether that is known, and not only asked for.
  v_follows boolean := (p_page.next is not null and not p_page.next ? 'guess')
    or p_page.last_page > p_page.page or p_page.total > v_count;
  v_times record;
  v_ties bigint;
begin
  select count(*) as records, count(r.record #>> p_stream.updated_at_path) as given,
    count(sync.record_time(r.record, p_stream)) as read,
    min(r.record #>> p_stream.updated_at_path)
      filter (where sync.record_time(r.record, p_stream) is null) as unread
  into v_times from jsonb_array_elements(p_page.answer) as r (record);
  v_ties := v_count - (select count(distinct r.record #> p_stream.order_path)
    from jsonb_array_elements(p_page.answer) as r (record));
  return (
    select coalesce(jsonb_agg(jsonb_build_object('what', c.what, 'says', c.says) order by c.n), '[]')
    from (values
      (1, 'repeats', p_page.page > 1 and v_count > v_overlap and v_again = v_count,
        format('page %s repeats page 1: the same %s', p_page.page,
        sync.counted(v_count, 'record'))),
      (2, 'ids', p_page.page > 1 and v_again < v_count and v_again > v_overlap, format(
        '%s of page %s were on page 1 already', sync.counted(v_again, 'id'), p_page.page)),
      (3, 'ids', (select count(distinct id) < count(id) from unnest(v_ids) as id),
        'ids repeat on one page'),
      (8, 'answer', p_page.refusal is not null, p_page.refusal),
      (4, 'order', p_page.disorder is not null,
        'the order does not hold: ' || p_page.disorder),
      (5, 'order', p_page.page > 1 and v_again < v_count and case
          when v_is_down then p_page.first_key > (p_shown ->> 'first_key')::numeric
            or convert_to(p_page.first_text, 'UTF8')
              > convert_to(p_shown ->> 'first_text', 'UTF8')
          else p_page.first_key < (p_shown ->> 'first_key')::numeric
            or convert_to(p_page.first_text, 'UTF8')
              < convert_to(p_shown ->> 'first_text', 'UTF8') end,
        format('the order does not hold: page %s begins before page 1 does', p_page.page)),
      (6, 'gap', p_page.page > 1 and v_count > 0 and v_overlap > 0 and v_again = 0,
        format('page %s shares no record with page 1, and was asked to begin %s before its end',
        p_page.page, sync.counted(v_overlap, 'record'))),
      (7, 'ties', v_ties > 0 and p_stream.completeness = 'chained' and v_position <> 'last'
          and p_stream.cursor_is is null, format(
        '%s of page %s share their place in the order with another',
        sync.counted(v_ties, 'record'), p_page.page)),
      (9, 'next', p_page.page = 1 and v_position in ('next', 'url', 'link')
          and v_count >= p_stream.page_size and p_page.ends,
        format('page 1 is full and nothing says what comes next: %s would be all there are',
        sync.counted(v_count, 'record'))),
      (10, 'short', p_page.page = 1 and v_count between 1 and p_stream.page_size - 1 and v_follows,
        format('page 1 has %s, page_size is %s, and there are more',
        sync.counted(v_count, 'record'), p_stream.page_size)),
      (11, 'short', p_page.page > 1 and p_page.reading ? 'guess' and v_again < v_count
          and (p_shown ->> 'records')::int < p_stream.page_size,
        format('page 1 has %s, page_size is %s, and page %s has more',
        sync.counted((p_shown ->> 'records')::int, 'record'), p_stream.page_size, p_page.page)),
      (12, 'long', v_count > p_stream.page_size, format('page %s has %s, page_size is %s',
        p_page.page, sync.counted(v_count, 'record'), p_stream.page_size)),
      (13, 'times', v_times.read < v_times.given, format(
        'times cannot be read: updated_at_path leads to %s, and time_format is %s',
        sync.shown(to_jsonb(v_times.unread)), p_stream.time_format)),
      (14, 'times', p_stream.updated_at_path is not null and v_count > 0 and v_times.given = 0,
        'times cannot be read: no record has anything at updated_at_path')
    ) as c (n, what, is_so, says)
    where c.is_so);
end; $$;
comment on function sync.complaints_of_page(sync.page_in_hand, public.sync_streams, jsonb) is
$$Returns: what does not hold of a page that was read, [{"what", "says"}]; p_shown: what page 1
showed.$$;

create type sync.tried_answer as (page sync.page_in_hand, shape jsonb, complaints jsonb);
comment on type sync.tried_answer is
'An answer of a try, read as far as it can be. shape: null if it is no JSON.';

create function sync.read_try(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.tried_answer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_tried sync.tried_answer;
  v_message text;
  v_hint text;
  v_records jsonb;
begin
  v_tried.page := p_page;
  v_tried.complaints := '[]'::jsonb;
  begin
    v_tried.shape := sync.shape_of((sync.read_json(p_page)).answer, 2);
    v_tried.page := sync.read_page(p_page, p_stream, p_source);
  exception when others then
    if sync.is_own_trouble(sqlstate) then
      raise;
    end if;
    get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
    v_tried.page.verdict.code := sqlstate;
    v_message := case when v_tried.shape is null and sqlstate ~ '^22' then 'the body is not JSON'
      else sync.mask_workspace_key(v_message, p_page.workspace_id) end;
    v_tried.complaints := jsonb_build_array(jsonb_build_object('what', 'answer', 'says',
      concat_ws('. ', rtrim(v_message, '.'), nullif(v_hint, ''))));
    v_records := case when v_tried.shape is not null then sync.json_or_null(p_page.body)
      #> p_stream.records_path end;
    v_tried.page.answer := case when jsonb_typeof(v_records) = 'array' then v_records
      else '[]'::jsonb end;
    v_tried.page.body := null;
  end;
  return v_tried;
end; $$;
comment on function sync.read_try(sync.page_in_hand, public.sync_streams, public.sync_sources) is
$$Read an answer as a sync does. Returns: the page, the answer's shape (null: it is no JSON), and
what kept it from being read, as a complaint; then its records are what stands where they should.$$;

create function sync.next_of_try(p_try sync.stream_tries, p_page sync.page_in_hand,
  p_stream public.sync_streams, out o_kind text, out o_page int, out o_record_id text,
  out o_reading jsonb)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_count int := jsonb_array_length(p_page.answer);
begin
  if p_try.kind = 'page' and p_try.page = 1 and v_count > 0 and (p_page.next is not null
    or sync.position_of(p_stream) in ('page', 'offset') and p_page.ends is not true
      and coalesce(p_page.last_page > 1, p_page.total > v_count, v_count >= p_stream.page_size))
  then
    o_kind := 'page';
    o_page := 2;
    o_reading := p_page.next;
  elsif p_try.kind = 'page' and p_stream.item_path is not null
    and coalesce(p_try.shown #>> '{ids,0}', p_page.answer -> 0 #>> p_stream.id_path) is not null
  then
    o_kind := 'confirmation';
    o_record_id := coalesce(p_try.shown #>> '{ids,0}', p_page.answer -> 0 #>> p_stream.id_path);
    o_reading := case when p_try.reading ? 'parent'
      then jsonb_build_object('parent', p_try.reading -> 'parent') end;
  end if;
end; $$;
comment on function sync.next_of_try(sync.stream_tries, sync.page_in_hand, public.sync_streams) is
$$Returns: what is asked for after an answer, as a chunk has it: page 2 where the answer says that
there is one, then the own GET of the first record; all null: nothing more.$$;

create function sync.step_of(p_try sync.stream_tries, p_page sync.page_in_hand,
  p_stream public.sync_streams, p_shape jsonb, p_complaints jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_ids text[] := sync.tried_ids(p_page.answer, p_stream);
begin
  return jsonb_build_object(
    'step', case p_try.kind when 'page' then 'page ' || p_try.page else 'item' end,
    'request', p_try.request, 'status', p_page.http_status, 'duration_ms', p_page.duration_ms,
    'shape', p_shape, 'records', cardinality(v_ids), 'first_ids', to_jsonb(v_ids[:5]),
    'last_id', v_ids[cardinality(v_ids)], 'total', p_page.total, 'last_page', p_page.last_page,
    'next', p_page.next, 'ends', p_page.ends, 'complaints', p_complaints);
end; $$;
comment on function sync.step_of(sync.stream_tries, sync.page_in_hand, public.sync_streams, jsonb,
  jsonb) is
$$Returns: what is kept of an answer.$$;

revoke all on table sync.stream_tries from public, anon, authenticated, service_role;
revoke all on sequence sync.stream_tries_id_seq from public, anon, authenticated, service_role;
revoke all on function
  sync.shape_of, sync.fields_of, sync.tried_ids, sync.complaints_of_page, sync.read_try,
  sync.next_of_try, sync.step_of
from public, anon, authenticated, service_role;
