-- Workspaces: tenants of a source; what their names, addresses and ids may be.
-- Stands on: addresses, keys, budgets.

create function sync.trim_blanks(p_text text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
  select regexp_replace(p_text, '^[\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+'
    '|[\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$', '', 'g');
$$;
comment on function sync.trim_blanks(text) is
$$Returns: the text without what is blank around it, of whatever kind.$$;

create function sync.name_key(p_name text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  -- Upper first: two small letters may share a capital.
  select translate(lower(upper(regexp_replace(normalize(sync.trim_blanks(p_name), nfkc), ' +', ' ',
    'g'))), '‐‒–—―−‘’ʼ', '------''''''');
$$;
comment on function sync.name_key(text) is
$$Returns: by what names are the same: without blanks around them and without case, however their
letters are composed, how many blanks stand between words, or which dash or apostrophe was
typed.$$;

create function sync.tidy_name(p_name text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_name text := sync.trim_blanks(p_name);
begin
  -- Controls, what changes the direction of what stands behind it, and what nobody sees.
  if coalesce(length(v_name), 0) not between 1 and 200
    or v_name ~ ('[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5'
      '\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff'
      '\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]')
  then
    raise exception using errcode = 'SY006',
      message = format('a workspace needs a name of 1 to 200 printable characters, not %L, of %s',
        left(sync.one_line(v_name), 40) || case when length(v_name) > 40 then '…' else '' end,
        sync.counted(coalesce(length(v_name), 0), 'character')),
      hint = 'No line breaks, no control characters, none that are invisible or change the '
        'direction of writing; blanks around it are cut off.';
  end if;
  return v_name;
end; $$;
comment on function sync.tidy_name(text) is
$$Returns: a workspace's name without the blanks around it. Raises: SY006 blank, too long, or not
printable.$$;

create table public.sync_workspaces (
  id bigint generated always as identity primary key,
  workspace_name text not null unique,
  name_key text not null unique,
  source_id bigint not null references public.sync_sources (id),
  base_url text not null,
  instance text not null,
  external_id text,
  is_external_id_found boolean not null default false,
  is_active boolean not null default true,
  max_concurrency int not null default 8,
  budget_id bigint references public.sync_budgets (id),
  secret_id uuid,
  key_status text not null default 'unchecked',
  key_checked_at timestamptz,
  key_owner text,
  key_owner_id text,
  access_revision bigint not null default 1,
  paused_at timestamptz,
  removed_at timestamptz,
  rate_limited_until timestamptz,
  rate_limit_level int not null default 0,
  created_at timestamptz not null default sync.now(),
  constraint sync_workspaces_max_concurrency_check check (max_concurrency between 1 and 64),
  constraint sync_workspaces_key_status_check
  check (key_status in ('unchecked', 'accepted', 'refused', 'other_workspace', 'unreadable')),
  constraint sync_workspaces_removed_check
  check (removed_at is null or (not is_active and secret_id is null))
);
comment on table public.sync_workspaces is
'Tenants of a source. The key is in Vault; here is only its id there.';
comment on column public.sync_workspaces.max_concurrency is
'Slots of a run: how many of its chunks are ready or in flight at once.';
comment on column public.sync_workspaces.key_status is
'What the API said of the key last: unchecked, accepted, refused (401), other_workspace; unreadable:
it is not in Vault, or cannot be decrypted there, and nothing is asked until it can.';
comment on column public.sync_workspaces.key_owner is
'Whose key it is, in the API''s own words, where it tells.';
comment on column public.sync_workspaces.key_owner_id is
'The id of that owner; null until the API was asked about this key at this address.';
comment on column public.sync_workspaces.external_id is
'The workspace''s id in the API: a key of another is refused.';
comment on column public.sync_workspaces.is_external_id_found is
'None was given: it is the first owner seen of a key, and goes when the workspace moves.';
comment on column public.sync_workspaces.name_key is
'The name as names are compared: see sync.name_key(). Written by a trigger.';
comment on column public.sync_workspaces.instance is
'The host of the base URL. Written by a trigger.';
comment on column public.sync_workspaces.access_revision is
'Counts changes of source, base URL, external id and key: what was fetched before one is not applied
after it.';
comment on column public.sync_workspaces.removed_at is
'Since when remove_workspace() has taken it out: its rows are kept under its name.';
comment on column public.sync_workspaces.secret_id is 'Where the key is in Vault.';
comment on column public.sync_workspaces.rate_limited_until is
'It met a 429 and waits until then; then one request asks for all of it. Null: it was answered.';
comment on column public.sync_workspaces.rate_limit_level is 'How many 429s in a row it met so.';
comment on column public.sync_workspaces.paused_at is 'Since when pause_sync() holds it.';
comment on column public.sync_workspaces.key_checked_at is
'When the API said something else of the key than before, or since when it cannot be read.';
create unique index sync_workspaces_external_id_idx
  on public.sync_workspaces (source_id, instance, external_id) where removed_at is null;
create index sync_workspaces_source_idx on public.sync_workspaces (source_id);
create index sync_workspaces_budget_idx on public.sync_workspaces (budget_id);
alter table public.sync_workspaces enable row level security;

create function sync.prepare_workspace() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_other text;
  v_is_moved boolean := false;
  v_is_another boolean := false;
begin
  perform sync.require_trigger_of(tg_relid, 'public.sync_workspaces');
  new.workspace_name := sync.tidy_name(new.workspace_name);
  new.base_url := sync.checked_base_url(regexp_replace(new.base_url, '/+$', ''));
  new.name_key := sync.name_key(new.workspace_name);
  new.instance := sync.host_of(new.base_url);
  if tg_op = 'UPDATE' then
    v_is_moved := (new.source_id, new.base_url) <> (old.source_id, old.base_url);
    if v_is_moved and new.is_external_id_found and new.external_id = old.external_id then
      new.external_id := null;
    end if;
    -- The first owner seen is not another one.
    v_is_another := new.external_id is distinct from old.external_id and not (
      old.external_id is null and new.is_external_id_found);
    new.is_external_id_found := new.is_external_id_found and not v_is_another;
  end if;
  if tg_op = 'UPDATE' and exists (select 1 from public.sync_workspaces
    where name_key = new.name_key and id <> new.id) then
    raise exception using errcode = 'SY019',
      message = format('the name %L is taken', new.workspace_name),
      hint = 'Names are the same that a person reads alike, whatever their case, dashes and blanks: '
        'select workspace_name from sync_workspaces lists them.';
  end if;
  select workspace_name into v_other from public.sync_workspaces
  where source_id = new.source_id and instance = new.instance
    and external_id = new.external_id and removed_at is null and new.removed_at is null
    and id <> new.id and name_key <> new.name_key;
  if v_other is not null then
    raise exception using errcode = 'SY019',
      message = format('workspace %s of that instance is registered as %L', new.external_id,
        v_other),
      hint = 'One workspace of an API has one name; remove_workspace() takes one out.';
  end if;
  if tg_op = 'UPDATE' or not exists (select 1 from public.sync_workspaces
    where name_key = new.name_key) then
    new.budget_id := sync.ensure_budget(new.source_id, new.base_url, new.id);
  end if;
  if v_is_moved then
    new.key_owner := null;
    new.key_owner_id := null;
  end if;
  if v_is_moved or v_is_another then
    new.access_revision := old.access_revision + 1;
    new.key_status := case
      when new.key_status = old.key_status and old.key_status in ('accepted', 'other_workspace')
      then 'unchecked' else new.key_status end;
  end if;
  return new;
end; $$;
comment on function sync.prepare_workspace() is
$$Trigger: whoever writes a name, base URL, source or external id, it is checked, and the workspace
draws on the budget of its instance or key; another source, address or id has the key compared anew
and what is being fetched not applied. An insert that meets a taken name gets no budget. Raises:
SY006 name, SY015 address, SY019 name or external id of another workspace.$$;
create trigger sync_workspaces_prepare before insert or update of workspace_name, base_url,
  source_id, external_id on public.sync_workspaces
for each row execute function sync.prepare_workspace();

create function sync.workspace_id_of(p_workspace_name text) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_workspace_id bigint;
begin
  -- By the name's index, and not through all that were not removed.
  select case when removed_at is null then id end into v_workspace_id from public.sync_workspaces
  where name_key = (select sync.name_key(p_workspace_name));
  if v_workspace_id is null then
    raise exception using errcode = 'SY002', message = format('there is no workspace '
      '%L', p_workspace_name),
      hint = 'select workspace_name from sync_workspaces lists them; '
      'register_workspace() adds one.';
  end if;
  return v_workspace_id;
end; $$;
comment on function sync.workspace_id_of(text) is
$$Returns: a workspace's id, by its name as name_key() compares them. Raises: SY002 unknown, or
removed.$$;

revoke all on sequence public.sync_workspaces_id_seq from public, anon, authenticated, service_role;
revoke all on table public.sync_workspaces from public, anon, authenticated, service_role;
grant select on table public.sync_workspaces to authenticated, service_role;
grant update (workspace_name, external_id, base_url, is_active)
on table public.sync_workspaces to service_role;
create policy sync_workspaces_select_operator on public.sync_workspaces
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.trim_blanks, sync.name_key, sync.tidy_name, sync.prepare_workspace, sync.workspace_id_of
from public, anon, authenticated, service_role;
