"""A word means one thing: the verbs of the schema's functions are those of the glossary.

The list stands in docs/architecture.md. A function that changes something begins with one of them;
one that only looks may be named by what it returns.
"""

import re
from pathlib import Path

from tests.support.db import Db

ARCHITECTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
TABLE = re.compile(r"(?ms)^## Verbs$.*?^\|---\|---\|$(.*?)^## ")
# They lock, draw a number or run a text on their way to what they return.
NAMED_BY_WHAT_THEY_RETURN = {
    "audit_of",
    "item_keys",
    "live_record_ids",
    "lost_alone",
    "new_token",
    "next_to_be_alone",
    "registry_rows",
    "rows_to_try",
    "token_budget",
    "undeclared_rows",
}
CHANGING = """
select p.proname as name from pg_proc as p
where p.pronamespace = 'sync'::regnamespace and p.provolatile = 'v' and p.prokind in ('f', 'p')
  and not exists (select 1 from pg_depend where objid = p.oid and deptype = 'e')
"""
EVERY = CHANGING.replace("and p.provolatile = 'v' ", "")


def test_what_changes_something_begins_with_a_verb_of_the_glossary(db: Db) -> None:
    known = verbs()
    changing = {row["name"] for row in db.run(CHANGING)}
    every = {row["name"] for row in db.run(EVERY)}

    others = {name for name in changing if first_word(name) not in known}
    assert others == NAMED_BY_WHAT_THEY_RETURN
    unused = known - {first_word(name) for name in every}
    assert not unused, f"in the glossary, and of no function: {sorted(unused)}"


def first_word(name: str) -> str:
    return name.partition("_")[0]


def verbs() -> set[str]:
    section = TABLE.search(ARCHITECTURE.read_text())
    assert section
    found = re.findall(r"`(\w+)`", section[1])
    assert len(found) == len(set(found)), "a verb stands there twice"
    return set(found)
