-- What the queue benchmarks need: a source nobody calls, stock, and answers made up by the server.
create schema bench;

select public.set_setting('max_pages', '1000000');
select public.set_budget('email_bison', null, null);
select public.declare_source(
  '{"source_name": "bench", "base_path": "/api", "requests_per_second": null, "max_in_flight": null}');
select public.declare_stream('{"source_name": "bench", "stream_name": "items", "path": "/items", "page_size": 2}');

create function bench.add_fleet(p_workspaces int) returns void
language sql as $$
  select public.register_workspace(format('fleet %s', n), 'http://127.0.0.1:9', 'a key', 'email_bison') from generate_series(1, p_workspaces) as n;
$$;

create function bench.stock(p_name text, p_source text, p_stream text, p_runs int, p_pages int, p_slots int) returns uuid
language plpgsql as $$
declare
  v_workspaces text[] := array(select format('%s %s', p_name, n) from generate_series(1, p_runs) as n);
  v_job_id uuid;
  v_run_id bigint;
begin
  perform public.register_workspace(name, 'http://127.0.0.1:9', 'a key', p_source, null, p_slots)
  from unnest(v_workspaces) as name;
  v_job_id := public.start_sync_job(p_name, array[p_stream], v_workspaces) ->> 'job_id';
  for v_run_id in select id from public.workspace_sync_runs where job_id = v_job_id order by id loop
    perform sync.reveal_pages(v_run_id, p_pages);
    perform sync.plan_window(v_run_id);
    perform sync.refill_slots(v_run_id);
  end loop;
  return v_job_id;
end; $$;
comment on function bench.stock(text, text, text, int, int, int) is
$$A job of p_runs runs of p_pages pages each, of which p_slots are ready: what page 1 reveals, before it is answered. Returns: its id.$$;

create function bench.plan_all() returns void
language sql as $$
  select sync.plan_chunks(id, 'page', array(select generate_series(planned_pages + 1, known_pages)), null)
  from public.workspace_sync_runs where status = 'running';
  update public.workspace_sync_runs set planned_pages = known_pages where status = 'running';
$$;
comment on function bench.plan_all() is
$$Queue every known page, not only the window: as many chunks wait as no run of pages has.$$;

create function bench.answers(p_claim jsonb) returns jsonb
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off
  set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  return (select jsonb_agg(jsonb_build_object(
    'queue_id', l -> 'queue_id', 'lease_token', l -> 'lease_token', 'status', 200, 'duration_ms', 187,
    'body', format('{"data": [{"id": %s, "name": "one of two", "status": "Connected"}, {"id": %s, "name": "two of two", "status": "Connected"}], '
      || '"meta": {"total": %s, "last_page": %s}}', 2 * p.page - 1, 2 * p.page, 2 * r.known_pages, r.known_pages)))
  from jsonb_array_elements(p_claim -> 'leases') as l
  cross join lateral (select (l #>> '{request,params,0,1}')::int as page) as p
  join public.chunk_processing_queue as q on q.id = (l ->> 'queue_id')::bigint
  join public.workspace_sync_runs as r on r.id = q.run_id);
end; $$;
comment on function bench.answers(jsonb) is $$What an API would answer to these leases: two small records per page. Null if there are none.$$;

create table bench.bodies (
  workspace_name text not null,
  page int not null,
  body text not null,
  primary key (workspace_name, page)
);

create function bench.stored_answers(p_claim jsonb) returns jsonb
language sql stable as $$
  select jsonb_agg(jsonb_build_object(
    'queue_id', l -> 'queue_id', 'lease_token', l -> 'lease_token', 'status', 200, 'duration_ms', 187, 'body', b.body))
  from jsonb_array_elements(p_claim -> 'leases') as l
  join bench.bodies as b on b.workspace_name = l ->> 'workspace' and b.page = (l #>> '{request,params,0,1}')::int;
$$;
comment on function bench.stored_answers(jsonb) is $$What the fake Email Bison answers to these leases. Null if there are none.$$;

create table bench.bare_queue (
  id bigint primary key,
  status text not null default 'pending'
);
create index bare_queue_pending_idx on bench.bare_queue (id) where status = 'pending';

create function bench.stock_bare(p_chunks int) returns void
language sql as $$
  insert into bench.bare_queue (id) select generate_series(1, p_chunks);
$$;
