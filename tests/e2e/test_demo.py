"""`make demo`, as a person runs it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.orphans import LeftBehind, watched_orphans

CHECKOUT = Path(__file__).resolve().parents[2]
# In a fresh clone the cluster is built as well. Less than pytest lets a test take.
LONGEST_S = 540


@pytest.fixture
def left_behind() -> Iterator[LeftBehind]:
    with watched_orphans() as orphans:
        yield orphans


def start_demo(worker_id: str) -> "subprocess.Popen[str]":
    """With a stack that no other test process uses."""
    return subprocess.Popen(
        [sys.executable, "-m", "local.demo", "--name", f"demo-{worker_id}"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_demo_syncs_every_account_and_then_changes_nothing(
    left_behind: LeftBehind, worker_id: str
) -> None:
    demo = start_demo(worker_id)
    said, _ = demo.communicate(timeout=LONGEST_S)
    lines = [line.rstrip() for line in said.splitlines()]

    assert demo.returncode == 0, said
    assert "26/26 workspaces, 4,839 accounts" in lines
    assert any("no limit instead of 5 requests/s" in line for line in lines)
    assert _cells(lines, "Northwind Outbound")[:4] == ["433", "433", "360", "0"]
    assert _cells(lines, "Yarrow Foods")[:4] == ["15", "15", "15", "0"]
    assert any(line.startswith("first sync: 335 requests for pages, ") for line in lines)
    assert any(
        line.startswith("second sync: completed, 0 rows changed, 335 requests for pages, 0 others")
        for line in lines
    )
    found = re.search(r"work found by (\d+) looks after hints, .*, (\d+) idle \(of \d+\)", said)
    assert found, said
    assert int(found[1]) >= 2
    # On a busy machine a hint may come later than an idle look.
    assert int(found[2]) <= 2
    assert left_behind() == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_no_process(
    left_behind: LeftBehind, worker_id: str, how: signal.Signals
) -> None:
    demo = start_demo(worker_id)
    assert demo.stdout
    for line in demo.stdout:
        if line.startswith("running: "):
            break
    demo.send_signal(how)
    said, _ = demo.communicate(timeout=LONGEST_S)

    assert demo.returncode == 130, said
    assert left_behind() == []


def _cells(lines: list[str], workspace: str) -> list[str]:
    return next(line for line in lines if line.strip().startswith(workspace)).split()[2:]
