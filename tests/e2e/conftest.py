"""Processes that a program under test may leave behind."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PR_SET_CHILD_SUBREAPER = 36

LeftBehind = Callable[[], list[str]]


@pytest.fixture
def left_behind() -> Iterator[LeftBehind]:
    """Orphans of programs that this test runs come to this process: the ones that live."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = set(_children())
    yield lambda: [_command(pid) for pid in _children() if pid not in before and _command(pid)]
    for orphan in set(_children()) - before:
        with suppress(ChildProcessError):
            os.waitpid(orphan, os.WNOHANG)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0)


def _children() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def _command(pid: int) -> str:
    """Empty for a process that has ended and was not waited for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
