"""The image without an engine: the Dockerfile's lines are run, its command works and is stopped.

What this cannot show: that the base image exists and holds what the lines need.
"""

import asyncio
import os
import re
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.bison import BisonControl, Hold
from tests.e2e.dockerfile import Image, ignored, instructions
from tests.e2e.world import CHECKOUT, PATIENCE_S, World


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """In a folder that another user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="chunkwise-image-") as folder:
        Path(folder).chmod(0o755)
        yield Image.build(Path(folder))


@pytest.fixture
def tmp(image: Image) -> Iterator[Path]:
    """The one place where the image's user may write."""
    with tempfile.TemporaryDirectory(prefix="chunkwise-tmp-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, image.user, image.user)
        yield Path(folder)


@asynccontextmanager
async def container(
    image: Image, tmp: Path, settings: dict[str, str], stderr: int
) -> AsyncIterator[Process]:
    """The image's command, with nothing of this process's environment."""
    process = await asyncio.create_subprocess_exec(
        *image.as_user(image.command),
        env=environment(image, tmp) | settings,
        cwd=tmp,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def environment(image: Image, tmp: Path) -> dict[str, str]:
    return {
        name: value.replace("/tmp/", f"{tmp}/") if name.startswith("CHUNKWISE_") else value
        for name, value in image.env.items()
    }


async def health(image: Image, tmp: Path, *more: str) -> int:
    check = await asyncio.create_subprocess_exec(
        *image.as_user([*image.health_check, *more]), env=environment(image, tmp), cwd=tmp
    )
    return await asyncio.wait_for(check.wait(), PATIENCE_S)


async def test_the_image_works_and_at_sigterm_gives_back_what_it_holds(
    image: Image, tmp: Path, world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    held = await bison.fault(Hold(), workspace="acme", page=2, times=None)
    log = world.logs / "container.log"
    with log.open("wb") as stderr:
        settings = world.env | {"CHUNKWISE_STOP_SECONDS": "0.2"}
        async with container(image, tmp, settings, stderr=stderr.fileno()) as process:
            job_id = world.start()
            await bison.wait_until_held(1, held)
            await world.until(lambda: world.run("zen")["status"] == "completed")
            await world.until(lambda: world.run_pages("acme", "completed") == [1, 3])
            during = [await health(image, tmp), await health(image, tmp, "--ready")]
            user = os.stat(f"/proc/{process.pid}").st_uid  # noqa: PTH116
            process.terminate()
            code = await asyncio.wait_for(process.wait(), PATIENCE_S)
            after = await health(image, tmp)

    assert code == 0, log.read_text()
    assert (during, after) == ([0, 0], 1)
    assert user == (image.user if os.geteuid() == 0 else os.geteuid())
    assert world.job(job_id)["status"] == "running"
    assert world.live_ids("zen") == [account["id"] for account in await bison.accounts("zen")]
    # The worker waits 3 s for its calls; one that is slower still ends in the database.
    await world.until(lambda: world.events("acme", "released") != [])
    (released,) = world.events("acme", "released")
    assert released["page"] == 2
    in_flight = "select count(*) from chunk_processing_queue where status = 'processing'"
    assert world.db.value(in_flight) == 0
    world.db.run("select cancel_sync_job(:id)", id=job_id)


async def test_sigterm_ends_it_while_it_still_connects(image: Image, tmp: Path) -> None:
    connected = asyncio.Event()

    def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        connected.set()

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = {
        "SUPABASE_URL": f"http://127.0.0.1:{port}",
        "SUPABASE_SECRET_KEY": "sb_secret_of_nobody",
    }
    async with server, container(image, tmp, settings, stderr=PIPE) as process:
        await asyncio.wait_for(connected.wait(), PATIENCE_S)
        process.terminate()
        _, stderr = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        for writer in writers:
            writer.close()

    assert (process.returncode, stderr) == (0, b"")


async def test_without_settings_it_says_which_and_ends(image: Image, tmp: Path) -> None:
    async with container(image, tmp, {}, stderr=PIPE) as process:
        _, stderr = await asyncio.wait_for(process.communicate(), PATIENCE_S)

    assert process.returncode == 2
    assert stderr.startswith(b"chunkwise: SUPABASE_URL is not set")


def test_only_the_worker_is_in_it(image: Image) -> None:
    (packages,) = image.venv.glob("lib/python*/site-packages")
    installed = {path.name for path in packages.iterdir()}

    assert "chunkwise" in installed
    others = {"workers", "local", "benchmarks", "tests", "pytest", "mypy", "asyncpg"}
    assert installed.isdisjoint(others)
    copied = {path.name for path in image.root.rglob("*") if path.is_file()}
    assert not {name for name in copied if name.startswith(".env")}
    for secret in (".env", ".env.local", ".git", "supabase", "local", "tests"):
        assert ignored(secret)


def test_the_base_is_pinned_and_nothing_runs_as_root() -> None:
    lines = list(instructions((CHECKOUT / "Dockerfile").read_text()))
    given = dict(lines)

    assert [name for name, _ in lines].count("FROM") == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", given["FROM"])
    user, _, group = given["USER"].partition(":")
    assert user.isdigit()
    assert group.isdigit()
    assert int(user) > 0
    names = [name for name, _ in lines]
    assert names.index("USER") > max(n for n, name in enumerate(names) if name == "RUN")
    for name in ("ENTRYPOINT", "CMD"):
        assert given[name].startswith("["), "a shell would not pass SIGTERM on"
    assert all("--require-hashes" in run or "--no-index" in run for n, run in lines if n == "RUN")
