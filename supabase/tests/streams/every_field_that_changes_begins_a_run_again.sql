begin;
\ir ../support/setup.psql
select plan(18);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
create function tests.declare(p_more jsonb default '{}') returns jsonb language sql as $$
  select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
    "page_size": 20, "params": {"after": "{next}"}, "next_path": ["next"],
    "completeness": "agreed", "updated_at_path": ["at"], "order_path": ["n"]}'::jsonb || p_more);
$$;
create function tests.revision() returns int language sql as $$
  select revision from public.sync_streams where stream_name = 'people';
$$;
select tests.declare();
create function tests.is_news(p_fields jsonb) returns boolean language plpgsql as $$
declare
  v_before int := tests.revision();
begin
  perform tests.declare(p_fields);
  perform tests.declare(p_fields);
  return tests.revision() = v_before + 1;
end; $$;
select ok(tests.is_news(fields), format('%s is another declaration, once', fields))
from unnest(array[
  '{"method": "POST"}', '{"headers": {"X-Version": "2"}}', '{"more_path": ["more"]}',
  '{"more_path": ["more"], "more_is": false}', '{"next_absent_ends": true}',
  '{"short_page_ends": true}', '{"cursor_is": "keyset"}',
  '{"completeness": "chained", "cursor_is": "keyset"}',
  '{"completeness": "chained", "cursor_is": "keyset", "last_path": ["id"]}',
  '{"time_format": "epoch"}', '{"result_cap": 100}', '{"deleted_when": {"state": "gone"}}',
  '{"order_direction": "asc"}', '{"order_is_unique": true}', '{"conditional": true}',
  '{"class_rules": [{"text": "slow down", "class": "transient"}]}',
  '{"columns": {"name": "text"}}', '{"columns": {"name": "text", "age": "integer"}}'
]::jsonb[]) as fields;

select * from finish();
rollback;
