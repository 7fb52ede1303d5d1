begin;
\ir ../support/setup.psql
select plan(6);

select apply_declaration('{"source": {"source_name": "crm", "requests_per_second": null,
    "auth_prefix": "", "status_classes": {"409": "transient"}},
  "streams": [{"stream_name": "people", "path": "/people", "page_size": 50, "id_type": "text",
    "params": {"sort": "id"}, "completeness": "counted"}]}');
select is(get_declarations('crm'), '{"declarations": [{
  "source": {"source_name": "crm", "requests_per_second": null, "auth_prefix": "",
    "status_classes": {"409": "transient"}},
  "streams": [{"source_name": "crm", "stream_name": "people", "path": "/people", "page_size": 50,
    "id_type": "text", "params": {"sort": "id"}}]}]}'::jsonb,
  'a declaration comes back without its defaults');
select is_empty($$select from sync_sources where source_name = 'a source of defaults'$$,
  'what the defaults are read from is not there');
select results_eq($$
  select apply_declaration(d, true) -> 'changes'
  from jsonb_array_elements(get_declarations() -> 'declarations') as d
$$, $$values ('[]'::jsonb), ('[]')$$, 'what is given back changes nothing, whatever the source');
select results_eq($$
  select s ->> 'stream_name' from jsonb_array_elements(
    get_declarations('email_bison') #> '{declarations,0,streams}') as s
  where s ->> 'stream_name' in ('replies', 'conversation_threads')
$$, $$values ('replies'), ('conversation_threads')$$, 'a parent comes before its child');
select throws_ok($$select get_declarations('nobody')$$, 'SY003', null, 'an unknown source');
set local role authenticated;
select throws_ok($$select get_declarations()$$, '42501', null, 'operators have no such verb');
reset role;

select * from finish();
rollback;
