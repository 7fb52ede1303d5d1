begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(14);

-- Other parents: lists of firms, of which one has the number of a campaign.
select declare_stream('{"source_name": "crm", "stream_name": "firms", "path": "/firms",
  "page_size": 100}');
select tests.declare_leads();
select tests.campaign(1, 11, 12);
select tests.campaign(2, 21);
select is(tests.sync_children(), 'completed', 'lists below campaigns');
create function tests.declare_below(p_parent text, p_more jsonb default '{}') returns jsonb
  language sql as $$
  select tests.declare_leads(jsonb_build_object('parent_stream', p_parent) || p_more);
$$;
select tests.declare_below('firms');
select is((select count(*) from sync.record_parents), 0::bigint,
  'below another parent it is not known what shows a record');
-- A page that was being applied notes afterwards where it showed its record.
insert into sync.record_parents (workspace_id, stream_id, parent_id, record_id)
select r.workspace_id, r.stream_id, '2', r.id from public.synced_records as r where r.id = '12';
delete from tests.campaigns where id = 2;
insert into tests.campaigns (id) values (3);
select tests.campaign(1, 11);
select tests.campaign(3, 21);
select is(tests.sync_children('firms', 'leads'), 'completed', 'read below firms');
select is(tests.live_leads(), '{11,12,21}'::text[], 'nothing is gone, nothing is there twice');
select is(tests.sync_children('firms', 'leads'), 'completed', 'and again');
select is(tests.live_leads(), '{11,21}'::text[], 'goes what no list showed, twice');
select is((select array_agg(distinct parent_id order by parent_id) from sync.record_parents),
  '{1,3}'::text[], 'and only firms are parents');

-- Ids of another form would be other records.
select throws_ok($$select tests.declare_below('firms', '{"id_scope": "parent"}')$$, 'SY006', null,
  'ids that are unique everywhere stay so');
select is(tests.sync_children('firms', 'leads'), 'completed', 'the declaration stands');
select is(tests.live_leads(), '{11,21}'::text[], 'and its records');
select lives_ok($$select declare_stream('{"source_name": "crm", "stream_name": "others",
  "page_size": 2, "path": "/campaigns/{parent.id}/leads", "parent_stream": "firms",
  "id_scope": "parent"}')$$, 'a stream of another name may have others');
select lives_ok($$select declare_stream('{"source_name": "crm", "stream_name": "others",
  "page_size": 2, "path": "/campaigns/{parent.id}/leads", "parent_stream": "firms"}')$$,
  'and until it has rows it may change them');

-- What says that a record is deleted.
update tests.leads set fields = '{"status": "deleted"}' where id = 21;
select tests.declare_below('firms', '{"deleted_when": {"status": "deleted"}}');
select tests.sync_children('firms', 'leads');
select is(tests.live_leads(), '{11}'::text[], 'by it they go');
select tests.declare_below('firms');
select tests.sync_children('firms', 'leads');
select is(tests.live_leads(), '{11,21}'::text[], 'and without it they are back');

select * from finish();
rollback;
