-- Alert delivery: opened and resolved alerts go to a webhook by pg_net, until it takes them; a dead
-- man's switch is pinged.
-- Stands on: alerts, endpoints.

create table sync.alert_deliveries (
  alert_id bigint not null references public.sync_alerts (id) on delete cascade,
  event text not null,
  attempts int not null default 0,
  request_id bigint,
  sent_at timestamptz,
  delivered_at timestamptz,
  last_error text,
  primary key (alert_id, event),
  constraint alert_deliveries_event_check check (event in ('opened', 'resolved'))
);
comment on table sync.alert_deliveries is
'Messages of alerts: each goes out until the webhook takes it, at most ten times.';
alter table sync.alert_deliveries enable row level security;

create function public.set_alert_url(p_kind text, p_url text) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '10s' as $$
declare
  v_name text := 'chunkwise/alert/' || p_kind;
  v_secret_id uuid;
begin
  if p_kind is null or p_kind not in ('webhook', 'dead_man') then
    raise exception using errcode = 'SY006', message = format('%L is no kind of alert URL', p_kind),
      hint = 'webhook takes alerts as {"text": …}; dead_man is pinged every 5 minutes while all '
        'lives.';
  end if;
  select id into v_secret_id from vault.secrets where name = v_name;
  if p_url is null then
    delete from vault.secrets where id = v_secret_id;
  else
    perform sync.check_base_url(regexp_replace(regexp_replace(p_url, '[?#].*$|/$', ''),
      case when sync.is_switched_on('allow_private_addresses') then '^http:' else '^$' end,
      'https:'));
    if v_secret_id is null then
      perform vault.create_secret(p_url, v_name, 'Where Chunkwise sends alerts');
    else
      perform vault.update_secret(v_secret_id, p_url);
    end if;
  end if;
  return jsonb_build_object('kind', p_kind, 'is_set', p_url is not null);
end; $$;
comment on function public.set_alert_url(text, text) is
$$Where alerts go (webhook: a Slack-compatible URL) and what is pinged while all lives (dead_man);
null takes it back. The URL goes to Vault. Returns: {"kind", "is_set"}. Raises: SY006 unknown kind,
SY015 refused address. Locks: nothing but the secret.$$;

create function sync.alert_url(p_kind text) returns text
language sql stable set search_path = '' as $$
  select decrypted_secret from vault.decrypted_secrets where name = 'chunkwise/alert/' || p_kind;
$$;
comment on function sync.alert_url(text) is $$Returns: an alert URL, or null if none is set.$$;

create function sync.settle_deliveries() returns void
language sql set search_path = '' as $$
  update sync.alert_deliveries as d set
    delivered_at = case when r.status_code between 200 and 299 then r.created end,
    last_error = case when r.status_code between 200 and 299 then null
    else coalesce(r.error_msg, 'HTTP ' || r.status_code, 'timed out') end,
    request_id = null
  from net._http_response as r
  where d.delivered_at is null and r.id = d.request_id;
$$;
comment on function sync.settle_deliveries() is $$Read what pg_net says of the messages sent.$$;

create function sync.send_deliveries(p_url text) returns void
language sql set search_path = '' as $$
  update sync.alert_deliveries as d set
    attempts = d.attempts + 1, sent_at = sync.now(),
    request_id = net.http_post(url => p_url,
    body => jsonb_build_object('text', format('%s %s: %s — %s',
      case d.event when 'opened' then 'Chunkwise:' else 'Chunkwise, resolved:' end, a.kind,
      a.subject, a.message)), timeout_milliseconds => 3000)
  from public.sync_alerts as a
  where a.id = d.alert_id and d.delivered_at is null and d.attempts < 10
    and (d.sent_at is null or d.sent_at < sync.now() - least(30 * 2 ^ (d.attempts - 1),
    3600) * interval '1 second');
$$;
comment on function sync.send_deliveries(text) is
$$Send what was not delivered, again after a longer wait each time.$$;

create function sync.deliver_alerts() returns void
language plpgsql set search_path = '' as $$
declare
  v_url text := sync.alert_url('webhook');
begin
  insert into sync.alert_deliveries (alert_id, event)
  select a.id, e.event from public.sync_alerts as a
  cross join (values ('opened'), ('resolved')) as e (event)
  where a.opened_at > sync.now() - interval '1 day'
    and (e.event = 'opened' or a.resolved_at is not null)
  on conflict do nothing;
  if v_url is null or to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') is null then
    return;
  end if;
  perform sync.settle_deliveries();
  perform sync.send_deliveries(v_url);
exception when others then
  update sync.hint_state set last_error = sync.mask_secrets(sqlerrm) where is_only_row;
end; $$;
comment on function sync.deliver_alerts() is
$$Messages for alerts that were opened or resolved: each goes out once, and again until the webhook
takes it. A failure is noted in sync.hint_state.$$;

create function sync.ping_dead_man() returns void
language plpgsql set search_path = '' as $$
declare
  v_url text := sync.alert_url('dead_man');
begin
  if v_url is not null and to_regprocedure('net.http_get(text,jsonb,jsonb,integer)') is not null
    then
    perform net.http_get(url => v_url, timeout_milliseconds => 3000);
  end if;
exception when others then
  update sync.hint_state set last_error = sync.mask_secrets(sqlerrm) where is_only_row;
end; $$;
comment on function sync.ping_dead_man() is
$$Tell the dead man's switch that health was checked. A failure is noted in sync.hint_state.$$;

revoke all on table sync.alert_deliveries from public, anon, authenticated, service_role;
grant select on table sync.alert_deliveries to service_role, authenticated;
create policy alert_deliveries_select_operator on sync.alert_deliveries
for select to authenticated using ((select sync.is_operator()));
revoke all on function public.set_alert_url, sync.alert_url, sync.settle_deliveries,
  sync.send_deliveries, sync.deliver_alerts, sync.ping_dead_man
from public, anon, authenticated, service_role;
grant execute on function public.set_alert_url to service_role;
