begin;
\ir ../support/setup.psql
select plan(9);

select is(declare_source('{"source_name": "crm", "base_path": "/v2", "auth_in": "query",
  "auth_name": "api_key", "auth_prefix": "",
  "requests_per_second": 2, "max_in_flight": null,
  "status_classes": {"409": "transient"}}') ->> 'source_name', 'crm', 'a source is declared');
select results_eq($$
  select base_path, auth_in, auth_name, auth_prefix, budget_scope, requests_per_second,
    max_in_flight, status_classes
  from public.sync_sources where source_name = 'crm'
$$, $$
  values ('/v2', 'query', 'api_key', '', 'instance', 2::numeric, null::int,
    '{"2xx": "page", "408": "transient", "409": "transient", "425": "transient",
    "429": "rate_limited", "5xx": "transient",
      "other": "permanent"}'::jsonb)
$$, 'what is left out has its default, null means unlimited, status classes are additions');

select declare_source('{"source_name": "crm"}');
select results_eq($$
  select base_path, auth_in, requests_per_second, max_in_flight from public.sync_sources
  where source_name = 'crm'
$$, $$values ('', 'header', 5::numeric, 10)$$, 'declared anew it is what the new declaration says');

select throws_ok($$select declare_source('{}')$$, 'SY006', null, 'no name');
select throws_ok($$select declare_source('[]')$$, 'SY006', null, 'no object');
select throws_ok($$select declare_source('{"source_name": "x", "paused_at": "2026-01-01"}')$$,
  'SY006', null, 'a field that is not declared');
select throws_ok($$select declare_source('{"source_name": "x", "auth_in": "cookie"}')$$, 'SY006',
  null, 'a place where no key goes');
select throws_ok($$select declare_source('{"source_name": "x", "requests_per_second": "fast"}')$$,
  'SY006', null, 'a rate that is no number');
select throws_ok($$select declare_source('{"source_name": "x",
  "status_classes": {"4xx": "ignore"}}')$$, 'SY006', null, 'an unknown class');

select * from finish();
rollback;
