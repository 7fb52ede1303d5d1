begin;
\ir ../support/setup.psql
\ir ../support/tries.psql
select plan(9);

select tests.workspace('acme');
select declare_stream('{"source_name": "email_bison", "stream_name": "teams", "path": "/teams",
  "page_size": 10, "is_default": false}');
create function tests.child(p_more text default '{}') returns jsonb language sql as $$
  select '{"parent_stream": "teams", "path": "/teams/{parent.id}/people", "page_size": 2}'::jsonb
    || p_more::jsonb;
$$;

select throws_ok('select tests.tried(tests.child(), null)', 'SY005', null,
  'without a parent there is nothing to ask for');
insert into synced_records (workspace_id, stream_id, id, raw, last_changed_at)
select w.id as workspace_id, st.id as stream_id, '7', '{"id": 7, "name": "North"}', sync.now()
from sync_workspaces as w, sync_streams as st
where w.workspace_name = 'acme' and st.stream_name = 'teams';
select declare_stream('{"source_name": "email_bison", "stream_name": "squads", "page_size": 10,
  "path": "/teams/{parent.id}/squads", "parent_stream": "teams", "is_default": false}');
insert into synced_records (workspace_id, stream_id, id, raw, last_changed_at)
select w.id as workspace_id, st.id as stream_id, '3', '{"id": 3, "name": "West"}', sync.now()
from sync_workspaces as w, sync_streams as st
where w.workspace_name = 'acme' and st.stream_name = 'squads';
insert into sync.record_parents (workspace_id, stream_id, parent_id, record_id)
select r.workspace_id, r.stream_id, '7', r.id from synced_records as r where r.id = '3';
select is(tests.complaints(tests.tried(tests.child(), tests.people(1, 1))), null,
  'with one it is tried');
select is((select lease #>> '{request,url}' from tests.asked),
  'https://bison.example/api/teams/7/people', 'by the parent''s path');
select tests.tried(tests.child(), variadic '{}'::jsonb[]);
select is((select reading from sync.stream_tries), '{"parent": {"id": 7}}'::jsonb,
  'of the parent no more is kept than its requests take');
select tests.tried(tests.child('{"parent_stream": "squads",
  "path": "/teams/{parent.parent.id}/squads/{parent.id}/people"}'), variadic '{}'::jsonb[]);
select is((select reading from sync.stream_tries),
  '{"parent": {"id": 3, "parent": {"id": 7}}}'::jsonb,
  'as of the record above it');
select is(tests.tried(tests.child('{"path": "/teams/{parent.code}/people"}'),
  variadic '{}'::jsonb[]) ->> 'status', 'waiting', 'a parent that lacks what the path asks for');
select tests.next_lease();
select is((select jsonb_build_array(status, error_message is not null) from sync.stream_tries),
  '["failed", true]'::jsonb, 'fails the try, which says so');
update sync_workspaces set paused_at = sync.now() where workspace_name = 'acme';
select is(tests.tried(tests.child(), variadic '{}'::jsonb[]) ->> 'status', 'waiting',
  'a workspace that is paused');
select is(tests.next_lease(), null, 'is asked for nothing');

select * from finish();
rollback;
