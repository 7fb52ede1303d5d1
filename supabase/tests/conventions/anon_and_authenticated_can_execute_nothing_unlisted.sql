begin;
\ir ../support/setup.psql
select plan(4);

create function tests.executable_by(p_role text) returns setof text language sql as $$
  select oid::regprocedure::text from pg_proc
  where pronamespace in ('public'::regnamespace, 'sync'::regnamespace)
    and has_function_privilege(p_role, oid, 'execute') order by 1;
$$;

select results_eq($$select tests.executable_by('anon')$$, $$values ('sync.is_switched_on(text)')$$,
  'anon can execute what the policy of the public dashboard asks, and nothing else');

select results_eq($$select tests.executable_by('authenticated')$$, $$
  values ('approve_deletions(bigint)'), ('cancel_sync_job(uuid)'),
    ('get_alerts_page(bigint,integer)'), ('get_engine_page()'),
    ('get_fleet(text,text[],integer,integer)'), ('get_held_deletions(bigint,text,integer)'),
    ('get_job_page(uuid,integer,integer)'),
    ('get_jobs_page(timestamp with time zone,text,integer)'), ('get_sources_page()'),
    ('get_sync_job_progress(uuid)'), ('get_workspace_page(text)'), ('pause_sync(text,text)'),
    ('resume_sync(text,text)'), ('retry_failed_chunks(uuid)'),
    ('start_sync_job(text,text[],text[])'), ('sync.approve_deletions(bigint)'),
    ('sync.cancel_sync_job(uuid)'),
    ('sync.counted(numeric,text,text)'),
    ('sync.get_alerts_page(bigint,integer)'), ('sync.get_engine_page()'),
    ('sync.get_fleet(text,text[],integer,integer)'),
    ('sync.get_held_deletions(bigint,text,integer)'),
    ('sync.get_job_page(uuid,integer,integer)'),
    ('sync.get_jobs_page(timestamp with time zone,text,integer)'), ('sync.get_sources_page()'),
    ('sync.get_workspace_page(text)'), ('sync.is_operator()'), ('sync.is_retryable(uuid)'),
    ('sync.is_switched_on(text)'), ('sync.now()'), ('sync.pause_sync(text,text)'),
    ('sync.resume_sync(text,text)'), ('sync.retried_runs(uuid)'),
    ('sync.retry_failed_chunks(uuid)'), ('sync.retry_obstacle(uuid)'), ('sync.setting(text)'),
    ('sync.setting_seconds(text)'), ('sync.shell_word(text)'),
    ('sync.start_sync_job(text,text[],text[])'), ('sync.sum_up_runs(uuid)'),
    ('sync.unblock_budget(text,text)'), ('unblock_budget(text,text)')
$$, 'authenticated can execute the operator''s verbs, what stands behind them and what views ask');

select is_empty($$
  select oid::regprocedure from pg_proc
  where pronamespace = 'public'::regnamespace and prosecdef
    and has_function_privilege('authenticated', oid, 'execute')
$$, 'what authenticated can execute in public runs with the caller''s rights');

select is_empty($$
  select s.oid::regprocedure from pg_proc as s
  where s.pronamespace = 'sync'::regnamespace and s.prosecdef
    and has_function_privilege('authenticated', s.oid, 'execute')
    and s.prosrc !~ 'perform sync\.require_operator\(\);'
    and s.oid <> 'sync.is_switched_on(text)'::regprocedure
$$, 'every definer function that authenticated can execute first asks for an operator');

select * from finish();
rollback;
