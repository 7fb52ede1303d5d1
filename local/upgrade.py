"""Writes supabase/upgrades: what leads from the last release to the schema as it is.

Types, functions, views, triggers, policies, comments and grants are compared in the catalogs of two
databases, the last release (supabase/releases) and what would be installed today. What holds rows
is changed by hand, in supabase/upgrade: `<migration>.tables.sql` comes before the functions,
`<migration>.data.sql` after them. Then both ways are compared: what an upgraded database lacks is
named, with the statement that it would need.

    python -m local.upgrade            write them, and name what is missing
    python -m local.upgrade --fill     first add what is missing to the files by hand
    python -m local.upgrade --check    exit code 1 if they would be others, or something is missing
"""

import hashlib
import json
import re
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local.catalog import Catalog, Thing, apply_sql
from local.folders import CHECKOUT
from local.guard import OF_AN_UPGRADE, OF_THE_ENGINE
from local.migration import EMAIL_BISON, ENGINE, FOOTER, MIGRATIONS, release
from local.stack import Database, Stack

RELEASES = CHECKOUT / "supabase" / "releases"
BY_HAND = CHECKOUT / "supabase" / "upgrade"
UPGRADES = CHECKOUT / "supabase" / "upgrades"
RELEASED = "releases.json"
HEADER = (
    "-- From Chunkwise {before} to {after}. Made by `make migration`; what is done by hand stands\n"
    "-- in supabase/upgrade.\n"
)
# Whatever a migration's file is called in a project, this is its name.
NAMES = {re.sub(r"^\d+_|\.sql$", "", name): MIGRATIONS / name for name in (ENGINE, EMAIL_BISON)}
COMPARED = ("type", "function", "view", "trigger", "policy")
SAID = ("comment", "grants")
ORDER = ("schema", "table", "column", "constraint", "index")
NOTHING = Catalog({}, frozenset(), frozenset())
DECLARED = re.compile(r"(?ms)^select public\.declare_\w+\('.*?'\);$")
VIEW = re.compile(r"(?ms)^create view (?P<name>\S+) .*?;$")
# In the order in which workers take rows of them, so that nobody waits for us in a circle.
LOCKED_FIRST = (
    "public.chunk_processing_queue",
    "public.workspace_sync_runs",
    "public.polling_job_status",
    "public.sync_workspaces",
    "public.sync_budgets",
)
LOCK = """\
-- Nobody works while it changes. With less than the deadlock timeout it is we who step back.
do $locks$
begin
  for v_try in 1 .. 200 loop
    begin
      perform set_config('lock_timeout', '500ms', true);
      lock table {tables} in access exclusive mode;
      perform set_config('lock_timeout', '0', true);
      return;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.05);
    end;
  end loop;
  raise exception using errcode = '55P03', message = 'Chunkwise''s tables were not free for a '
    'minute and a half. End what holds them (chunkwise doctor names long transactions), then push '
    'again.';
end; $locks$;
"""
# Functions of other migrations, or of somebody's own streams, that take a type which comes anew.
SET_ASIDE = """\
create temporary table chunkwise_set_aside on commit drop as
select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as made, (
    select array_agg(case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
    from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
    where a.grantee <> p.proowner) as grantees,
  obj_description(p.oid, 'pg_proc') as words
from pg_catalog.pg_proc as p
where exists (
  select 1 from pg_catalog.pg_depend as d join pg_catalog.pg_type as y on y.oid = d.refobjid
  where d.classid = 'pg_proc'::regclass and d.objid = p.oid
    and d.refclassid = 'pg_type'::regclass
    and coalesce(nullif(y.typelem, 0), y.oid)::regtype::text = any ('{{{types}}}'));
do $set_aside$
declare
  v_name text;
begin
  for v_name in select name from chunkwise_set_aside loop
    execute 'drop function ' || v_name;
  end loop;
end; $set_aside$;"""
PUT_BACK = """\
do $put_back$
declare
  v_one record;
begin
  for v_one in select * from chunkwise_set_aside where to_regprocedure(name) is null loop
    execute v_one.made;
    execute format('revoke all on function %s from public, anon, authenticated, service_role',
      v_one.name);
    if v_one.grantees is not null then
      execute format('grant execute on function %s to %s', v_one.name,
        array_to_string(v_one.grantees, ', '));
    end if;
    execute format('comment on function %s is %L', v_one.name, v_one.words);
  end loop;
end; $put_back$;"""
# Bodies name what comes later.
UNCHECKED = "select set_config('check_function_bodies', 'off', true);\n"


