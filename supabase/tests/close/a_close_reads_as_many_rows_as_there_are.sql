begin;
\ir ../support/setup.psql
select plan(6);
select tests.forget_statistics();

-- Nothing here was ever analyzed: what is read of the tables is what plans made without any
-- knowledge of them read. Statistics of a table that is empty when a plan is made are the worst.
create function tests.list_body(p_gone int, p_rows int, p_page int) returns text
language sql as $$
  select tests.body(array(select n from generate_series(p_gone + 1, p_rows) as n
      order by n limit 15 offset (p_page - 1) * 15)::bigint[],
    p_rows - p_gone, ceil((p_rows - p_gone) / 15.0)::int);
$$;

-- A worker that reads a list of p_rows accounts without the first p_gone of them.
create function tests.read_list(p_gone int, p_rows int) returns void language plpgsql as $$
declare
  v_leases tests.lease[];
begin
  loop
    v_leases := array(select l from tests.claim(100) as l);
    exit when cardinality(v_leases) = 0;
    perform public.complete_chunk_jobs_safe((
      select jsonb_agg(jsonb_build_object('queue_id', l.queue_id, 'lease_token', l.lease_token)
        || case when l.page is not null
          then jsonb_build_object('status', 200, 'body', tests.list_body(p_gone, p_rows, l.page))
          else '{"status": 404, "body": "{\"message\": \"Not found\"}"}' end)
      from unnest(v_leases) as l));
  end loop;
end; $$;

create function tests.cost_of_a_sync(p_workspace text, p_gone int, p_rows int) returns bigint
language plpgsql as $$
declare
  v_tables regclass[] := '{sync.sender_emails,sync.missing_records,sync.seen_pages,
    public.chunked_sync_jobs,public.chunk_processing_queue,public.chunk_events}';
  v_before bigint;
begin
  perform tests.start(p_workspace);
  v_before := tests.rows_read(v_tables);
  perform tests.read_list(p_gone, p_rows);
  return tests.rows_read(v_tables) - v_before;
end; $$;

select tests.workspace('small', 64);
select tests.workspace('double', 64);
select tests.workspace('fourfold', 64);
select set_setting('deletion_guard_share', '1');
create temp table cost as
select w.name, w.accounts, tests.cost_of_a_sync(w.name, 0, w.accounts) as of_all,
  tests.cost_of_a_sync(w.name, w.accounts * 3 / 10, w.accounts) as of_fewer
from (values ('small', 300), ('double', 600), ('fourfold', 1200)) as w (name, accounts);
-- Without a GET of their own a second scan confirms, and deletes what it has noted itself.
update sync_streams set item_path = null where stream_name = 'sender_emails';
create temp table cost_of_lists as
select name, accounts, tests.cost_of_a_sync(name, accounts / 2, accounts)
  + tests.cost_of_a_sync(name, accounts / 2, accounts) as of_both
from cost;

select results_eq($$select w.workspace_name,
    array_agg((r.status, r.records_deleted)::text order by r.id)
  from public.workspace_sync_runs as r join public.sync_workspaces as w on w.id = r.workspace_id
  group by w.id order by w.id$$,
  $$values ('small', '{"(completed,0)","(completed,90)","(completed,0)","(completed,60)"}'::text[]),
  ('double', '{"(completed,0)","(completed,180)","(completed,0)","(completed,120)"}'),
  ('fourfold', '{"(completed,0)","(completed,360)","(completed,0)","(completed,240)"}')$$,
  'of each list the first 30 % are deleted, then 20 % more');
select cmp_ok(more.of_all, '<', 3 * less.of_all,
  format('%s accounts cost less than three times what %s cost: %s and %s rows read',
    more.accounts, less.accounts, more.of_all, less.of_all))
from cost as more, cost as less where more.name = 'fourfold' and less.name = 'double';
select cmp_ok(more.of_fewer, '<', 3 * less.of_fewer,
  format('so do deletions after a GET each of %s accounts and of %s: %s and %s rows read',
    more.accounts, less.accounts, more.of_fewer, less.of_fewer))
from cost as more, cost as less where (more.name, less.name) in
  (('double', 'small'), ('fourfold', 'double'));
select cmp_ok(more.of_both, '<', 3 * less.of_both,
  format('and deletions after a second list: %s and %s rows read', more.of_both,
    less.of_both))
from cost_of_lists as more, cost_of_lists as less where (more.name, less.name) in
  (('double', 'small'), ('fourfold', 'double'));

select * from finish();
rollback;
