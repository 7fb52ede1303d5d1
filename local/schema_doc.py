"""Writes docs/schema.md, tables, views and verbs, from the catalog of a pushed database.

python -m local.schema_doc            write it
python -m local.schema_doc --check    exit code 1 if it is not what would be written
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from local.folders import CHECKOUT
from local.stack import Stack

PAGE = CHECKOUT / "docs" / "schema.md"
HEAD = """\
# The schema

Made by `make migration` from what a pushed database says of itself: change the `comment on` in
[supabase/schemas](../supabase/schemas), not this page. A column without a word here says it by its
name.
"""
OF_EXTENSION = "exists (select from pg_depend where objid = {}.oid and deptype = 'e')"

RELATIONS = f"""
select coalesce(json_agg(r order by r.schema, r.name), '[]') from (
  select n.nspname as schema, c.relname as name, c.relkind in ('v', 'm') as is_view,
    obj_description(c.oid, 'pg_class') as comment,
    has_table_privilege('authenticated', c.oid, 'select')
      or has_any_column_privilege('authenticated', c.oid, 'select') as operators_read,
    (select json_agg(json_build_object('name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod),
        'comment', col_description(c.oid, a.attnum)) order by a.attnum)
      from pg_attribute as a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as columns
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
  where n.nspname in ('public', 'sync') and c.relkind in ('r', 'p', 'v', 'm')
    and not {OF_EXTENSION.format("c")}
) as r
"""
REFERENCES = """
select coalesce(json_agg(f order by f.from_name, f.columns), '[]') from (
  select a.relname as from_name, b.relname as to_name, (
      select string_agg(t.attname, ', ' order by k.n)
      from unnest(c.conkey) with ordinality as k (attnum, n)
      join pg_attribute as t on t.attrelid = c.conrelid and t.attnum = k.attnum) as columns
  from pg_constraint as c
  join pg_class as a on a.oid = c.conrelid join pg_class as b on b.oid = c.confrelid
  where c.contype = 'f' and c.connamespace in ('public'::regnamespace, 'sync'::regnamespace)
) as f
"""
VERBS = f"""
select coalesce(json_agg(v order by v.name), '[]') from (
  select p.proname as name, pg_get_function_arguments(p.oid) as arguments,
    pg_get_function_result(p.oid) as result, obj_description(p.oid, 'pg_proc') as comment,
    has_function_privilege('authenticated', p.oid, 'execute') as operators_may
  from pg_proc as p
  where p.pronamespace = 'public'::regnamespace and p.prorettype <> 'trigger'::regtype
    and not {OF_EXTENSION.format("p")}
) as v
"""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the database says of itself; every list is in the order of the names."""

    relations: list[dict[str, Any]]
    references: list[dict[str, Any]]
    verbs: list[dict[str, Any]]

    @classmethod
    def read(cls, stack: Stack) -> "Catalog":
        return cls(*(json.loads(stack.psql("-c", q)) for q in (RELATIONS, REFERENCES, VERBS)))

    def page(self) -> str:
        return "\n".join([HEAD, *self._picture(), *self._verbs(), *self._relations()])

    def _picture(self) -> Iterator[str]:
        yield "## How the tables hang together\n\n```mermaid\nerDiagram"
        for reference in self.references:
            names = f"{reference['to_name']} ||--o{{ {reference['from_name']}"
            yield f'  {names} : "{reference["columns"]}"'
        yield "```\n"

    def _verbs(self) -> Iterator[str]:
        for title, is_operators in (
            ("Verbs for operators and services", True),
            ("Verbs for services alone", False),
        ):
            yield f"## {title}\n"
            for verb in self.verbs:
                if verb["operators_may"] is is_operators:
                    yield f"### `{verb['name']}`\n"
                    yield f"`({verb['arguments']}) → {verb['result']}`\n"
                    yield f"{_line(verb['comment'])}\n"

    def _relations(self) -> Iterator[str]:
        for title, schema, is_view in (
            ("Tables", "public", False),
            ("Views", "public", True),
            ("Tables inside the engine", "sync", False),
            ("Views inside the engine", "sync", True),
        ):
            yield f"## {title}\n"
            for relation in self.relations:
                if (relation["schema"], relation["is_view"]) == (schema, is_view):
                    yield f"### `{relation['name']}`\n"
                    yield f"{_line(relation['comment'])}{_readers(relation)}\n"
                    yield from _table(relation["columns"])


def _readers(relation: dict[str, Any]) -> str:
    return " Operators may read it." if relation["operators_read"] else ""


def _table(columns: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield "| column | type | |\n|---|---|---|"
    for column in columns:
        yield f"| `{column['name']}` | {column['type']} | {_cell(column['comment'])} |"
    yield ""


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str | None) -> str:
    return _line(text).replace("|", "\\|")


def main() -> None:
    with Stack.start("check") as stack:
        page = Catalog.read(stack).page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        sys.exit(f"{PAGE.relative_to(CHECKOUT)} is not up to date: run `make migration`.")


if __name__ == "__main__":
    main()
