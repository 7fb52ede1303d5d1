"""README's "Your project in ten minutes": its lines run as they are printed, in an empty folder.

In place of a project on supabase.com they meet an empty local one, to which the real CLI pushes;
that needs no link. What the wheel stands on is here already.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import sysconfig
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from uuid import UUID

from local.api import Api
from local.bison import BisonControl
from tests.e2e.projects import Somebodys
from tests.e2e.world import CHECKOUT, PATIENCE_S, World
from tests.support.db import Db

SECTION = re.search(
    r"(?s)^## Your project in ten minutes\n(.*?)^## ",
    (CHECKOUT / "README.md").read_text(),
    re.MULTILINE,
)
assert SECTION is not None
BLOCKS = re.findall(r"(?s)```sh\n(.*?)```", SECTION[1])
PROSE = re.sub(r"(?s)```.*?```", "", SECTION[1])
IN_PROSE = [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", PROSE)]


async def test_readme_s_commands_do_what_it_says(
    somebodys: Somebodys, bison: BisonControl, tmp_path: Path
) -> None:
    first, second, sync = BLOCKS
    install, init, *link_and_push = first.splitlines()
    export, operator, add, worker = second.splitlines()
    (acme,) = [info for info in await bison.workspaces() if info.name == "acme"]
    assert install == "python3 -m venv .venv && .venv/bin/pip install chunkwise-*.whl"
    assert [line.partition("  ")[0] for line in link_and_push] == [
        "npx supabase link --project-ref <ref>",
        "npx supabase db push --remote",
    ]
    install_wheel(somebodys.folder)
    api = somebodys.stack.serve(somebodys.database)
    try:
        place = Place(somebodys.folder, api, bison)
        await place.ended(init)
        assert somebodys.names() == ["chunkwise", "chunkwise_email_bison"]
        somebodys.push()
        made = await place.ended(export, operator)
        added = await place.ended(export, add, stdin=acme.key)
        with closing(Db.connect(somebodys.database.dsn)) as db:
            world = World(api, db, tmp_path)
            async with place.running(export, worker):
                synced = await place.ended(export, sync)
                asked = [db.run(meant(code)) for code in IN_PROSE if code.startswith("select ")]
                (threads,) = [code for code in IN_PROSE if code.startswith("chunkwise sync ")]
                started = await place.ended(export, f".venv/bin/{threads}")
                job_id = re.search(r"[0-9a-f-]{36}", started)
                assert job_id is not None, started
                job = await world.ended(UUID(job_id[0]))
    finally:
        api.stop()

    assert "you@example.com" in made
    assert str(acme.workspace_id) in added
    assert "1/1 workspace, 40 accounts" in synced
    alerts, accounts, progress, budget = asked
    assert "webhook" in f"{alerts}"
    assert len(accounts) == 40
    assert [row["status"] for row in progress] == ["completed", "completed"], "the sync, the key"
    assert budget[0]["set_budget"]["budgets_changed"] == 1
    assert job["status"] == "completed"


def meant(code: str) -> str:
    """With something in place of what the reader fills in."""
    return code.replace("…", "T0/B0")


def install_wheel(folder: Path) -> None:
    """Into a `.venv` that finds what the wheel stands on where these tests have it."""
    python = folder / ".venv" / "bin" / "python"
    for command in (
        [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            f"{folder}",
        ],
        [sys.executable, "-m", "venv", "--without-pip", f"{folder}/.venv"],
    ):
        subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=True)
    (wheel,) = folder.glob("chunkwise-*.whl")
    (packages,) = (folder / ".venv" / "lib").glob("python3*/site-packages")
    (packages / "here.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        f"{python}",
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "--ignore-installed", f"{wheel}"], capture_output=True, check=True)


class Place:
    """A folder with `.venv`, and what stands there for a project, a key and an instance."""

    def __init__(self, folder: Path, api: Api, bison: BisonControl) -> None:
        self._folder = folder
        self._meant: Mapping[str, str] = {
            "https://<ref>.supabase.co": api.url,
            "sb_secret_…": api.secret_key,
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
