-- Alone: a chunk that lost two leases is leased to a worker that holds nothing else, so that what
-- kills its worker kills no other chunk's lease, and is told from what died beside it.

create function sync.holds_chunks(p_worker_id text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select 1 from public.workspace_sync_runs as r
    cross join lateral (
      select 1 from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.worker_id = p_worker_id and x.lease_expires_at > sync.now() offset 0
    ) as q
    where r.status = 'running')
    or exists (
      select 1 from sync.stream_tries as t
      where t.lease_expires_at > sync.now() and t.worker_id = p_worker_id)
    or exists (
      select 1 from sync.token_requests as t
      where t.status = 'processing' and t.worker_id = p_worker_id
        and t.lease_expires_at > sync.now());
end; $$;
comment on function sync.holds_chunks(text) is
$$Returns: whether a worker holds a lease. Reads all slots: asked only where a chunk is to be leased
alone.$$;

create function sync.next_to_be_alone(p_worker sync.workers) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set enable_sort = off as $$
begin
  if p_worker.shared_until > sync.now() and exists (
    select 1 from public.chunk_processing_queue
    where ready_seq >= (select claim_floor from sync.sweep_state) and lease_losses < 2
  ) then
    return null;
  end if;
  return (
    select q.id from public.chunk_processing_queue as q
    where q.ready_seq is not null and q.lease_losses >= 2 and not exists (
      select 1 from sync.workers as k
      where k.alone_with = q.id and k.worker_id <> p_worker.worker_id
        and k.alone_since > sync.now() - interval '1 minute'
        and k.last_seen_at > sync.now() - sync.setting_seconds('lease_seconds'))
    order by q.ready_seq limit 1);
end; $$;
comment on function sync.next_to_be_alone(sync.workers) is
$$Returns: the chunk with the oldest turn that must be leased alone and for which no other worker
empties itself; null if there is none, or if the worker's time is for others now.$$;

create function sync.stay_alone(p_worker sync.workers) returns sync.workers
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_chunk public.chunk_processing_queue;
begin
  select * into v_chunk from public.chunk_processing_queue where id = p_worker.alone_with;
  if (case v_chunk.status
    when 'processing' then v_chunk.worker_id = p_worker.worker_id
      and v_chunk.lease_expires_at > v_now
    when 'pending' then v_chunk.slot is not null and coalesce(v_chunk.next_retry_at <= v_now, true)
      and p_worker.alone_since > v_now - interval '1 minute' end) then
    return p_worker;
  end if;
  update sync.workers set alone_with = null, alone_since = null,
    shared_until = v_now + least(sync.setting_seconds('max_lease_seconds'),
      least(v_now, v_chunk.completed_at) - alone_since)
  where worker_id = p_worker.worker_id returning * into p_worker;
  return p_worker;
end; $$;
comment on function sync.stay_alone(sync.workers) is
$$Whether a worker goes on to hold its chunk alone, or to empty itself for it, which it gives up
after a minute. If not, as much of its time as that took belongs to others. Returns: the worker.
Locks: its row.$$;

create function sync.hold_alone(
  p_worker_id text, p_named_id bigint default null, out o_is_alone boolean, out o_queue_id bigint
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_worker sync.workers;
  v_queue_id bigint;
begin
  select * into v_worker from sync.workers
  where worker_id = p_worker_id for key share skip locked;
  -- Not found: another call of this worker is taking a chunk alone.
  o_is_alone := v_worker.worker_id is null;
  if o_is_alone or v_worker.alone_with is null and not exists (
    select 1 from public.chunk_processing_queue where ready_seq is not null and lease_losses >= 2
  ) then
    return;
  end if;
  if v_worker.alone_with is not null then
    v_worker := sync.stay_alone(v_worker);
  end if;
  v_queue_id := coalesce(v_worker.alone_with, sync.next_to_be_alone(v_worker));
  if p_named_id is not null and v_worker.alone_with is null then
    v_queue_id := case when exists (
      select 1 from public.chunk_processing_queue where id = p_named_id and lease_losses >= 2
    ) then p_named_id end;
  end if;
  if v_queue_id is null then
    return;
  end if;
  o_is_alone := true;
  perform 1 from sync.workers where worker_id = p_worker_id for update skip locked;
  if not found then
    return;
  end if;
  update sync.workers set alone_with = v_queue_id, alone_since = coalesce(alone_since, sync.now())
  where worker_id = p_worker_id and alone_with is distinct from v_queue_id;
  if not sync.holds_chunks(p_worker_id) then
    select id into o_queue_id from public.chunk_processing_queue
    where id = v_queue_id and status = 'pending' for no key update skip locked;
  end if;
end; $$;
comment on function sync.hold_alone(text, bigint) is
$$For a claim of any chunk, or of a named one. Where a chunk must be leased alone, its worker
empties itself: it gets nothing else until it holds nothing, then that chunk, and nothing beside it.
Returns: whether the worker gets nothing else now, and the chunk that it gets, which is locked then.
Locks: the worker's row, which keeps its calls from leasing at once; the queue row; neither
waits.$$;

create function sync.lost_alone(p_queue_ids bigint[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_worker_ids text[] := array(
    select distinct worker_id from public.chunk_processing_queue where id = any (p_queue_ids));
  v_alone bigint[];
begin
  v_alone := array(
    select max(q.id) from public.workspace_sync_runs as r
    cross join lateral (
      select x.id, x.worker_id, x.started_at from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.worker_id = any (v_worker_ids) offset 0
    ) as q
    left join sync.workers as k on k.worker_id = q.worker_id
    where r.status = 'running'
    group by q.worker_id
    having count(*) = 1 and bool_and((k.last_loss_at > q.started_at) is not true));
  update sync.workers as k set last_loss_at = sync.now(), alone_with = null, alone_since = null
  from (
    select worker_id from sync.workers where worker_id = any (v_worker_ids)
    order by worker_id for no key update skip locked
  ) as losers
  where k.worker_id = losers.worker_id;
  return v_alone;
end; $$;
comment on function sync.lost_alone(bigint[]) is
$$Of chunks whose leases ran out: which of them were all that their workers held. What a worker lost
before, while it held this one, counts as held. The caller holds the queue rows. Returns: their ids.
Locks: the workers' rows by SKIP LOCKED.$$;

revoke all on function
  sync.holds_chunks, sync.next_to_be_alone, sync.stay_alone, sync.hold_alone, sync.lost_alone
from public, anon, authenticated, service_role;
