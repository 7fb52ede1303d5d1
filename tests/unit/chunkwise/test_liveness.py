"""The pulse: what a health check says of a worker."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chunkwise
from chunkwise.errors import SettingsError
from chunkwise.gateway.client import Gateway
from chunkwise.secret import Secret
from chunkwise.settings import Settings
from chunkwise.worker.liveness import PULSE_FILE, Pulse, pulse, what_is_wrong

NEVER = 1e9
PACKAGES = Path(chunkwise.__file__).parents[1]


def wrong(path: Path, beat: float, answered: float, *, ready: bool) -> str | None:
    now = time.monotonic()
    path.write_text(f"{now - beat} {now - answered}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        return what_is_wrong(path, ready=ready)


def test_a_worker_lives_whose_loop_turned_lately(tmp_path: Path) -> None:
    path = tmp_path / "pulse"

    assert what_is_wrong(path, ready=False) == "no worker runs here"
    assert wrong(path, 5, NEVER, ready=False) is None
    assert wrong(path, 40, 0, ready=False) == "the worker has been still for 40 s"


def test_a_beat_from_before_the_machine_was_restarted_is_none(tmp_path: Path) -> None:
    assert wrong(tmp_path / "pulse", -500, 0, ready=False) is not None


def test_a_worker_is_ready_whom_the_database_answered_lately(tmp_path: Path) -> None:
    path = tmp_path / "pulse"

    assert wrong(path, 5, 10, ready=True) is None
    assert wrong(path, 5, 90, ready=True) == "the database has not answered for 90 s"
    assert wrong(path, 40, 10, ready=True) == "the worker has been still for 40 s"


async def test_the_file_is_there_while_the_worker_runs_and_follows_its_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chunkwise.worker.liveness.BEAT_SECONDS", 0.01)
    beats = asyncio.Event()
    beat = Pulse.beat

    def counted(self: Pulse) -> None:
        beat(self)
        numbers.append(path.read_text())
        if len(numbers) > 2:
            beats.set()

    monkeypatch.setattr(Pulse, "beat", counted)
    path, numbers = tmp_path / "pulse", list[str]()
    async with Gateway.connect("http://127.0.0.1:9", Secret("sb_secret_x")) as gateway:
        with pulse(path, gateway):
            await beats.wait()
            assert what_is_wrong(path, ready=False) is None
    assert len(set(numbers)) >= 3
    assert what_is_wrong(path, ready=False) == "no worker runs here"


@pytest.mark.parametrize("arguments", [[], ["--ready"]])
def test_the_check_is_a_command_that_needs_no_library(tmp_path: Path, arguments: list[str]) -> None:
    path = tmp_path / "pulse"
    # -S: without site-packages.
    command = [sys.executable, "-S", "-m", "chunkwise.worker.liveness", *arguments]
    env = {**os.environ, PULSE_FILE: str(path), "PYTHONPATH": str(PACKAGES)}

    dead = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    path.write_text(f"{time.monotonic()} {time.monotonic()}\n")
    alive = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert (dead.returncode, dead.stderr) == (1, f"no worker runs here ({PULSE_FILE}={path})\n")
    assert (alive.returncode, alive.stderr) == (0, "")


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    env = {
        "SUPABASE_URL": "http://127.0.0.1:54321/",
        "SUPABASE_SECRET_KEY": "sb_secret_abc",
        PULSE_FILE: str(tmp_path / "nowhere" / "pulse"),
    }
    with pytest.raises(SettingsError, match=PULSE_FILE):
        Settings.read(**env)
    assert Settings.read(**(env | {PULSE_FILE: ""})).pulse_file is None
    assert Settings.read(**(env | {PULSE_FILE: str(tmp_path / "p")})).pulse_file == tmp_path / "p"
