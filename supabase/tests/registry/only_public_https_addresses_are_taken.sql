begin;
\ir ../support/setup.psql
select plan(14);

create function tests.verdict_on(p_url text) returns text language plpgsql as $$
begin
  return sync.checked_base_url(p_url);
exception when sqlstate 'SY015' then
  return 'SY015';
end; $$;

select is_empty($$
  select url, tests.verdict_on(url) from unnest('{
    https://bison.example, https://bison.example:8443, https://bison.example/tenant,
    https://8.8.8.8, http://localhost:8080, http://127.0.0.1:9, https://127.0.0.1,
    "http://[::1]:81", https://172.32.0.1, https://11.0.0.1, https://198.20.0.1,
    "https://[2606:4700::1111]", https://bison.example/a-b_c~d/%20, https://under_score.example,
    https://xn--bcher-kva.example, https://100.128.0.1, https://192.169.0.1
  }'::text[]) as url where tests.verdict_on(url) <> url
$$, 'https anywhere in public, http to this machine itself, as they are written');

select is_empty($$
  select url, tests.verdict_on(url) from unnest('{
    http://bison.example, ftp://bison.example, bison.example, https://, //bison.example, "",
    http://127.bison.example
  }'::text[]) as url where tests.verdict_on(url) <> 'SY015'
$$, 'nothing but http and https, and http not into the public');

select is_empty($$
  select url, tests.verdict_on(url) from unnest(array[
    'https://user:pass@bison.example', 'https://bison.example@evil.example', 'https://h:x',
    'https://bison.example:', 'https://bison.example:0', 'https://bison.example:65536',
    'https://bison.example:443:443', 'https://::1', 'https://[::1', 'https://[::1]x',
    'https://[fe80::1%eth0]', 'https://[10.0.0.1]', 'https://[::g]', 'https://bison example',
    'https://bison..example', 'https://.example', 'https://-bison.example', 'https://bison-.example',
    'https://bison.example..', 'https://bücher.example', E'https://bison.example/a\nb',
    E'https://bison.example/a\r\nHost: evil', E'https://bison.example\t', E'https://bison\u202e.example',
    'https://bison.example\@evil.example', E'https://bison.example/a\u0085b',
    'https://' || repeat('a', 64) || '.example', 'https://' || repeat('a.', 130) || 'example'
  ]) as url where tests.verdict_on(url) <> 'SY015'
$$, 'what programs would read differently is no URL: users, odd ports, brackets, dots, controls');

select is_empty($$
  select url, tests.verdict_on(url) from unnest('{
    https://bison.example?key=1, https://bison.example/#x, https://bison.example/,
    https://bison.example//x, https://bison.example/a/../b, https://bison.example/.,
    https://bison.example/a/%2e%2E/b, https://bison.example/a%, https://bison.example/a%zz
  }'::text[]) as url where tests.verdict_on(url) <> 'SY015'
$$, 'a base URL ends in a host or a folder');

select is_empty($$
  select url, tests.verdict_on(url) from unnest('{
    https://2130706433, https://0x7f000001, https://0x7f.1, https://0xa.0.0.1, https://127.1,
    https://012.0.0.1, https://0177.0.0.1, https://017700000001, https://0xa9fea9fe:,
    https://0xa9fea9fe, https://169.254.43518, https://10.0.0.256, https://1.2.3, https://1.2.3.4.5,
    https://example.1, https://0x
  }'::text[]) as url where tests.verdict_on(url) <> 'SY015'
$$, 'an IPv4 address is four numbers and nothing else');

