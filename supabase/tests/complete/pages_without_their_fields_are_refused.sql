begin;
\ir ../support/setup.psql
select plan(8);

create function tests.verdict_on(p_page jsonb) returns text language plpgsql as $$
begin
  perform complete_chunk_jobs_safe(jsonb_build_array('{"queue_id": 1, "lease_token": 2,
    "status": 200, "body": "{}"}'::jsonb || p_page));
  return 'taken';
exception when sqlstate 'SY006' then
  return 'SY006';
end; $$;
select is(tests.verdict_on('{}'), 'taken', 'a whole page is looked at');
select is_empty($$
  select change from unnest(array['{"queue_id": null}', '{"queue_id": "x"}', '{"queue_id": 1.5}',
    '{"lease_token": 1e30}', '{"lease_token": null}',
    '{"status": null}', '{"status": 99999999999}', '{"body": null}', '{"body": {}}',
    '{"duration_ms": "long"}', '{"duration_ms": 1.5}']::jsonb[]) as change
  where tests.verdict_on(change) <> 'SY006'
$$, 'one without whole numbers and a text is not');
select throws_ok($$select complete_chunk_jobs_safe('{}')$$, 'SY006', null, 'no list');
select throws_ok($$select complete_chunk_jobs_safe(null)$$, 'SY006', null, 'null');
select throws_ok($$select complete_chunk_jobs_safe('[1]')$$, 'SY006', null,
  'a list of something else');
select throws_ok($$select complete_chunk_jobs_safe('[{"queue_id": 1, "lease_token": 2,
  "status": 200, "body": "{}"},
  {"queue_id": 1, "lease_token": 2, "status": 200, "body": "{}"}]')$$, 'SY006', null,
  'one chunk twice');
select throws_ok($$select complete_chunk_jobs_safe('[{"queue_id": 1, "lease_token": 2,
  "status": 200, "body": "{}"},
  {"queue_id": "01", "lease_token": 2, "status": 200, "body": "{}"}]')$$, 'SY006', null,
  'also where it is written in two ways');
select throws_ok($$select complete_chunk_job_safe(1, 2, null)$$, 'SY006', null,
  'a single page of nothing');

select * from finish();
rollback;
