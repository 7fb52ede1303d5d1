-- Which apply functions sync.write_upsert() has made: its word stands in their comments. They are
-- made anew at the end.
update sync.target_tables set upsert_name = 'sync.apply_synced_records'
where target = 'public.synced_records'::regclass;
update sync.target_tables as t set upsert_name = s.apply_function
from public.sync_streams as s
where t.upsert_name is null and to_regclass(s.target_table) = t.target
  and obj_description(to_regprocedure(s.apply_function || '(sync.incoming_record[])'), 'pg_proc')
    ~ 'write_upsert';