@dataclass(frozen=True, slots=True)
class Difference:
    """From one catalog to another, of what one migration makes."""

    before: Catalog
    after: Catalog

    def dropped(self) -> list[Thing]:
        """What goes, or comes again in another form, and what stands on it; last ones first."""
        old, new = self.before.things, self.after.things
        going = {
            key
            for key, thing in old.items()
            if thing.kind in COMPARED
            and (
                key not in new
                or (thing.compared != new[key].compared and not _replaces(thing, new[key]))
            )
        }
        while more := {user for user, used in self.before.edges if used in going} - going:
            going |= more
        found = [old[key] for key in going if key in old and old[key].kind in COMPARED]
        return sorted(found, key=lambda thing: thing.place, reverse=True)

    def made(self) -> list[Thing]:
        """What is new, changed or was dropped, in the order in which it was made."""
        old, new = self.before.things, self.after.things
        gone = {thing.key for thing in self.dropped()}
        found = [
            thing
            for key, thing in new.items()
            if thing.kind in COMPARED
            and (key not in old or key in gone or old[key].compared != thing.compared)
        ]
        return sorted(found, key=lambda thing: thing.place)

    def first(self) -> list[Thing]:
        """Of what is made: types, and functions that a column, a check or an index stands on."""
        needed = {
            used
            for user, used in self.after.edges
            if user.partition(" ")[0] in ("constraint", "column", "index")
        }
        return [thing for thing in self.made() if thing.kind == "type" or thing.key in needed]

    def then(self) -> list[Thing]:
        """The rest of what is made."""
        first = {thing.key for thing in self.first()}
        return [thing for thing in self.made() if thing.key not in first]

    def said(self) -> list[Thing]:
        """Comments and grants that are others, or are of what is made anew."""
        old, new = self.before.things, self.after.things
        anew = {thing.name for thing in self.made() if thing.key not in old} | {
            thing.name for thing in self.dropped()
        }
        found = [
            thing
            for key, thing in new.items()
            if thing.kind in SAID
            and (key not in old or old[key].made != thing.made or thing.of in anew)
        ]
        return sorted(found, key=lambda thing: (thing.kind, thing.place, thing.name))

    def unsaid(self) -> list[Thing]:
        """Comments that are no more, of what stays."""
        old, new = self.before.things, self.after.things
        of = {thing.of for thing in new.values() if thing.kind in SAID}
        gone = {thing.name for thing in self.dropped()}
        return [
            thing
            for key, thing in sorted(old.items())
            if thing.kind == "comment"
            and key not in new
            and thing.of in of
            and thing.of not in gone
            # With its column it goes by itself.
            and (not thing.name.startswith("column ") or thing.name in _columns(new))
        ]

    def tables(self) -> list[str]:
        old = [thing.name for thing in self.before.things.values() if thing.kind == "table"]
        return sorted(
            (name for name in old if f"table {name}" in self.after.things),
            key=lambda name: (name not in LOCKED_FIRST, _rank(name), name),
        )


def _rank(name: str) -> int:
    return LOCKED_FIRST.index(name) if name in LOCKED_FIRST else 0


def _columns(things: dict[str, Thing]) -> set[str]:
    return {thing.key for thing in things.values() if thing.kind == "column"}


def _replaces(old: Thing, new: Thing) -> bool:
    """Whether `create or replace` takes the new one in the old one's place."""
    if old.kind == "view":
        return f"{new.form}, ".startswith(f"{old.form}, ")
    return old.kind == "function" and old.form == new.form


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Of one migration, by its name."""

    name: str
    before: str
    difference: Difference
    declared: tuple[str, ...]
    views: dict[str, str]

    def by_hand(self, what: str) -> str:
        path = BY_HAND / f"{self.name}.{what}.sql"
        return path.read_text() if path.exists() else ""

    def head(self) -> list[str]:
        """Up to what is done to tables."""
        gone = self.difference.dropped()
        types = [thing.name for thing in gone if thing.kind == "type"]
        return [
            *(f"{thing.gone};" for thing in gone if thing.kind != "type"),
            SET_ASIDE.format(types=", ".join(types)) if types else "",
            *(f"{thing.gone};" for thing in gone if thing.kind == "type"),
            *(self._statement(thing) for thing in self.difference.first()),
            self.by_hand("tables").strip(),
        ]

    def text(self) -> str:
        """Empty if nothing is different."""
        difference = self.difference
        parts = [
            *self.head(),
            *(self._statement(thing) for thing in difference.then()),
            PUT_BACK if any(thing.kind == "type" for thing in difference.dropped()) else "",
            *(f"{thing.gone};" for thing in difference.unsaid()),
            *(self._statement(thing) for thing in difference.said()),
            *self.declared,
            self.by_hand("data").strip(),
        ]
        kept = [part for part in parts if part]
        if not kept:
            return ""
        schedule = ["select public.schedule_jobs();"] if self.name == "chunkwise" else []
        return "\n".join(
            [
                HEADER.format(before=self.before, after=release()),
                self._guard(),
                LOCK.format(tables=",\n        ".join(difference.tables())),
                UNCHECKED,
                "\n\n".join([*kept, *schedule]),
                "",
                FOOTER,
            ]
        )

    def _guard(self) -> str:
        """The engine's file leads from one release to the next, others come after it."""
        if self.name == "chunkwise":
            return OF_AN_UPGRADE.format(before=self.before, after=release())
        return OF_THE_ENGINE.format(release=release())

    def _statement(self, thing: Thing) -> str:
        """A view as it is written: each version of Postgres gives back another text."""
        if thing.kind == "view":
            return self.views[_qualified(thing.name)]
        return f"{thing.made.rstrip()};"


