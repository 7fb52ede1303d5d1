-- Alert delivery: opened and resolved alerts go to a webhook by pg_net, until it takes them; a dead
-- man's switch is pinged.
-- Stands on: addresses, keys, endpoints.

create table sync.alert_deliveries (
  alert_id bigint not null references public.sync_alerts (id) on delete cascade,
  event text not null,
  attempts int not null default 0,
  sent_at timestamptz,
  delivered_at timestamptz,
  last_error text,
  primary key (alert_id, event),
  constraint alert_deliveries_event_check check (event in ('opened', 'resolved'))
);
comment on table sync.alert_deliveries is
'Messages of alerts: each goes out until the webhook takes it; of what is over ten times at most.';
alter table sync.alert_deliveries enable row level security;

create unlogged table sync.alert_posts (
  alert_id bigint not null,
  event text not null,
  name text not null,
  request_id bigint not null,
  net_queue oid not null,
  posted_at timestamptz not null default pg_catalog.clock_timestamp(),
  held_at timestamptz not null default pg_catalog.clock_timestamp(),
  primary key (alert_id, event),
  constraint alert_posts_delivery_fkey foreign key (alert_id, event)
  references sync.alert_deliveries (alert_id, event) on delete cascade
);
comment on table sync.alert_posts is
'Messages that pg_net has and whose answer was not read. Unlogged, as pg_net''s own tables are:
after a crash its numbers begin again, and none from before means anything.';
comment on column sync.alert_posts.name is 'What its header Chunkwise-Message says.';
comment on column sync.alert_posts.request_id is 'What pg_net called it.';
comment on column sync.alert_posts.net_queue is
'The queue that gave the number: an extension that is made anew begins again, too.';
comment on column sync.alert_posts.posted_at is 'When, by the clock of pg_net''s answers.';
comment on column sync.alert_posts.held_at is 'When it was last seen in the queue of pg_net.';
alter table sync.alert_posts enable row level security;

