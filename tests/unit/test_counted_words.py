"""Singular and plural: what a message counts is written by one helper, in SQL and in Python."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOUNS = (
    "accounts|alerts|attempts|budgets|bytes|characters|chunks|conversations|days|deletions|"
    "endpoints|hints|hours|ids|items|jobs|keys|leases|messages|minutes|pages|parents|parts|"
    "privileges|records|replies|requests|rows|runs|scans|seconds|sessions|slots|streams|times|"
    "values|workers|workspaces"
)
# A number stands for a place of format(), or before a noun that a text begins with.
IN_SQL = re.compile(rf"%s (?:more |other |live )?(?:{NOUNS})\b|^ (?:{NOUNS})\b")
LITERAL = re.compile(r"'((?:[^']|'')*)'")
CONTRACT = re.compile(r"\b(?:Returns|Raises|Locks): ")
PARTS = re.compile(r"'\s*\n\s*'")
IN_PYTHON = re.compile(rf"""["'][^"'\n]*\{{[^{{}}"']*\}} (?:more |other )?(?:{NOUNS})\b(?!/)""")


def test_messages_of_the_schema_count_by_the_helper() -> None:
    found = [
        f"{path.name}: {literal[1]}"
        for path in sorted((ROOT / "supabase/schemas").glob("*.sql"))
        for statement in PARTS.sub("", path.read_text()).split("$$")[1::2]
        if not CONTRACT.search(statement)
        for line in statement.splitlines()
        for literal in LITERAL.finditer(line.partition(" -- ")[0])
        if IN_SQL.search(literal[1])
    ]
    assert found == []


def test_texts_of_the_commands_count_by_the_helper() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sorted((ROOT / "workers/chunkwise/cli").rglob("*.py"))
        for match in IN_PYTHON.finditer(path.read_text())
    ]
    assert found == []
