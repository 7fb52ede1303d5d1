begin;
\ir ../support/setup.psql
select plan(2);

create function tests.reaches() returns table (url text, reach text) language plpgsql as $$
begin
  update chunk_processing_queue set status = 'pending', ready_seq = nextval('sync.ready_seq')
  where slot is not null;
  return query
  select regexp_replace(l #>> '{request,url}', '/api.*', ''), l #>> '{request,reach}'
  from jsonb_array_elements(claim_next_chunk_job_safe('w', 100, p_protocol => 2) -> 'leases') as l order by 1;
end; $$;

select register_workspace(url, url, '7|keyof' || md5(url)) from unnest('{
  https://bison.example, http://localhost:8080, http://127.9.9.9, "http://[0::1]:80",
  https://127.bison.example, https://localhost.bison.example, https://8.8.8.8
}'::text[]) as url;
select set_budget('email_bison', null, null);
select start_sync_job();
select results_eq('select * from tests.reaches()', $$
  values ('http://127.9.9.9', 'loopback'), ('http://[::1]', 'loopback'),
    ('http://localhost:8080', 'loopback'), ('https://127.bison.example', 'public'),
    ('https://8.8.8.8', 'public'), ('https://bison.example', 'public'),
    ('https://localhost.bison.example', 'public')
$$, 'this machine only where the host is this machine, else the Internet only');

select set_setting('allow_private_addresses', 'true');
select results_eq('select distinct reach from tests.reaches()', $$values ('any')$$,
  'any address where a setting allows that');

select * from finish();
rollback;
