-- Parts: a run of children reads one list per parent, and each of these lists is a part of it.

create table sync.run_parts (
  id bigint generated always as identity primary key,
  run_id bigint not null references public.workspace_sync_runs (id) on delete cascade,
  scan int not null,
  parent_id text not null,
  attempt int not null default 1,
  sound_scan int,
  parent jsonb not null,
  state text not null default 'waiting',
  known_pages int not null default 1,
  planned_pages int not null default 0,
  step int,
  total bigint,
  distinct_ids bigint,
  finding text,
  created_at timestamptz not null default sync.now(),
  constraint run_parts_state_check
  check (state in ('waiting', 'reading', 'proven', 'unproven', 'repeated')),
  constraint run_parts_planned_pages_check check (planned_pages <= known_pages)
) with (fillfactor = 80);
comment on table sync.run_parts is
'Lists that a run of children reads, one per parent; each is proven by itself.';
comment on column sync.run_parts.parent_id is 'The parent''s record: its id in its own stream.';
comment on column sync.run_parts.scan is
'The scan of the run that its chunks and pages are of: each part has its own.';
comment on column sync.run_parts.attempt is
'How often this list was begun: one that does not add up is read again as a part of its own.';
comment on column sync.run_parts.sound_scan is
'Of an agreed list: the scan before, with which it is compared.';
comment on column sync.run_parts.parent is
'What the stream''s templates need of the parent''s record: {"id": 17, "parent": {"id": 4}}.';
comment on column sync.run_parts.state is
'waiting: no chunk of it yet; reading; proven: the whole list was read; unproven: it was not, see
finding; repeated: another attempt took its place.';
comment on column sync.run_parts.known_pages is
'Pages that answers revealed; planned_pages: up to which there are chunks.';
comment on column sync.run_parts.step is
'By offsets, where page 1 is shorter than declared: how many records a page has.';
comment on column sync.run_parts.total is 'The API''s own total of this list.';
comment on column sync.run_parts.distinct_ids is 'Distinct ids that its pages showed.';
comment on column sync.run_parts.finding is 'What spoke against it.';
create unique index run_parts_parent_idx on sync.run_parts (run_id, parent_id, attempt);
create unique index run_parts_scan_idx on sync.run_parts (run_id, scan);
create index run_parts_live_idx on sync.run_parts (run_id, state, id)
  where state in ('waiting', 'reading');
alter table sync.run_parts enable row level security;

create function sync.has_parts(p_stream public.sync_streams) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_stream.parent_stream is not null and p_stream.completeness <> 'items';
end; $$;
comment on function sync.has_parts(public.sync_streams) is
$$Returns: whether a stream is lists of children, one below each record of its parent.$$;

revoke all on sequence sync.run_parts_id_seq from public, anon, authenticated, service_role;
revoke all on table sync.run_parts from public, anon, authenticated, service_role;
grant select on table sync.run_parts to authenticated, service_role;
create policy run_parts_select_operator on sync.run_parts
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.has_parts from public, anon, authenticated, service_role;
