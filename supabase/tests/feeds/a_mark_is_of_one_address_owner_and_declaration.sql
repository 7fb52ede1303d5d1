begin;
\ir ../support/setup.psql
\ir ../support/replies.psql
select plan(9);

create function tests.reads_everything() returns boolean language plpgsql as $$
begin
  perform tests.sync_replies('{replies}');
  return (select is_full_scan from public.workspace_sync_runs order by id desc limit 1);
end; $$;

select tests.workspace('acme', 1);
select tests.have_replies(20);
select ok(tests.reads_everything(), 'there is no mark yet');
select ok(not tests.reads_everything(), 'now there is one');
select public.rotate_workspace_key('acme', '7|another');
update public.sync_workspaces set key_status = 'accepted', key_owner_id = external_id;
select ok(not tests.reads_everything(), 'another key of the same owner keeps it');
update public.sync_workspaces set external_id = '4711';
update public.sync_workspaces set key_status = 'accepted', key_owner_id = external_id;
select ok(tests.reads_everything(), 'another owner does not');
select public.register_workspace('acme', 'https://other.example', '7|another', 'email_bison',
  p_replace => true);
select tests.accept_key('acme');
select ok(tests.reads_everything(), 'nor does another address');
select ok(not tests.reads_everything(), 'which then has its own');
update public.sync_streams set revision = revision + 1 where stream_name = 'replies';
select ok(tests.reads_everything(), 'another declaration forgets it too');

-- In the middle of a run.
select public.start_sync_job('test', '{replies}');
select tests.serve_replies(1);
update public.sync_workspaces set base_url = 'https://third.example';
select tests.complete(l) from tests.claim() as l;
select tests.serve_replies();
select results_eq($$
  select status, is_full_scan from public.workspace_sync_runs order by id desc limit 1
$$, $$values ('completed', true)$$, 'a run that begins again there reads everything');
select ok(not tests.reads_everything(), 'and leaves a mark of that address');

select * from finish();
rollback;
