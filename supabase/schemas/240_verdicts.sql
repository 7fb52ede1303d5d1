-- Verdicts: what an error of reading or applying a page means.
-- Stands on: keys, classes, answers.

create function sync.find_refused_record(p_page sync.page_in_hand, p_sqlstate text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_record sync.incoming_record;
  v_is_taken boolean;
begin
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  foreach v_record in array sync.found_records(array[p_page]) loop
    v_is_taken := false;
    begin
      execute format('select %s($1)', v_stream.apply_function) using array[v_record];
      v_is_taken := true;
      raise exception 'this was a trial';
    exception when assert_failure or others then
      if not v_is_taken and sqlstate = p_sqlstate then
        return v_record.record_id;
      end if;
    end;
  end loop;
  return null;
end; $$;
comment on function sync.find_refused_record(sync.page_in_hand, text) is
$$After a page failed with an error of its data: apply each record alone and take it back. Returns:
the first that raises the same; null if none does. Locks: one record after the other.$$;

create function sync.lock_holders(p_stream_id bigint) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select string_agg(h.words, '; ') from (
    select format('session %s (%s, %s, its transaction began at %s) holds locks on %s', a.pid,
      concat_ws(', ', a.usename, nullif(a.application_name, '')), coalesce(a.state, 'working'),
      sync.in_utc(a.xact_start), string_agg(distinct l.relation::regclass::text, ', ')) as words
    from public.sync_streams as st
    join pg_catalog.pg_locks as l on l.relation in (to_regclass(st.target_table),
        'public.sync_workspaces'::regclass, 'public.workspace_sync_runs'::regclass)
      and l.granted and l.mode <> 'AccessShareLock' and l.pid <> pg_backend_pid()
    join pg_catalog.pg_stat_activity as a on a.pid = l.pid
    where st.id = p_stream_id
    group by a.pid, a.usename, a.application_name, a.state, a.xact_start
    order by a.xact_start limit 2
  ) as h;
$$;
comment on function sync.lock_holders(bigint) is
$$Returns: which other sessions hold locks on what a page of a stream writes to, the two whose
transactions are oldest; null if none does.$$;

create function sync.is_pages_own_trouble(p_page sync.page_in_hand, p_sqlstate text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_bitmapscan = on as $$
begin
  -- Who holds a lock is never the page that waits for it.
  if p_page.postponements < 4 or p_sqlstate ~ '^(40|55P03)' then
    return false;
  end if;
  return (
    select count(*) filter (where e.chunk_id = p_page.queue_id
        and e.details ->> 'code' !~ '^(40|55P03)') >= 4
      and count(*) filter (where e.chunk_id <> p_page.queue_id and e.event = 'completed')
        > count(*) filter (where e.chunk_id <> p_page.queue_id and e.event = 'postponed')
    from public.chunk_events as e
    where e.occurred_at >= p_page.postponed_since and e.event in ('completed', 'postponed'));
end; $$;
comment on function sync.is_pages_own_trouble(sync.page_in_hand, text) is
$$Returns: whether an error that looks like the database's own is the page's: the fifth in a row
that is no lock, while the database took more pages of others than it did not take.$$;

create function sync.postpone(p_page sync.page_in_hand, p_sqlstate text, p_message text)
  returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.verdict.code := p_sqlstate;
  v_page.records := null;
  v_page.total := null;
  v_page.verdict.is_permanent := false;
  v_page.verdict.message := rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.');
  if sync.is_pages_own_trouble(v_page, p_sqlstate) then
    v_page.verdict.outcome := 'retry';
    v_page.verdict.message := concat_ws('. ', (v_page.verdict).message,
      'Pages of others are taken meanwhile: it is about this one.');
    return v_page;
  end if;
  v_page.verdict.outcome := 'postponed';
  v_page.verdict.wait := (0.5 + random() / 2)
    * make_interval(secs => least(2 ^ least(v_page.postponements, 10), 15));
  v_page.postponements := v_page.postponements + 1;
  v_page.postponed_since := coalesce(v_page.postponed_since, sync.now());
  v_page.verdict.message := concat_ws('. ', (v_page.verdict).message, case
    when p_sqlstate = '55P03' then sync.mask_secrets(sync.lock_holders(v_page.stream_id)) end,
    'It comes again by itself; no attempt is lost.');
  return v_page;
end; $$;
comment on function sync.postpone(sync.page_in_hand, text, text) is
$$The database itself could not take a page: it comes again, after 1 s and then later each time, up
to 15 s; no attempt is burnt, unless it recurs for this page only. Returns: the page with outcome
postponed and wait, or retry.$$;

create function sync.asked_wait(p_page sync.page_in_hand, p_is_rate_limit boolean) returns numeric
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_source public.sync_sources;
begin
  select so.* into strict v_source from public.sync_sources as so
  join public.sync_streams as st on st.source_id = so.id where st.id = p_page.stream_id;
  return sync.wait_asked_for(v_source, p_page.headers, sync.json_or_null(p_page.body),
    p_is_rate_limit);
end; $$;
comment on function sync.asked_wait(sync.page_in_hand, boolean) is
$$Returns: after how many seconds an answer asks to be asked again, null if it does not say.$$;

create function sync.class_of_failure(p_page sync.page_in_hand, p_is_answer boolean,
  p_class text, p_stream public.sync_streams, p_source public.sync_sources, out o_class text,
  out o_retry_after numeric)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  o_class := p_class;
  if v_page.http_status is null or p_class not in ('transient', 'rate_limited', 'permanent') then
    return;
  end if;
  v_page.answer := sync.json_or_null(v_page.body);
  -- Of an answer that could not be handed over as the page that it is, the worker's class stands.
  o_class := coalesce(nullif(coalesce(sync.content_class(v_page, p_stream, p_source),
    case when p_is_answer then sync.class_of(sync.status_classes(p_stream, p_source, v_page.kind,
      v_page.page, v_page.reading, false), v_page.http_status) end), 'page'), p_class);
  o_retry_after := sync.wait_asked_for(p_source, v_page.headers, v_page.answer,
    o_class = 'rate_limited');
end; $$;
comment on function sync.class_of_failure(sync.page_in_hand, boolean, text, public.sync_streams,
  public.sync_sources) is
$$Of a request that failed: its class, by class_rules and, where an answer was handed over, by
status classes, else as its worker says; and after how many seconds the answer asks to be asked
again, null if it does not say. Returns: both.$$;

create function sync.is_page_by_rules(p_page sync.page_in_hand, p_error_class text,
  p_stream public.sync_streams, p_source public.sync_sources) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  if p_page.body is null or p_error_class in ('postponed', 'released')
    or coalesce(p_page.http_status between 200 and 299, true) then
    return false;
  end if;
  v_page.answer := sync.json_or_null(v_page.body);
  return coalesce(sync.content_class(v_page, p_stream, p_source) = 'page', false);
end; $$;
comment on function sync.is_page_by_rules(sync.page_in_hand, text, public.sync_streams,
  public.sync_sources) is
$$Returns: whether an answer whose status is a failure is a page by class_rules: an empty one.$$;

create function sync.judge_error(p_page sync.page_in_hand, p_sqlstate text, p_message text,
  p_hint text) returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_was_read boolean := p_page.answer is not null;
  -- The table, or what writes it, is not what was declared.
  v_is_misfit boolean := v_was_read and p_sqlstate ~ '^(42|55000)';
begin
  if sync.is_own_trouble(p_sqlstate) then
    return sync.postpone(v_page, p_sqlstate, p_message);
  end if;
  v_page.verdict.retry_after := case
    when p_sqlstate = 'SY013' then sync.asked_wait(v_page, false) end;
  if p_sqlstate = 'SY021' then
    v_page.verdict.code := p_sqlstate;
    v_page.verdict.message := p_message;
    v_page.verdict.outcome := 'delayed';
    v_page.verdict.is_permanent := false;
    v_page.verdict.retry_after := sync.asked_wait(v_page, true);
    v_page.verdict.wait := make_interval(secs => least(sync.setting('max_block_seconds'), coalesce(
      (v_page.verdict).retry_after, sync.setting('retry_base_seconds')))::double precision);
    v_page.answer := null;
    return v_page;
  end if;
  v_page.verdict.code := case
    when p_sqlstate in ('SY010', 'SY013', 'SY024') then p_sqlstate
    when p_sqlstate ~ '^(2[23]|44|54|P000[14])' and v_was_read then 'SY012'
    when p_sqlstate ~ '^(22|54001)' then 'SY011'
    else p_sqlstate end;
  v_page.verdict.message := concat_ws('. ',
    case
      when (v_page.verdict).code = 'SY012' then format('%s refuses record %s: %s',
        (select target_table from public.sync_streams where id = v_page.stream_id),
        coalesce(sync.find_refused_record(v_page, p_sqlstate), 'of page ' || v_page.page),
        case when p_sqlstate ~ '^(23|44|54|P000[14])' then
          sync.mask_workspace_key(p_message, v_page.workspace_id) else p_sqlstate end)
      when p_sqlstate = '54001' then 'the body is not JSON that can be read: it is nested too deep'
      when (v_page.verdict).code = 'SY011' then 'the body is not JSON'
      when v_was_read and (v_page.verdict).code !~ '^SY' then format('%s cannot be written: %s',
        (select target_table from public.sync_streams where id = v_page.stream_id),
        rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.'))
      else rtrim(sync.mask_workspace_key(p_message, v_page.workspace_id), '.') end,
    case (v_page.verdict).code
      when 'SY012' then 'Nothing of the page was written. Have the record corrected in the API, '
        'or what refuses it dropped.'
      when 'SY011' then 'Something else may answer in place of the API: look at the workspace''s '
        'base URL.'
      else case when v_is_misfit then 'Declare the stream anew: that makes its table and function '
        'whole, or says what is wrong with them.' else nullif(p_hint, '') end end);
  v_page.verdict.wait := case when (v_page.verdict).retry_after is not null
    then make_interval(secs => least(sync.setting('max_block_seconds'),
      (v_page.verdict).retry_after)::double precision) end;
  v_page.verdict.is_permanent := (v_page.verdict).code in ('SY010', 'SY012', 'SY024');
  v_page.verdict.outcome := 'retry';
  v_page.records := null;
  v_page.total := null;
  return v_page;
end; $$;
comment on function sync.judge_error(sync.page_in_hand, text, text, text) is
$$What an error of reading or applying a page means: SY010 shape, SY012 data and SY024 a class are
permanent, SY011 not JSON, SY013 reported failure and anything unexpected are tried again; SY021 is
a rate limit; the database's own trouble postpones. Returns: the page with outcome, code, and a
message with the way out.$$;

revoke all on function
  sync.find_refused_record, sync.lock_holders, sync.is_pages_own_trouble, sync.postpone,
  sync.asked_wait, sync.class_of_failure, sync.is_page_by_rules, sync.judge_error
from public, anon, authenticated, service_role;
