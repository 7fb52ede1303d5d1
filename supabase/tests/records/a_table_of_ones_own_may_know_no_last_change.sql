begin;
\ir ../support/setup.psql
\ir ../support/lists.psql
select plan(6);

-- A table that was filled before, by something that knew neither changes nor all of a record.
create table synced.lists_items (workspace_id bigint not null, id bigint not null, raw jsonb,
  x text, updated_at timestamptz, last_changed_at timestamptz, deleted_at timestamptz,
  unlisted_at timestamptz, primary key (workspace_id, id));
create function tests.let_in() returns trigger language plpgsql as $$
begin
  return new;
end; $$;
create trigger checks before insert or update on synced.lists_items
for each row execute function tests.let_in();
select tests.chained('{"columns": {"x": "text"}, "params": {"after": "{last}"},
  "order_path": ["id"], "order_direction": "asc", "more_path": ["more"]}');
select tests.fill(1, 4);
update tests.items set fields = '{"x": "new"}';
insert into synced.lists_items (workspace_id, id, raw, x, deleted_at)
select w.id as workspace_id, i.id, case when i.id = 1 then '{"id": 1}'
    when i.id = 3 then '{"id": 3, "key": 3, "x": "new"}' end::jsonb, 'old',
  case when i.id = 3 then now() end
from public.sync_workspaces as w, tests.items as i where i.id < 4;

select is(tests.sync_list(), 'completed', 'rows without a last change are written');
select is((tests.last_run()).records_changed, 4::bigint, 'all that change');
select results_eq('select id, x from synced.lists_items where deleted_at is null order by id',
  $$values (1::bigint, 'new'), (2, 'new'), (3, 'new'), (4, 'new')$$,
  'from what stood, from nothing, from what was deleted');
select tests.advance('1 minute');
select is(tests.sync_list() || (tests.last_run()).records_changed, 'completed0', 'once');

create or replace function tests.let_in() returns trigger language plpgsql as $$
begin
  return null;
end; $$;
update tests.items set fields = '{"x": "newer"}';
select isnt(tests.sync_list(), 'completed', 'a trigger that hides records');
select is((select array_agg(distinct x) from synced.lists_items), '{new}'::text[],
  'has none of a page written');

select * from finish();
rollback;
