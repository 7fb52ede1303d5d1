begin;
\ir ../support/setup.psql
select plan(5);

select register_workspace(name, url, '7|keyof' || md5(name)) from (values
  ('a', 'https://bison.example'), ('b', 'HTTPS://Bison.Example/'),
  ('c', 'https://bison.example.'), ('d', 'https://bison.example:443'),
  ('e', 'https://bison.example:8443')
) as w (name, url);
select results_eq('select scope_key from sync_budgets order by 1',
  $$values ('bison.example'), ('bison.example:8443')$$,
  'another port is another host, case is not');
select results_eq('select workspace_name, base_url from sync_workspaces order by 1', $$
  values ('a', 'https://bison.example'), ('b', 'https://bison.example'),
    ('c', 'https://bison.example'), ('d', 'https://bison.example'),
    ('e', 'https://bison.example:8443')
$$, 'and the address is kept in one spelling');
select is(set_budget('email_bison', 7, 3, 'Bison.Example.:443') ->> 'budgets_changed', '1',
  'a budget is found by any spelling of its host');

select register_worker_endpoint(url, repeat('t', 16)) from unnest('{
  https://worker.example/wake, HTTPS://Worker.example.:443/wake}'::text[]) as url;
select results_eq('select url from worker_endpoints', $$values ('https://worker.example/wake')$$,
  'so is a receiver');
select lives_ok($$select remove_worker_endpoint('https://WORKER.example:443/wake')$$,
  'also to be removed');

select * from finish();
rollback;
