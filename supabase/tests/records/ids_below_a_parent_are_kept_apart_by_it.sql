begin;
\ir ../support/setup.psql
select plan(8);

select declare_source('{"source_name": "crm", "requests_per_second": null}');
select declare_stream('{"source_name": "crm", "stream_name": "people", "path": "/people",
  "page_size": 2}');
create function tests.declare(p_columns jsonb) returns jsonb language sql as $$
  select declare_stream(jsonb_build_object('source_name', 'crm', 'stream_name', 'notes',
    'path', '/people/{parent.id}/notes', 'page_size', 2, 'parent_stream', 'people',
    'id_scope', 'parent', 'columns', p_columns));
$$;
select tests.declare('{"text": "text"}');
select col_is_pk('synced', 'crm_notes', '{workspace_id,parent_id,id}'::text[],
  'the parent is part of the key');
select register_workspace('acme', 'https://crm.example', 'k', 'crm');

create function tests.apply(p_text text) returns setof sync.changed_record language sql as $$
  select c.* from unnest(sync.apply_synced_crm_notes(array(
    select row(w.id, st.id, n.parent_id || '/' || n.id, null,
      jsonb_build_object('id', n.id, 'text', p_text, 'parent_id', 'x'), 1, sync.now(), true,
      n.parent_id, n.id::text)::sync.incoming_record
    from sync_workspaces as w, sync_streams as st,
      (values ('a', 1), ('b', 1), ('b', 2)) as n (parent_id, id)
    where w.workspace_name = 'acme' and st.stream_name = 'notes'))) as c;
$$;
select results_eq($$select record_id, change from tests.apply('hello') order by 1$$,
  $$values ('a/1', 'inserted'), ('b/1', 'inserted'), ('b/2', 'inserted')$$,
  'one id below two parents is two records');
select results_eq($$select parent_id, id, text from synced.crm_notes order by 1, 2$$,
  $$values ('a', 1::bigint, 'hello'), ('b', 1, 'hello'), ('b', 2, 'hello')$$,
  'each is a row, of its parent, whatever it calls one');
select is_empty($$select * from tests.apply('hello')$$, 'unchanged ones are not written');
select tests.advance('1 minute');
select results_eq($$select record_id, change from tests.apply('bye') order by 1$$,
  $$values ('a/1', 'updated'), ('b/1', 'updated'), ('b/2', 'updated')$$, 'changed ones are');

select tests.declare('{"text": "text", "number": {"path": ["id"], "type": "integer"}}');
select results_eq('select sync.fill_columns(2) union all select sync.fill_columns(2)',
  'values (2), (1)', 'a new column is filled by parent and id');
select results_eq($$select parent_id, number from synced.crm_notes order by 1, id$$,
  $$values ('a', 1), ('b', 1), ('b', 2)$$, 'in every row');
select throws_ok($$select declare_stream('{"source_name": "crm", "stream_name": "notes",
  "path": "/people/{parent.id}/notes", "page_size": 2, "parent_stream": "people",
  "columns": {"text": "text"}}')$$, 'SY006', null, 'a table that stands keeps its key');

select * from finish();
rollback;
