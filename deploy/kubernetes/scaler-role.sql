-- The login role of KEDA's scaler. Run once in the SQL editor, with a password of your own.
-- It can ask for one number and nothing else: a function with its owner's rights counts, in a
-- schema that the API does not expose. What a pause holds is no work for anybody.
create role chunkwise_scaler login password 'change me' connection limit 10;
create schema chunkwise_scaler;
create function chunkwise_scaler.work() returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select count(*) from public.workspace_sync_runs as r
  join public.chunk_processing_queue as q on q.run_id = r.id and q.slot is not null
  where r.status = 'running' and (q.status = 'processing' or not r.is_paused)
$$;
comment on function chunkwise_scaler.work() is 'Returns: chunks that workers can do now or soon.';
revoke all on schema chunkwise_scaler from public;
revoke all on function chunkwise_scaler.work() from public, anon, authenticated, service_role;
grant usage on schema chunkwise_scaler to chunkwise_scaler;
grant execute on function chunkwise_scaler.work() to chunkwise_scaler;
