begin;
\ir ../support/setup.psql
select plan(13);

create function tests.refuses(p_name text, p_value jsonb) returns boolean language plpgsql as $$
begin
  perform set_setting(p_name, p_value);
  return false;
exception when sqlstate 'SY006' then
  return true;
end; $$;

select is(set_setting('lease_seconds', '30'), '{"name": "lease_seconds", "value": 30}',
  'a number setting takes a number');
select is(sync.setting('lease_seconds'), 30::numeric, 'and has it from then on');
select throws_ok($$select set_setting('lease_seconds', '"30"')$$, 'SY006', null, 'no text');
select throws_ok($$select set_setting('public_dashboard', '1')$$, 'SY006', null,
  'a boolean setting takes no number');
select throws_ok($$select set_setting('lease_seconds', '-1')$$, 'SY006', null, 'nothing below 0');
select is_empty($$
  select name from unnest('{retry_base_seconds,retry_cap_seconds,lease_seconds,max_lease_seconds,
    max_lease_losses,max_job_duration_seconds,max_scans,max_pages}'::text[]) as name
  where tests.refuses(name, '0') is not true
$$, 'no backoff, lease or count of nothing, with which workers would ask without a pause');
select throws_ok($$select set_setting('retry_cap_seconds', '0.01')$$, 'SY006', null,
  'nor one next to nothing');
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
select set_setting(name, to_jsonb((sync.setting_bounds(name)).o_least))
from sync_settings where kind = 'number' and name !~ 'lease';
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select is((select status from workspace_sync_runs order by id desc limit 1), 'completed',
  'all but the leases at their least, a page is synced');
select throws_ok($$select set_setting('lease_second', '30')$$, 'SY006', null,
  'there are no other settings');

select * from finish();
rollback;
