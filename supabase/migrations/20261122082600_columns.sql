-- Columns: what each column of the views means, and of the tables where the name does not say it.
-- Stands on: every migration that creates a view or table in public.

comment on column public.chunk_processing_status.parent_sync_job_id is
'The job: polling_job_status.id.';
comment on column public.chunk_processing_status.pending_chunks is
'Chunks that wait, are ready or are delayed.';
comment on column public.chunk_processing_status.processing_chunks is 'Chunks that a worker holds.';
comment on column public.chunk_processing_status.completed_chunks is
'Chunks whose page was applied.';
comment on column public.chunk_processing_status.failed_chunks is
'Chunks that failed for good: failed_chunks says why.';
comment on column public.chunk_processing_status.overall_status is
'pending (nothing begun), processing, completed, partial_failure or cancelled.';
comment on column public.chunk_processing_status.progress_percentage is
'0 to 99.9 while it runs, 100 at its end; null until every run''s total is known.';

comment on column public.sync_progress.job_id is 'The job: polling_job_status.id.';
comment on column public.sync_progress.job_name is 'Jobs of one name run one after the other.';
comment on column public.sync_progress.status is
'running, completed, partial, failed or cancelled.';
comment on column public.sync_progress.workspaces_completed is
'Workspaces whose every requested stream completed.';
comment on column public.sync_progress.total_workspaces is 'Workspaces that the job has runs for.';
comment on column public.sync_progress.progress_percentage is
'0 to 99.9 while it runs, 100 at its end; null until every run''s total is known.';
comment on column public.sync_progress.updated_at is
'When it last changed, or a chunk of it was last claimed.';
comment on column public.sync_progress.happening_now is
'What its chunks do; of an ended job, what went wrong.';

comment on column public.workspace_health.workspace_name is
'The workspace; a row for each of its streams.';
comment on column public.workspace_health.stream is 'The kind of record.';
comment on column public.workspace_health.is_active is 'Whether syncs take it.';
comment on column public.workspace_health.last_complete_sync_at is
'When its last run that completed ended; null: never.';
comment on column public.workspace_health.time_since_sync is 'Since then.';
comment on column public.workspace_health.last_sync_duration_ms is 'How long that run took.';
comment on column public.workspace_health.record_count is
'Distinct ids that the API showed in that run.';
comment on column public.workspace_health.key_status is
'What the API said of the key last: unchecked, accepted, refused or other_workspace.';
comment on column public.workspace_health.key_checked_at is
'When it said something else than before.';
comment on column public.workspace_health.paused_at is
'Since when pause_sync() holds this workspace; its source or everything may be paused too.';
comment on column public.workspace_health.rate_limited_until is
'Until when nobody sends to its instance, after a 429.';
comment on column public.workspace_health.last_complete_run_id is
'That run; what approve_deletions() takes.';
comment on column public.workspace_health.last_job_id is 'The job of its newest run.';
comment on column public.workspace_health.last_run_id is 'Its newest run, complete or not.';
comment on column public.workspace_health.last_run_status is
'running, completed, partial, failed or cancelled; null: none yet.';
comment on column public.workspace_health.last_error is 'Why that run failed.';
comment on column public.workspace_health.last_warnings is 'What that run found, with numbers.';
comment on column public.workspace_health.last_ended_status is
'How its newest run that has ended ended: the same run, unless that one is running.';
comment on column public.workspace_health.last_ended_error is 'Why that one failed.';
comment on column public.workspace_health.last_ended_warnings is
'What that one found, with numbers.';
comment on column public.workspace_health.deletions_waiting is
'Rows that wait for approve_deletions().';

comment on column public.stale_workspaces.workspace_name is
'The workspace; a row for each stream that syncs take by default.';
comment on column public.stale_workspaces.stream is 'The kind of record.';
comment on column public.stale_workspaces.last_complete_sync_at is
'When it was last synced completely; null: never.';
comment on column public.stale_workspaces.time_since_sync is 'Since then; null: never.';
comment on column public.stale_workspaces.key_status is
'What the API said of the key last: unchecked, accepted, refused or other_workspace.';

