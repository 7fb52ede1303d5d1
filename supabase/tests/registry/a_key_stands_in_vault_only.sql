begin;
\ir ../support/setup.psql
select plan(6);

select register_workspace('acme', 'https://bison.example', '7|topsecretkey');

select results_eq($$
  select d.decrypted_secret collate "default" from public.sync_workspaces as w
  join vault.decrypted_secrets as d on d.id = w.secret_id
$$, $$values ('7|topsecretkey')$$, 'Vault has the key');
select is_empty($$select 1 from vault.secrets where secret ~ 'topsecretkey'$$, 'encrypted');

create function tests.tables_holding(p_text text) returns setof text language plpgsql as $$
declare
  v_table regclass;
  v_found boolean;
begin
  for v_table in select oid from pg_class
    where relkind in ('r', 'p') and relnamespace in ('public'::regnamespace,
      'sync'::regnamespace) loop
    execute format('select exists (select 1 from %s as t where t::text ~ $1)', v_table) into v_found
      using p_text;
    if v_found then
      return next v_table::text;
    end if;
  end loop;
end; $$;
select isnt_empty($$select tests.tables_holding('bison\.example')$$,
  'a search through all tables of ours finds the address');
select is_empty($$select tests.tables_holding('topsecretkey')$$, 'but not the key');

select rotate_workspace_key('acme', '8|anothersecret');
select results_eq($$
  select d.decrypted_secret collate "default" from public.sync_workspaces as w
  join vault.decrypted_secrets as d on d.id = w.secret_id
$$, $$values ('8|anothersecret')$$, 'a rotated key takes its place');
select is((select count(*) from vault.secrets), 1::bigint, 'the old one is gone');

select * from finish();
rollback;
