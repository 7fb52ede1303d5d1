"""What a release needs besides the code: its number in one place, its notes, its workflow."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from chunkwise import PROTOCOL_VERSION, SCHEMA_VERSION, VERSION
from chunkwise.install.carried import numbers
from local.migration import SCHEMAS

CHECKOUT = Path(__file__).resolve().parents[2]
CHANGELOG = (CHECKOUT / "CHANGELOG.md").read_text()
HEADING = re.compile(r"(?m)^## (\S+) \((unreleased|\d{4}-\d{2}-\d{2})\)$")
IN_SCHEMA = re.compile(r"'schema_version', (\d+), 'protocol_version', (\d+),\s+'release', '(.+?)'")


def workflow() -> dict[str, Any]:
    found = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "release.yml").read_text())
    assert isinstance(found, dict)
    return found


def test_the_notes_have_each_release_once_the_newest_first_and_dated() -> None:
    headings = HEADING.findall(CHANGELOG)
    assert CHANGELOG.count("\n## ") == len(headings)
    assert headings[0][0] == VERSION
    assert all(numbers(a) > numbers(b) for (a, _), (b, _) in pairwise(headings))
    assert "unreleased" not in [date for _, date in headings[1:]]


def test_schema_and_program_have_the_same_numbers() -> None:
    """The release's own comes from the program when the migrations are made."""
    text = (SCHEMAS / "010_foundation.sql").read_text()
    assert IN_SCHEMA.findall(text) == [(f"{SCHEMA_VERSION}", f"{PROTOCOL_VERSION}", "@release@")]


def test_only_what_publishes_may_and_it_publishes_what_was_built() -> None:
    jobs = workflow()["jobs"]
    permissions = {name: job.get("permissions") for name, job in jobs.items()}
    assert permissions == {
        "wheel": None,
        "publish": {"id-token": "write"},
        "image": {"packages": "write", "contents": "read"},
    }
    assert workflow()["permissions"] == {"contents": "read"}
    assert jobs["publish"]["needs"] == jobs["image"]["needs"] == "wheel"
    assert jobs["wheel"]["container"] == "debian:12"


def test_the_dev_container_sets_up_a_system_that_set_up_knows() -> None:
    text = (CHECKOUT / ".devcontainer" / "devcontainer.json").read_text()
    made = json.loads("\n".join(x for x in text.splitlines() if not x.startswith("//")))
    assert made["image"] == "debian:12"
    assert made["postCreateCommand"] == "make setup"