comment on column public.missing_workspaces.workspace_name is 'The workspace.';
comment on column public.missing_workspaces.base_url is 'Where its API is.';
comment on column public.missing_workspaces.key_status is
'What the API said of the key last: unchecked, accepted, refused or other_workspace.';
comment on column public.missing_workspaces.last_complete_sync_at is
'If set, the API itself showed no accounts then.';

comment on column public.failed_chunks.id is 'The chunk.';
comment on column public.failed_chunks.parent_sync_job_id is 'Its job: polling_job_status.id.';
comment on column public.failed_chunks.workspace_name is 'Its workspace.';
comment on column public.failed_chunks.stream is 'The kind of record.';
comment on column public.failed_chunks.kind is
'page, cursor, confirmation, item or connection: see chunked_sync_jobs.kind.';
comment on column public.failed_chunks.scan is 'Which scan of its run, from 1.';
comment on column public.failed_chunks.page is 'The page, of chunks of kind page.';
comment on column public.failed_chunks.record_id is
'The record, of chunks of kind confirmation or item.';
comment on column public.failed_chunks.attempts is 'How often it was tried and failed.';
comment on column public.failed_chunks.lease_losses is
'How often its worker fell silent; after ten it fails.';
comment on column public.failed_chunks.error_message is 'Why it failed last.';
comment on column public.failed_chunks.worker_id is 'Who had it last.';
comment on column public.failed_chunks.failed_at is 'When it failed for good.';

comment on column public.sync_page_queue.id is 'The chunk: what claim_chunk_job_safe() takes.';
comment on column public.sync_page_queue.status is
'pending, processing, completed, failed or cancelled.';
comment on column public.sync_page_queue.attempts is 'Failures so far; rate limits do not count.';
comment on column public.sync_page_queue.next_retry_at is 'When a delayed chunk is ready again.';
comment on column public.sync_page_queue.created_at is 'When it was planned.';
comment on column public.sync_page_queue.started_at is 'When it was last claimed.';
comment on column public.sync_page_queue.completed_at is 'When it ended, however it did.';
comment on column public.sync_page_queue.parent_sync_job_id is 'Its job: polling_job_status.id.';
comment on column public.sync_page_queue.run_id is 'Its run: workspace_sync_runs.id.';
comment on column public.sync_page_queue.scan is 'Which scan of its run, from 1.';
comment on column public.sync_page_queue.page is 'The page to fetch.';

comment on column public.thread_processing_queue.id is
'The chunk: what claim_chunk_job_safe() takes.';
comment on column public.thread_processing_queue.thread_stage_id is
'The first reply that asked for it: thread_stage.id.';
comment on column public.thread_processing_queue.sync_job_id is 'Its job: polling_job_status.id.';
comment on column public.thread_processing_queue.processed_at is 'When it was completed.';
comment on column public.thread_processing_queue.created_at is 'When it was planned.';
comment on column public.thread_processing_queue.status is
'pending, processing, completed, failed or cancelled.';
comment on column public.thread_processing_queue.attempts is
'Failures so far; rate limits do not count.';
comment on column public.thread_processing_queue.next_retry_at is
'When a delayed chunk is ready again.';
comment on column public.thread_processing_queue.started_at is 'When it was last claimed.';
comment on column public.thread_processing_queue.run_id is 'Its run: workspace_sync_runs.id.';
comment on column public.thread_processing_queue.thread_key is
'The conversation: thread_stage.thread_key.';

comment on column public.worker_health.worker_id is 'The name that the worker gave itself.';
comment on column public.worker_health.first_seen_at is 'Its first claim.';
comment on column public.worker_health.last_seen_at is 'Its last claim, to within 5 s.';
comment on column public.worker_health.time_since_seen is 'Since then.';
comment on column public.worker_health.is_alive is 'Whether it was heard of in the last 30 s.';
comment on column public.worker_health.chunks_in_flight is 'What it holds now.';

comment on column public.queue_health.live_jobs is 'Jobs that run.';
comment on column public.queue_health.live_runs is 'Runs of theirs that have not ended.';
comment on column public.queue_health.ready_chunks is 'What a claim would find.';
comment on column public.queue_health.delayed_chunks is 'What waits for its time.';
comment on column public.queue_health.chunks_in_flight is 'What workers hold.';
comment on column public.queue_health.waiting_chunks is 'What waits for a slot of its run.';
comment on column public.queue_health.next_retry_at is 'When the next delayed chunk is ready.';
comment on column public.queue_health.workers_alive is 'Workers heard of in the last 30 s.';
comment on column public.queue_health.blocked_budgets is
'Instances or keys that nobody sends to, after a 429.';
comment on column public.queue_health.last_sweep_at is 'When lost work was last looked for.';
comment on column public.queue_health.last_sweep_error is 'Why that failed.';

