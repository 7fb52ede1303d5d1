"""docs/security.md names tests that are there, and settings and files as they are called."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()


def test_every_promise_names_tests_that_try_it() -> None:
    promises = TEXT.split("## What is promised")[1].split("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")][1:]
    named = {row: re.findall(r"`((?:supabase/)?tests/[^`]+)`", row) for row in rows}
    assert len(rows) > 10
    assert [row for row, tests in named.items() if not tests] == []
    assert [test for tests in named.values() for test in tests if not (ROOT / test).exists()] == []


def test_every_link_and_file_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    files = re.findall(r"`(deploy/[^`]+|Dockerfile|compose\.yaml)`", TEXT)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_it_is_linked_from_where_one_reports() -> None:
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text()
    assert "SECURITY.md" in (ROOT / "README.md").read_text()
