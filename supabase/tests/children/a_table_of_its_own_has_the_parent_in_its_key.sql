begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(6);

select tests.declare_leads('{"id_scope": "parent", "columns": {"campaign": "bigint"},
  "item_path": "/campaigns/{parent.id}/leads/{id}"}');
create function tests.rows() returns table (parent_id text, id text, campaign bigint)
language plpgsql as $$
begin
  return query execute format('select t.parent_id, t.id::text, t.campaign from %s as t
    where t.deleted_at is null order by 1, 2', (
      select target_table from public.sync_streams where stream_name = 'leads'));
end; $$;
select tests.campaign(1, 1, 2);
select tests.campaign(2, 1);
select is(tests.sync_children(), 'completed', 'two lists show the same id');
select results_eq('select * from tests.rows()',
  $$values ('1', '1', 1::bigint), ('1', '2', 1), ('2', '1', 2)$$, 'as rows of their own');
delete from tests.leads where (campaign, id) = (1, 2);
select is(tests.sync_children('leads'), 'completed', 'one of them goes');
select is((select records_changed from public.workspace_sync_runs order by id desc limit 1),
  0::bigint, 'the others are unchanged');
select results_eq('select * from tests.rows()',
  $$values ('1', '1', 1::bigint), ('2', '1', 2)$$, 'and only it is deleted');

-- A parent without the value that the request needs.
insert into tests.campaigns (id, fields) values (3, '{"slug": "c"}');
select tests.declare_leads('{"path": "/campaigns/{parent.slug}/leads"}');
select tests.sync_children();
select results_eq($$select parent_id, state from sync.run_parts
  where run_id = (select max(id) from public.workspace_sync_runs) order by 1$$,
  $$values ('1', 'unproven'), ('2', 'unproven'), ('3', 'proven')$$,
  'a list that cannot be asked for is not proven, and only it');

select * from finish();
rollback;
