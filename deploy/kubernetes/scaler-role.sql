-- The login role of KEDA's scaler. Run once in the SQL editor, with a password of your own.
-- It can read one number and nothing else: queue_health shows each caller what that caller may see,
-- so that a view with its owner's rights stands between, in a schema that the API does not expose.
create role chunkwise_scaler login password 'change me' connection limit 10;
create schema chunkwise_scaler;
create view chunkwise_scaler.work as
select (ready_chunks + delayed_chunks + chunks_in_flight)::bigint as chunks from public.queue_health;
comment on view chunkwise_scaler.work is 'Chunks that workers can do now or soon.';
revoke all on schema chunkwise_scaler from public;
revoke all on table chunkwise_scaler.work from public, anon, authenticated, service_role;
grant usage on schema chunkwise_scaler to chunkwise_scaler;
grant select on table chunkwise_scaler.work to chunkwise_scaler;
