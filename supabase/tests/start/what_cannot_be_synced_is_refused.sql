begin;
\ir ../support/setup.psql
select plan(9);

select throws_ok($$select start_sync_job()$$, 'SY005', null, 'an empty fleet');
select tests.workspace('acme');
select tests.workspace('asleep');
select deactivate_workspace('asleep');
select throws_ok($$select start_sync_job('x', null, '{nobody}')$$, 'SY002', null,
  'an unknown workspace');
select throws_ok($$select start_sync_job('x', '{nothing}')$$, 'SY003', null, 'an unknown stream');
select throws_ok($$select start_sync_job('x', null, '{acme,asleep}')$$, 'SY004', null,
  'an inactive workspace');
select throws_ok($$select start_sync_job('x', null, '{}')$$, 'SY005', null, 'no workspace');
select throws_ok($$select start_sync_job(' ')$$, 'SY006', null, 'no name');
select declare_source('{"source_name": "other"}');
select declare_stream('{"source_name": "other", "stream_name": "things", "path": "/things",
  "page_size": 1}');
select throws_ok($$select start_sync_job('x', '{things}', '{acme}')$$, 'SY005', null,
  'a stream that the workspace''s source does not serve');
select register_workspace('other', 'https://other.example', 'k', 'other');
select throws_ok($$select start_sync_job('x', '{things}', '{other,acme}')$$, 'SY005', null,
  'also beside a workspace whose source serves it');
select is_empty($$select 1 from public.polling_job_status$$, 'no job is left');

select * from finish();
rollback;
