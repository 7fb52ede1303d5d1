"""Every file of `sources` can be declared as it stands, and says what it was made from."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from chunkwise.cli.declaration_file import read_declaration
from tests.support.db import Db

SOURCES = Path(__file__).resolve().parents[2] / "sources"
FILES = sorted(SOURCES.glob("*.json"))


def test_the_gallery_has_a_file_of_each_habit() -> None:
    habits = {"smartlead", "instantly", "stripe", "github", "hubspot"}
    assert {path.stem for path in FILES} >= habits


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_what_it_was_made_from_and_what_was_not_tried(path: Path) -> None:
    about = read_declaration(path)["about"]

    assert about.keys() == {"api", "base_url", "key", "habit", "made_from", "not_tried"}
    assert re.fullmatch(r"https://[a-z0-9.-]+", about["base_url"])
    assert about["not_tried"]
    for page in about["made_from"]:
        assert page["page"].startswith("https://")
        assert date.fromisoformat(page["read"])


def test_every_file_is_declared_exported_and_declared_again(db: Db) -> None:
    for path in FILES:
        declaration = json.dumps(read_declaration(path))
        db.run("select apply_declaration(:declaration)", declaration=declaration)
    given = db.value("select get_declarations() -> 'declarations'")
    changed = [
        db.value(
            "select apply_declaration(:declaration, true) -> 'changes'",
            declaration=json.dumps(declaration),
        )
        for declaration in given
    ]

    assert {one["source"]["source_name"] for one in given} >= {path.stem for path in FILES}
    assert changed == [[] for _ in given]
