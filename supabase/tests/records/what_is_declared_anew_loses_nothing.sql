begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(20);

-- Each item has a, b and c; the stream is read, declared anew, and read again without news.
create function tests.people(p_fields jsonb) returns void language sql as $$
  select tests.declare('{"completeness": "chained", "params": {"after": "{last}"},
    "order_path": ["id"], "order_direction": "asc", "more_path": ["more"]}'::jsonb || p_fields);
$$;
create function tests.again() returns text language plpgsql as $$
begin
  perform cleanup_stuck_chunks();
  return tests.sync_list();
end; $$;
create function tests.shown() returns text language plpgsql as $$
declare
  v_shown text;
begin
  execute 'select string_agg(distinct to_jsonb(t) ->> ''x'', '','') || '' '' || count(*)
    from synced.lists_items as t where deleted_at is null' into v_shown;
  return v_shown;
end; $$;
select tests.fill(1, 12);
update tests.items set fields = '{"a": "of a", "b": "of b", "at": 1767225600}';

select tests.people('{"columns": {"x": {"path": ["a"], "type": "text"}}}');
select is(tests.sync_list() || ': ' || tests.shown(), 'completed: of a 12',
  'a column has its path');
select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}}}');
select is(tests.again() || ': ' || tests.shown(), 'completed: of b 12',
  'declared at another path it has that of what was there too');
select throws_like($$select tests.people('{"columns": {"x": "bigint"}}')$$,
  '%a type does not change%',
  'another type is refused');
select tests.people('{"columns": {"y": {"path": ["a"], "type": "text"}}}');
insert into tests.items (id, key, fields) values (13, 13, '{"a": "of a", "b": "of b"}');
select is(tests.again() || ': ' || tests.shown(), 'completed: of b 13',
  'a column that is declared no more keeps its values');
select is((select count(*) from synced.lists_items where y = 'of a'), 13::bigint,
  'beside the one that came');
select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}}}');
select tests.again();
select is((select count(*) from synced.lists_items where x = 'of b'), 13::bigint,
  'declared again it is filled where it has gaps');

-- A time that could not be read.
select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}},
  "updated_at_path": ["at"]}');
select is(tests.again(), 'completed', 'epoch seconds that are declared as iso');
select is((select count(updated_at) from synced.lists_items), 0::bigint, 'are no times');
select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}},
  "updated_at_path": ["at"], "time_format": "epoch"}');
select is(tests.again(), 'completed', 'declared as epoch');
select is((select count(updated_at) from synced.lists_items), 12::bigint, 'they are');
select is(tests.again() || (tests.last_run()).records_changed, 'completed0', 'once');

-- Another order, another position, another table, none of its own.
select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}}, "order_path": ["key"]}');
select is(tests.again() || ': ' || tests.shown(), 'completed: of b 13', 'another order');
select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}},
  "params": {"skip": "{offset}"}}');
select is(tests.again() || ': ' || tests.shown(), 'completed: of b 13', 'another position');
select throws_like($$select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}},
  "id_type": "text"}')$$, '%id_type is "text"; it takes integer%', 'another type of the ids');
select tests.people('{"columns": {"x": {"path": ["b"], "type": "text"}},
  "target_table": "synced.others"}');
select is(tests.again(), 'completed', 'another table');
select is((select count(*) from synced.others) || ' ' || tests.shown(), '13 of b 13',
  'is filled, and the one before stays as it was');
select tests.people('{}');
select is(tests.again(), 'completed', 'without columns');
select is(tests.ids_here(), tests.ids_there(), 'all is in synced_records');
select tests.people('{"columns": {"x": {"path": ["a"], "type": "text"}}}');
select tests.again();
select is(tests.shown(), 'of a 13', 'its own table again, and another path: that is filled');
select tests.people('{}');
select tests.again();

-- Other ids are other records: the guard holds what would go.
select tests.people('{"id_path": ["key"]}');
update tests.items set key = key + 100;
select tests.again();
select tests.again();
select is((select count(*) from public.synced_records where deleted_at is null), 26::bigint,
  'by another id_path nothing is deleted before somebody approves');

select * from finish();
rollback;
