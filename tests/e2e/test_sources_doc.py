"""docs/sources.md: its file and its lines lead from a key to rows, as they are printed.

The API at `https://api.acme.example` is a fake of this test, and in place of a project on
supabase.com the lines meet the local one.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio

from local.habits import Api, Listing, RunningApi, running_habits
from tests.e2e.world import CHECKOUT, PATIENCE_S, World

TEXT = (CHECKOUT / "docs/sources.md").read_text()
ORDERS = Listing(
    path="/orders",
    position="after",
    position_at=("after",),
    more_at=("has_more",),
    most=100,
    order="created_at",
    descending=True,
    id_type="text",
)
RECORDS = 250


def blocks(kind: str) -> list[str]:
    return re.findall(rf"(?s)```{kind}\n(.*?)```", TEXT)


@pytest_asyncio.fixture
async def acme() -> AsyncIterator[RunningApi]:
    async with running_habits({"v1": Api(lists={"orders": ORDERS})}) as habits:
        with habits["v1"].book("orders") as book:
            book.fill(RECORDS)
        yield habits["v1"]


@dataclass(frozen=True, slots=True)
class Terminal:
    folder: Path
    world: World
    acme: RunningApi

    async def run(self, line: str) -> str:
        """What it says; it must end with code 0. The key is what it may ask for."""
        script = line.replace("https://api.acme.example", self.acme.origin)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-ec", script),
            env={"PATH": path, "HOME": os.environ.get("HOME", "/"), **self.world.env},
            cwd=self.folder,
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
        )
        key = self.acme.desk.secret.encode()
        said, _ = await asyncio.wait_for(process.communicate(key), PATIENCE_S)
        assert process.returncode == 0, said.decode()
        return said.decode()


async def test_the_way_from_a_key_to_rows_is_as_it_is_printed(
    world: World, acme: RunningApi, tmp_path: Path
) -> None:
    (declaration,), (question,) = blocks("json"), blocks("sql")
    declare, add, try_it, sync, export = blocks("sh")
    (tmp_path / "acme.json").write_text(declaration)
    (tmp_path / "supabase/migrations").mkdir(parents=True)
    terminal = Terminal(tmp_path, world, acme)

    declared = await terminal.run(declare)
    added = await terminal.run(add)
    async with world.workers():
        tried = await terminal.run(try_it)
        asked = acme.seen.requests("orders")
        synced = await terminal.run(sync)
    rows = world.db.run(question)
    exported = await terminal.run(export)

    assert declared.endswith("acme is declared.\n")
    assert added.startswith("acme-main added.")
    for shown in ("orders with the key of acme-main: done, no complaint", "100 records", "item: "):
        assert shown in tried
    assert acme.desk.secret not in tried
    assert len(asked) == 2
    assert "completed" in synced
    with acme.book("orders") as book:
        names = {record_id: record["name"] for record_id, record in book.records.items()}
    assert world.db.value("select count(*) from synced_records") == RECORDS
    assert [(row["id"], row["name"]) for row in rows] == sorted(names.items())[:5]
    (migration,) = re.findall(r"\S+_chunkwise_streams\.sql", exported)
    before = world.db.run("select * from sync_streams order by id")
    world.db.run((tmp_path / migration).read_text())
    assert world.db.run("select * from sync_streams order by id") == before
