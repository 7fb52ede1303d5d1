begin;
\ir ../support/setup.psql
select plan(10);

select register_workspace('acme', 'https://bison.example', '7|keyofacme');
select set_budget('email_bison', null, null);
create function tests.told(p_id jsonb) returns text language plpgsql as $$
declare
  v_lease tests.lease;
  v_outcome text;
begin
  perform tests.advance('1 hour');
  perform start_sync_job('test', '{sender_emails}');
  select * into v_lease from tests.claim();
  v_outcome := tests.complete(v_lease, jsonb_build_object('data', jsonb_build_object('workspace',
    jsonb_build_object('id', p_id, 'name', 'Acme')))::text);
  perform cancel_sync_job(id) from public.polling_job_status where status = 'running';
  perform cleanup_stuck_chunks();
  return v_outcome || ' ' || (select external_id is null from public.sync_workspaces);
end; $$;

select is(tests.told(id), 'failed true', format('an owner whose id is %s tells nothing', id))
from (values ('""'::jsonb), ('"  "'), ('null'), ('{}'), ('[1]'), ('true')) as x (id);
select is(tests.told('41'), 'completed false', 'a number does');
select is((select external_id from public.sync_workspaces), '41', 'it is the workspace');
select rotate_workspace_key('acme', '8|other');
select tests.told('" 41 "');
select is((select key_status from public.sync_workspaces), 'accepted',
  'as a text with blanks around it it is the same');
select rotate_workspace_key('acme', '9|third');
select tests.told('"411"');
select is((select key_status from public.sync_workspaces), 'other_workspace',
  'another is another');

select * from finish();
rollback;
