begin;
\ir ../support/setup.psql
select plan(7);

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
select is((select count(*) from sync_sources), 2::bigint,
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
-- Names that SQL quotes, texts that JSON escapes, what is null for good reason.
select apply_declaration($json${"source": {"source_name": "it's \"odd\" ü", "max_in_flight": null,
    "status_classes": {"5xx": "permanent"}}, "streams": [
  {"stream_name": "e", "path": "/e", "page_size": 1, "columns": {"select": "double precision",
    "a": {"path": ["x", 0, "{\"}"], "type": "text"}}, "target_table": "synced.select"},
  {"stream_name": "a'b\"c", "path": "/{parent.id}", "page_size": 1, "parent_stream": "e",
    "id_scope": "parent", "params": {"q": "$x'\"\\", "n": 1.50}, "first_page": 0},
  {"stream_name": "posted", "path": "/p", "page_size": 1, "method": "POST", "is_default": false,
    "body": {"a": [null, {"b": "{page|1}"}]}, "completeness": "agreed", "more_path": ["", "0"],
    "more_is": "", "id_path": ["{", "}", "NULL"], "target_table": "PUBLIC.synced_records"}]}$json$);
select is(apply_declaration(get_declarations('it''s "odd" ü') #> '{declarations,0}') -> 'changes',
  '[]', 'what is odd comes back as it was');
select throws_ok($$select get_declarations('nobody')$$, 'SY003', null, 'an unknown source');
set local role authenticated;
select throws_ok($$select get_declarations()$$, '42501', null, 'operators have no such verb');
reset role;

select * from finish();
rollback;
