begin;
\ir ../support/setup.psql
select plan(9);

select is(sync.cursor_id(sync.build_cursor(4711)), 4711::bigint, 'a built cursor is read again');
select ok(sync.build_cursor(4711) !~ '=', 'it has no padding');
select is(sync.cursor_id(encode(convert_to(
  format('{"id":%s,"_pointsToNextItems":true}', id), 'UTF8'), 'base64')), id,
  'standard base64 with padding is read: ' || id)
  from unnest(array[7, 77, 777]::bigint[]) as id;
select is(sync.cursor_id('no cursor'), null, 'what is none is null');
select is(sync.cursor_id('eyJwYWdlIjoyfQ'), null, 'as is one without an id');
select is(sync.cursor_id(null), null, 'as is null');
select ok(length(sync.build_cursor(9223372036854775807)) < 80,
  'no line break stands in a long one');

select * from finish();
rollback;
