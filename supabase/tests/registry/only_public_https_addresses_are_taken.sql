begin;
\ir ../support/setup.psql
select plan(4);

create function tests.verdict_on(p_url text) returns text language plpgsql as $$
begin
  perform sync.check_base_url(p_url);
  return 'taken';
exception when sqlstate 'SY015' then
  return 'SY015';
end; $$;

select is_empty($$
  select url, tests.verdict_on(url) from unnest('{
    https://bison.example, https://bison.example:8443, https://bison.example/tenant,
    https://8.8.8.8, http://localhost:8080, http://127.0.0.1:9, https://127.0.0.1,
    "http://[::1]:80", https://172.32.0.1, https://11.0.0.1, HTTPS://Bison.example
  }'::text[]) as url where tests.verdict_on(url) <> 'taken'
$$, 'https anywhere in public, http to this machine itself');

select is_empty($$
  select url, tests.verdict_on(url) from unnest('{
    http://bison.example, ftp://bison.example, bison.example, https://,
    https://user:pass@bison.example, https://bison.example?key=1, https://bison.example/#x,
    https://bison.example/, "https://bison example", https://10.0.0.1, https://192.168.1.1,
    https://172.16.0.1, https://172.31.255.255, https://169.254.169.254, https://0.0.0.0,
    https://100.64.0.1, https://2130706433, https://metadata.google.internal,
    https://printer.local, "https://[fd00::1]", "https://[fe80::1]", HTTPS://10.0.0.1,
    http://127.bison.example, https://0x7f000001, https://0xa.0.0.1, https://012.0.0.1,
    https://printer.local., https://10.0.0.1.
  }'::text[]) as url where tests.verdict_on(url) <> 'SY015'
$$, 'no http, no credentials in the address, nothing private');

select set_setting('allow_private_addresses', 'true');
select is_empty($$
  select url from unnest('{https://10.0.0.1,https://printer.local}'::text[]) as url
  where tests.verdict_on(url) <> 'taken'
$$, 'a setting allows private addresses');
select is(tests.verdict_on('http://10.0.0.1'), 'SY015', 'but not without https');

select * from finish();
rollback;
