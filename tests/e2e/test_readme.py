"""README's "Use it with a project": its lines run as they are printed.

In place of a project on supabase.com they meet the local one, whose migrations are pushed already,
and in place of an environment of their own that of the tests.
"""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from local.bison import BisonControl
from tests.e2e.world import CHECKOUT, PATIENCE_S, World

SECTION = re.search(
    r"(?s)^## Use it with a project\n(.*?)^## ", (CHECKOUT / "README.md").read_text(), re.MULTILINE
)
assert SECTION is not None
BLOCKS = re.findall(r"(?s)```sh\n(.*?)```", SECTION[1])
PROSE = re.sub(r"(?s)```.*?```", "", SECTION[1])
IN_PROSE = [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", PROSE)]


async def test_readme_s_commands_do_what_it_says(
    world: World, bison: BisonControl, tmp_path: Path
) -> None:
    push, setup, sync = BLOCKS
    install, export, add, worker = setup.splitlines()
    (acme,) = [info for info in await bison.workspaces() if info.name == "acme"]
    place = Place(tmp_path, world, bison)

    assert push.splitlines() == ["npx supabase link --project-ref <ref>", "npx supabase db push"]
    assert install == "python3 -m venv .venv && .venv/bin/pip install ."
    added = await place.ended(export, add, stdin=acme.key)
    async with place.running(export, worker):
        synced = await place.ended(export, sync)
        asked = [world.db.run(code) for code in IN_PROSE if code.startswith("select ")]
        (threads,) = [code for code in IN_PROSE if code.startswith("chunkwise sync ")]
        started = await place.ended(export, f".venv/bin/{threads}")
        job_id = re.search(r"[0-9a-f-]{36}", started)
        assert job_id is not None, started
        job = await world.ended(UUID(job_id[0]))

    assert str(acme.workspace_id) in added
    assert "1/1 workspace, 40 accounts" in synced
    accounts, progress, budget = asked
    assert len(accounts) == 40
    assert [row["status"] for row in progress] == ["completed", "completed"], "the sync, the key"
    assert budget[0]["set_budget"]["budgets_changed"] == 1
    assert job["status"] == "completed"


class Place:
    """A folder with `.venv`, and what stands there for a project, a key and an instance."""

    def __init__(self, folder: Path, world: World, bison: BisonControl) -> None:
        self._folder = folder
        (folder / ".venv").symlink_to(sys.prefix)
        self._meant: Mapping[str, str] = {
            "https://<ref>.supabase.co": world.api.url,
            "sb_secret_…": world.api.secret_key,
            "https://bison.example": bison.base_url,
        }

    async def ended(self, *lines: str, stdin: str = "") -> str:
        """What they say; they must end with code 0."""
        process = await self._start(lines, PIPE)
        try:
            said, _ = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE_S)
        finally:
            _end(process, signal.SIGKILL)
        assert process.returncode == 0, said.decode()
        return said.decode()

    @asynccontextmanager
    async def running(self, *lines: str) -> AsyncIterator[Path]:
        """In a terminal of its own; the file of what they say."""
        log = self._folder / "terminal.log"
        with log.open("wb") as file:
            process = await self._start(lines, file.fileno())
        try:
            yield log
            assert process.returncode is None, log.read_text()
        finally:
            _end(process, signal.SIGTERM)
            await asyncio.wait_for(process.wait(), PATIENCE_S)

    async def _start(self, lines: tuple[str, ...], said: int) -> Process:
        script = "\n".join(lines)
        for printed, meant in self._meant.items():
            script = script.replace(printed, meant)
        return await asyncio.create_subprocess_exec(
            *("bash", "-ec", script),
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            cwd=self._folder,
            stdin=PIPE,
            stdout=said,
            stderr=STDOUT,
            start_new_session=True,
        )


def _end(process: Process, how: signal.Signals) -> None:
    """The shell and what it started."""
    if process.returncode is None:
        os.killpg(process.pid, how)
