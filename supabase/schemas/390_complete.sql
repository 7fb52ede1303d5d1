-- Complete: a page is applied by the holder of its chunk's lease, once, together with what it
-- reveals.
-- Stands on: budgets, answers, fields, unchanged, verdicts, token_verdicts, fence, record_parents,
--   deletions, kind_items, stream_kinds, settle, token_answers, try_outcomes.

create function sync.unfit_in(p_pages sync.page_in_hand[], p_records sync.incoming_record[],
  p_changed sync.changed_record[]) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_hashjoin = on as $$
begin
  if not exists (select 1 from unnest(p_changed) as c where cardinality(c.unfit) > 0)
    and not exists (select 1 from unnest(p_pages) as p where p.is_mended)
    and not exists (select 1 from unnest(p_records) as r where r.updated_at is null
      and r.stream_id = any (array(
        select st.id from public.sync_streams as st where st.updated_at_path is not null))) then
    return '{}'::jsonb;
  end if;
  return (
    select coalesce(jsonb_object_agg(found.turn, found.unfit), '{}') from (
      -- Of several records the first one stays: it is the last one written.
      select f.turn, jsonb_object_agg(u.what, f.record_id order by f.n desc) as unfit
      from unnest(p_records) with ordinality as f (workspace_id, stream_id, record_id, updated_at,
        record, turn, requested_at, is_truth, parent_id, own_id, n)
      join unnest(p_changed) as c on c.workspace_id = f.workspace_id
        and c.stream_id = f.stream_id and c.record_id = f.record_id
      join unnest(p_pages) as p on p.turn = f.turn
      join public.sync_streams as st on st.id = f.stream_id
      cross join unnest(coalesce(c.unfit, '{}')
        || case when f.updated_at is null and f.record #>> st.updated_at_path is not null
          then '{updated_at}'::text[] else '{}' end
        || case when p.is_mended and strpos(f.record::text, chr(65533)) > 0
          then array[''] else '{}' end) as u (what)
      group by f.turn
    ) as found
  );
end; $$;
comment on function sync.unfit_in(sync.page_in_hand[], sync.incoming_record[],
  sync.changed_record[]) is
$$Returns: {turn of a page: {column: id of the first changed record whose value does not fit it}};
column '' where characters were replaced.$$;

create function sync.applied(p_pages sync.page_in_hand[], p_records sync.incoming_record[],
  p_changed sync.changed_record[])
returns sync.page_in_hand[]
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_hashjoin = on as $$
declare
  v_changed int[];
  v_unfit jsonb := '{}'::jsonb;
  v_page sync.page_in_hand;
  v_applied sync.page_in_hand[] := '{}'::sync.page_in_hand[];
begin
  if cardinality(p_changed) > 0 then
    v_changed := array(
      select count(c.record_id) from unnest(p_pages) with ordinality as p
      left join (unnest(p_records) as f join unnest(p_changed) as c
        using (workspace_id, stream_id, record_id)) on f.turn = p.turn
      group by p.ordinality order by p.ordinality);
    v_unfit := sync.unfit_in(p_pages, p_records, p_changed);
  end if;
  foreach v_page in array p_pages loop
    v_page.verdict.outcome := 'completed';
    v_page.records := coalesce(v_page.records, 0);
    v_page.changed := coalesce(v_changed[cardinality(v_applied) + 1], 0);
    v_page.unfit := v_unfit -> v_page.turn::text;
    v_page.body := null;
    v_page.answer := null;
    v_applied := v_applied || v_page;
  end loop;
  return v_applied;
end; $$;
comment on function sync.applied(sync.page_in_hand[], sync.incoming_record[],
  sync.changed_record[]) is
$$Returns: applied pages, with their outcome, how many records of each changed and what did not fit,
and without their bodies.$$;

