-- The login role of KEDA's scaler. Run once in the SQL editor, with a password of your own.
-- It can ask for one number and nothing else. queue_health shows each caller what that caller may
-- see, even through another view: so a function with its owner's rights asks, in a schema that the
-- API does not expose.
create role chunkwise_scaler login password 'change me' connection limit 10;
create schema chunkwise_scaler;
create function chunkwise_scaler.work() returns bigint
language sql stable security definer set search_path = '' as $$
  select (ready_chunks + delayed_chunks + chunks_in_flight)::bigint from public.queue_health
$$;
comment on function chunkwise_scaler.work() is 'Returns: chunks that workers can do now or soon.';
revoke all on schema chunkwise_scaler from public;
revoke all on function chunkwise_scaler.work() from public, anon, authenticated, service_role;
grant usage on schema chunkwise_scaler to chunkwise_scaler;
grant execute on function chunkwise_scaler.work() to chunkwise_scaler;
