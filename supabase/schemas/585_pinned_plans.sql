-- Pinned plans: what the planner may do in the verbs of workers, in the sweep, which claims do too,
-- and in all that they call, but where a function says otherwise for itself. docs/decisions/0002
-- says why.

do $pin$
declare
  v_verb regprocedure;
begin
  foreach v_verb in array '{public.claim_next_chunk_job_safe,public.claim_chunk_job_safe,
    public.extend_chunk_leases,public.complete_chunk_jobs_safe,public.fail_chunk_job_safe,
    public.cleanup_stuck_chunks}'::regproc[]::oid[]::regprocedure[]
  loop
    execute format('alter function %s
      set plan_cache_mode = force_generic_plan
      set enable_seqscan = off set enable_bitmapscan = off
      set enable_hashjoin = off set enable_mergejoin = off
      set jit = off', v_verb);
  end loop;
end; $pin$;
