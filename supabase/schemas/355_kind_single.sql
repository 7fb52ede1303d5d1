-- Single: one answer holds the whole list, or the one record.
-- Stands on: answers, close, deletions, begin, kind_counted.

create function sync.begin_single(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.begin_phase(p_run_ids, 'scan');
end; $$;
comment on function sync.begin_single(bigint[]) is
$$The one request of runs. The caller holds their locks, or made them.$$;

create function sync.read_single(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  if jsonb_typeof(v_page.answer) = 'object' then
    v_page.answer := jsonb_build_array(v_page.answer);
  end if;
  perform sync.require_records(v_page, p_stream);
  v_page.last_page := 1;
  return v_page;
end; $$;
comment on function sync.read_single(sync.page_in_hand, public.sync_streams) is
$$Returns: the page with its records: the list that stands at records_path, or the one object. There
is no other page. Raises: SY010.$$;

create function sync.sum_up_answer(p_run_id bigint) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_distinct_ids bigint;
begin
  select count(distinct shown.id) into v_distinct_ids
  from public.workspace_sync_runs as r
  join sync.seen_pages as s on s.run_id = r.id and s.scan = r.scan
  left join lateral unnest(s.record_ids) as shown (id) on true
  where r.id = p_run_id having count(s.page) > 0;
  update public.workspace_sync_runs
  set expected_total = v_distinct_ids, distinct_ids = v_distinct_ids where id = p_run_id;
  return v_distinct_ids is not null;
end; $$;
comment on function sync.sum_up_answer(bigint) is
$$How many records the one answer of a run's scan shows: they are all there are. The caller holds
its lock. Returns: whether it came.$$;

create function sync.advance_single(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_finding text := case
    when p_run.phase = 'confirm' then sync.judge_confirmations(p_run)
    when not sync.sum_up_answer(p_run.id) then 'no answer was read' end;
begin
  if v_finding is not null then
    perform sync.reject_scan(p_run.id, v_finding);
  elsif p_run.phase = 'scan' then
    perform sync.begin_confirmations(p_run.id);
  else
    perform sync.close_run(p_run.id, 'completed', sync.delete_confirmed(p_run.id));
  end if;
end; $$;
comment on function sync.advance_single(public.workspace_sync_runs) is
$$The next step of a run of which nothing is live: confirm what its answer does not show, ask again,
or close. The caller holds its lock.$$;

revoke all on function
  sync.begin_single, sync.read_single, sync.sum_up_answer, sync.advance_single
from public, anon, authenticated, service_role;
