-- Agreed lists: neither total nor order nor keyset, so that two scans have to agree.
-- Stands on: close, deletions, list_scans, kind_counted, kind_chained.

create function sync.repeated_id(p_run public.workspace_sync_runs) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select shown.id from sync.seen_pages as s
    cross join lateral (select distinct id from unnest(s.record_ids) as id) as shown
    where s.run_id = p_run.id and s.scan = p_run.scan
    group by shown.id having count(*) > 1 order by shown.id limit 1);
end; $$;
comment on function sync.repeated_id(public.workspace_sync_runs) is
$$Returns: a record that stands on two pages of a scan, or null.$$;

create function sync.disagreement(p_run public.workspace_sync_runs) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_lost text[] := array(
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = p_run.id and s.scan = p_run.sound_scan
    except
    select unnest(s.record_ids) from sync.seen_pages as s
    where s.run_id = p_run.id and s.scan = p_run.scan
    order by 1);
  v_new text[];
begin
  if cardinality(v_lost) > 0 then
    return format('it does not show what the scan before showed: %s', sync.some_of(v_lost));
  end if;
  v_new := array(
    select unnest(s.new_ids) from sync.seen_pages as s
    where s.run_id = p_run.id and s.scan = p_run.sound_scan and exists (
      select 1 from sync.seen_pages as x join public.chunked_sync_jobs as c on c.id = x.chunk_id
      where x.run_id = p_run.id and x.scan = p_run.sound_scan and c.reading ? 'beside')
    order by 1);
  if cardinality(v_new) > 0 then
    return format('what was new in the scan before may have pushed others from page to page while '
      'they were read side by side: %s', sync.some_of(v_new));
  end if;
  return null;
end; $$;
comment on function sync.disagreement(public.workspace_sync_runs) is
$$Returns: what keeps two scans in a row from agreeing, or null. Between two pages a record is
passed over only if one above it went, which the next scan does not show, or, if pages are read side
by side, if one came, which was new.$$;

create function sync.advance_agreed(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- One more than where one scan is enough.
  v_scans int := sync.setting('max_scans') + 1;
  v_stream public.sync_streams;
  v_walk sync.walk;
  v_repeated text;
  v_finding text;
begin
  if p_run.phase = 'confirm' then
    perform sync.close_confirmed(p_run, v_scans);
    return;
  end if;
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  v_walk := sync.walk_list(p_run.id, p_run.scan, v_stream);
  if v_walk.flaw is null and not v_walk.is_ended then
    perform sync.plan_rest(p_run, v_walk);
    return;
  end if;
  if v_walk.is_final then
    perform sync.close_run(p_run.id, 'partial', v_walk.flaw);
    return;
  end if;
  v_repeated := case when v_walk.flaw is null then sync.repeated_id(p_run) end;
  v_finding := coalesce(v_walk.flaw, 'record ' || v_repeated || ' stands on two pages');
  if v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding, v_scans);
    return;
  end if;
  v_finding := case when p_run.sound_scan is not null then sync.disagreement(p_run) end;
  case
    when p_run.sound_scan is null and p_run.scan - p_run.begun_again < v_scans then
      perform sync.begin_next_scan(p_run.id, p_run.scan);
    when p_run.sound_scan is null then
      perform sync.close_run(p_run.id, 'partial', format('after %s: only the last one can be '
        'compared', sync.counted(v_scans, 'scan')));
    when v_finding is not null then
      perform sync.reject_scan(p_run.id, v_finding, v_scans, p_run.scan);
    else
      perform sync.accept_list(p_run.id, v_walk.pages);
  end case;
end; $$;
comment on function sync.advance_agreed(public.workspace_sync_runs) is
$$The next step of an agreed run of which nothing is live: read on, scan until two scans in a row
agree, close. The caller holds its lock.$$;

revoke all on function
  sync.repeated_id, sync.disagreement, sync.advance_agreed
from public, anon, authenticated, service_role;
