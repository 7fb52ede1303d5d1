begin;
\ir ../support/setup.psql
select plan(1);

select is(chunkwise_version(), '{"schema_version": 1, "protocol_version": 1}',
  'schema and protocol version');

select * from finish();
rollback;
