CREATE INDEX sender_emails_live_idx ON sync.sender_emails USING btree (workspace_id) WHERE (deleted_at IS NULL);
