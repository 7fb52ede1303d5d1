-- Which apply functions sync.write_upsert() has made: its word stands in their comments. They are
-- made anew at the end.
update sync.target_tables set upsert_name = 'sync.apply_synced_records'
where target = 'public.synced_records'::regclass;
update sync.target_tables as t set upsert_name = s.apply_function
from public.sync_streams as s
where t.upsert_name is null and to_regclass(s.target_table) = t.target
  and obj_description(to_regprocedure(s.apply_function || '(sync.incoming_record[])'), 'pg_proc')
    ~ 'write_upsert';

-- By what names are the same became wider: dashes, apostrophes and blanks. Two workspaces that it
-- makes one keep neither: whoever typed one name would meet the other.
do $$
declare
  v_alike text;
begin
  select string_agg(format('%L', workspace_name), ' and ' order by id) into v_alike
  from public.sync_workspaces group by sync.name_key(workspace_name) having count(*) > 1
  order by min(id) limit 1;
  if v_alike is not null then
    raise exception using errcode = 'SY019',
      message = format('the names of the workspaces %s are now one', v_alike),
      hint = 'Give one of them another name first: update sync_workspaces set workspace_name = … '
        'where workspace_name = …; then upgrade again. Nothing was changed.';
  end if;
  update public.sync_workspaces set name_key = sync.name_key(workspace_name)
  where name_key <> sync.name_key(workspace_name);
end; $$;
