begin;
\ir ../support/setup.psql
select plan(6);

select is(set_setting('lease_seconds', '30'), '{"name": "lease_seconds", "value": 30}',
  'a number setting takes a number');
select is(sync.setting('lease_seconds'), 30::numeric, 'and has it from then on');
select throws_ok($$select set_setting('lease_seconds', '"30"')$$, 'SY006', null, 'no text');
select throws_ok($$select set_setting('public_dashboard', '1')$$, 'SY006', null,
  'a boolean setting takes no number');
select throws_ok($$select set_setting('lease_seconds', '-1')$$, 'SY006', null, 'nothing below 0');
select throws_ok($$select set_setting('lease_second', '30')$$, 'SY006', null,
  'there are no other settings');

select * from finish();
rollback;
