begin;
\ir ../support/setup.psql
select plan(10);

select is(set_setting('lease_seconds', '30'), '{"name": "lease_seconds", "value": 30}',
  'a number setting takes a number');
select is(sync.setting('lease_seconds'), 30::numeric, 'and has it from then on');
select throws_ok($$select set_setting('lease_seconds', '"30"')$$, 'SY006', null, 'no text');
select throws_ok($$select set_setting('public_dashboard', '1')$$, 'SY006', null,
  'a boolean setting takes no number');
select throws_ok($$select set_setting('lease_seconds', '-1')$$, 'SY006', null, 'nothing below 0');
select throws_ok($$select set_setting('stale_after_hours', '1000001')$$, 'SY006', null,
  'no more hours than there is time');
select throws_ok($$select set_setting('stalled_after_minutes', '1000000001')$$, 'SY006', null,
  'nothing beyond whole numbers');
select set_setting(name, case when name ~ 'hours|days' then '1000000' else '1000000000' end::jsonb)
from sync_settings where kind = 'number';
select tests.workspace('acme');
select tests.serve('acme', 1, 2, 3);
select tests.sync('acme');
select is(sync.check_health(), 0, 'all at their largest, health is checked');
select is(sync.prune(1), 0, 'and old rows are pruned');
select throws_ok($$select set_setting('lease_second', '30')$$, 'SY006', null,
  'there are no other settings');

select * from finish();
rollback;
