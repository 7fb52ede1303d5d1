begin;
\ir ../support/setup.psql
select plan(3);

select tests.workspace('Acme - EU');
select tests.workspace('gone');
select remove_workspace('gone');
select is(compare_workspace_names('{"zen", "acme –  eu", "Zen ", "ACME - EU", "Gone"}'),
  '{"names": [
  {"workspace_name": null, "first": 1}, {"workspace_name": "Acme - EU", "first": 2},
  {"workspace_name": null, "first": 1}, {"workspace_name": "Acme - EU", "first": 2},
  {"workspace_name": "gone", "first": 5}]}'::jsonb, 'by the rule by which registration does');
select is(compare_workspace_names('{}'), '{"names": []}'::jsonb, 'none are none');
select is((select count(*) from sync_workspaces), 2::bigint, 'nothing is written');

select * from finish();
rollback;