create function sync.note_seen(p_pages sync.page_in_hand[], p_records sync.incoming_record[],
  p_changed sync.changed_record[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_hashjoin = on as $$
declare
  v_listed int[] := array(
    select p.turn from unnest(p_pages) as p where p.ends is not null or p.next is not null);
begin
  insert into sync.seen_pages (run_id, scan, page, chunk_id, record_ids, new_ids, total, last_page,
    first_key, last_key, disorder, refusal, first_text, last_text, next, ends,
    latest_at)
  select p.run_id, p.scan, case when p.is_past_pages then null else p.page end, p.queue_id,
    coalesce(p.seen_ids, f.record_ids, '{}'), n.new_ids, p.total, p.last_page, p.first_key,
    p.last_key, p.disorder, p.refusal, p.first_text, p.last_text, p.next, p.ends, p.latest_at
  from unnest(p_pages) as p
  left join (
    select turn, array_agg(record_id order by n) as record_ids
    from unnest(p_records) with ordinality as r (workspace_id, stream_id, record_id, updated_at,
      record, turn, requested_at, is_truth, parent_id, own_id, n) group by turn
  ) as f on f.turn = p.turn
  left join (
    select r.turn, array_agg(r.record_id) as new_ids
    from unnest(p_records) as r
    join unnest(p_changed) as c on c.workspace_id = r.workspace_id
      and c.stream_id = r.stream_id and c.record_id = r.record_id
    where (c.change = 'inserted' and not r.is_truth) or (
      r.turn = any (v_listed) and c.change in ('inserted', 'revived')) group by r.turn
  ) as n on n.turn = p.turn
  where p.kind in ('page', 'cursor');
end; $$;
comment on function sync.note_seen(sync.page_in_hand[], sync.incoming_record[],
  sync.changed_record[]) is
$$Note the ids that pages showed, the proof that a scan is complete, and which were new of a feed
that is read to its mark, or did not live before of a chained or agreed list.$$;

create function sync.apply_pages(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_records sync.incoming_record[] := sync.found_records(p_pages);
  v_changed sync.changed_record[] := '{}'::sync.changed_record[];
  v_part sync.changed_record[];
  v_unseen sync.seen_fields[];
  v_stream_ids bigint[];
  v_functions text[];
  v_function text;
  v_is_followed boolean;
  v_has_parents boolean;
  v_has_confirmations boolean;
  v_has_items boolean;
  v_has_versions boolean;
  v_applied sync.page_in_hand[];
begin
  select array_agg(distinct p.stream_id), bool_or(p.part_id is not null),
    bool_or(p.kind = 'confirmation'), bool_or(p.kind = 'item'), bool_or(p.condition is not null)
  into v_stream_ids, v_has_parents, v_has_confirmations, v_has_items, v_has_versions
  from unnest(p_pages) as p;
  select array_agg(distinct st.apply_function order by st.apply_function),
    bool_or(sync.is_followed(st))
  into v_functions, v_is_followed from public.sync_streams as st where st.id = any (v_stream_ids);
  foreach v_function in array v_functions loop
    execute format('select %s($1)', v_function) into v_part
    using case when cardinality(v_functions) = 1 then v_records else array(
      select f from unnest(v_records) as f join public.sync_streams as st on st.id = f.stream_id
      where st.apply_function = v_function) end;
    v_changed := v_changed || coalesce(v_part, '{}');
  end loop;
  perform sync.note_seen(p_pages, v_records, v_changed);
  if v_has_parents then
    perform sync.note_parents(p_pages, v_records);
  end if;
  if v_has_confirmations then
    perform sync.note_confirmations(p_pages);
  end if;
  if cardinality(v_changed) > 0 then
    v_unseen := sync.unseen_fields(v_records, v_changed);
    if cardinality(v_unseen) > 0 then
      perform sync.note_fields(v_unseen);
    end if;
    if v_is_followed then
      perform sync.stage_items(v_changed);
    end if;
  end if;
  if v_has_items then
    perform sync.unstage_items(p_pages);
  end if;
  -- What a user's table checks when a transaction ends would take the whole call with it.
  set constraints all immediate;
  v_applied := sync.applied(p_pages, v_records, v_changed);
  if v_has_versions then
    perform sync.note_versions(v_applied, v_records);
  end if;
  return v_applied;
end; $$;
comment on function sync.apply_pages(sync.page_in_hand[]) is
$$Apply pages that were read as one set, note the ids they showed, and stage what changed for the
streams that ask for it. Returns: the pages with outcome completed and counts. Raises: whatever the
data does to the tables. Locks: target rows, new fields, then staged items, in key order.$$;

create function sync.rehearse_page(p_page sync.page_in_hand, p_patience interval)
  returns sync.page_in_hand
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
  v_is_sound boolean := false;
  v_message text;
  v_hint text;
begin
  perform set_config('lock_timeout', ceil(extract(epoch from p_patience) * 1000)::text, true);
  v_page := (sync.read_pages(array[p_page]))[1];
  perform sync.apply_pages(array[v_page]);
  perform 1 from public.workspace_sync_runs where id = p_page.run_id for no key update;
  perform 1 from public.sync_workspaces where id = p_page.workspace_id for no key update;
  v_is_sound := true;
  raise exception 'this was a trial';
exception when assert_failure or others then
  if v_is_sound then
    return v_page;
  end if;
  get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
  return sync.judge_error(v_page, sqlstate, v_message, v_hint);
end; $$;
comment on function sync.rehearse_page(sync.page_in_hand, interval) is
$$Apply one page and take it back; for a lock it waits no longer than its patience. Returns: the
page as read, without an outcome if it can be applied, else with what its error means.$$;

create function sync.rehearse_pages(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
  v_tried sync.page_in_hand[] := '{}'::sync.page_in_hand[];
  v_since timestamptz := sync.now();
begin
  foreach v_page in array p_pages loop
    -- Among many pages that meet locks only the first have time: the others are held by this call.
    v_tried := v_tried || case when (v_page.verdict).outcome is not null then v_page
      else sync.rehearse_page(v_page, greatest(interval '10 milliseconds',
        least(interval '200 milliseconds',
          interval '1 second' - (sync.now() - v_since)))) end;
  end loop;
  return v_tried;
end; $$;
comment on function sync.rehearse_pages(sync.page_in_hand[]) is
$$Try each page alone that has no outcome. Returns: all pages, those that can be applied as read and
without an outcome.$$;

create function sync.rehearse_together(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_sound sync.page_in_hand[] := '{}'::sync.page_in_hand[];
  v_decided sync.page_in_hand[] := array(
    select p from unnest(p_pages) as p where (p.verdict).outcome is not null);
  v_rest sync.page_in_hand[] := array(
    select p from unnest(p_pages) as p where (p.verdict).outcome is null);
  v_take int := cardinality(v_rest) / 2;
  v_until timestamptz := sync.now() + interval '5 seconds';
  v_is_sound boolean;
  v_message text;
  v_hint text;
begin
  while cardinality(v_rest) > 0 loop
    v_take := least(greatest(v_take, 1), cardinality(v_rest));
    v_is_sound := false;
    begin
      perform sync.apply_pages(v_sound || v_rest[:v_take]);
      v_is_sound := true;
      raise exception 'this was a trial';
    exception when assert_failure or others then
      if v_is_sound then
        v_sound := v_sound || v_rest[:v_take];
        v_rest := v_rest[v_take + 1:];
      elsif sync.now() > v_until then
        get stacked diagnostics v_message = message_text;
        return v_decided || v_sound || array(
          select sync.postpone(p, sqlstate, v_message) from unnest(v_rest) as p);
      elsif v_take > 1 then
        v_take := v_take / 2;
      else
        get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint;
        v_decided := v_decided || sync.judge_error(v_rest[1], sqlstate, v_message, v_hint);
        v_rest := v_rest[2:];
        v_take := cardinality(v_rest);
      end if;
    end;
  end loop;
  return v_decided || v_sound;
end; $$;
comment on function sync.rehearse_together(sync.page_in_hand[]) is
$$Find what keeps pages apart of which each can be applied alone: ids that a column takes for one, a
value that has to be unique. Returns: all pages; without an outcome those that can be applied
together, the others with what the error means beside these, or, after 5 s, postponed.$$;

create function sync.require_declared(p_pages sync.page_in_hand[]) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if exists (
    select 1 from unnest(p_pages) as p
    join public.workspace_sync_runs as r on r.id = p.run_id
    join public.sync_streams as st on st.id = r.stream_id
    where (p.verdict).outcome = 'completed' and st.revision <> r.stream_revision) then
    raise exception 'a stream was declared anew while its pages were applied';
  end if;
end; $$;
comment on function sync.require_declared(sync.page_in_hand[]) is
$$Raises: P0001 unless pages that were applied are of streams as they are declared now: each
statement may have gone by another declaration.$$;

create function sync.complete_pages(p_pages sync.page_in_hand[]) returns sync.page_in_hand[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
  v_pages sync.page_in_hand[] := p_pages;
  v_decided sync.page_in_hand[];
  v_to_apply sync.page_in_hand[];
  v_settled sync.page_in_hand[];
  v_message text;
begin
  -- One that met a lock before would meet it again, and hold up the others.
  for v_attempt in 1 + exists (select 1 from unnest(p_pages) as p
    where (p.verdict).outcome is null and p.postponements > 0)::int .. 3 loop
    if v_attempt > 1 then
      v_pages := sync.give_up_outdated(v_pages);
    end if;
    if v_attempt = 2 then
      v_pages := sync.rehearse_pages(v_pages);
    end if;
    begin
      v_decided := array(select p from unnest(v_pages) as p where (p.verdict).outcome is not null);
      v_to_apply := case when cardinality(v_decided) = 0 then v_pages
        else array(select p from unnest(v_pages) as p where (p.verdict).outcome is null) end;
      if cardinality(v_to_apply) > 0 then
        v_decided := v_decided || sync.apply_pages(case v_attempt
          when 1 then sync.read_pages(v_to_apply) else v_to_apply end);
        perform sync.require_declared(v_decided);
      end if;
      v_settled := sync.settle_chunks(v_decided);
      exit;
    exception when assert_failure or others then
      if v_attempt = 2 and sync.is_own_trouble(sqlstate) then
        get stacked diagnostics v_message = message_text;
        v_pages := array(
          select case when (p.verdict).outcome is null
            then sync.postpone(p, sqlstate, v_message) else p end
          from unnest(v_pages) as p);
      elsif v_attempt = 2 then
        v_pages := sync.rehearse_together(v_pages);
      elsif v_attempt > 2 then
        raise;
      end if;
    end;
  end loop;
  return v_settled;
end; $$;
comment on function sync.complete_pages(sync.page_in_hand[]) is
$$Read, apply and settle what was fenced as one set. If that fails, find the pages that cannot be
applied by trying each alone, then those that cannot beside the others, and complete the rest as
one set: pages applied one after the other would lock records out of key order. What meets trouble
of the database's own is postponed, and holds up the others for 2 s at most. Returns: all pages,
each with its outcome. Raises: what is no page's fault. Locks: target rows by key, then as
settle_chunks(); for a lock that others hold it waits 500 ms.$$;

create function public.complete_chunk_jobs_safe(p_pages jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '25s'
  set default_transaction_isolation = 'read committed'
  set timezone = 'UTC' set datestyle = 'ISO, MDY' as $$
declare
  v_pages sync.page_in_hand[];
begin
  perform sync.require_service();
  v_pages := sync.complete_pages(sync.fence(sync.given_pages(p_pages)));
  if exists (select 1 from unnest(v_pages) as p where (p.verdict).outcome = 'refused') then
    v_pages := sync.take_token_answers(sync.take_try_answers(v_pages));
  end if;
  if exists (select 1 from unnest(v_pages) as p where (p.access).token_generation is not null) then
    v_pages := sync.prove_tokens(v_pages);
  end if;
  return jsonb_build_object(
    'outcomes', (select jsonb_agg(sync.outcome_of(p) order by p.turn) from unnest(v_pages) as p),
    'blocked_budgets', sync.blocked_budgets());
end; $$;
comment on function public.complete_chunk_jobs_safe(jsonb) is
$$Hand over 1 to 100 fetched pages [{"queue_id", "lease_token", "status", "body", "duration_ms"}];
the body is the answer's text. Returns: {"outcomes": [one per page, in order], "blocked_budgets"};
outcomes: completed, cancelled, retry, postponed, failed, refused. Repeated with the same tokens it
answers alike and applies nothing again. Raises: SY006 not such a list, SY016 wrong isolation.
Locks: queue rows by id, target rows by key, promotions by SKIP LOCKED, then runs, jobs, workspaces,
budgets, and last what is no chunk's: tries, requests for tokens, tokens.$$;

create function public.complete_chunk_job_safe(p_queue_id bigint, p_lease_token bigint,
  p_page jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '25s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_answer jsonb;
  v_outcome jsonb;
begin
  perform sync.require_service();
  v_answer := public.complete_chunk_jobs_safe(jsonb_build_array(
    coalesce(p_page, '{}') || jsonb_build_object('queue_id', p_queue_id, 'lease_token',
    p_lease_token)));
  v_outcome := v_answer -> 'outcomes' -> 0;
  if v_outcome ->> 'outcome' = 'refused' then
    raise exception using errcode = 'SY001', message = v_outcome ->> 'message',
      hint = v_outcome ->> 'hint';
  end if;
  return v_outcome || jsonb_build_object('blocked_budgets', v_answer -> 'blocked_budgets');
end; $$;
comment on function public.complete_chunk_job_safe(bigint, bigint, jsonb) is
$$Hand over one fetched page {"status", "body", "duration_ms"}. Returns: its outcome and
"blocked_budgets". Raises: SY001 lease lost, SY006 bad page, SY016 wrong isolation. Locks: as
complete_chunk_jobs_safe().$$;

revoke all on function
  sync.unfit_in, sync.applied, sync.note_seen, sync.apply_pages, sync.rehearse_page,
  sync.rehearse_pages, sync.rehearse_together, sync.require_declared, sync.complete_pages,
  public.complete_chunk_jobs_safe,
  public.complete_chunk_job_safe
from public, anon, authenticated, service_role;
grant execute on function
  public.complete_chunk_jobs_safe, public.complete_chunk_job_safe
to service_role;
