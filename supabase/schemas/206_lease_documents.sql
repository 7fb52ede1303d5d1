-- Lease documents: the JSON by which a worker gets a request, whatever it is for: a chunk, a try,
-- or an access token.

create type sync.leased as (
  queue_id bigint, lease_token bigint, send_after interval, budget_id bigint, workspace text,
  workspace_id bigint, stream text, attempt int, timeout_ms int, max_body_bytes int,
  request jsonb, origin text, credentials jsonb, status_classes jsonb, answer_headers jsonb
);
comment on type sync.leased is
'A request that was just leased, as a worker is told of it: see docs/worker-protocol.md.';

create function sync.lease_documents(p_leased sync.leased[], p_lease_seconds numeric) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'queue_id', l.queue_id, 'lease_token', l.lease_token, 'lease_ms', p_lease_seconds * 1000,
      'send_after_ms', ceil(extract(epoch from l.send_after) * 1000)::bigint,
      'budget_id', l.budget_id, 'workspace', l.workspace, 'workspace_id', l.workspace_id,
      'stream', l.stream, 'attempt', l.attempt, 'timeout_ms', l.timeout_ms,
      'max_body_bytes', l.max_body_bytes, 'request', l.request, 'origin', l.origin,
      'credentials', l.credentials, 'status_classes', l.status_classes,
      'answer_headers', l.answer_headers) order by l.send_after, l.queue_id), '[]')
    from unnest(p_leased) as l);
end; $$;
comment on function sync.lease_documents(sync.leased[], numeric) is
$$Returns: leases as docs/worker-protocol.md has them, in the order in which they are sent.$$;

revoke all on function sync.lease_documents from public, anon, authenticated, service_role;