def _qualified(name: str) -> str:
    return name if "." in name else f"public.{name}"


def last_release() -> str:
    return max((path.name for path in RELEASES.iterdir()), key=_numbers)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@dataclass(frozen=True, slots=True)
class Lack:
    """A statement that an upgrade needs, and the file for it: `tables` or `data` of a migration."""

    migration: str
    part: str
    sql: str


@dataclass(frozen=True, slots=True)
class Made:
    """What is written, by file name, and what an upgraded database lacks then."""

    files: dict[str, str]
    lacks: list[Lack]


def make(stack: Stack) -> Made:
    """On a stack whose template has the schema as it is."""
    before = last_release()
    old, new = (stack.create_bare_database(name) for name in ("release", "today"))
    had = has = NOTHING
    upgrades: list[Upgrade] = []
    lacks: list[Lack] = []
    for name, path in NAMES.items():
        shipped, today = (RELEASES / before / f"{name}.sql").read_text(), path.read_text()
        apply_sql(old.dsn, shipped)
        apply_sql(new.dsn, today)
        all_old, all_new = Catalog.of(old.dsn), Catalog.of(new.dsn)
        known = DECLARED.findall(shipped)
        declared = tuple(text for text in DECLARED.findall(today) if text not in known)
        own = Difference(all_old.without(had), all_new.without(has))
        upgrades.append(Upgrade(name, before, own, declared, _views(today)))
        had, has = all_old, all_new
        if not lacks:
            found = _lacking(old, all_new, upgrades)
            lacks = [Lack(name, part, sql) for part, sql in found]
    old.drop()
    new.drop()
    texts = {f"{release()}_{upgrade.name}.sql": upgrade.text() for upgrade in upgrades}
    return Made({name: text for name, text in texts.items() if text}, lacks)


def _views(sql: str) -> dict[str, str]:
    """Name → the statement that makes it, in place of one that stands."""
    return {
        found["name"]: found[0].replace("create view", "create or replace view", 1)
        for found in VIEW.finditer(sql)
    }


def _lacking(old: Database, fresh: Catalog, upgrades: Sequence[Upgrade]) -> list[tuple[str, str]]:
    heads = [UNCHECKED + "\n".join(upgrade.head()) for upgrade in upgrades]
    # What hangs on a table that is not there yet would be refused.
    found = _tried(old, fresh, heads, (*COMPARED, *SAID))
    tables = [(part, sql) for part, sql in found if part == "tables"]
    return tables or _tried(old, fresh, [upgrade.text() for upgrade in upgrades], ())


def _tried(
    old: Database, fresh: Catalog, texts: Iterable[str], without: Container[str]
) -> list[tuple[str, str]]:
    copy = old.stack.copy(old.name, "upgraded")
    try:
        for text in texts:
            apply_sql(copy.dsn, text)
        return list(needed(Catalog.of(copy.dsn), fresh, without))
    finally:
        copy.drop()


def needed(
    upgraded: Catalog, fresh: Catalog, without: Container[str] = ()
) -> Iterator[tuple[str, str]]:
    """What the hand-written files lack, of all kinds but some, and for which of them. What hangs on
    it comes by itself."""
    old, new = upgraded.things, fresh.things
    anew = {t.name for key, t in new.items() if t.kind == "table" and key not in old}
    gone = {t.name for key, t in old.items() if t.kind == "table" and key not in new}
    for name in sorted(gone):
        yield "tables", f"drop table {name};"
    for name in sorted(anew):
        yield "tables", _new_table(name, new)
    for key in sorted(old.keys() | new.keys(), key=_turn):
        was, will = old.get(key), new.get(key)
        one = will or was
        if one is None or one.kind in without or {one.of, one.name} & (anew | gone):
            continue
        if was is None or will is None or was.compared != will.compared:
            yield from (("tables", sql) for sql in _changed(was, will))
    for table, row in sorted(upgraded.rows - fresh.rows):
        yield "data", f"-- This row of {table} is not as it would be installed:\n--   {row}"
    known = {table for table, _ in upgraded.rows - fresh.rows}
    for table, row in sorted(fresh.rows - upgraded.rows):
        # One that stands there otherwise is changed, by somebody who knows which.
        comment = "-- It would be: " if table in known else ""
        yield "data", f"{comment}{_insert(table, json.loads(row))}"