create function public.set_alert_url(p_kind text, p_url text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_name text := 'chunkwise/alert/' || p_kind;
  v_secret_id uuid;
begin
  perform sync.require_service();
  if p_kind is null or p_kind not in ('webhook', 'dead_man') then
    raise exception using errcode = 'SY006', message = format('%L is no kind of alert URL', p_kind),
      hint = 'webhook takes alerts as {"text": …}; dead_man is pinged every 5 minutes.';
  end if;
  -- What is being sent goes to the old URL still, and is noted before it is forgotten.
  perform sync.lock_engine('alerts');
  select id into v_secret_id from vault.secrets where name = v_name;
  if p_url is null then
    delete from vault.secrets where id = v_secret_id;
  else
    p_url := sync.checked_url(p_url, p_takes_private_http => true);
    if v_secret_id is null then
      perform vault.create_secret(p_url, v_name, 'Where Chunkwise sends alerts');
    else
      perform vault.update_secret(v_secret_id, p_url);
    end if;
  end if;
  if p_kind = 'webhook' then
    -- The other place knows nothing of what is open: forget who was told, and how often it failed.
    delete from sync.alert_deliveries as d using public.sync_alerts as a
    where a.id = d.alert_id and a.resolved_at is null;
  end if;
  return jsonb_build_object('kind', p_kind, 'is_set', p_url is not null);
end; $$;
comment on function public.set_alert_url(text, text) is
$$Where alerts go (webhook: a Slack-compatible URL) and what is pinged with every health check
(dead_man); null takes it back. The URL goes to Vault. To set a webhook, also the same again, sends
it every alert that is open. Returns: {"kind", "is_set"}. Raises: SY006 unknown kind, SY015 refused
address. Locks: deliveries against being sent, the secret.$$;

create function sync.alert_url(p_kind text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select sync.read_secret(id) from vault.secrets where name = 'chunkwise/alert/' || p_kind;
$$;
comment on function sync.alert_url(text) is
$$Returns: an alert URL, or null if none is set or it cannot be read.$$;

create function sync.alert_text(p_alert public.sync_alerts, p_event text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select replace(replace(replace(
    format('Chunkwise%s: %s: %s: %s', case p_event when 'resolved' then ', resolved' end,
      p_alert.kind, p_alert.subject, p_alert.message), '&', '&amp;'), '<', '&lt;'), '>', '&gt;');
$$;
comment on function sync.alert_text(public.sync_alerts, text) is
$$Returns: the message, escaped as Slack wants it: a workspace named <!channel> calls nobody.$$;

create function sync.add_deliveries() returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into sync.alert_deliveries (alert_id, event)
  select id, 'opened' from public.sync_alerts where resolved_at is null
  on conflict do nothing;
  insert into sync.alert_deliveries (alert_id, event)
  select a.id, 'resolved' from public.sync_alerts as a
  join sync.alert_deliveries as d on d.alert_id = a.id and d.event = 'opened'
  where a.resolved_at > sync.now() - interval '1 day'
  on conflict do nothing;
$$;
comment on function sync.add_deliveries() is
$$A message for every open alert, whenever it was opened, and for every resolved one of which it was
said that it is open.$$;

create function sync.collect_delivery_answers(p_url text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.alert_posts as p set held_at = default
  from net.http_request_queue as q
  where q.id = p.request_id and q.headers ->> 'Chunkwise-Message' = p.name;
  with answered as (
    delete from sync.alert_posts as p using net._http_response as r
    where r.id = p.request_id and p.net_queue = to_regclass('net.http_request_queue')
      and sync.may_answer(r.created, p.posted_at, p.held_at)
    returning p.alert_id, p.event, r.status_code, r.error_msg
  )
  update sync.alert_deliveries as d set
    delivered_at = case when a.status_code between 200 and 299 then sync.now() end,
    last_error = case when a.status_code between 200 and 299 then null
      else sync.mask_secrets(replace(coalesce(a.error_msg, 'HTTP ' || a.status_code, 'timed out'),
        p_url, 'the webhook')) end
  from answered as a
  where d.delivered_at is null and d.alert_id = a.alert_id and d.event = a.event;
end; $$;
comment on function sync.collect_delivery_answers(text) is
$$Read what pg_net says of the messages sent. An answer is one to a message if it has its number,
comes from the same queue, and came while pg_net had the message or soon after.$$;

create function sync.send_deliveries(p_url text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- Rows are locked before a request is made of them, so that two sweeps do not both make one.
  with held as (
    select p.alert_id, p.event from sync.alert_posts as p
    join net.http_request_queue as q on q.id = p.request_id
      and q.headers ->> 'Chunkwise-Message' = p.name
  ), due as (
    select d.alert_id, d.event from sync.alert_deliveries as d
    join public.sync_alerts as a on a.id = d.alert_id
    where d.delivered_at is null and (d.attempts < 10 or a.resolved_at is null)
      and (d.sent_at is null or d.sent_at
        < sync.now() - least(30 * 2 ^ least(d.attempts - 1, 7), 3600) * interval '1 second')
      and not exists (
        select 1 from held where held.alert_id = d.alert_id and held.event = d.event)
      and not exists (
        select 1 from sync.alert_posts as p join net._http_response as r on r.id = p.request_id
        where p.alert_id = d.alert_id and p.event = d.event
          and sync.may_answer(r.created, p.posted_at, p.held_at))
      and (d.event = 'opened' or exists (
        select 1 from sync.alert_deliveries as first
        where first.alert_id = d.alert_id and first.event = 'opened'
          and first.delivered_at is not null))
    order by d.alert_id, d.event limit (select greatest(0, 10 - count(*)) from held)
    for no key update of d skip locked
  ), sent as (
    update sync.alert_deliveries as d set attempts = d.attempts + 1, sent_at = sync.now()
    from due where d.alert_id = due.alert_id and d.event = due.event
    returning d.alert_id, d.event, format('alert/%s/%s', d.alert_id, d.event) as name
  )
  insert into sync.alert_posts (alert_id, event, name, net_queue, request_id)
  select s.alert_id, s.event, s.name, to_regclass('net.http_request_queue'),
    net.http_post(url => p_url, timeout_milliseconds => 3000,
      headers => jsonb_build_object('Content-Type', 'application/json',
        'Chunkwise-Message', s.name),
      body => jsonb_build_object('text', sync.alert_text(a, s.event)))
  from sent as s join public.sync_alerts as a on a.id = s.alert_id
  on conflict (alert_id, event) do update set request_id = excluded.request_id,
    net_queue = excluded.net_queue, posted_at = excluded.posted_at, held_at = excluded.held_at;
end; $$;
comment on function sync.send_deliveries(text) is
$$Send what was not delivered, again after a longer wait each time: every hour in the end while the
alert is open, ten times at most when it is over. Pg_net has ten at a time, however long it does not
send them. That something is resolved goes only after it was delivered that it is open. What pg_net
still has, or has answered since answers were read, is not sent twice. Locks: deliveries by SKIP
LOCKED.$$;

create function sync.deliver_alerts() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_url text;
begin
  if not sync.lock_engine_if_free('alerts') then
    return;
  end if;
  v_url := sync.alert_url('webhook');
  if v_url is null or to_regclass('net.http_request_queue') is null then
    return;
  end if;
  perform sync.add_deliveries();
  perform sync.collect_delivery_answers(v_url);
  perform sync.send_deliveries(v_url);
exception when others then
  update sync.heartbeats set last_error = sync.mask_secrets(sqlerrm) where name = 'health';
end; $$;
comment on function sync.deliver_alerts() is
$$Messages for alerts that were opened or resolved: each goes out once, and again until the webhook
takes it. While another session sends, this one does not. A failure is noted in sync.heartbeats and
fails nothing else.$$;

create function sync.ping_dead_man() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_url text;
begin
  v_url := sync.alert_url('dead_man');
  if v_url is null or to_regprocedure('net.http_get(text,jsonb,jsonb,integer)') is null then
    return;
  end if;
  -- A ping that did not go out says nothing any more when it does.
  delete from net.http_request_queue where id = any (array(
    select q.id from net.http_request_queue as q
    where q.headers ->> 'Chunkwise-Message' = 'dead-man'
    for update skip locked));
  perform net.http_get(url => v_url, timeout_milliseconds => 3000,
    headers => jsonb_build_object('Chunkwise-Message', 'dead-man'));
exception when others then
  update sync.heartbeats set last_error = sync.mask_secrets(sqlerrm) where name = 'health';
end; $$;
comment on function sync.ping_dead_man() is
$$Tell the dead man's switch that health was checked, in place of a ping that pg_net did not send
yet. A failure is noted in sync.heartbeats. Locks: that ping by SKIP LOCKED.$$;

revoke all on table
  sync.alert_deliveries, sync.alert_posts
from public, anon, authenticated, service_role;
grant select on table sync.alert_deliveries to authenticated, service_role;
create policy alert_deliveries_select_operator on sync.alert_deliveries
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  public.set_alert_url, sync.alert_url, sync.alert_text,
  sync.add_deliveries, sync.collect_delivery_answers, sync.send_deliveries, sync.deliver_alerts,
  sync.ping_dead_man
from public, anon, authenticated, service_role;
grant execute on function public.set_alert_url to service_role;
