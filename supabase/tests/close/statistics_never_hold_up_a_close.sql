begin;
\ir ../support/setup.psql
select plan(6);

select tests.workspace('acme');
select tests.serve('acme', 1, 2);
update tests.accounts set fields = '{"emails_sent_count": 9223372036854775807}';
select tests.sync('acme');
select results_eq($$select status, warnings from public.workspace_sync_runs$$,
  $$values ('completed', '{}'::text[])$$, 'two counters that are as high as can be');
select results_eq($$select accounts, emails_sent_count, bounced_count
  from public.workspace_statistics$$, $$values (2::bigint, null::bigint, 0::bigint)$$,
  'hold up no close, and their sum is left out');

create function public.fail_to_count(p_workspace_id bigint) returns void language plpgsql as $$
begin
  raise exception using errcode = current_setting('tests.sqlstate'),
    message = 'statistics are broken, key 7|keyof12345678';
end; $$;
update public.sync_streams set close_function = 'public.fail_to_count'
where stream_name = 'sender_emails';
create function tests.sync_with_error(p_sqlstate text) returns void language plpgsql as $$
begin
  perform set_config('tests.sqlstate', p_sqlstate, true);
  perform tests.sync('acme');
  -- Only within one transaction is what is out of time out of it for ever.
  perform set_config('chunkwise.is_out_of_time', '', true);
end; $$;
select tests.sync_with_error(code) from unnest('{P0001,22003,57014,55P03}'::text[]) as code;
select is((select count(*) from public.workspace_sync_runs as r
    join public.polling_job_status as j on j.id = r.job_id
    where r.status = 'completed' and j.status = 'completed'
      and r.warnings[1] like '%statistics are broken, key ***'),
  4::bigint, 'a close function that fails is a warning, whatever its error');
select is((select count(*) from public.workspace_sync_runs where close_error is not null),
  0::bigint, 'no close is tried again for it');
select results_eq($$select warnings = j_warnings from (
    select 'acme: ' || r.warnings[1] as warnings, j.warnings[1] as j_warnings
    from public.workspace_sync_runs as r join public.polling_job_status as j on j.id = r.job_id
    where r.warnings <> '{}') as w group by 1$$, $$values (true)$$,
  'the job names it');
select results_eq($$select last_complete_sync_at is not null from public.sync_workspace_streams$$,
  $$values (true)$$, 'the registry knows of the sync');

select * from finish();
rollback;
