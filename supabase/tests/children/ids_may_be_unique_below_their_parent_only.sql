begin;
\ir ../support/setup.psql
\ir ../support/children.psql
select plan(11);

select tests.declare_leads('{"id_scope": "parent",
  "item_path": "/campaigns/{parent.id}/leads/{id}"}');
select tests.campaign(1, 1, 2);
select tests.campaign(2, 1);
select is(tests.sync_children(), 'completed', 'two lists show the same id');
select is(tests.live_leads(), array['1/1', '1/2', '2/1'], 'as two records');
delete from tests.leads where (campaign, id) = (1, 2);
select is(tests.sync_children('leads'), 'completed', 'one of them goes');
select results_eq($$select record_id, reading -> 'id', reading #> '{parent,id}'
  from public.chunked_sync_jobs where kind = 'confirmation'$$,
  $$values ('1/2', '"2"'::jsonb, '1'::jsonb)$$,
  'it is asked for by its own id, below its parent');
select is((select url from tests.asked where what = 'lead 1/2'),
  'https://crm.example/campaigns/1/leads/2', 'as its path says');
select is(tests.live_leads(), array['1/1', '2/1'], 'and gone');
select results_eq($$select s.o_parent_id, s.o_own_id
  from sync.scoped_parts(sync.scoped_id('a/b%', '2/é')) as s$$, $$values ('a/b%', '2/é')$$,
  'ids that hold a slash are kept apart');
select is(sync.scoped_id(sync.scoped_id('a', 'b'), 'c'), 'a%2Fb/c', 'also below a child');

-- Leads below a lead below a campaign.
select declare_stream('{"source_name": "crm", "stream_name": "notes", "page_size": 2,
  "path": "/campaigns/{parent.parent.id}/leads/{parent.id}/notes", "parent_stream": "leads",
  "id_scope": "parent"}');
select is(tests.sync_children('leads', 'notes'), 'completed', 'children have children');
select results_eq($$select c.reading -> 'parent' from public.chunked_sync_jobs as c
  join public.workspace_sync_runs as r on r.id = c.run_id
  join public.sync_streams as st on st.id = r.stream_id and st.stream_name = 'notes'
  order by c.id$$, $$values ('{"id": 1, "parent": {"id": 1}}'::jsonb),
  ('{"id": 1, "parent": {"id": 2}}')$$, 'whose requests know of all above them');
select is((select array_agg(url order by url) from tests.asked where what like 'leads%1, page 1'
  and url like '%notes'), array['https://crm.example/campaigns/1/leads/1/notes',
  'https://crm.example/campaigns/2/leads/1/notes'], 'as their paths say');

select * from finish();
rollback;
