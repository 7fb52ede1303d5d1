"""docs/errors.md lists every SQLSTATE of class SY that SQL gives, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"\bSY[0-9]{3}\b")
# A line comment or the text of a `comment on`: it may speak of codes that stand elsewhere.
PROSE = re.compile(r"--[^\n]*|^comment on .*?;$", re.MULTILINE | re.DOTALL)
# A row of the table, by its first cell.
ROW = re.compile(r"^\|\s*`?(SY[0-9]{3})`?\s*\|", re.MULTILINE)


def schemas() -> list[str]:
    return [path.read_text() for path in sorted((ROOT / "supabase/schemas").glob("*.sql"))]


def given_by_sql() -> set[str]:
    return {code for sql in schemas() for code in CODE.findall(PROSE.sub("", sql))}


def listed() -> list[str]:
    return ROW.findall((ROOT / "docs/errors.md").read_text())


def test_every_code_that_sql_gives_is_listed_once_and_no_other() -> None:
    assert sorted(listed()) == sorted(given_by_sql())


def test_contracts_in_comments_name_listed_codes_only() -> None:
    named = {code for sql in schemas() for code in CODE.findall(sql)}
    assert named <= set(listed())


def test_python_knows_listed_codes_only() -> None:
    known = set(CODE.findall((ROOT / "workers/chunkwise/errors.py").read_text()))
    assert "SY001" in known
    assert known <= set(listed())