comment on column public.waiting_runs.job_id is 'Its job: polling_job_status.id.';
comment on column public.waiting_runs.run_id is 'The run: workspace_sync_runs.id.';
comment on column public.waiting_runs.workspace_name is 'Its workspace.';
comment on column public.waiting_runs.stream is 'The kind of record.';
comment on column public.waiting_runs.waits_until is
'When it goes on by itself; null: nobody knows.';
comment on column public.waiting_runs.message is 'The same in words, with what helps.';

comment on column public.hint_deliveries.direction is
'push: a POST to an endpoint; claim: a receiver asked for a chunk.';
comment on column public.hint_deliveries.id is 'Unique within its direction.';
comment on column public.hint_deliveries.chunk_id is
'The chunk it spoke of; of a claim perhaps none that exists.';
comment on column public.hint_deliveries.occurred_at is 'When it was sent or asked.';
comment on column public.hint_deliveries.endpoint is 'Where it was sent.';
comment on column public.hint_deliveries.worker_id is 'Who asked.';
comment on column public.hint_deliveries.attempt is 'Which hint of this chunk, from 1.';
comment on column public.hint_deliveries.outcome is
'Of a push: sent, answered, refused, busy, timed_out, failed or lost. Of a claim: claimed, or why
not.';
comment on column public.hint_deliveries.status_code is 'What the endpoint answered.';
comment on column public.hint_deliveries.message is 'The same in its words, without the token.';
comment on column public.hint_deliveries.settled_at is 'When that was known.';

comment on column public.client_registry.workspace_name is 'The workspace.';
comment on column public.client_registry.bison_workspace_id is
'Its id in Email Bison, where registered.';
comment on column public.client_registry.bison_instance is 'The base URL of its instance.';
comment on column public.client_registry.is_active is 'Whether syncs take it.';
comment on column public.client_registry.last_successful_sync_at is
'When its accounts were last synced completely.';
comment on column public.client_registry.last_sync_duration_ms is 'How long that took.';
comment on column public.client_registry.estimated_account_count is
'How many accounts the API showed then.';

comment on column public.sender_emails.workspace_name is 'The workspace.';
comment on column public.sender_emails.id is
'The account''s id in Email Bison; with the workspace, the key.';
comment on column public.sender_emails.email_address is 'May repeat: it is no key.';
comment on column public.sender_emails.name is 'The name that mails carry.';
comment on column public.sender_emails.status is 'As the API has it: Connected or not.';
comment on column public.sender_emails.type is 'How it is connected, as the API has it.';
comment on column public.sender_emails.daily_limit is 'Mails a day.';
comment on column public.sender_emails.warmup_enabled is 'Whether it is being warmed up.';
comment on column public.sender_emails.emails_sent_count is 'Mails sent, in all.';
comment on column public.sender_emails.total_replied_count is 'Replies.';
comment on column public.sender_emails.total_opened_count is 'Openings.';
comment on column public.sender_emails.unsubscribed_count is 'People who unsubscribed.';
comment on column public.sender_emails.bounced_count is 'Mails that bounced.';
comment on column public.sender_emails.unique_replied_count is 'People who replied.';
comment on column public.sender_emails.unique_opened_count is 'People who opened.';
comment on column public.sender_emails.total_leads_contacted_count is 'People written to.';
comment on column public.sender_emails.interested_leads_count is 'People who showed interest.';
comment on column public.sender_emails.email_signature is 'HTML under its mails.';
comment on column public.sender_emails.imap_server is 'Where its mails are read.';
comment on column public.sender_emails.imap_port is 'Port there.';
comment on column public.sender_emails.smtp_server is 'Where its mails are sent.';
comment on column public.sender_emails.smtp_port is 'Port there.';
comment on column public.sender_emails.tags is 'Its tags, as the API has them.';
comment on column public.sender_emails.raw is 'The record as the API serves it.';
comment on column public.sender_emails.created_at is 'The API''s own.';
comment on column public.sender_emails.updated_at is 'The API''s own.';
comment on column public.sender_emails.last_changed_at is 'When a sync last wrote the row.';
comment on column public.sender_emails.last_synced_at is
'When the API was last known to have it: that, or a complete sync that saw it.';
comment on column public.sender_emails.deleted_at is
'When it was found to be gone; null while it lives.';