create view tests.private_addresses as
select url from unnest('{
  https://10.0.0.1, HTTPS://10.0.0.1, https://10.0.0.1., https://192.168.1.1, https://172.16.0.1,
  https://172.31.255.255, https://169.254.169.254, https://0.0.0.0, https://0.1.2.3,
  https://100.64.0.1, https://100.127.255.255, https://192.0.0.8, https://192.0.2.1,
  https://192.88.99.1, https://198.18.0.1, https://198.19.255.255, https://198.51.100.1,
  https://203.0.113.1, https://224.0.0.1, https://239.255.255.255, https://240.0.0.1,
  https://255.255.255.255, "https://[::]", "https://[fd00::1]", "https://[fc00::1]",
  "https://[fe80::1]", "https://[febf::1]", "https://[fec0::1]", "https://[ff02::1]",
  "https://[::ffff:10.0.0.1]", "https://[::ffff:a9fe:a9fe]", "https://[::10.0.0.1]",
  "https://[64:ff9b::10.0.0.1]", "https://[64:ff9b::7f00:1]", "https://[64:ff9b:1::1]",
  "https://[2002:a9fe:a9fe::1]", "https://[2001::1]", "https://[2001:db8::1]", "https://[100::1]",
  "https://[3fff::1]", "https://[5f00::1]", "https://[4000::1]",
  https://metadata.google.internal, https://metadata, https://kubernetes.default.svc,
  https://kubernetes.default.svc.cluster.local, https://x.localhost, https://printer.local,
  https://printer.local., https://nas.lan, https://bison.test, https://router.home.arpa
}'::text[]) as url;

select is_empty($$
  select url, tests.verdict_on(url) from tests.private_addresses
  where tests.verdict_on(url) <> 'SY015'
$$, 'nothing private, however it is written or wrapped');
select is_empty($$
  select url from tests.private_addresses where sync.parse_url(url) is null
$$, 'although all of these are URLs');
select is_empty($$
  select url, tests.verdict_on(url) from unnest('{
    "https://[64:ff9b::8.8.8.8]", "https://[::ffff:8.8.8.8]"
  }'::text[]) as url where tests.verdict_on(url) = 'SY015'
$$, 'a public IPv4 address may wear the clothes of IPv6');

select set_setting('allow_private_addresses', 'true');
select is_empty($$
  select url from tests.private_addresses where tests.verdict_on(url) = 'SY015'
$$, 'a setting allows private addresses');
select is(tests.verdict_on('http://10.0.0.1'), 'SY015', 'but not without https');
select is(sync.checked_base_url('http://worker:8080', p_takes_private_http => true),
  'http://worker:8080', 'unless keys do not travel there');

select results_eq($$
  select url, tests.verdict_on(url) from unnest('{
    HTTPS://Bison.Example, https://bison.example., https://bison.example:443,
    https://bison.example:00443, https://BISON.example.:443/Tenant, http://127.0.0.1:80,
    "http://[0:0:0:0:0:0:0:1]:80", "https://[2606:4700:0:0::1111]:8443", https://bison.example:80
  }'::text[]) as url
$$, $$
  values ('HTTPS://Bison.Example', 'https://bison.example'),
    ('https://bison.example.', 'https://bison.example'),
    ('https://bison.example:443', 'https://bison.example'),
    ('https://bison.example:00443', 'https://bison.example'),
    ('https://BISON.example.:443/Tenant', 'https://bison.example/Tenant'),
    ('http://127.0.0.1:80', 'http://127.0.0.1'),
    ('http://[0:0:0:0:0:0:0:1]:80', 'http://[::1]'),
    ('https://[2606:4700:0:0::1111]:8443', 'https://[2606:4700::1111]:8443'),
    ('https://bison.example:80', 'https://bison.example:80')
$$, 'a host has one spelling: case, final dot and the scheme''s own port are no other host');

select set_setting('allow_private_addresses', 'false');
select throws_ok($$select register_worker_endpoint('https://169.254.169.254', repeat('t', 16))$$,
  'SY015', null, 'receivers are looked at in the same way');
select throws_ok($$select set_alert_url('webhook', 'https://127.1/hook')$$, 'SY015', null,
  'and so are alert URLs');

select * from finish();
rollback;
