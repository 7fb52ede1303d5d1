begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(11);

-- Items 10 and 11 have one key, and stand at the end of page 1 and behind it.
create function tests.tie(p_fields jsonb) returns text language plpgsql as $$
begin
  delete from tests.items;
  perform tests.fill(1, 25);
  update tests.items set key = 10 where id = 11;
  perform tests.declare('{"params": {"after": "{last}"}, "last_path": ["key"], "order_path": ["key"],
    "order_is_unique": true, "more_path": ["more"]}'::jsonb || p_fields);
  delete from public.synced_records;
  return tests.sync_list();
end; $$;

select throws_like($$select tests.declare('{"completeness": "agreed",
  "params": {"after": "{last}"}, "last_path": ["key"]}')$$, '%last_path%no two records share%',
  'a keyset over what records may share is refused, two scans would miss the same ones');
select throws_like($$select tests.declare('{"completeness": "feed", "order_path": ["key"],
  "params": {"after": "{last}"}, "last_path": ["key"]}')$$, '%last_path%no two records share%',
  'also of a feed');
select throws_like($$select tests.chained('{"params": {"after": "{next}"}, "next_path": ["next"],
  "last_path": ["key"]}')$$, '%last_path%no two records share%',
  'also where the answer repeats the value as its cursor');
select lives_ok($$select tests.chained('{"params": {"after": "{next}"}, "next_path": ["next"],
  "last_path": ["key"], "order_is_unique": true}')$$, 'unless no two records share it');

-- What was declared as unique and is not.
select is(tests.tie('{"completeness": "agreed", "order_direction": "asc"}'), 'completed',
  'a tie across two pages shows nowhere');
update tests.habit set served = 15;
select is(tests.tie('{"completeness": "agreed", "order_direction": "asc", "timeout_ms": 999}'),
  'partial', 'on one page it does: two scans are partial');
select matches(tests.last_run()::text, 'records 10 and 11 have the same value at key',
  'and name the two');
select is((tests.last_run()).scan, 1, 'at once');
select is(tests.tie('{"completeness": "chained", "order_direction": "asc"}'), 'partial',
  'a chain is');
update tests.habit set served = 20;
select is(tests.tie('{"completeness": "feed", "order_direction": "desc"}'), 'partial',
  'a feed is');
select matches((tests.last_run()).warnings[1], 'records 10 and 11 have the same value at key',
  'and names the two');

select * from finish();
rollback;
