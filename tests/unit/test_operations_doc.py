"""docs/operations.md lists every setting of a worker, every kind of alert and every command."""

import re
from pathlib import Path

from typer import Typer

from chunkwise.cli.app import build

ROOT = Path(__file__).parents[2]
SETTING = re.compile(r"\b(?:SUPABASE|CHUNKWISE)_[A-Z_]+\b")
KINDS = re.compile(r"sync_alerts_kind_check check \(kind in \((.*?)\)\)", re.DOTALL)
# The first cell of a row.
CELL = re.compile(r"^\| (`.*?) \|", re.MULTILINE)


def first_cells(section: str) -> list[str]:
    text = (ROOT / "docs/operations.md").read_text()
    return CELL.findall(text.split(f"\n## {section}\n")[1].split("\n## ")[0])


def test_settings() -> None:
    read = set(SETTING.findall((ROOT / "workers/chunkwise/settings.py").read_text()))
    assert sorted(first_cells("Settings")) == sorted(f"`{name}`" for name in read)


def test_kinds_of_alerts() -> None:
    (path,) = (ROOT / "supabase/schemas").glob("*_alerts.sql")
    (checked,) = KINDS.findall(path.read_text())
    kinds = re.findall(r"\w+", checked)
    assert sorted(first_cells("Alerts")) == sorted(f"`{kind}`" for kind in kinds)


def test_commands() -> None:
    """A row holds a command, or several of a group."""
    words = {word for cell in first_cells("Commands") for word in re.findall(r"[a-z]+", cell)}
    assert commands(build()) <= words


def commands(app: Typer | None) -> set[str | None]:
    if app is None:
        return set()
    groups = [commands(group.typer_instance) for group in app.registered_groups]
    return {command.name for command in app.registered_commands}.union(*groups)
