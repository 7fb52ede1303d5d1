"""What stands at the head of each migration and looks before anything is changed.

Each guard is one statement, marked so that `chunkwise init` can put those of all files in front of
the first: what is in the way of the second file then stops the first one, too.
"""

import re
from collections.abc import Iterable

# What a migration makes in `public`; all else stands in `sync`, which is Chunkwise's own.
RELATION = re.compile(
    r"(?m)^create (?:or replace )?(?:unlogged )?(?:table|view|materialized view) public\.(\w+)"
)
INDEX = re.compile(r"(?m)^create (?:unique )?index (\w+)\s+on public\.")
TYPE = re.compile(r"(?m)^create (?:type|domain) public\.(\w+)")
FUNCTION = re.compile(r"(?m)^create (?:or replace )?function public\.(\w+)")
DOLLARS = re.compile(r"(?s)\$(\w*)\$.*?\$\1\$")

OF_THE_PLATFORM = """\
-- chunkwise: look first
do $platform$
begin
  if to_regrole('service_role') is null or to_regprocedure('auth.jwt()') is null then
    raise exception using errcode = '55000',
      message = 'this is no Supabase database: it lacks the role service_role or auth.jwt(). '
        'Push to a Supabase project, or to the local stack that supabase start runs.';
  end if;
  if to_regprocedure('public.chunkwise_version()') is not null then
    raise exception using errcode = '55000', message = format('Chunkwise %s is in this database '
      'already. Run chunkwise upgrade in its project instead, and remove this file.',
      coalesce(public.chunkwise_version() ->> 'release', '0.1.0'));
  end if;
  if coalesce(to_regnamespace('sync'), to_regnamespace('synced')) is not null then
    raise exception using errcode = '55000', message = format('a schema named %1$s is here '
      'already, and Chunkwise needs that name. Rename it: alter schema %1$s rename to '
      'its_new_name;', coalesce(to_regnamespace('sync'), to_regnamespace('synced')));
  end if;
  if to_regprocedure('cron.schedule(text,text,text)') is null and not exists (
    select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    raise exception using errcode = '55000', message = 'pg_cron is not available in this database. '
      'Enable pg_cron under Database, Extensions, then push again.';
  end if;
  if not exists (select 1 from pg_catalog.pg_proc as p where p.proname = 'http_post'
      and p.pronamespace = to_regnamespace('net'))
    and not exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
    raise exception using errcode = '55000', message = 'pg_net is not available in this database. '
      'Enable pg_net under Database, Extensions, then push again.';
  end if;
  if not exists (select 1 from pg_catalog.pg_proc as p where p.proname = 'create_secret'
      and p.pronamespace = to_regnamespace('vault')) then
    raise exception using errcode = '55000', message = 'Vault is not enabled in this database. '
      'Enable supabase_vault under Database, Extensions, then push again.';
  end if;
end; $platform$;
"""

OF_NAMES = """\
-- chunkwise: look first
do $names$
declare
  v_names constant text[] := '{{{relations}}}';
  v_taken text;
begin
  select string_agg(t.what, ', ' order by t.what) into v_taken from (
    select case c.relkind when 'v' then 'view ' when 'm' then 'view ' when 'S' then 'sequence '
      when 'i' then 'index ' when 'I' then 'index ' else 'table ' end || c.relname as what
    from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relname = any (v_names)
      -- Those of a table go with it.
      and not exists (select 1 from pg_catalog.pg_index as x
        join pg_catalog.pg_class as b on b.oid = x.indrelid
        where x.indexrelid = c.oid and b.relname = any (v_names))
    union
    select 'function ' || p.proname from pg_catalog.pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.proname = any ('{{{functions}}}')
    union
    select 'type ' || y.typname from pg_catalog.pg_type as y
    where y.typnamespace = 'public'::regnamespace and y.typname = any ('{{{types}}}')
      and (y.typrelid = 0 or exists (select 1 from pg_catalog.pg_class as c
        where c.oid = y.typrelid and c.relkind = 'c'))
  ) as t;
  if v_taken is not null then
    raise exception using errcode = '55000', message = format('the schema public has %s already, '
      'and Chunkwise makes its own. Rename what you keep and drop the rest. If an old poller made '
      'them, delete %s, and run chunkwise init --source email_bison --keep-legacy: what it adds '
      'moves them to the schema legacy.', v_taken,
      case when to_regprocedure('public.chunkwise_version()') is null
        then 'supabase/chunkwise.lock and the files that it lists' else 'this file' end);
  end if;
end; $names$;
"""

OF_THE_ENGINE = """\
-- chunkwise: the engine comes first
do $engine$
declare
  v_release text;
begin
  if to_regprocedure('public.chunkwise_version()') is not null then
    v_release := public.chunkwise_version() ->> 'release';
  end if;
  if v_release is distinct from '{release}' then
    raise exception using errcode = '55000', message = 'this file needs Chunkwise {release} in the '
      'database. Push the migration chunkwise of the same release first: chunkwise init writes '
      'both, chunkwise upgrade what is newer.';
  end if;
end; $engine$;
"""

OF_AN_UPGRADE = """\
-- chunkwise: look first
do $before$
begin
  if to_regprocedure('public.chunkwise_version()') is null then
    raise exception using errcode = '55000', message = 'Chunkwise is not in this database, so that '
      'there is nothing to upgrade. Push the migrations before this one first.';
  end if;
  if coalesce(public.chunkwise_version() ->> 'release', '0.1.0') <> '{before}' then
    raise exception using errcode = '55000', message = format('this file leads from Chunkwise '
      '{before} to {after}, and the database has %s. Push what comes before it first, or remove '
      'it if the database is past it.',
      coalesce(public.chunkwise_version() ->> 'release', '0.1.0'));
  end if;
end; $before$;
"""


def names_guard(sql: str) -> str:
    """For what this SQL makes in `public`; empty if that is nothing."""
    outside = DOLLARS.sub("", sql)
    relations = {*RELATION.findall(outside), *INDEX.findall(outside)}
    functions = set(FUNCTION.findall(outside))
    if not relations | functions:
        return ""
    types = {*RELATION.findall(outside), *TYPE.findall(outside)}
    return OF_NAMES.format(
        relations=_wrapped(relations), functions=_wrapped(functions), types=_wrapped(types)
    )


def keep_legacy(template: str, *sql: str) -> str:
    """What moves all that is in the way of these migrations."""
    outside = DOLLARS.sub("", "\n".join(sql))
    return template.replace("@relations@", _wrapped(RELATION.findall(outside))).replace(
        "@functions@", _wrapped(FUNCTION.findall(outside))
    )


def _wrapped(names: Iterable[str]) -> str:
    """An array literal's inside, in lines that fit; the blanks after its commas mean nothing."""
    lines = [""]
    for name in sorted(names):
        if len(lines[-1]) + len(name) > 88:
            lines.append("")
        lines[-1] += f"{name}, "
    return "\n      ".join(line.rstrip() for line in lines).rstrip(",")
