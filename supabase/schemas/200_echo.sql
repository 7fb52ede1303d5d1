-- Echo: now and then a claim has Realtime send a message that all who listen must hear.

create table sync.echo_state (
  is_only_row boolean primary key default true,
  echoed_at timestamptz not null default '-infinity',
  constraint echo_state_is_only_row_check check (is_only_row)
) with (fillfactor = 10);
comment on table sync.echo_state is 'When the last echo was sent.';
insert into sync.echo_state default values;
alter table sync.echo_state enable row level security;
create trigger echo_state_stay before delete or truncate on sync.echo_state
for each statement execute function sync.refuse_removal();

create function sync.send_echo() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := sync.now();
  v_every interval;
  v_echoed_at timestamptz;
begin
  v_every := sync.setting_seconds('echo_interval_seconds');
  select echoed_at into v_echoed_at from sync.echo_state;
  if v_every = interval '0' or to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null then
    return null;
  end if;
  if v_echoed_at <= v_now - v_every or v_echoed_at > v_now then
    perform 1 from sync.echo_state where echoed_at = v_echoed_at for no key update skip locked;
    if found then
      update sync.echo_state set echoed_at = v_now where is_only_row;
      perform realtime.send('{}'::jsonb, 'echo', 'chunkwise:work', true);
      v_echoed_at := v_now;
    end if;
  end if;
  return case when v_echoed_at between v_now - 2 * v_every and v_now
    then extract(epoch from v_now - v_echoed_at) * 1000 end;
exception when others then
  -- A hint that cannot be sent fails alike, and is noted: an alert says so.
  return null;
end; $$;
comment on function sync.send_echo() is
$$Send the next echo to all workers that listen, if the last one is older than the interval, or
later than now because the clock was set back. It cannot fail the claim. Returns: how old the last
one is, null where there is none that would be worth waiting for. Locks: the row of echo_state, by
SKIP LOCKED.$$;

revoke all on table sync.echo_state from public, anon, authenticated, service_role;
revoke all on function sync.send_echo from public, anon, authenticated, service_role;
