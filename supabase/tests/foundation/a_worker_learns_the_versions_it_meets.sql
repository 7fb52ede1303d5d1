begin;
\ir ../support/setup.psql
select plan(2);

select is(chunkwise_version() - 'release', '{"schema_version": 1, "protocol_version": 2}',
  'schema and protocol version');
select matches(chunkwise_version() ->> 'release', '^[0-9]+\.[0-9]+\.[0-9]+$',
  'the number of the release');

select * from finish();
rollback;