comment on column public.chunk_events.event is
'completed, retry, delayed (rate limit), released, failed, cancelled, lease_lost or covered (its
record came with another answer).';
comment on column public.chunk_events.lease_token is 'Of which claim.';

comment on column public.chunk_processing_queue.lease_losses is
'How often its worker fell silent; after ten it fails.';
comment on column public.chunk_processing_queue.lease_expires_at is
'Until when its worker has it, unless a heartbeat comes.';
comment on column public.chunk_processing_queue.worker_id is 'Who claimed it last.';
comment on column public.chunk_processing_queue.started_at is 'When it was last claimed.';
comment on column public.chunk_processing_queue.completed_at is 'When it ended, however it did.';

comment on column public.chunked_sync_jobs.record_id is 'Of a confirmation or an item.';

comment on column public.polling_job_status.status is
'completed: every run is; failed: none is completed or partial; partial: neither; cancelled.';
comment on column public.polling_job_status.cancel_requested_at is
'When cancel_sync_job() was called; what is in flight ends first.';
comment on column public.polling_job_status.retry_of_job_id is
'The job whose incomplete runs this one repeats.';
comment on column public.polling_job_status.error_message is
'Why runs of it failed, each with its workspace.';
comment on column public.polling_job_status.warnings is
'What was skipped, and what runs found, each with its workspace.';

comment on column public.sync_alerts.kind is
'What is wrong: docs/operations.md says what helps, kind by kind.';
comment on column public.sync_alerts.resolved_at is 'When its cause was gone; null while it holds.';

comment on column public.sync_budgets.next_send_at is 'Until then every send time is reserved.';
comment on column public.sync_budgets.blocked_until is 'After a 429 nobody sends until then.';

comment on column public.sync_sources.auth_in is 'header or query.';
comment on column public.sync_sources.auth_name is 'The header or parameter that carries the key.';
comment on column public.sync_sources.budget_scope is
'Who shares a budget: all of an instance, or each key its own.';
comment on column public.sync_sources.message_path is 'Where an answer''s error text stands.';
comment on column public.sync_sources.requests_per_second is 'The default of its budgets.';
comment on column public.sync_sources.max_in_flight is 'The default of its budgets.';

comment on column public.sync_workspace_streams.record_count is
'Distinct ids that the API showed then.';
comment on column public.sync_workspace_streams.marks is 'Of a feed: where the next scan may stop.';

comment on column public.sync_workspaces.external_id is
'The workspace''s id in the API: a key of another is refused.';
comment on column public.sync_workspaces.secret_id is 'Where the key is in Vault.';
comment on column public.sync_workspaces.paused_at is 'Since when pause_sync() holds it.';
comment on column public.sync_workspaces.key_checked_at is
'When the API said something else of the key than before.';

comment on column public.workspace_statistics.distinct_emails is 'Addresses repeat among accounts.';
comment on column public.workspace_statistics.deleted_accounts is 'Found to be gone, ever.';

comment on column public.workspace_sync_runs.scan is
'Which scan it is at, from 1: counts that disagree are scanned again.';
comment on column public.workspace_sync_runs.distinct_ids is 'Of its last scan.';
comment on column public.workspace_sync_runs.max_concurrency is
'Its slots: how many chunks are ready or in flight at once.';
comment on column public.workspace_sync_runs.planned_pages is 'Pages that answers revealed.';
comment on column public.workspace_sync_runs.records_seen is
'Records on all its pages, of every scan.';
comment on column public.workspace_sync_runs.deletions_waiting is
'Rows that wait for approve_deletions().';
comment on column public.workspace_sync_runs.warnings is 'What its scans found, with numbers.';

comment on column public.worker_endpoints.secret_id is 'Where the wake token is in Vault.';
comment on column public.worker_endpoints.consecutive_failures is
'Posts that failed since one was answered; after three it rests.';