def _turn(key: str) -> tuple[int, str]:
    """Columns before what stands on them."""
    kind = key.partition(" ")[0]
    return (ORDER.index(kind) if kind in ORDER else len(ORDER), key)


def _new_table(name: str, things: dict[str, Thing]) -> str:
    of = sorted((t for t in things.values() if t.of == name), key=lambda thing: thing.place)
    table = things[f"table {name}"]
    form = json.loads(table.form)
    start = f"alter table {name} add column "
    columns = [t.made.removeprefix(start) for t in of if t.kind == "column"]
    rest = [t for t in of if t.kind in ("constraint", "index")]
    options = f" with ({', '.join(form['options'])})" if form["options"] else ""
    unlogged = "unlogged " if form["unlogged"] else ""
    lines = [f"create {unlogged}table {name} (\n  " + ",\n  ".join(columns) + f"\n){options};"]
    # Keys before what refers to them.
    rest.sort(key=lambda thing: (thing.kind, " FOREIGN KEY " in thing.made, thing.place))
    lines += [f"{thing.made};" for thing in rest]
    if "row level security" in table.made:
        lines.append(f"alter table {name} enable row level security;")
    return "\n".join(lines)


def _changed(was: Thing | None, will: Thing | None) -> Iterator[str]:
    if was is None and will is not None:
        yield f"{will.made};"
    elif will is None and was is not None:
        yield f"{was.gone};"
    elif was is not None and will is not None and was.kind == "column":
        yield from _changed_column(was, will)
    elif was is not None and will is not None and was.kind == "table":
        yield f"-- {will.name} has other options: {was.made} → {will.made}"
    elif was is not None and will is not None:
        yield f"{was.gone};\n{will.made};"


def _changed_column(was: Thing, will: Thing) -> Iterator[str]:
    old, new = json.loads(was.form), json.loads(will.form)
    alter = f"alter table {will.of} alter column {will.name.rpartition('.')[2]}"
    if old["type"] != new["type"]:
        yield f"{alter} type {new['type']};"
    if old["default"] != new["default"]:
        yield (
            f"{alter} drop default;"
            if new["default"] is None
            else f"{alter} set default {new['default']};"
        )
    if old["not_null"] != new["not_null"]:
        yield f"{alter} {'set' if new['not_null'] else 'drop'} not null;"


def _insert(table: str, row: dict[str, Any]) -> str:
    values = ", ".join(_literal(value) for value in row.values())
    return f"insert into {table} ({', '.join(row)}) values ({values});"


def _literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + text.replace("'", "''") + "'"


def _written() -> dict[str, str]:
    """What stands for the coming release; those of earlier ones stay as they were released."""
    return {path.name: path.read_text() for path in UPGRADES.glob(f"{release()}_*.sql")}


def _hashes() -> str:
    """Of what releases shipped, by which a project that was pushed from a checkout is known."""
    known = {
        folder.name: {
            path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.glob("*.sql"))
        }
        for folder in sorted(RELEASES.iterdir())
    }
    return json.dumps(known, indent=2) + "\n"


def _fill(lacks: Iterable[Lack]) -> None:
    """Put them where they belong; whoever releases reads them."""
    for lack in lacks:
        if lack.sql.startswith("--"):
            continue
        path = BY_HAND / f"{lack.migration}.{lack.part}.sql"
        with path.open("a") as file:
            file.write(f"{lack.sql}\n")


def _tell(lacks: Iterable[Lack]) -> None:
    for lack in lacks:
        print(f"{lack.migration}.{lack.part}.sql lacks:\n{lack.sql}", file=sys.stderr)
    folder = BY_HAND.relative_to(CHECKOUT)
    print(f"An upgraded database needs this: see {folder} and RELEASING.md.", file=sys.stderr)


def main() -> None:
    with Stack.start("check") as stack:
        made = make(stack)
        # Tables first, then what could not be tried without them.
        for _ in range(2):
            if "--fill" in sys.argv[1:] and made.lacks:
                _fill(made.lacks)
                made = make(stack)
    if made.lacks:
        _tell(made.lacks)
    if "--check" in sys.argv[1:]:
        if made.files != _written() or (UPGRADES / RELEASED).read_text() != _hashes():
            sys.exit(f"{UPGRADES.relative_to(CHECKOUT)}: run `make migration`.")
        sys.exit(bool(made.lacks))
    UPGRADES.mkdir(exist_ok=True)
    (UPGRADES / RELEASED).write_text(_hashes())
    for name in _written().keys() - made.files:
        (UPGRADES / name).unlink()
    for name, text in made.files.items():
        (UPGRADES / name).write_text(text)


if __name__ == "__main__":
    main()
