begin;
\ir ../support/setup.psql
select plan(9);

create function tests.state_and_text(p_url text) returns text language plpgsql as $$
begin
  perform public.set_alert_url('webhook', p_url);
  return 'taken';
exception when others then
  return sqlstate || ' ' || sqlerrm;
end; $$;

select set_alert_url('webhook', 'https://hooks.example/services/T1/planted?x=planted');
select is(sync.alert_url('webhook'), 'https://hooks.example/services/T1/planted?x=planted',
  'path and query are taken');
select set_alert_url('webhook', 'https://hooks.example/other');
select is((select count(*) from vault.secrets where name like 'chunkwise/alert/%'), 1::bigint,
  'setting it again replaces it');
select is(set_alert_url('webhook', null), '{"kind": "webhook", "is_set": false}'::jsonb,
  'null takes it back');
select is_empty($$select 1 from vault.secrets where name like 'chunkwise/alert/%'$$, 'for good');
select matches(tests.state_and_text(url), '^SY015 ', 'refused: ' || url) from (values
  ('http://hooks.example/planted'), ('https://10.0.0.1/planted'),
  ('https://user:planted@hooks.example/x')) as refused (url);
select is_empty($$
  select url from unnest('{http://h.example/planted,https://10.0.0.1/planted,
    https://a:planted@h.example/x,planted}'::text[]) as url
  where tests.state_and_text(url) like '%planted%'
$$, 'an error names no more than the host');
select throws_ok($$select set_alert_url('pager', 'https://hooks.example/x')$$, 'SY006', null,
  'unknown kinds are refused');

select * from finish();
rollback;
