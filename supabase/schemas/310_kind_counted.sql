-- Counted streams: every page of one scan, distinct ids = the API's total, total unmoved.
-- Stands on: templates, slots, answers, missing, marks, close, deletions, begin, list_scans.

create function sync.begin_counted(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.set_since(p_run_ids);
  perform sync.begin_phase(p_run_ids, 'scan');
end; $$;
comment on function sync.begin_counted(bigint[]) is
$$Page 1 of runs, of everything or of what changed since the last one. The caller holds their locks,
or made them.$$;

create function sync.read_counted(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_records bigint;
begin
  v_page.total := sync.count_at(p_page.answer, p_stream.total_path);
  v_page.last_page := sync.page_number_in(p_page.answer, p_stream.last_page_path);
  v_page.answer := p_page.answer #> p_stream.records_path;
  -- Where pages begin at 0, the last one may be named by number or by count.
  if v_page.last_page is null or p_stream.first_page = 0 then
    perform sync.require_records(v_page, p_stream);
    v_records := jsonb_array_length(v_page.answer);
    if v_page.last_page is null and v_records = 0 and v_page.total > 0 and p_page.page = 1 then
      perform sync.refuse_shape(format('the answer names no last page, and shows none of %s',
        sync.counted(v_page.total, 'record')),
        'declare_stream() says where the last page stands, else it follows from what page 1 shows.');
    end if;
    v_page.last_page := greatest(v_page.last_page, case
      when p_page.page > 1 then coalesce(p_page.known_pages, p_page.page)
      when v_records = 0 then 1
      else least(ceil(v_page.total::numeric / v_records), 2147483647) end, 1);
  end if;
  if v_page.last_page > greatest(p_page.known_pages, sync.setting('max_pages')) then
    perform sync.refuse_shape(format('the answer names %s as its last page', v_page.last_page),
      format('More than %s are refused; set_setting(''max_pages'', …) allows more.',
      sync.counted(sync.setting('max_pages'), 'page')));
  end if;
  if v_page.last_page > greatest(v_page.total, 1) then
    perform sync.refuse_shape(format('the answer names %s as its last page, for %s',
      v_page.last_page, sync.counted(v_page.total, 'record')),
      'A list whose last page moves on with every page read has no end: ask the API''s operator.');
  end if;
  perform sync.require_records(v_page, p_stream) where v_records is null;
  v_page.latest_at := sync.latest_time(v_page.answer, p_stream);
  return v_page;
end; $$;
comment on function sync.read_counted(sync.page_in_hand, public.sync_streams) is
$$Returns: the page with its records, total and last_page, which follows from the total and the
records of page 1 where the answer does not name it. Raises: SY010.$$;

create function sync.read_confirmation(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := jsonb_build_array(p_page.answer #> p_stream.item_record_path);
  perform sync.require_records(v_page, p_stream);
  if v_page.answer -> 0 #>> p_stream.id_path
    is distinct from coalesce(p_page.reading ->> 'id', p_page.record_id) then
    perform sync.refuse_shape(format('asked for record %s, the API answers with another',
      p_page.record_id),
      'declare_stream() says under which path a record stands.');
  end if;
  return v_page;
end; $$;
comment on function sync.read_confirmation(sync.page_in_hand, public.sync_streams) is
$$Returns: the page with the one record asked for. Raises: SY010.$$;

create function sync.sum_up_scan(p_run_id bigint, p_scan int,
  out o_total bigint, out o_distinct_ids bigint, out o_finding text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_scan record;
begin
  with pages as (
    select * from sync.seen_pages where run_id = p_run_id and scan = p_scan
  )
  select min(total) as first_total, max(total) as total, max(last_page) as last_page,
    count(*) filter (where page <= (select max(last_page) from pages)) as pages,
    min(refusal) as refusal,
    (select count(distinct id) from pages as p cross join unnest(p.record_ids) as id)
    as distinct_ids
  into v_scan from pages;
  o_total := v_scan.total;
  o_distinct_ids := v_scan.distinct_ids;
  o_finding := case
    when exists (
      select 1 from public.workspace_sync_runs as r
      join public.sync_streams as st on st.id = r.stream_id
      where r.id = p_run_id and r.stream_revision <> st.revision)
    then 'its stream was declared anew'
    when v_scan.refusal is not null then v_scan.refusal
    when v_scan.last_page is null then 'no page was read'
    when v_scan.pages < v_scan.last_page
    then format('%s of %s read', v_scan.pages,
      sync.counted(v_scan.last_page, 'page was', 'pages were'))
    when v_scan.first_total <> v_scan.total
    then format('the total moved between %s and %s', v_scan.first_total, v_scan.total)
    when v_scan.distinct_ids <> v_scan.total
    then format('the API counts %s, its pages show %s', v_scan.total, v_scan.distinct_ids) end;
end; $$;
comment on function sync.sum_up_scan(bigint, int) is
$$Whether a counted scan is complete: every page, by one declaration, total unmoved, distinct ids =
total. Returns: the total, the distinct ids, and what speaks against it, with the numbers, or
null.$$;

create function sync.judge_scan(p_run public.workspace_sync_runs) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_sum record := sync.sum_up_scan(p_run.id, p_run.scan);
begin
  update public.workspace_sync_runs set expected_total = v_sum.o_total,
    distinct_ids = v_sum.o_distinct_ids where id = p_run.id;
  return v_sum.o_finding;
end; $$;
comment on function sync.judge_scan(public.workspace_sync_runs) is
$$Note how a counted scan adds up. Returns: what speaks against it, with the numbers, or null.$$;

create function sync.reject_scan(p_run_id bigint, p_finding text, p_scans int default null,
  p_sound_scan int default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_scans int := coalesce(p_scans, sync.setting('max_scans'));
  v_run public.workspace_sync_runs;
begin
  perform sync.forget_unaccepted(p_run_id);
  update public.workspace_sync_runs
  set warnings = warnings || format('scan %s: %s', scan - begun_again, p_finding)
  where id = p_run_id and scan - begun_again < v_scans
  returning * into v_run;
  if v_run.id is null and (
    select count(distinct s.scan) from sync.seen_pages as s
    join public.workspace_sync_runs as r on r.id = s.run_id and s.scan > r.begun_again
    where s.run_id = p_run_id and s.refusal is not null) >= v_scans then
    update public.workspace_sync_runs set error_message = p_finding where id = p_run_id;
    perform sync.close_run(p_run_id, 'failed', null);
  elsif v_run.id is null then
    perform sync.close_run(p_run_id, 'partial',
      format('after %s: %s', sync.counted(v_scans, 'scan'), p_finding));
  else
    perform sync.begin_next_scan(p_run_id, p_sound_scan);
  end if;
end; $$;
comment on function sync.reject_scan(bigint, text, int, int) is
$$A scan is rejected: begin the next one of its run, or close it as partial when it had all it may
have (max_scans, or p_scans); as failed, where the API refused a page of each of them.
p_sound_scan: which scan the next one is compared with. The caller holds the run's lock.$$;

create function sync.plan_counted(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r
  set reading = coalesce(r.reading, '{}') || jsonb_build_object('step', p.records)
  from unnest(p_pages) as p
  join public.sync_streams as st on st.id = p.stream_id and st.page_size <> p.records
  where r.id = p.run_id and p.page = 1 and p.reveals_pages and p.total > p.records
    and p.records > 0 and sync.position_of(st) = 'offset';
  perform sync.cancel_pending(p.run_id, 'a page is gone: the list is read again')
  from unnest(p_pages) as p where p.refusal is not null group by p.run_id;
  update public.workspace_sync_runs as r set known_pages = r.planned_pages
  from unnest(p_pages) as p where r.id = p.run_id and p.refusal is not null;
  perform sync.reveal_pages(p.run_id, max(p.last_page)) from unnest(p_pages) as p
  where p.reveals_pages and not exists (
    select 1 from sync.seen_pages as s
    where s.run_id = p.run_id and s.scan = p.scan and s.refusal is not null)
  group by p.run_id;
end; $$;
comment on function sync.plan_counted(sync.page_in_hand[]) is
$$Know of the pages up to the last one that completed pages name; by offsets they are as long as the
first one was received. Where one is gone, no other is read: the scan does not count. The caller
holds the runs' locks.$$;

create function sync.advance_counted(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_finding text := case p_run.phase when 'scan' then sync.judge_scan(p_run)
    else sync.judge_confirmations(p_run) end;
  v_run public.workspace_sync_runs;
  v_cap bigint;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run.id;
  select result_cap into v_cap from public.sync_streams where id = p_run.stream_id;
  if v_run.expected_total >= v_cap then
    perform sync.close_run(p_run.id, 'partial', format('the API counts %s, which with a result_cap '
      'of %s is no total: have the list read as chained, by {last} over a unique value',
      v_run.expected_total, v_cap));
  elsif v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding);
  elsif p_run.phase = 'scan' and not v_run.is_full_scan then
    perform sync.close_since(v_run);
  elsif p_run.phase = 'scan' then
    perform sync.begin_confirmations(p_run.id);
  else
    perform sync.close_run(p_run.id, 'completed', sync.delete_confirmed(p_run.id));
  end if;
end; $$;
comment on function sync.advance_counted(public.workspace_sync_runs) is
$$The next step of a counted run of which nothing is live: confirm what a complete scan missed, scan
again, or close. The caller holds its lock.$$;

revoke all on function
  sync.read_counted, sync.read_confirmation, sync.sum_up_scan,
  sync.judge_scan, sync.reject_scan, sync.begin_counted,
  sync.plan_counted, sync.advance_counted
from public, anon, authenticated, service_role;
