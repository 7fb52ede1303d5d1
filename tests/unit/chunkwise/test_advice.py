"""The database's advice reaches who types commands as commands."""

import re
from pathlib import Path

import pytest

from chunkwise.cli.advice import COMMANDS, in_commands

SCHEMAS = Path(__file__).resolve().parents[3] / "supabase" / "schemas"
LITERAL = r"'(?:[^']|'')*'"
# SQL joins literals that follow each other on lines of their own.
TEXT = re.compile(rf"{LITERAL}(?:\s*\n\s*{LITERAL})*")
BETWEEN = re.compile(r"(?<!')'\s*\n\s*'")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("rotate_workspace_key() gives it its own.", "`chunkwise keys rotate` gives it its own."),
        ("select start_sync_job('nightly');", "`chunkwise sync`"),
        (
            "select workspace_name from sync_workspaces lists them; register_workspace() adds one.",
            "`chunkwise workspaces list` lists them; `chunkwise workspaces add` adds one.",
        ),
        (
            "retry_failed_chunks(parent_sync_job_id) starts a new job",
            "`chunkwise retry` starts a new job",
        ),
        ("set_setting('max_pages', …) allows more.", "set_setting('max_pages', …) allows more."),
    ],
)
def test_a_function_that_a_command_calls_is_named_by_the_command(said: str, shown: str) -> None:
    assert in_commands(said) == shown


def test_no_text_of_the_database_names_such_a_function_where_commands_are_typed() -> None:
    texts = [
        BETWEEN.sub("", text).replace("''", "'")
        for path in SCHEMAS.glob("*.sql")
        for text in TEXT.findall(_without_comments(path.read_text()))
        if re.search(rf"\b({'|'.join(COMMANDS)})\(", text)
    ]
    assert texts
    left = [text for text in texts if re.search(rf"\b({'|'.join(COMMANDS)})\(", in_commands(text))]
    assert left == []


def _without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*|^comment on .*?;$", "", sql, flags=re.MULTILINE | re.DOTALL)
