begin;
\ir ../support/setup.psql
select plan(12);

select tests.workspace('acme');
create function tests.ask(p_status int, p_body text) returns text language plpgsql as $$
declare
  v_outcome text;
begin
  perform tests.serve('acme', 1, 2);
  perform tests.sync('acme');
  perform tests.start('acme');
  perform tests.complete(l, tests.body('{1}'::bigint[], 1, 1)) from tests.claim() as l;
  v_outcome := (select tests.complete(l, p_body, p_status) from tests.claim() as l);
  perform tests.advance('1 hour');
  perform tests.fail(l, 'permanent', 'HTTP 500') from tests.claim() as l;
  return format('%s: %s', v_outcome, tests.live_ids('acme'));
end; $$;

select is(tests.ask(404, '<html>Not Found</html>'), 'retry: {1,2}',
  'a proxy''s page proves nothing, and is tried again');
select is(tests.ask(404, ''), 'retry: {1,2}', 'nor does an empty body');
select is(tests.ask(404, '{"message": '), 'retry: {1,2}', 'nor one that broke off');
select is(tests.ask(404, '{"error": "no route"}'), 'failed: {1,2}',
  'nor JSON that is not the API''s error');
select is(tests.ask(410, '"gone"'), 'failed: {1,2}', 'nor a bare string');
select is(tests.ask(404, '{"message": null}'), 'failed: {1,2}', 'nor a message that is none');
select is(tests.ask(404, '{"message": "Record not found."}'), 'completed: {1}', 'its own 404 does');
select is(tests.ask(410, '{"message": "Gone."}'), 'completed: {1}', 'as does its own 410');
-- A rule about lists makes no proof of it.
update public.sync_sources
set class_rules = '[{"status": 404, "text": "not found", "class": "page"}]'
where source_name = 'email_bison';
select is(tests.ask(404, '<html>Not Found</html>'), 'retry: {1,2}',
  'a proxy''s page does not, whatever class_rules call a page');
select is(tests.ask(404, '{"message": "Record not found."}'), 'completed: {1}', 'its own 404 does');
select is((select count(*) from public.workspace_sync_runs where status <> 'completed'), 0::bigint,
  'no run fails of it');
select tests.serve('acme', 1, 2);
select tests.sync('acme');
select tests.serve('acme', 1);
select tests.start('acme');
select tests.work(1);
select is(l ->> 'status_classes' ~ '"410": "page"', true, 'a worker hands over a 410')
from jsonb_array_elements(claim_next_chunk_job_safe('worker-1', p_protocol => 2) -> 'leases') as l;

select * from finish();
rollback;
